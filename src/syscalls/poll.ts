/** poll(2), and Windows' WSAPoll. */
import { check, closedError, keyNotFound, namedError } from '../errors.js';
import { native } from '../native.js';
import { rawTimeoutOf, wholeNumber } from '../validate.js';
import { type FileObject, fileno } from './file-object.js';
import { inSlices } from './slices.js';

export const { POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL, POLLRDHUP } = native;

const USHRT_MAX = 0xffff;
const INT_MAX = 0x7fff_ffff;
const NONE = new Int32Array(0);
/** What register asks for where nothing is said. WSAPoll refuses POLLPRI. */
const DEFAULT_EVENTS = process.platform === 'win32' ? POLLIN | POLLOUT : POLLIN | POLLPRI | POLLOUT;

/**
 * poll(2) (WSAPoll on Windows) with its array of descriptors kept between calls, as Python's `select.poll()` keeps it.
 *
 * Registering asks the kernel nothing: a descriptor that is closed is told by poll() as POLLNVAL, each time. There is no limit to
 * numbers or how many, but each call looks at all of them. Not to be shared between threads; objects never are.
 */
export class Poll implements Disposable {
  /** Pairs [descriptor, events], the first #count of them used. */
  #interest = new Int32Array(16);
  #count = 0;
  /** Where in #interest a descriptor is. */
  readonly #positions = new Map<number, number>();
  #out = NONE;
  #closed = false;

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Adds a descriptor, or gives one that is there other events.
   * @param events POLLIN, POLLPRI, POLLOUT, POLLRDHUP or-ed together; all of the first three where nothing is said. Hang-ups, errors
   *   and closed descriptors are told in any case.
   * @throws ERR_OUT_OF_RANGE for more than an unsigned short holds
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

  /** Other events for a descriptor. @throws ENOENT when it is not registered */
  modify(fd: FileObject, events: number): void {
    this.#assertOpen();
    const number = fileno(fd);
    const mask = wholeNumber('events', events, 0, USHRT_MAX);
    const position = this.#positions.get(number);
    if (position === undefined) throw namedError('ENOENT', 'poll');
    this.#interest[2 * position + 1] = mask;
  }

  /** @throws ERR_KEY_NOT_FOUND when it is not registered */
  unregister(fd: FileObject): void {
    this.#assertOpen();
    const number = fileno(fd);
    const position = this.#positions.get(number);
    if (position === undefined) throw keyNotFound(`descriptor ${number}`);
    // The last one moves into the gap.
    const last = --this.#count;
    const moved = this.#interest[2 * last] ?? -1;
    this.#interest[2 * position] = moved;
    this.#interest[2 * position + 1] = this.#interest[2 * last + 1] ?? 0;
    this.#positions.set(moved, position);
    this.#positions.delete(number);
  }

  /**
   * Waits until something happens to one of the descriptors. BLOCKS this thread.
   * @param timeout milliseconds (rounded up); null or negative: for ever, as poll(2) has it; at most 2147483647
   * @returns a row for each descriptor to which something happened: which of its events, and POLLERR, POLLHUP, POLLNVAL unasked
   */
  poll(timeout?: number | null): { readonly fd: number; readonly events: number }[] {
    this.#assertOpen();
    const limit = rawTimeoutOf(timeout, 'for ever', INT_MAX);
    if (this.#out.length < this.#interest.length) this.#out = new Int32Array(this.#interest.length);
    const out = this.#out;
    const pairs = check(
      inSlices(limit, (part) => native.poll(this.#interest, this.#count, out, part)),
      'poll',
    );
    return Array.from({ length: pairs }, (_, i) => ({ fd: out[2 * i] ?? -1, events: out[2 * i + 1] ?? 0 }));
  }

  /** @internal The pairs [descriptor, events], for a wait elsewhere. */
  get interest(): Int32Array {
    return this.#interest.subarray(0, 2 * this.#count);
  }

  /** Forgets all descriptors. There is nothing of the kernel's to close. */
  close(): void {
    this.#closed = true;
    this.#positions.clear();
    this.#count = 0;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #assertOpen(): void {
    if (this.#closed) throw closedError('poll object');
  }
}
