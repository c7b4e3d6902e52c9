/**
 * A wait that does not block Node's loop, as a promise.
 *
 *   none --wait()--> scheduled --next turn of Node's loop: take--> (something: settled)
 *                        ^                          |
 *                        |                          v nothing yet
 *                        +---the waiter returned--- waiting, in a thread beside Node's loop
 *
 * settled: with what was taken, with nothing after the timeout, or with an error (AbortError, ERR_CLOSED, a system error). Possible in each
 * state; the waiter is then interrupted, and its return counts for the next wait, if there is one.
 *
 * take() runs in Node's thread just before the promise settles, so the result is what is ready at that moment. It starts in the next turn
 * of Node's loop: a descriptor that is always ready does not starve timers and other promises.
 */
import { busyError, closedError, invalidType, systemError } from '../errors.js';
import type { NativeWaiter } from '../addon.js';
import { fieldsOf, guarded, isAbortSignal, timeoutOf } from '../validate.js';
import { openWaiter } from './waiter.js';

/** How long selectAsync() and the proactors' waitAsync() wait. */
export interface WaitOptions {
  /** Milliseconds; 0 or less: only what is ready now; null: no timeout. Default: null */
  readonly timeout?: number | null;
  /** Its abort ends the wait: the promise rejects with AbortError (code ABORT_ERR), the signal's reason as `cause`. Default: none */
  readonly signal?: AbortSignal;
}

/** What the waiting thread waits for: when one of the descriptors is ready, there may be something to take. */
export interface Interest {
  /** Wait with select(2) instead of poll(2): for descriptors that poll cannot watch (macOS: ttys). */
  readonly useSelect: boolean;
  /** Pairs [descriptor, POLLIN | POLLOUT]. */
  readonly pairs: Int32Array;
  /** Wait for this wake handle instead of the pairs: a completion port is no descriptor. */
  readonly handle?: number;
}

/** What a selector or a proactor provides for its asynchronous waits. */
export interface Waitable<T> {
  /** Its name in error messages. */
  readonly what: string;
  /** Takes what is ready, without waiting; null: nothing yet. */
  take(): T | null;
  /** The result after the timeout. */
  nothing(): T;
  interest(): Interest;
  /** When a timer makes something ready, on performance.now()'s clock. */
  nextDue?(): number;
}

interface Pending<T> {
  resolve(this: void, taken: T): void;
  reject(this: void, error: unknown): void;
  /** On performance.now()'s clock. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

/** Where to look up addEventListener: a platform's signal may have own properties of that name; a polyfill's has its own methods. */
const listeningTo = (signal: AbortSignal): EventTarget =>
  signal instanceof AbortSignal ? EventTarget.prototype : signal;

export class AsyncWait<T> {
  readonly #waitable: Waitable<T>;
  #pending: Pending<T> | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #waiter: NativeWaiter | undefined;
  /** Between its start and its return. */
  #waiterIsBusy = false;
  /** The last wait for this interest failed: a descriptor in it may be closed. */
  #failed = false;
  #closed = false;

  constructor(waitable: Waitable<T>) {
    this.#waitable = waitable;
  }

  /** Another wait has consumed a wake-up that may be meant for the pending one: ends that with nothing. */
  wake(): void {
    this.#settle()?.resolve(this.#waitable.nothing());
  }

  /** Something can be taken now that no descriptor reports: takes it in the next turn of Node's loop. */
  takeNow(): void {
    if (this.#pending !== undefined) this.#schedule();
  }

  /** Rejects with ERR_BUSY while another wait is pending. */
  wait(options?: WaitOptions): Promise<T> {
    return new Promise((resolve, reject) => {
      const { timeout, signal, reason } = readOptions(options);
      // After readOptions(): it may have run the caller's code.
      if (this.#closed) throw closedError(this.#waitable.what);
      if (this.#pending !== undefined) throw busyError(this.#waitable.what);
      if (reason !== undefined) throw reason;
      const deadline = timeout < 0 ? Infinity : performance.now() + timeout;
      // Before anything is pending: addEventListener() of a caller's signal may throw.
      if (signal !== undefined)
        guarded('signal', () => listeningTo(signal).addEventListener.call(signal, 'abort', this.#onAbort));
      this.#pending = { resolve, reject, deadline, signal };
      this.#schedule();
    });
  }

  /** The interest has changed: a wait under way continues with the new one. */
  interestChanged(): void {
    this.#failed = false;
    if (this.#waiterIsBusy) this.#waiter?.interrupt();
  }

  /** A pending wait rejects with ERR_CLOSED. When this returns, no thread uses the descriptors any more. */
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
    // The first error is ignored: a descriptor was closed during the wait, and take() copes with that.
    const again = this.#failed;
    this.#failed = error < 0;
    if (error < 0 && again) this.#fail(systemError(error, waitCallOf(this.#waitable.interest())));
    else this.#onTurn();
  };

  #schedule(): void {
    this.#immediate ??= setImmediate(this.#onTurn);
  }

  #startWaiter(timeout: number): void {
    if (this.#waiterIsBusy) return; // interrupted: #onReturn continues when it is back
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
      // Ignored: a caller's own method threw. The wait has ended, and a later abort event finds none pending.
    }
  }

  /** Ends the pending wait in any state. @returns it: the caller settles its promise */
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

/** The system call that waits for an interest. */
function waitCallOf({ useSelect, handle }: Interest): string {
  if (handle !== undefined) return 'GetQueuedCompletionStatusEx';
  return useSelect ? 'select' : 'poll';
}

interface ReadOptions {
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  /** The signal is aborted already. */
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

/** As Node's functions reject: name AbortError, code ABORT_ERR, the signal's reason as the cause. */
function abortError(signal: AbortSignal): Error {
  let cause: unknown;
  try {
    cause = signal.reason;
  } catch (thrown) {
    cause = thrown; // a getter that throws
  }
  const error = new Error('The operation was aborted', { cause });
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' });
}
