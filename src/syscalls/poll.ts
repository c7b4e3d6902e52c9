/** poll(2), and Windows' WSAPoll. */
import { check, closedError, keyNotFound, namedError } from '../errors.js';
import { native } from '../native.js';
import { rawTimeoutOf, wholeNumber } from '../validate.js';
import { type FileObject, fileno } from './file-object.js';
import { inSlices } from './slices.js';

/** Ready for reading. On Windows also out-of-band data. */
export const POLLIN = native.POLLIN;
/** An exceptional condition: out-of-band data. WSAPoll refuses it. */
export const POLLPRI = native.POLLPRI;
/** Ready for writing. */
export const POLLOUT = native.POLLOUT;
/** An error. Always reported. */
export const POLLERR = native.POLLERR;
/** Hang-up. Always reported. */
export const POLLHUP = native.POLLHUP;
/** The descriptor is closed. Always reported. */
export const POLLNVAL = native.POLLNVAL;
/** The peer has shut down its sending side (half-close), or closed. Linux only, else 0. */
export const POLLRDHUP = native.POLLRDHUP;

const USHRT_MAX = 0xffff;
const INT_MAX = 0x7fff_ffff;
const NO_RESULTS = new Int32Array(0);
/** Default of register(). WSAPoll refuses POLLPRI. */
const DEFAULT_EVENTS = process.platform === 'win32' ? POLLIN | POLLOUT : POLLIN | POLLPRI | POLLOUT;

/**
 * poll(2) (WSAPoll on Windows) that keeps its array of descriptors between calls, as Python's `select.poll()`.
 *
 * register() makes no system call: each poll() reports a closed descriptor as POLLNVAL. Any descriptor and any number of them, but each call
 * looks at all. An object belongs to the thread that made it.
 */
export class Poll implements Disposable {
  /** Pairs [descriptor, events], the first #count of them used. */
  #interest = new Int32Array(16);
  #count = 0;
  /** Index of a descriptor's pair in #interest. */
  readonly #positions = new Map<number, number>();
  #out = NO_RESULTS;
  #closed = false;

  /** Was close() called? */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Adds a descriptor, or replaces its events.
   * @param events POLLIN, POLLPRI, POLLOUT, POLLRDHUP or-ed together, 16 bits. Default: the first three; on Windows POLLIN | POLLOUT.
   *   POLLHUP, POLLERR and POLLNVAL are always reported.
   * @throws ERR_OUT_OF_RANGE for more than 16 bits; ERR_CLOSED; as fileno()
   */
  register(fd: FileObject, events: number = DEFAULT_EVENTS): void {
    this.#assertOpen();
    const number = fileno(fd);
    const mask = wholeNumber('events', events, 0, USHRT_MAX);
    this.#assertOpen(); // again: a fileno() of the caller's may have closed this object
    let position = this.#positions.get(number);
    if (position === undefined) {
      position = this.#count++;
      this.#positions.set(number, position);
      if (2 * this.#count > this.#interest.length) {
        const larger = new Int32Array(2 * this.#interest.length);
        larger.set(this.#interest);
        this.#interest = larger;
      }
      this.#interest[2 * position] = number;
    }
    this.#interest[2 * position + 1] = mask;
  }

  /** Replaces the events of a registered descriptor. @throws ENOENT if it is not registered; as register() */
  modify(fd: FileObject, events: number): void {
    this.#assertOpen();
    const number = fileno(fd);
    const mask = wholeNumber('events', events, 0, USHRT_MAX);
    const position = this.#positions.get(number);
    if (position === undefined) throw namedError('ENOENT', 'poll');
    this.#interest[2 * position + 1] = mask;
  }

  /** Removes a descriptor. @throws ERR_KEY_NOT_FOUND if it is not registered; ERR_CLOSED; as fileno() */
  unregister(fd: FileObject): void {
    this.#assertOpen();
    const number = fileno(fd);
    const position = this.#positions.get(number);
    if (position === undefined) throw keyNotFound(`descriptor ${number}`);
    // The last pair fills the gap.
    const last = --this.#count;
    const moved = this.#interest[2 * last] ?? -1;
    this.#interest[2 * position] = moved;
    this.#interest[2 * position + 1] = this.#interest[2 * last + 1] ?? 0;
    this.#positions.set(moved, position);
    this.#positions.delete(number);
  }

  /**
   * Waits until a descriptor has an event. BLOCKS this thread.
   * @param timeout milliseconds (rounded up), at most 2147483647; null or negative: no timeout. Default: null
   * @returns a row per descriptor with an event; empty after the timeout
   */
  poll(timeout?: number | null): {
    /** The descriptor. */
    readonly fd: number;
    /** Those of its events that happened, and POLLERR, POLLHUP, POLLNVAL. */
    readonly events: number;
  }[] {
    this.#assertOpen();
    const limit = rawTimeoutOf(timeout, 'no timeout', INT_MAX);
    if (this.#out.length < this.#interest.length) this.#out = new Int32Array(this.#interest.length);
    const out = this.#out;
    const pairs = check(
      inSlices(limit, (part) => native.poll(this.#interest, this.#count, out, part)),
      'poll',
    );
    return Array.from({ length: pairs }, (_, i) => ({ fd: out[2 * i] ?? -1, events: out[2 * i + 1] ?? 0 }));
  }

  /** @internal The pairs [descriptor, events], for another wait. */
  get interest(): Int32Array {
    return this.#interest.subarray(0, 2 * this.#count);
  }

  /** Removes all descriptors. It has no kernel object to close. */
  close(): void {
    this.#closed = true;
    this.#positions.clear();
    this.#count = 0;
  }

  /** close() */
  [Symbol.dispose](): void {
    this.close();
  }

  #assertOpen(): void {
    if (this.#closed) throw closedError('poll object');
  }
}
