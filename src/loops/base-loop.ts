/**
 * What all loops are alike in: the order of a turn, callbacks and timers, signals, what becomes of errors, and the ways to run.
 *
 *   idle --run() | runOnce() | start()--> running --stop() | an error that nobody takes--> idle
 *   any --close()--> closed (in a callback: at the end of the turn)
 */
import { writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { busyError, closedError, invalidType, outOfRange } from '../errors.js';
import type { SocketAddressInput } from '../syscalls/address.js';
import type { Socket } from '../net/socket.js';
import { Backoff, isTransientOfWait } from '../net/transient.js';
import type { Mechanism } from '../syscalls/probe.js';
import { SLICE, sliceOf } from '../syscalls/slices.js';
import { boolean, fieldsOf, timeoutOf } from '../validate.js';
import type { Attachment } from '../wait/attachment.js';
import { type Timer, Timers } from '../wait/timers.js';
import type {
  AdoptOptions,
  ConnectOptions,
  Connection,
  ConnectionHandler,
  EventLoop,
  ListenOptions,
  Listener,
} from './event-loop.js';
import { Signals } from './signals.js';
import { whenRejected } from './when-rejected.js';

/** A wait is never longer (asyncio's number): kernels and clocks have their limits. */
const LONGEST_WAIT = 86_400_000;
/** Nor is a timer of Node's. */
const LONGEST_NODE_TIMER = 0x7fff_ffff;

type Callback = () => unknown;

export function callbackOf(name: string, value: unknown): Callback {
  if (typeof value !== 'function') throw invalidType(name, 'a function', value);
  return value as Callback;
}

const HANDLERS = ['open', 'data', 'drain', 'end', 'close'] as const;

export interface KnownHandler<D> {
  /** Itself: its methods are looked up when they are called. */
  readonly handler: ConnectionHandler<D>;
  readonly borrowsChunks: boolean;
}

export function handlerOf<D>(handler: unknown): KnownHandler<D> {
  const fields = fieldsOf('handler', handler, [...HANDLERS, 'borrowsChunks']);
  for (const name of HANDLERS) if (fields[name] !== undefined) callbackOf(`handler.${name}`, fields[name]);
  const { borrowsChunks = false } = fields;
  return { handler: handler as ConnectionHandler<D>, borrowsChunks: boolean('handler.borrowsChunks', borrowsChunks) };
}

export function onErrorOf(value: unknown): ((error: unknown) => void) | undefined {
  return value === undefined ? undefined : callbackOf('onError', value);
}

/** On the standard error, also while Node's loop stands still. */
function tellNow(line: string): void {
  try {
    writeSync(2, `(selectors-native) ${line}\n`);
  } catch {
    // Nobody listens, or nobody can now.
  }
}

/** A loop inside Node's. */
interface Started {
  readonly attachment: Attachment;
  resolve(this: void): void;
  reject(this: void, error: unknown): void;
  immediate: NodeJS.Immediate | undefined;
  timer: NodeJS.Timeout | undefined;
  /** When the timer is due, on the loop's clock. */
  timerDue: number;
}

export abstract class BaseLoop implements EventLoop {
  abstract readonly mechanism: Mechanism;
  readonly #onError: ((error: unknown) => void) | undefined;
  readonly #timers = new Timers();
  readonly #signals = new Signals();
  readonly #backoff = new Backoff();
  #soon: Callback[] = [];
  #errors: unknown[] = [];
  /** What onError itself has rejected with: it goes out of run() or start(). */
  #untaken: unknown[] = [];
  #running = false;
  #started: Started | undefined;
  #inTurn = false;
  #woken = false;
  #stopping = false;
  #closing = false;
  #closed = false;

  constructor(onError: ((error: unknown) => void) | undefined) {
    this.#onError = onError;
  }

  // -------------------------------------------------------------------------------------------------- what a loop answers

  abstract listen<D>(options: ListenOptions, handler: ConnectionHandler<D>): Listener;
  abstract connect<D>(
    address: SocketAddressInput,
    handler: ConnectionHandler<D>,
    options?: ConnectOptions,
  ): Connection<D>;
  abstract adopt<D>(socket: Socket, handler: ConnectionHandler<D>, options?: AdoptOptions): Connection<D>;
  /** For wakeup() of other threads, and for signals. */
  protected abstract get wakeupHandle(): number;
  protected abstract wake(): void;
  /** Is there something to do that no wait would tell of? */
  protected abstract hasWork(): boolean;
  /** Waits up to so many milliseconds (-1: for ever). @returns did somebody wake it? */
  protected abstract wait(timeout: number): boolean;
  /** When something is due that the wait does not end for, on now()'s clock; Infinity: nothing. */
  protected nextDue(): number {
    return this.#timers.size > 0 ? this.#timers.nextDue() : Infinity;
  }
  /** Node's loop stands still from now on: what was left to it is done now. */
  protected abstract beforeBlocking(): void;
  /** Calls the handlers of what the wait has found. @returns how many events that were */
  protected abstract dispatch(): number;
  /** The turn's end: sends, and tells what follows. */
  protected abstract settle(): void;
  /** Calls back in each turn of Node's loop in which a wait would find something. */
  protected abstract attach(onReady: () => void): Attachment;
  /** Tells all connections, and lets go of everything. */
  protected abstract closeAll(): void;

  // ----------------------------------------------------------------------------------------------------- the public API

  get closed(): boolean {
    return this.#closed;
  }

  now(): number {
    return performance.now();
  }

  callSoon(callback: () => void): void {
    this.assertOpen();
    this.#soon.push(callbackOf('callback', callback));
    this.kick();
  }

  callLater(ms: number, callback: () => void): Timer {
    this.assertOpen();
    if (typeof ms !== 'number') throw invalidType('ms', 'a number of milliseconds', ms);
    if (!(ms <= Number.MAX_SAFE_INTEGER)) throw outOfRange('ms', 'a number of milliseconds up to 2^53', ms);
    const timer = this.#timers.add(this.now() + Math.max(0, ms), callbackOf('callback', callback));
    this.kick();
    return timer;
  }

  onSignal(signal: NodeJS.Signals, callback: () => void): Disposable {
    this.assertOpen();
    return this.#signals.add(signal, this.wakeupHandle, callbackOf('callback', callback));
  }

  run(): void {
    this.#enter();
    try {
      this.beforeBlocking();
      do this.#turn(-1);
      while (!this.#stopping);
    } finally {
      this.#leave();
    }
  }

  runOnce(timeout?: number | null): number {
    this.assertOpen();
    const limit = timeoutOf(timeout);
    const deadline = limit > 0 ? this.now() + limit : 0;
    this.#enter();
    try {
      this.beforeBlocking();
      for (let remaining = limit; ;) {
        const handled = this.#turn(remaining);
        // In a worker, a wait is made in slices.
        if (handled > 0 || limit === 0 || SLICE === Infinity || this.#woken || this.#stopping) return handled;
        if (limit > 0) {
          remaining = deadline - this.now();
          if (remaining <= 0) return handled;
        }
      }
    } finally {
      this.#leave();
    }
  }

  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#enter();
      try {
        const attachment = this.attach(this.#onReady);
        this.#started = { attachment, resolve, reject, immediate: undefined, timer: undefined, timerDue: Infinity };
        this.#arrange(true);
      } catch (error) {
        this.#leave();
        throw error;
      }
    });
  }

  stop(): void {
    if (this.#closed) return;
    this.#stopping = true;
    this.kick();
    this.wake();
  }

  close(): void {
    if (this.#closed || this.#closing) return;
    this.#closing = this.#stopping = true;
    if (this.#inTurn) return;
    this.#close();
    if (this.#started === undefined) return this.#tellErrors();
    try {
      this.#tellErrors();
      this.#end(undefined);
    } catch (error) {
      this.#end({ error });
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // ------------------------------------------------------------------------------------------------ for the loops' own use

  /** Does it live inside Node's loop (start()), which nothing may block? */
  protected get isInsideNode(): boolean {
    return this.#started !== undefined;
  }

  protected get isInTurn(): boolean {
    return this.#inTurn;
  }

  protected assertOpen(): void {
    if (this.#closed) throw closedError('loop');
  }

  /** Not while it closes, either. */
  protected assertGoingOn(): void {
    if (this.#closed || this.#closing) throw closedError('loop');
  }

  readonly #onRejected = (error: unknown): void => this.report(error);

  /** What a handler or a callback threw, or rejected with: reported when the turn is over; of a closed loop, at once. */
  protected report(error: unknown): void {
    if (this.#closed) {
      // Without onError: an unhandled rejection, for no run() is left that could throw it.
      if (this.#onError === undefined) throw error;
      return this.#onError(error);
    }
    this.#errors.push(error);
    if (!this.#inTurn) this.kick();
  }

  /** Something to know of that no handler has done. */
  protected warn(error: Error): void {
    if (this.#onError !== undefined) this.report(error);
    else if (this.#started !== undefined) process.emitWarning(error);
    else tellNow(`Warning: ${error.message}`); // Node's own warnings wait for its loop
  }

  protected guarded(callback: () => void): void {
    try {
      const result: unknown = callback();
      if (result !== undefined) whenRejected(result, this.#onRejected);
    } catch (error) {
      this.report(error);
    }
  }

  /** Something was added from outside of a turn: inside Node's loop, the next one comes by itself only if it is asked for. */
  protected kick(): void {
    if (this.#started !== undefined && !this.#inTurn) this.#arrange(true);
  }

  // --------------------------------------------------------------------------------------------------------------------

  #enter(): void {
    this.assertGoingOn();
    if (this.#running) throw busyError('loop');
    this.#running = true;
  }

  #leave(): void {
    this.#running = false;
    this.#stopping = this.#closing;
  }

  /** @param limit milliseconds; -1: for ever. @returns how many events were handled */
  #turn(limit: number): number {
    let handled = 0;
    this.#inTurn = true;
    try {
      if (this.#signals.size > 0) this.#signals.refreshIfDisturbed();
      const timeout = this.#timeout(limit);
      this.#woken = this.#waitPatiently(sliceOf(timeout));
      const soon = this.#soon;
      if (soon.length > 0) {
        this.#soon = [];
        handled += this.#callAll(soon);
      }
      if (this.#woken && this.#signals.size > 0) handled += this.#callAll(this.#signals.take());
      handled += this.dispatch();
      if (this.#timers.size > 0) handled += this.#callAll(this.#timers.takeDue(this.now()));
      this.settle();
    } finally {
      this.#inTurn = false;
      if (this.#closing) this.#close();
    }
    this.#tellErrors();
    return handled;
  }

  /** A wait that fails for want of memory is no end of the loop: it is reported once, and made again in the next turn, after a pause. */
  #waitPatiently(timeout: number): boolean {
    try {
      const woken = this.wait(timeout);
      if (this.#backoff.isUnderWay) this.#backoff.reset();
      return woken;
    } catch (error) {
      if (!isTransientOfWait(error)) throw error;
      if (!this.#backoff.isUnderWay) this.warn(error as Error);
      this.#backoff.sleep();
      return true; // signals that have come are not missed
    }
  }

  #timeout(limit: number): number {
    if (limit === 0 || this.#soon.length > 0 || this.#stopping || this.#hasErrors || this.hasWork()) return 0;
    const due = this.nextDue();
    if (due === Infinity) return limit;
    const untilDue = Math.min(Math.max(0, due - this.now()), LONGEST_WAIT);
    return limit < 0 ? untilDue : Math.min(limit, untilDue);
  }

  #callAll(callbacks: readonly Callback[]): number {
    for (const callback of callbacks) this.guarded(callback);
    return callbacks.length;
  }

  /** After the batch, to onError or to the caller of run(). */
  #tellErrors(): void {
    if (!this.#hasErrors) return;
    const errors = this.#errors;
    const untaken = this.#untaken;
    this.#errors = [];
    this.#untaken = [];
    for (const error of errors) {
      if (this.#onError === undefined) untaken.push(error);
      else untaken.push(...this.#give(error));
    }
    if (untaken.length > 1) throw new AggregateError(untaken, `${untaken.length} handlers threw in one turn`);
    if (untaken.length === 1) throw untaken[0];
  }

  get #hasErrors(): boolean {
    return this.#errors.length > 0 || this.#untaken.length > 0;
  }

  /** An async onError is not given its own error. */
  readonly #onErrorRejected = (error: unknown): void => {
    if (this.#closed) throw error; // an unhandled rejection
    this.#untaken.push(error);
    this.kick();
  };

  /** To onError. @returns what that threw itself */
  #give(error: unknown): unknown[] {
    try {
      whenRejected(this.#onError?.(error), this.#onErrorRejected);
      return [];
    } catch (thrown) {
      return [thrown];
    }
  }

  #close(): void {
    this.#inTurn = true; // what the last handlers add is dropped, and not asked for
    try {
      this.closeAll();
    } finally {
      this.#inTurn = false;
      this.#closed = true;
      this.#soon = [];
      this.#timers.clear();
      this.#signals.close();
    }
  }

  // --------------------------------------------------------------------------------------------------- inside Node's loop

  readonly #onReady = (): void => {
    const started = this.#started;
    if (started === undefined || this.#inTurn) return;
    clearImmediate(started.immediate);
    started.immediate = undefined;
    try {
      this.#turn(0);
    } catch (error) {
      return this.#end({ error });
    }
    if (this.#stopping) this.#end(undefined);
    else this.#arrange(false);
  };

  /** Sees to it that the next turn comes when it must. @param now there is something new */
  #arrange(now: boolean): void {
    const started = this.#started;
    if (started === undefined) return;
    if (now || this.#timeout(-1) === 0) started.immediate ??= setImmediate(this.#onReady);
    const due = this.nextDue();
    if (due === started.timerDue) return;
    clearTimeout(started.timer);
    started.timer = undefined;
    started.timerDue = due;
    if (due === Infinity) return;
    const delay = Math.min(Math.ceil(Math.max(0, due - this.now())), LONGEST_NODE_TIMER);
    started.timer = setTimeout(() => {
      started.timerDue = Infinity;
      this.#onReady();
    }, delay);
  }

  #end(failure: { readonly error: unknown } | undefined): void {
    const started = this.#started;
    if (started === undefined) return;
    this.#started = undefined;
    started.attachment.close();
    clearImmediate(started.immediate);
    clearTimeout(started.timer);
    this.#leave();
    if (failure === undefined) started.resolve();
    else started.reject(failure.error);
  }
}
