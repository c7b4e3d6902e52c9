/** How a blocking call waits for one descriptor, where the kernel does not do the waiting. */
import { isMainThread } from 'node:worker_threads';
import { check, namedError } from '../errors.js';
import { native } from '../native.js';
import { POLLIN, POLLOUT } from '../syscalls/poll.js';
import { sliceOf } from '../syscalls/slices.js';

/**
 * A worker that blocks in recv(2) cannot be ended by worker.terminate(), which stops JavaScript and not a system call. So in a worker
 * a blocking socket is non-blocking underneath, and waits here, in slices, with JavaScript in between.
 */
export const BLOCKS_IN_KERNEL = isMainThread;

/** Winsock's select tells a failed connect; WSAPoll does not on all versions of Windows. */
const USE_SELECT = process.platform === 'win32';
const NONE = new Int32Array(0);

export class Deadline {
  readonly #end: number;

  /** @param timeout milliseconds; null: never */
  constructor(timeout: number | null) {
    this.#end = timeout === null ? Infinity : performance.now() + timeout;
  }

  get remaining(): number {
    return this.#end - performance.now();
  }
}

/** BLOCKS until the descriptor is readable or writable (or broken). @throws ETIMEDOUT */
export function untilReady(fd: number, direction: 'read' | 'write', deadline: Deadline, syscall: string): void {
  for (;;) {
    const remaining = deadline.remaining;
    if (remaining <= 0) throw namedError('ETIMEDOUT', syscall);
    const part = sliceOf(remaining === Infinity ? -1 : remaining);
    if (waitOnce(fd, direction, part) > 0) return;
  }
}

/** How long a send pauses that finds no room although the descriptor is reported as writable, in milliseconds: at first, at most. */
const MIN_PAUSE = 1;
const MAX_PAUSE = 16;

/**
 * Waits between the tries of one call. The first wait is for readiness alone. A call that would block right after it waits for a while
 * besides: a send for which the system has no buffer (ENOBUFS) is reported as writable all the time.
 */
export class Retry {
  #pause = 0;

  constructor(
    readonly fd: number,
    readonly direction: 'read' | 'write',
    readonly deadline: Deadline,
    readonly syscall: string,
  ) {}

  /** BLOCKS. @throws ETIMEDOUT */
  wait(): void {
    if (this.#pause > 0 && this.direction === 'write') {
      const pause = Math.min(this.#pause, Math.max(0, this.deadline.remaining));
      check(native.poll(NONE, 0, NONE, pause), 'poll');
    }
    this.#pause = Math.min(MAX_PAUSE, Math.max(MIN_PAUSE, 2 * this.#pause));
    untilReady(this.fd, this.direction, this.deadline, this.syscall);
  }
}

function waitOnce(fd: number, direction: 'read' | 'write', timeout: number): number {
  const one = Int32Array.of(fd);
  if (!USE_SELECT) {
    const interest = Int32Array.of(fd, direction === 'read' ? POLLIN : POLLOUT);
    return check(native.poll(interest, 1, new Int32Array(2), timeout), 'poll');
  }
  const out = new Int32Array(4);
  return direction === 'read'
    ? check(native.select(one, 1, NONE, 0, NONE, 0, out, timeout), 'select')
    : check(native.select(NONE, 0, one, 1, one, 1, out, timeout), 'select');
}
