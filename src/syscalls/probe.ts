/**
 * Which mechanisms does this machine really have? The kernel is asked, not the platform's name: a container may forbid epoll, and Linux
 * may have kqueue through libkqueue.
 */
import { readFileSync } from 'node:fs';
import { systemErrorName, unavailable } from '../errors.js';
import type { NativeIoUring } from '../addon.js';
import { epollCalls, ioUringCalls, iocpCalls, kqueueCalls, native } from '../native.js';

/** The readiness mechanisms, best first: the order in which DefaultSelector looks. */
export const READINESS_MECHANISMS = ['epoll', 'kqueue', 'poll', 'select'] as const;
export type ReadinessMechanism = (typeof READINESS_MECHANISMS)[number];
/** Those by which the kernel itself carries operations out, best first: the order in which DefaultProactor looks. */
export const COMPLETION_MECHANISMS = ['iocp', 'io_uring'] as const;
export type CompletionMechanism = (typeof COMPLETION_MECHANISMS)[number];
/** What a kernel has, or has not. */
export type KernelMechanism = ReadinessMechanism | CompletionMechanism;
/** Completion imitated over readiness. */
export type EmulatedMechanism = `emulated:${ReadinessMechanism}`;
export const EMULATED_MECHANISMS = READINESS_MECHANISMS.map((name): EmulatedMechanism => `emulated:${name}`);
export type Mechanism = KernelMechanism | EmulatedMechanism;

export interface Availability {
  readonly mechanism: Mechanism;
  /** readiness: for selectors. completion: for proactors. */
  readonly kind: 'readiness' | 'completion';
  readonly available: boolean;
  /** What was asked and what the kernel answered. */
  readonly why: string;
}

/** A system call and the kernel's answer. */
type Step = readonly [syscall: string, result: number];

/** Entries of a proactor's submission queue, by default. */
export const RING_ENTRIES = 1024;
/** So many completions find room, for each entry of the submission queue, before the kernel has to put them elsewhere. */
export const COMPLETIONS_PER_ENTRY = 16;

const nothing = new Int32Array(0);

/** Each makes the mechanism's calls once and undoes them; it stops at the first that fails. */
const probes: Readonly<Record<KernelMechanism, () => readonly Step[] | null>> = {
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
  iocp: () => {
    if (iocpCalls === undefined) return null;
    const port = new iocpCalls.Iocp();
    try {
      const opened = port.open(0, false);
      if (opened < 0) return [['CreateIoCompletionPort', opened]];
      return [
        ['CreateIoCompletionPort', opened],
        ['PostQueuedCompletionStatus', port.postQueuedCompletionStatus(0, 0)],
        ['GetQueuedCompletionStatusEx', port.getQueuedCompletionStatusEx(new Float64Array(iocpCalls.IOCP_ROW), 1, 0)],
      ];
    } finally {
      port.close(0);
    }
  },
  io_uring: () => {
    if (ioUringCalls === undefined) return null;
    const ring = new ioUringCalls.IoUring();
    // Of the size that a proactor makes: a smaller one can have room where that has not (RLIMIT_MEMLOCK).
    const opened = openPatiently(ring, RING_ENTRIES, RING_ENTRIES * COMPLETIONS_PER_ENTRY);
    if (opened < 0) return [[`io_uring_setup${ringLimit(opened)}`, opened]];
    const steps: Step[] = [
      ['io_uring_setup', opened],
      ['io_uring_enter', ring.enter(0, 0)],
      ['io_uring_register', ring.supports(0)],
    ];
    ring.close(0);
    return steps;
  },
};

/** The last ring got no room, however often it was tried. */
let hasNoRoom = false;
/** Pauses of 1, 2, 4 … 64 ms. */
const MAX_PAUSES = 7;
const NEVER_NOTIFIED = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/**
 * io_uring_setup(2). A closed ring's memory counts against RLIMIT_MEMLOCK until a thread of the kernel has freed it, 20 to 40 ms later (Linux
 * 6.18). So where there is no room (ENOMEM), it is tried again for 127 ms; BLOCKS meanwhile. Not again after that was in vain, until
 * a ring has found room.
 * @returns a negative error number where it failed
 */
export function openPatiently(ring: NativeIoUring, entries: number, cqEntries: number): number {
  for (let pauses = hasNoRoom ? MAX_PAUSES : 0; ; pauses++) {
    const opened = ring.open(entries, cqEntries);
    hasNoRoom = opened < 0 && systemErrorName(opened) === 'ENOMEM';
    if (!hasNoRoom || pauses >= MAX_PAUSES) return opened;
    Atomics.wait(NEVER_NOTIFIED, 0, 0, 2 ** pauses);
  }
}

/** What may be behind a refusal of io_uring_setup(2) or io_uring_register(2), for its message; '' for nothing known. */
export function ringLimit(result: number): string {
  return systemErrorName(result) === 'ENOMEM' ? lockedMemoryLimit() : ioUringDisabled();
}

/** Without CAP_IPC_LOCK the memory of all rings of a user counts against this limit (io_uring_setup(2), ENOMEM). */
function lockedMemoryLimit(): string {
  try {
    const limit = /^Max locked memory +(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return limit === undefined || limit === 'unlimited'
      ? ''
      : ` (RLIMIT_MEMLOCK = ${limit} bytes; ulimit -l raises it)`;
  } catch {
    return ''; // a sandbox without /proc
  }
}

/** Linux 6.6 can forbid it to all (2), or to all without privilege (1). */
function ioUringDisabled(): string {
  try {
    const setting = readFileSync('/proc/sys/kernel/io_uring_disabled', 'utf8').trim();
    return setting === '0' ? '' : ` (kernel.io_uring_disabled = ${setting})`;
  } catch {
    return ''; // an older kernel, or a sandbox without /proc
  }
}

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

/** Asks the kernel for one mechanism, anew at each call (a few microseconds; io_uring without room: see openPatiently()). */
export function probe(mechanism: KernelMechanism): Availability {
  const kind = READINESS_MECHANISMS.some((name) => name === mechanism) ? 'readiness' : 'completion';
  const steps = probes[mechanism]();
  if (steps === null) return { mechanism, kind, available: false, why: `${systemName(mechanism)} has no ${mechanism}` };
  const failed = steps.find(([, result]) => result < 0);
  const why = failed
    ? `${failed[0]} failed: ${systemErrorName(failed[1])} (${-failed[1]})`
    : `${steps.map(([syscall]) => syscall).join(', ')}: the kernel answered`;
  return { mechanism, kind, available: failed === undefined, why };
}

function systemName(mechanism: KernelMechanism): string {
  const names: Partial<Record<NodeJS.Platform, string>> = { linux: 'Linux', darwin: 'macOS', win32: 'Windows' };
  const name = names[process.platform] ?? process.platform;
  return mechanism === 'kqueue' && process.platform === 'linux' ? `${name} (without libkqueue)` : name;
}

/**
 * What this machine can really do, found by asking its kernel: one row a mechanism, the best of each kind first. For `selectors-native info`.
 * Never throws.
 */
export function availableMechanisms(): readonly Availability[] {
  const readiness = READINESS_MECHANISMS.map(probe);
  return [...readiness, ...COMPLETION_MECHANISMS.map(probe), ...readiness.map(emulationOver)];
}

function emulationOver({ mechanism, available, why }: Availability): Availability {
  return {
    mechanism: `emulated:${mechanism as ReadinessMechanism}`,
    kind: 'completion',
    available,
    why: available ? `imitated over ${mechanism}: readiness, then a call of our own` : why,
  };
}

/** ERR_UNAVAILABLE for a mechanism, naming those that this machine has. */
export function mechanismUnavailable(mechanism: KernelMechanism, cause?: Error): Error {
  const asked = probe(mechanism);
  const have = availableMechanisms()
    .filter((row) => row.available && row.kind === asked.kind)
    .map((row) => row.mechanism);
  const why = cause?.message ?? asked.why;
  return unavailable(`${mechanism} is not available here (${why}); there is: ${have.join(', ')}`, cause);
}
