/** How several workers accept on one port: as data, with what this system supports. */
import { unavailable } from '../../errors.js';
import { Socket } from '../../index.js';
import { sharePort } from '../../net/sockopt.js';
import { mechanismsHere } from './mechanisms.js';
import { constants } from '../../syscalls.js';
import { asProbe } from '../../syscalls/probe.js';
import type { AcceptStrategy } from '../protocol/settings.js';

/** How several workers can accept on one port, and whether this system supports it. */
export interface AcceptStrategyRow {
  /** The value of ServerOptions.accept and of `--accept`. */
  readonly name: AcceptStrategy;
  /** What it does. One line. */
  readonly summary: string;
  /** This system supports it: found when the module is loaded. */
  readonly isAvailable: boolean;
  /** Why it is available, or why not. */
  readonly why: string;
}

type Support = Pick<AcceptStrategyRow, 'isAvailable' | 'why'>;

const everywhere: Support = { isAvailable: true, why: 'needs only select and accept' };

function exclusive(): Support {
  const epoll = mechanismsHere.find(({ mechanism }) => mechanism === 'epoll');
  if (epoll?.available === true) return { isAvailable: true, why: 'epoll has EPOLLEXCLUSIVE (Linux 4.5)' };
  return { isAvailable: false, why: `EPOLLEXCLUSIVE needs Linux' epoll: ${epoll?.why ?? 'unknown'}` };
}

function reusePort(): Support {
  if (constants.SO_REUSEPORT === undefined)
    return { isAvailable: false, why: 'this system has no SO_REUSEPORT that distributes connections' };
  try {
    asProbe(() => {
      using socket = new Socket();
      sharePort(socket);
    });
    return { isAvailable: true, why: 'probe: setsockopt(SO_REUSEPORT) ok' };
  } catch (error) {
    return { isAvailable: false, why: (error as Error).message };
  }
}

/** All accept strategies, with what this system supports; the default, 'thundering-herd', comes first. */
export const acceptStrategies: readonly AcceptStrategyRow[] = [
  {
    name: 'thundering-herd',
    summary: 'all processes wait for one socket; a connection wakes them all, and one gets it',
    ...everywhere,
  },
  {
    name: 'blocking',
    summary: 'all processes block in accept on one socket (post 003); Linux wakes one of them',
    isAvailable: process.platform !== 'win32',
    why:
      process.platform === 'win32'
        ? 'on Windows, nothing ends the accept of a process whose parent has exited'
        : 'needs only accept',
  },
  {
    name: 'lock',
    summary: 'the process that holds the lock waits for a connection, the others wait for the lock',
    isAvailable: true,
    why: process.platform === 'win32' ? 'LockFileEx' : 'flock(2)',
  },
  { name: 'exclusive', summary: 'EPOLLEXCLUSIVE: the kernel wakes one of the waiting processes', ...exclusive() },
  {
    name: 'reuseport',
    summary: 'SO_REUSEPORT: each worker has a socket on the same port; the kernel distributes the connections',
    ...reusePort(),
  },
];

/** @throws ERR_UNAVAILABLE, with the reason */
export function checkAvailable({ name, isAvailable, why }: AcceptStrategyRow): void {
  if (!isAvailable) throw unavailable(`${name} is not available here: ${why}`);
}
