/** Ends a wait from any thread: a descriptor that becomes readable, and a handle by which any thread of the process makes it so. */
import { check, invalidValue } from '../errors.js';
import { native } from '../native.js';
import { wholeNumber } from '../validate.js';

const MAX_HANDLE = 0xffff_ffff;

/**
 * `selector.wakeup()` from any thread of the process: ends the wait that is under way, or the next one.
 *
 * @param wakeupHandle the `wakeupHandle` of a selector, proactor or loop, sent by the thread that owns it. Handles are never used again: the
 *   handle of a closed selector does nothing, and that is no error: it may have been sent before the selector was closed.
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; ERR_INVALID_ARG_VALUE for a number that was never a handle
 */
export function wakeup(wakeupHandle: number): void {
  const handle = wholeNumber('wakeupHandle', wakeupHandle, 0, MAX_HANDLE);
  if (!native.wakeup(handle)) throw invalidValue(`${handle} is not a wakeupHandle`);
}

/** eventfd(2) on Linux, a pipe on macOS, on Windows a UDP socket connected to itself. Readable from signal() until drain(). */
export class WakeChannel {
  readonly #channel = new native.Wakeup();
  /** Watch it for reading. */
  readonly fd: number;
  /** For wakeup(), in any thread of the process. */
  readonly handle: number;

  /** @throws EMFILE, ENFILE */
  constructor() {
    check(this.#channel.open(), native.wakeSyscall);
    this.fd = this.#channel.fd();
    this.handle = this.#channel.handle();
  }

  signal(): void {
    native.wakeup(this.handle);
  }

  drain(): void {
    this.#channel.drain();
  }

  close(): void {
    this.#channel.close();
  }
}
