/** What ends a wait from outside: a descriptor that becomes readable, and a number by which any thread can make it so. */
import { check, invalidValue } from '../errors.js';
import { native } from '../native.js';
import { wholeNumber } from '../validate.js';

const HIGHEST_HANDLE = 0xffff_ffff;

/**
 * What `selector.wakeup()` does, from any thread of the process: makes the wait that is under way, or the next one, return early.
 *
 * @param wakeupHandle a selector's `wakeupHandle`, sent from the thread that has the selector. Handles are never used again: one
 *   whose selector is closed wakes nobody, and that is no error, for it may be on its way when the selector closes.
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; ERR_INVALID_ARG_VALUE for a number that was never a handle
 */
export function wakeup(wakeupHandle: number): void {
  const handle = wholeNumber('wakeupHandle', wakeupHandle, 0, HIGHEST_HANDLE);
  if (!native.wakeup(handle)) throw invalidValue(`${handle} is not a wakeupHandle`);
}

/** eventfd(2) on Linux, a pipe on macOS, on Windows a UDP socket connected to itself. Sticky until drained; never full. */
export class WakeChannel {
  readonly #channel = new native.Wakeup();
  /** To be watched for reading. */
  readonly fd: number;
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
