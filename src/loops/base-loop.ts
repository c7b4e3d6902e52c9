/**
 * The base of all loops: the order of a turn, callbacks and timers, signals, the reporting of errors, and the ways to run.
 *
 *   idle --run() | runOnce() | start()--> running --stop() | an error without onError--> idle
 *   any --close()--> closed (in a callback: at the end of the turn)
 */
import { writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { busyError, closedError, invalidType, outOfRange } from '../errors.js';
import type { SocketAddressInput } from '../syscalls/address.js';
import type { Socket } from '../net/socket.js';
import { Backoff, isTransientOfWait } from '../net/transient.js';
import type { Mechanism } from '../syscalls/probe.js';
import { waitsInKernel, sliceOf } from '../syscalls/slices.js';
import { timeoutOf } from '../validate.js';
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
import { type Callback, callbackOf } from './options.js';
import { Signals } from './signals.js';
import { whenRejected } from './when-rejected.js';

/** Milliseconds of one wait at most (asyncio's number): kernels and clocks have their limits. */
const MAX_WAIT = 86_400_000;
/** Milliseconds of a Node timer at most: setTimeout() has 32 bits. */
const MAX_NODE_TIMER = 0x7fff_ffff;

/** Writes to the standard error synchronously: Node's own warnings need its loop, which stands still in run(). */
function writeWarning(line: string): void {
  try {
    writeSync(2, `(selectors-native) ${line}\n`);
  } catch {
    // The standard error is closed, or full: there is no other place to report that.
  }
}

/** A loop that runs inside Node's. */
interface Started {
  readonly attachment: Attachment;
  resolve(this: void): void;
  reject(this: void, error: unknown): void;
  immediate: NodeJS.Immediate | undefined;
  timer: NodeJS.Timeout | undefined;
  /** When the timer is due, on the loop's clock. */
  timerDue: number;
}

/** A loop without I/O: turns, callbacks, timers and signals. StreamLoop adds the connections. */
export abstract class BaseLoop implements EventLoop {
  /** The mechanism that waits. */
  abstract readonly mechanism: Mechanism;
  readonly #onError: ((error: unknown) => void) | undefined;
  readonly #timers = new Timers();
  readonly #signals = new Signals();
  readonly #backoff = new Backoff();
  #soon: Callback[] = [];
  #errors: unknown[] = [];
  /** Rejections of onError itself: run() or start() fails with them. */
  #unhandled: unknown[] = [];
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

  // ------------------------------------------------------------------------------------------------ what a loop provides

  abstract listen<D>(options: ListenOptions, handler: ConnectionHandler<D>): Listener;
  abstract connect<D>(
    address: SocketAddressInput,
    handler: ConnectionHandler<D>,
    options?: ConnectOptions,
  ): Connection<D>;
  abstract adopt<D>(socket: Socket, handler: ConnectionHandler<D>, options?: AdoptOptions): Connection<D>;
  /** For wakeup() in other threads, and for signals. */
  protected abstract get wakeupHandle(): number;
  /** Ends the wait under way, or the next one. */
  protected abstract wake(): void;
  /** Is there work for which the next wait must not block? */
  protected abstract hasWork(): boolean;
  /** Waits up to `timeout` milliseconds (-1: forever). @returns was it woken? */
  protected abstract wait(timeout: number): boolean;
  /** When the next timer is due, on now()'s clock; Infinity: there is none. */
  protected nextDue(): number {
    return this.#timers.size > 0 ? this.#timers.nextDue() : Infinity;
  }
  /** Before Node's loop stands still: finishes what was left to it. */
  protected abstract beforeBlocking(): void;
  /** Calls the handlers of the events that the wait has found. @returns how many events there were */
  protected abstract dispatch(): number;
  /** The end of a turn: sends what was written, and calls the handlers that follow from it. */
  protected abstract settle(): void;
  /** Calls back in each turn of Node's loop in which a wait would find an event. */
  protected abstract attach(onReady: () => void): Attachment;
  /** Closes all listeners and connections, with their `close` handlers, and the multiplexer. */
  protected abstract closeAll(): void;

  // ----------------------------------------------------------------------------------------------------- the public API

  /** Is the loop closed? */
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
        // In a worker a wait consists of slices.
        if (handled > 0 || limit === 0 || waitsInKernel() || this.#woken || this.#stopping) return handled;
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
        this.#scheduleTurn(true);
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
    if (this.#started === undefined) return this.#reportErrors();
    try {
      this.#reportErrors();
      this.#end(undefined);
    } catch (error) {
      this.#end({ error });
    }
  }

  /** The same as close(). */
  [Symbol.dispose](): void {
    this.close();
  }

  // ------------------------------------------------------------------------------------------------------- for the loops

  /** Does it run inside Node's loop (start()), which must not be blocked? */
  protected get isInsideNode(): boolean {
    return this.#started !== undefined;
  }

  /** Is a turn under way? */
  protected get isInTurn(): boolean {
    return this.#inTurn;
  }

  /** @throws ERR_CLOSED */
  protected assertOpen(): void {
    if (this.#closed) throw closedError('loop');
  }

  /** @throws ERR_CLOSED, also while the loop closes */
  protected assertGoingOn(): void {
    if (this.#closed || this.#closing) throw closedError('loop');
  }

  readonly #onRejected = (error: unknown): void => this.report(error);

  /** Reports what a handler or callback threw, or rejected with: at the end of the turn; at once where the loop is closed. */
  protected report(error: unknown): void {
    if (this.#closed) {
      // Without onError it becomes an unhandled rejection: no run() is left that could throw it.
      if (this.#onError === undefined) throw error;
      return this.#onError(error);
    }
    this.#errors.push(error);
    if (!this.#inTurn) this.kick();
  }

  /** Reports an error that no handler has caused. */
  protected warn(error: Error): void {
    if (this.#onError !== undefined) this.report(error);
    else if (this.#started !== undefined) process.emitWarning(error);
    else writeWarning(`Warning: ${error.message}`);
  }

  /** Calls back; what it throws or rejects with is reported. */
  protected guarded(callback: () => void): void {
    try {
      const result: unknown = callback();
      if (result !== undefined) whenRejected(result, this.#onRejected);
    } catch (error) {
      this.report(error);
    }
  }

  /** After something was added outside of a turn: inside Node's loop the next turn has to be scheduled. */
  protected kick(): void {
    if (this.#started !== undefined && !this.#inTurn) this.#scheduleTurn(true);
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

  /** @param limit milliseconds; -1: forever. @returns how many events were handled */
  #turn(limit: number): number {
    let handled = 0;
    this.#inTurn = true;
    try {
      if (this.#signals.size > 0) this.#signals.refreshIfDisturbed();
      const timeout = this.#timeout(limit);
      this.#woken = this.#waitOrBackOff(sliceOf(timeout));
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
    this.#reportErrors();
    return handled;
  }

  /** A wait that fails for lack of memory does not end the loop: it is reported once, and the next turn waits again, after a pause. */
  #waitOrBackOff(timeout: number): boolean {
    try {
      const woken = this.wait(timeout);
      if (this.#backoff.isUnderWay) this.#backoff.reset();
      return woken;
    } catch (error) {
      if (!isTransientOfWait(error)) throw error;
      if (!this.#backoff.isUnderWay) this.warn(error as Error);
      this.#backoff.sleep();
      return true; // as if woken: pending signals are taken
    }
  }

  #timeout(limit: number): number {
    if (limit === 0 || this.#soon.length > 0 || this.#stopping || this.#hasErrors || this.hasWork()) return 0;
    const due = this.nextDue();
    if (due === Infinity) return limit;
    const untilDue = Math.min(Math.max(0, due - this.now()), MAX_WAIT);
    return limit < 0 ? untilDue : Math.min(limit, untilDue);
  }

  #callAll(callbacks: readonly Callback[]): number {
    for (const callback of callbacks) this.guarded(callback);
    return callbacks.length;
  }

  /** At the end of a turn: errors go to onError, or to the caller of run(). */
  #reportErrors(): void {
    if (!this.#hasErrors) return;
    const errors = this.#errors;
    const unhandled = this.#unhandled;
    this.#errors = [];
    this.#unhandled = [];
    for (const error of errors) {
      if (this.#onError === undefined) unhandled.push(error);
      else unhandled.push(...this.#callOnError(error));
    }
    if (unhandled.length > 1) throw new AggregateError(unhandled, `${unhandled.length} handlers threw in one turn`);
    if (unhandled.length === 1) throw unhandled[0];
  }

  get #hasErrors(): boolean {
    return this.#errors.length > 0 || this.#unhandled.length > 0;
  }

  /** onError is not called with its own rejection. */
  readonly #onErrorRejected = (error: unknown): void => {
    if (this.#closed) throw error; // an unhandled rejection
    this.#unhandled.push(error);
    this.kick();
  };

  /** @returns what onError threw itself */
  #callOnError(error: unknown): unknown[] {
    try {
      whenRejected(this.#onError?.(error), this.#onErrorRejected);
      return [];
    } catch (thrown) {
      return [thrown];
    }
  }

  #close(): void {
    this.#inTurn = true; // what the last handlers add is dropped, and schedules no turn
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
    else this.#scheduleTurn(false);
  };

  /** Schedules the next turn by Node's immediates and timers. @param now there is work already */
  #scheduleTurn(now: boolean): void {
    const started = this.#started;
    if (started === undefined) return;
    if (now || this.#timeout(-1) === 0) started.immediate ??= setImmediate(this.#onReady);
    const due = this.nextDue();
    if (due === started.timerDue) return;
    clearTimeout(started.timer);
    started.timer = undefined;
    started.timerDue = due;
    if (due === Infinity) return;
    const delay = Math.min(Math.ceil(Math.max(0, due - this.now())), MAX_NODE_TIMER);
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
