/**
 * How a blocking call waits for one descriptor, where the kernel does not do the waiting: with a timeout, and where waits are sliced
 * (syscalls/slices.ts). The socket is non-blocking underneath, and waits here.
 */
import { check, namedError, systemError } from '../errors.js';
import { native } from '../native.js';
import { POLLIN, POLLOUT } from '../syscalls/poll.js';
import { waitsInKernel, sliceOf } from '../syscalls/slices.js';

/** Winsock's select reports a failed connect; WSAPoll does not on all versions of Windows. */
const USE_SELECT = process.platform === 'win32';
const NONE = new Int32Array(0);

const { MSG_DONTWAIT = 0, MSG_ERRQUEUE = 0, SOL_SOCKET = 1, SO_SNDTIMEO } = native.constants;
/** Flags with which a call never waits. */
const NEVER_WAITS = MSG_DONTWAIT | MSG_ERRQUEUE;
/** The largest struct timeval. */
const TIMEVAL_SIZE = 16;

/** What a call waits for: the descriptor is readable, or writable. */
export type Direction = 'read' | 'write';

/** When a call gives up, on performance.now()'s clock. */
export class Deadline {
  readonly #end: number;

  /** @param timeout milliseconds from now; null: none */
  constructor(timeout: number | null) {
    this.#end = timeout === null ? Infinity : performance.now() + timeout;
  }

  /** Milliseconds; 0 or less: it is over. */
  get remaining(): number {
    return this.#end - performance.now();
  }
}

/** BLOCKS until the descriptor is readable or writable, or has an error. @throws ETIMEDOUT */
export function untilReady(fd: number, direction: Direction, deadline: Deadline, syscall: string): void {
  for (;;) {
    const remaining = deadline.remaining;
    if (remaining <= 0) throw namedError('ETIMEDOUT', syscall);
    const slice = sliceOf(remaining === Infinity ? -1 : remaining);
    if (waitOnce(fd, direction, slice) > 0) return;
  }
}

/** @returns 0: the time is over */
function waitOnce(fd: number, direction: Direction, timeout: number): number {
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

/** Milliseconds that a send pauses which finds no buffer although its descriptor is reported as writable: at first, at most. */
const MIN_PAUSE = 1;
const MAX_PAUSE = 16;

/**
 * The waits between the tries of one call. The first wait is for readiness alone. A send that would block right after it pauses besides:
 * while the system has no buffer for it (ENOBUFS), its descriptor is reported as writable all the time.
 */
export class Retry {
  #pause = 0;

  constructor(
    readonly fd: number,
    readonly direction: Direction,
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

/** A socket call that has failed once. */
export interface FailedCall {
  readonly fd: number;
  /** The socket's: null: waits forever; 0: non-blocking. Milliseconds. */
  readonly timeout: number | null;
  readonly syscall: string;
  readonly direction: Direction;
  /** MSG_* that the call was given. */
  readonly flags: number;
  /** Of the error. */
  readonly context: object;
}

/**
 * What follows a call that returned the error `first`: another try when the descriptor is ready, as long as the socket's timeout allows.
 * @param call makes it again
 * @returns its result; null: it would block, on a socket that does not wait
 * @throws ETIMEDOUT; the system's errors
 */
export function retryCall(first: number, failed: FailedCall, call: () => number): number | null {
  const { fd, timeout, syscall, direction, context } = failed;
  if (first !== native.wouldBlock) throw systemError(first, syscall, context);
  if (timeout === 0 || hasWaited(failed)) return null;
  const retry = new Retry(fd, direction, new Deadline(timeout), syscall);
  for (;;) {
    retry.wait();
    const result = call();
    if (result !== native.wouldBlock) return check(result, syscall, context);
  }
}

/**
 * On a blocking socket, is "would block" final? It is when the kernel's own timeout has passed (SO_RCVTIMEO, SO_SNDTIMEO), or the flags ask
 * for no wait. A send without SO_SNDTIMEO has not waited: the system had no buffer for it (ENOBUFS, native/platform/platform.h).
 */
function hasWaited({ fd, timeout, direction, flags }: FailedCall): boolean {
  if ((flags & NEVER_WAITS) !== 0) return true;
  if (timeout !== null || !waitsInKernel() || native.isNonBlocking(fd) !== 0) return false;
  return direction === 'read' || hasSendTimeout(fd);
}

function hasSendTimeout(fd: number): boolean {
  if (SO_SNDTIMEO === undefined) return false;
  const value = new Uint8Array(TIMEVAL_SIZE);
  return native.getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, value) < 0 || value.some((byte) => byte !== 0);
}

/**
 * Makes a send with flags. XNU's send ignores MSG_DONTWAIT and looks at O_NONBLOCK alone (sosendcheck()), so with that flag a blocking
 * socket is non-blocking while the call runs.
 */
export function sendWithFlags(fd: number, timeout: number | null, flags: number, call: () => number): number {
  const mayBlock = (flags & MSG_DONTWAIT) !== 0 && timeout === null && waitsInKernel();
  if (!mayBlock || native.isNonBlocking(fd) !== 0) return call();
  check(native.setNonBlocking(fd, true), 'fcntl');
  try {
    return call();
  } finally {
    native.setNonBlocking(fd, false);
  }
}
