/**
 * Which mechanisms does this machine really have? The kernel is asked, not the platform's name: a container may forbid epoll, and Linux
 * may have kqueue through libkqueue.
 */
import { systemErrorName, unavailable } from '../errors.js';
import { epollCalls, kqueueCalls, native } from '../native.js';

/** The readiness mechanisms, best first: the order in which DefaultSelector looks. */
export const READINESS_MECHANISMS = ['epoll', 'kqueue', 'poll', 'select'] as const;
export type ReadinessMechanism = (typeof READINESS_MECHANISMS)[number];
export type Mechanism = ReadinessMechanism | 'iocp' | 'io_uring' | `emulated:${ReadinessMechanism}`;

export interface Availability {
  readonly mechanism: Mechanism;
  readonly available: boolean;
  /** What was asked and what the kernel answered. */
  readonly why: string;
}

/** A system call and the kernel's answer. */
type Step = readonly [syscall: string, result: number];

const nothing = new Int32Array(0);

/** Each makes the mechanism's calls once and undoes them; it stops at the first that fails. */
const probes: Readonly<Record<ReadinessMechanism, () => Step[] | null>> = {
  select: () => [
    [
      native.FD_SETSIZE < 1024 ? "Winsock's select" : 'select',
      native.select(nothing, 0, nothing, 0, nothing, 0, nothing, 0),
    ],
  ],
  poll: () => [[process.platform === 'win32' ? 'WSAPoll' : 'poll', native.poll(nothing, 0, nothing, 0)]],
  epoll: () => {
    if (epollCalls === undefined) return null;
    const calls = epollCalls;
    return withSet('epoll_create1', calls.epoll_create1(), (epfd, fd) => [
      ['epoll_ctl', calls.epoll_ctl(epfd, calls.EPOLL_CTL_ADD, fd, calls.EPOLLIN, fd, 0)],
      ['epoll_wait', calls.epoll_wait(epfd, new Int32Array(3), 1, 0)],
    ]);
  },
  kqueue: () => {
    if (kqueueCalls === undefined) return null;
    const calls = kqueueCalls;
    return withSet('kqueue', calls.kqueue(), (kq, fd) => [
      [
        'kevent',
        calls.kevent(kq, Float64Array.of(fd, calls.EVFILT_READ, calls.EV_ADD, 0, 0, 0), 1, new Float64Array(6), 1, 0),
      ],
    ]);
  },
};

/** A set of the kernel's, and a descriptor to put into it: both are gone afterwards. */
function withSet(syscall: string, set: number, use: (set: number, fd: number) => Step[]): Step[] {
  if (set < 0) return [[syscall, set]];
  const owner = new native.Descriptor(set);
  const wakeup = new native.Wakeup();
  try {
    const opened = wakeup.open();
    return opened < 0 ? [[native.wakeSyscall, opened]] : [[syscall, set], ...use(set, wakeup.fd())];
  } finally {
    wakeup.close();
    owner.close();
  }
}

/** Asks the kernel for one mechanism, anew at each call (a few microseconds). */
export function probe(mechanism: ReadinessMechanism): Availability {
  const steps = probes[mechanism]();
  if (steps === null) return { mechanism, available: false, why: `${systemName()} has no ${mechanism}` };
  const failed = steps.find(([, result]) => result < 0);
  const why = failed
    ? `${failed[0]} failed: ${systemErrorName(failed[1])} (${-failed[1]})`
    : `${steps.map(([syscall]) => syscall).join(', ')}: the kernel answered`;
  return { mechanism, available: failed === undefined, why };
}

function systemName(): string {
  const names: Partial<Record<NodeJS.Platform, string>> = { linux: 'Linux', darwin: 'macOS', win32: 'Windows' };
  const name = names[process.platform] ?? process.platform;
  return kqueueCalls === undefined && process.platform === 'linux' ? `${name} (without libkqueue)` : name;
}

/**
 * What this machine can really do, found by asking its kernel: one row a mechanism, the best first. For `selectors-native info`.
 * Never throws.
 */
export function availableMechanisms(): readonly Availability[] {
  return READINESS_MECHANISMS.map(probe);
}

/** ERR_UNAVAILABLE for a mechanism, naming those that this machine has. */
export function mechanismUnavailable(mechanism: ReadinessMechanism, cause?: Error): Error {
  const have = availableMechanisms()
    .filter((row) => row.available)
    .map((row) => row.mechanism);
  const why = cause?.message ?? probe(mechanism).why;
  return unavailable(`${mechanism} is not available here (${why}); there is: ${have.join(', ')}`, cause);
}
