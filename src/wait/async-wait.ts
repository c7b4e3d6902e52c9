/**
 * A wait that does not hold up Node's own loop, as a promise.
 *
 *   none --wait()--> scheduled --next turn of Node's loop: take--> (something: settled)
 *                        ^                          |
 *                        |                          v nothing yet
 *                        +---the waiter returned--- waiting, in a thread beside Node's loop
 *
 * settled: with what was taken, with nothing when the time is over, or with an error (AbortError, ERR_CLOSED, the system's). It may
 * happen in any state; the waiter is then interrupted, and what it still reports is for the wait that follows, if there is one.
 *
 * Taking happens on Node's own thread, at the moment the promise settles: what was ready earlier and is no longer is not told. It
 * begins with a turn of Node's loop, so that a descriptor that is always ready leaves room for timers and other promises.
 */
import { busyError, closedError, invalidType, systemError } from '../errors.js';
import type { NativeWaiter } from '../addon.js';
import { fieldsOf, guarded, isAbortSignal, timeoutOf } from '../validate.js';
import { openWaiter } from './waiter.js';

export interface WaitOptions {
  /** Milliseconds; null: for ever; 0 or less: what is ready now. */
  readonly timeout?: number | null;
  readonly signal?: AbortSignal;
}

/** Descriptors of which one being ready means that there may be something to take. */
export interface Interest {
  /** select(2) instead of poll(2): for descriptors that poll cannot watch (macOS: ttys). */
  readonly useSelect: boolean;
  /** Pairs [descriptor, POLLIN | POLLOUT]. */
  readonly pairs: Int32Array;
  /** The wake handle of what is no descriptor (a completion port): that is waited for, instead of the pairs. */
  readonly handle?: number;
}

export interface Waitable<T> {
  /** For messages. */
  readonly what: string;
  /** What there is, without waiting; null: nothing yet. */
  take(): T | null;
  /** What a wait answers whose time is over. */
  nothing(): T;
  interest(): Interest;
  /** When there will be something to take without the descriptors' doing, on performance.now()'s clock. */
  nextDue?(): number;
}

interface Pending<T> {
  resolve(this: void, taken: T): void;
  reject(this: void, error: unknown): void;
  /** On performance.now()'s clock. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

/** The platform's own methods, whatever properties of these names a signal has been given; those of another realm's or a polyfill's signal. */
const listeningTo = (signal: AbortSignal): EventTarget =>
  signal instanceof AbortSignal ? EventTarget.prototype : signal;

export class AsyncWait<T> {
  readonly #waitable: Waitable<T>;
  #pending: Pending<T> | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #waiter: NativeWaiter | undefined;
  /** Started and not returned. */
  #waiterIsBusy = false;
  /** The waiter could not wait for this interest: a descriptor in it is closed, say. */
  #failed = false;
  #closed = false;

  constructor(waitable: Waitable<T>) {
    this.#waitable = waitable;
  }

  /** A wake-up was seen elsewhere that may have been meant for the pending wait: it ends with nothing. */
  wake(): void {
    this.#settle()?.resolve(this.#waitable.nothing());
  }

  /** There is something to take now, elsewhere than where it waits. */
  takeNow(): void {
    if (this.#pending !== undefined) this.#schedule();
  }

  /** Rejects with ERR_BUSY while another wait is pending. */
  wait(options?: WaitOptions): Promise<T> {
    return new Promise((resolve, reject) => {
      const { timeout, signal, reason } = readOptions(options);
      // Not before: reading them may have run code of the caller's.
      if (this.#closed) throw closedError(this.#waitable.what);
      if (this.#pending !== undefined) throw busyError(this.#waitable.what);
      if (reason !== undefined) throw reason;
      const deadline = timeout < 0 ? Infinity : performance.now() + timeout;
      // First: should the signal be none after all and throw, nothing is pending.
      if (signal !== undefined)
        guarded('signal', () => listeningTo(signal).addEventListener.call(signal, 'abort', this.#onAbort));
      this.#pending = { resolve, reject, deadline, signal };
      this.#schedule();
    });
  }

  /** The interest is another one now: a wait under way goes on with it. */
  interestChanged(): void {
    this.#failed = false;
    if (this.#waiterIsBusy) this.#waiter?.interrupt();
  }

  /** A wait under way rejects with ERR_CLOSED. When this returns, no thread uses the descriptors any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#fail(closedError(this.#waitable.what));
    this.#waiter?.close();
  }

  readonly #onAbort = (): void => {
    const signal = this.#pending?.signal;
    if (signal !== undefined) this.#fail(abortError(signal));
  };

  readonly #onTurn = (): void => {
    this.#immediate = undefined;
    const pending = this.#pending;
    if (pending === undefined) return;
    try {
      const taken = this.#waitable.take();
      const remaining = pending.deadline - performance.now();
      if (taken !== null) {
        this.#settle()?.resolve(taken);
      } else if (remaining <= 0) {
        this.#settle()?.resolve(this.#waitable.nothing());
      } else {
        const untilDue = (this.#waitable.nextDue?.() ?? Infinity) - performance.now();
        const limit = Math.min(remaining, Math.max(0, untilDue));
        this.#startWaiter(limit === Infinity ? -1 : limit);
      }
    } catch (error) {
      this.#fail(error);
    }
  };

  readonly #onReturn = (error: number): void => {
    this.#waiterIsBusy = false;
    if (this.#pending === undefined || this.#immediate !== undefined) return;
    // Once it is no failure: a descriptor was closed after the waiter was told of it, and taking goes around that.
    const again = this.#failed;
    this.#failed = error < 0;
    if (error < 0 && again) this.#fail(systemError(error, waitCallOf(this.#waitable.interest())));
    else this.#onTurn();
  };

  #schedule(): void {
    this.#immediate ??= setImmediate(this.#onTurn);
  }

  #startWaiter(timeout: number): void {
    if (this.#waiterIsBusy) return; // interrupted, and on its way back: #onReturn goes on from there
    this.#waiter ??= openWaiter();
    const { useSelect, pairs, handle = 0 } = this.#waitable.interest();
    this.#waiterIsBusy = this.#waiter.start(useSelect, pairs, pairs.length / 2, timeout, handle, this.#onReturn);
  }

  #fail(error: unknown): void {
    this.#settle()?.reject(error);
  }

  #stopListening(signal: AbortSignal): void {
    try {
      listeningTo(signal).removeEventListener.call(signal, 'abort', this.#onAbort);
    } catch {
      // A method of the caller's own: the wait has ended all the same, and an event that still comes finds none.
    }
  }

  /** Ends the pending wait, whatever its state; its promise is the caller's to settle. */
  #settle(): Pending<T> | undefined {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending?.signal !== undefined) this.#stopListening(pending.signal);
    clearImmediate(this.#immediate);
    this.#immediate = undefined;
    this.interestChanged();
    return pending;
  }
}

/** The system call in which that is waited for. */
function waitCallOf({ useSelect, handle }: Interest): string {
  if (handle !== undefined) return 'GetQueuedCompletionStatusEx';
  return useSelect ? 'select' : 'poll';
}

interface ReadOptions {
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  /** The signal has fired already. */
  readonly reason: Error | undefined;
}

function readOptions(options: unknown): ReadOptions {
  if (options === undefined) return { timeout: -1, signal: undefined, reason: undefined };
  const { timeout, signal } = fieldsOf('options', options, ['timeout', 'signal']);
  const isSignal = guarded('signal', () => signal === undefined || isAbortSignal(signal));
  if (!isSignal) throw invalidType('signal', 'an AbortSignal', signal);
  const known = signal as AbortSignal | undefined;
  const reason = known !== undefined && guarded('signal', () => known.aborted) ? abortError(known) : undefined;
  return { timeout: timeoutOf(timeout), signal: known, reason };
}

/** As Node's own functions reject: name AbortError, code ABORT_ERR, the signal's reason as the cause. */
function abortError(signal: AbortSignal): Error {
  let cause: unknown;
  try {
    cause = signal.reason;
  } catch (thrown) {
    cause = thrown; // a getter of somebody's
  }
  const error = new Error('The operation was aborted', { cause });
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' });
}
