/** How the processes of `prefork` share one listening socket: as data, and whether this system can. */
import { unavailable } from '../../errors.js';
import { Socket } from '../../index.js';
import { mechanismsHere } from './mechanisms.js';
import { constants } from '../../syscalls.js';
import type { AcceptStrategy } from '../protocol/settings.js';

export interface AcceptStrategyRow {
  readonly name: AcceptStrategy;
  readonly summary: string;
  readonly isAvailable: boolean;
  /** Why it is, or is not. */
  readonly why: string;
}

type Here = Pick<AcceptStrategyRow, 'isAvailable' | 'why'>;

const everywhere: Here = { isAvailable: true, why: 'needs nothing but select and accept' };

function exclusive(): Here {
  const epoll = mechanismsHere.find(({ mechanism }) => mechanism === 'epoll');
  if (epoll?.available === true) return { isAvailable: true, why: 'epoll has EPOLLEXCLUSIVE (Linux 4.5)' };
  return { isAvailable: false, why: `EPOLLEXCLUSIVE is of Linux' epoll: ${epoll?.why ?? 'unknown'}` };
}

function reusePort(): Here {
  if (constants.SO_REUSEPORT === undefined)
    return { isAvailable: false, why: 'this system has no SO_REUSEPORT that deals connections out' };
  try {
    using socket = new Socket();
    socket.setOption('SO_REUSEPORT', true);
    return { isAvailable: true, why: 'setsockopt(SO_REUSEPORT): the kernel answered' };
  } catch (error) {
    return { isAvailable: false, why: (error as Error).message };
  }
}

export const acceptStrategies: readonly AcceptStrategyRow[] = [
  {
    name: 'thundering-herd',
    summary: 'all wait for one socket; a connection wakes them all, and one gets it',
    ...everywhere,
  },
  {
    name: 'lock',
    summary: 'who has the lock waits for a connection, the others for the lock',
    isAvailable: true,
    why: process.platform === 'win32' ? 'LockFileEx' : 'flock(2)',
  },
  { name: 'exclusive', summary: 'EPOLLEXCLUSIVE: the kernel wakes one of those who wait', ...exclusive() },
  {
    name: 'reuseport',
    summary: 'SO_REUSEPORT: a socket for each process on one port; the kernel deals the connections out',
    ...reusePort(),
  },
];

/** @throws ERR_UNAVAILABLE, with the reason */
export function checkAvailable({ name, isAvailable, why }: AcceptStrategyRow): void {
  if (!isAvailable) throw unavailable(`${name} is not available here: ${why}`);
}
