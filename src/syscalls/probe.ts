/**
 * Which mechanisms this machine has. Each is tried, since the platform's name does not tell: a container may forbid epoll, and Linux may
 * have kqueue by libkqueue.
 */
import { readFileSync } from 'node:fs';
import { systemErrorName, unavailable } from '../errors.js';
import type { NativeIoUring } from '../addon.js';
import { afdCalls, devpollCalls, epollCalls, ioUringCalls, iocpCalls, kqueueCalls, native } from '../native.js';

/** The readiness mechanisms, in the order in which DefaultSelector tries them: best first. */
export const READINESS_MECHANISMS = ['epoll', 'kqueue', 'afd', 'devpoll', 'poll', 'select'] as const;
/** A mechanism of a selector. */
export type ReadinessMechanism = (typeof READINESS_MECHANISMS)[number];
/** Mechanisms by which the kernel itself performs operations, in the order in which DefaultProactor tries them: best first. */
export const COMPLETION_MECHANISMS = ['iocp', 'io_uring'] as const;
/** A mechanism of a proactor that the kernel provides. */
export type CompletionMechanism = (typeof COMPLETION_MECHANISMS)[number];
/** A mechanism that a kernel provides. */
export type KernelMechanism = ReadinessMechanism | CompletionMechanism;
/** Completion emulated over a selector of this mechanism. */
export type EmulatedMechanism = `emulated:${ReadinessMechanism}`;
export const EMULATED_MECHANISMS = READINESS_MECHANISMS.map((name): EmulatedMechanism => `emulated:${name}`);
/** A mechanism of a selector or a proactor, by name. */
export type Mechanism = KernelMechanism | EmulatedMechanism;

/** Whether a mechanism can be used on this machine. */
export interface Availability {
  /** Its name. */
  readonly mechanism: Mechanism;
  /** readiness: of selectors; completion: of proactors */
  readonly kind: 'readiness' | 'completion';
  /** Can it be used now? */
  readonly available: boolean;
  /** The system calls that were tried, and the one that failed with its error. */
  readonly why: string;
}

/** A system call and its result. */
type Step = readonly [syscall: string, result: number];

/** Default size of a proactor's submission queue, in entries. */
export const RING_ENTRIES = 1024;
/** Size of a proactor's completion queue, per entry of the submission queue. The kernel keeps what does not fit (IORING_FEAT_NODROP). */
export const COMPLETIONS_PER_ENTRY = 16;

/** How long the probe waits for a poll that is ready already, in milliseconds. */
const AFD_PATIENCE = 1000;
const WAIT_TIMEOUT = 258;

const nothing = new Int32Array(0);

/** Each makes the mechanism's calls once, up to the first that fails, and undoes them. null: this system has no such calls. */
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
  afd: () => {
    if (afdCalls === undefined) return null;
    const afd = new afdCalls.Afd();
    const wakeup = new native.Wakeup();
    try {
      const opened = afd.open();
      if (opened < 0) return [['NtCreateFile', opened]];
      const socket = wakeup.open();
      if (socket < 0) return [[native.wakeSyscall, socket]];
      const base = afd.baseSocket(wakeup.fd());
      if (base < 0) return [['WSAIoctl', base]];
      // An idle datagram socket can send: the poll completes at once.
      const polled = afd.poll(1, base, afdCalls.AFD_POLL_SEND);
      if (polled < 0) return [['DeviceIoControl', polled]];
      const row = new Float64Array(afdCalls.AFD_ROW);
      const taken = afd.getQueuedCompletionStatusEx(row, 1, AFD_PATIENCE);
      const events = taken > 0 ? (row[2] as number) : taken;
      return [
        ['NtCreateFile', opened],
        ['WSAIoctl', base],
        ['DeviceIoControl', polled],
        ['GetQueuedCompletionStatusEx', taken === 0 ? -WAIT_TIMEOUT : events],
      ];
    } finally {
      afd.close(AFD_PATIENCE);
      wakeup.close();
    }
  },
  devpoll: () => {
    if (devpollCalls === undefined) return null;
    const calls = devpollCalls;
    return withSet('open', calls.devpollOpen(), (devpoll, fd) => [
      ['write', calls.devpollWrite(devpoll, Int32Array.of(fd, native.POLLIN), 1)],
      ['ioctl', calls.devpollPoll(devpoll, new Int32Array(2), 1, 0)],
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
    // The size of a proactor's ring: RLIMIT_MEMLOCK may allow a smaller one only.
    const opened = openWithRetries(ring, RING_ENTRIES, RING_ENTRIES * COMPLETIONS_PER_ENTRY);
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

/** The last ring failed with ENOMEM, after all retries. */
let isOutOfMemory = false;
/** Pauses of 1, 2, 4 … 64 ms: 127 ms together. */
const MAX_PAUSES = 7;
const NEVER_NOTIFIED = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/**
 * io_uring_setup(2), retried for 127 ms after ENOMEM, during which it BLOCKS. A closed ring's memory counts against RLIMIT_MEMLOCK until a
 * kernel thread has freed it, 20 to 40 ms later (Linux 6.18). After retries in vain the next ring is tried once only.
 * @returns a negative error number if it fails
 */
export function openWithRetries(ring: NativeIoUring, entries: number, cqEntries: number): number {
  for (let pauses = isOutOfMemory ? MAX_PAUSES : 0; ; pauses++) {
    const opened = ring.open(entries, cqEntries);
    isOutOfMemory = opened < 0 && systemErrorName(opened) === 'ENOMEM';
    if (!isOutOfMemory || pauses >= MAX_PAUSES) return opened;
    Atomics.wait(NEVER_NOTIFIED, 0, 0, 2 ** pauses);
  }
}

/** The limit or setting that probably made io_uring_setup(2) or io_uring_register(2) fail, for an error's message; '' if unknown. */
export function ringLimit(result: number): string {
  return systemErrorName(result) === 'ENOMEM' ? lockedMemoryLimit() : ioUringDisabled();
}

/** Without CAP_IPC_LOCK the memory of all rings of a user counts against RLIMIT_MEMLOCK (io_uring_setup(2), ENOMEM). */
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

/** Linux 6.6: 2 forbids io_uring to all, 1 to unprivileged processes. */
function ioUringDisabled(): string {
  try {
    const setting = readFileSync('/proc/sys/kernel/io_uring_disabled', 'utf8').trim();
    return setting === '0' ? '' : ` (kernel.io_uring_disabled = ${setting})`;
  } catch {
    return ''; // an older kernel, or a sandbox without /proc
  }
}

/** Calls `use` with a kernel's set and a descriptor to add; closes both afterwards. */
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

/** Tries one mechanism, at each call: a few microseconds; for io_uring without memory see openWithRetries(). */
export function probe(mechanism: KernelMechanism): Availability {
  const kind = READINESS_MECHANISMS.some((name) => name === mechanism) ? 'readiness' : 'completion';
  const steps = asProbe(probes[mechanism]);
  if (steps === null) return { mechanism, kind, available: false, why: `${systemName(mechanism)} has no ${mechanism}` };
  const failed = steps.find(([, result]) => result < 0);
  const why = failed
    ? `${failed[0]} failed: ${systemErrorName(failed[1])} (${-failed[1]})`
    : `${steps.map(([syscall]) => syscall).join(', ')}: ok${standIn(mechanism)}`;
  return { mechanism, kind, available: failed === undefined, why };
}

/** A trace marks the system calls of `find` as those of a probe: they only find out what the system has. Not nested. */
export function asProbe<T>(find: () => T): T {
  native.setProbing(true);
  try {
    return find();
  } finally {
    native.setProbing(false);
  }
}

/** A build for tests has /dev/poll where the system has none, over a stand-in for the device. */
function standIn(mechanism: Mechanism): string {
  const isStandIn = mechanism === 'devpoll' && devpollCalls?.DEVPOLL_IS_OF_SYSTEM === false;
  return isStandIn ? ' (not the system’s: a stand-in for tests)' : '';
}

function systemName(mechanism: KernelMechanism): string {
  const names: Partial<Record<NodeJS.Platform, string>> = {
    linux: 'Linux',
    darwin: 'macOS',
    win32: 'Windows',
    sunos: 'SunOS',
    freebsd: 'FreeBSD',
    openbsd: 'OpenBSD',
    netbsd: 'NetBSD',
  };
  const name = names[process.platform] ?? process.platform;
  return mechanism === 'kqueue' && process.platform === 'linux' ? `${name} (without libkqueue)` : name;
}

/**
 * Tries all mechanisms on this machine: one row per mechanism, the best of each kind first. `selectors-native info` prints them. Never throws.
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
    why: available ? `emulated over ${mechanism}: waits for readiness, then makes the call${standIn(mechanism)}` : why,
  };
}

/** ERR_UNAVAILABLE for a mechanism. Its message names those that this machine has. */
export function mechanismUnavailable(mechanism: KernelMechanism, cause?: Error): Error {
  const asked = probe(mechanism);
  const have = availableMechanisms()
    .filter((row) => row.available && row.kind === asked.kind)
    .map((row) => row.mechanism);
  const why = cause?.message ?? asked.why;
  return unavailable(`${mechanism} is not available here (${why}); there is: ${have.join(', ')}`, cause);
}
