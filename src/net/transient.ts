/** Errors that pass without a change of the program, and the pauses until a call is tried again. */

/** Of a wait: the kernel has no memory or no buffer at this moment. */
const TRANSIENT_OF_WAITS: readonly string[] = ['ENOMEM', 'ENOBUFS', 'EAGAIN'];
/** Of other calls: also no descriptor is left, or too many are in flight (ETOOMANYREFS, unix(7)). */
const TRANSIENT: readonly string[] = [...TRANSIENT_OF_WAITS, 'EMFILE', 'ENFILE', 'ETOOMANYREFS'];

function isOneOf(codes: readonly string[], error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && codes.includes((error as NodeJS.ErrnoException).code ?? '');
}

/** Can the same call succeed after a pause? */
export const isTransient = (error: unknown): boolean => isOneOf(TRANSIENT, error);

/** The same for poll, select, epoll_wait and the like. */
export const isTransientOfWait = (error: unknown): boolean => isOneOf(TRANSIENT_OF_WAITS, error);

/** Milliseconds. */
const FIRST_PAUSE = 1;
const MAX_PAUSE = 100;

const NEVER_NOTIFIED = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** The pauses between attempts (exponential backoff): 1 ms, doubled after each failure, up to 100 ms. */
export class Backoff {
  #next = FIRST_PAUSE;

  /** Milliseconds to pause before the next attempt. */
  next(): number {
    const pause = this.#next;
    this.#next = Math.min(2 * pause, MAX_PAUSE);
    return pause;
  }

  /** BLOCKS this thread for next(). */
  sleep(): void {
    Atomics.wait(NEVER_NOTIFIED, 0, 0, this.next());
  }

  /** Has an attempt failed since the last reset()? */
  get isUnderWay(): boolean {
    return this.#next !== FIRST_PAUSE;
  }

  /** An attempt has succeeded. */
  reset(): void {
    this.#next = FIRST_PAUSE;
  }
}
