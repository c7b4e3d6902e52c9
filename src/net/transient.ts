/** Errors of a wait that are over by themselves: the kernel has no memory, or no room, at this moment. */
const OF_WAITS: readonly string[] = ['ENOMEM', 'ENOBUFS', 'EAGAIN'];
/** Of other calls: also that no descriptor is left, or that too many are on their way (ETOOMANYREFS, unix(7)). */
const TRANSIENT: readonly string[] = [...OF_WAITS, 'EMFILE', 'ENFILE', 'ETOOMANYREFS'];

function isOneOf(codes: readonly string[], error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && codes.includes((error as NodeJS.ErrnoException).code ?? '');
}

/** Is the same call worth to be made again after a while? */
export const isTransient = (error: unknown): boolean => isOneOf(TRANSIENT, error);

/** The same of poll, select, epoll_wait and the like. */
export const isTransientOfWait = (error: unknown): boolean => isOneOf(OF_WAITS, error);

/** Milliseconds. */
const FIRST = 1;
const LONGEST = 100;

const NEVER_NOTIFIED = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** The pauses between attempts: 1 ms, and twice as long after each failure, up to 100 ms. */
export class Backoff {
  #next = FIRST;

  /** How many milliseconds to pause before the next attempt. */
  next(): number {
    const pause = this.#next;
    this.#next = Math.min(2 * pause, LONGEST);
    return pause;
  }

  /** BLOCKS for as long. */
  sleep(): void {
    Atomics.wait(NEVER_NOTIFIED, 0, 0, this.next());
  }

  /** Has it failed since it worked last? */
  get isUnderWay(): boolean {
    return this.#next !== FIRST;
  }

  /** It has worked. */
  reset(): void {
    this.#next = FIRST;
  }
}
