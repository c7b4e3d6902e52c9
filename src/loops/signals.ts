/** Signals as events of a loop: the signal handler wakes the multiplexer through its wake channel (native/wait/signals.cc). */
import { constants } from 'node:os';
import { check, invalidType, invalidValue } from '../errors.js';
import type { NativeSignalWatch } from '../addon.js';
import { native } from '../native.js';

/** A handler of these would return to the instruction that failed. */
const FAULT_SIGNALS: readonly string[] = ['SIGSEGV', 'SIGBUS', 'SIGFPE', 'SIGILL'];

/** The objects that handle a signal. Weak, so that a loop which nothing refers to is collected. */
const watching = new Set<WeakRef<Signals>>();
/** Events of `process` when one of Node's own signal handlers is added or removed. */
const HANDLER_EVENTS = ['newListener', 'removeListener'] as const;
const onHandlerChange = (signal: unknown): void => {
  if (typeof signal !== 'string') return;
  for (const one of watching) {
    const signals = one.deref();
    if (signals === undefined) unlisten(one);
    else signals.disturb(signal);
  }
};

function listen(one: WeakRef<Signals>): void {
  if (watching.size === 0) for (const event of HANDLER_EVENTS) process.on(event, onHandlerChange);
  watching.add(one);
}

function unlisten(one: WeakRef<Signals>): void {
  if (!watching.delete(one) || watching.size > 0) return;
  for (const event of HANDLER_EVENTS) process.off(event, onHandlerChange);
}

/** One signal. */
interface Watched {
  readonly watch: NativeSignalWatch;
  /** It may have arrived while another handler was in place: the callbacks are called to be safe. */
  mayBePending: boolean;
  readonly wake: () => void;
  readonly callbacks: Set<{ readonly callback: () => void }>;
}

/** The signals of one loop. */
export class Signals {
  readonly #watched = new Map<string, Watched>();
  /** A handler of Node's was added or removed, which replaces ours (sigaction(2)) or removes it. */
  #isDisturbed = false;
  readonly #self = new WeakRef(this);

  /** How many signals have callbacks. */
  get size(): number {
    return this.#watched.size;
  }

  /** @returns its disposal removes the callback. @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE */
  add(signal: unknown, wakeupHandle: number, callback: () => void): Disposable {
    if (typeof signal !== 'string') throw invalidType('signal', "a signal's name, like 'SIGINT'", signal);
    let watched = this.#watched.get(signal);
    if (watched === undefined) {
      watched = {
        watch: openWatch(signal, wakeupHandle),
        mayBePending: false,
        wake: () => native.wakeup(wakeupHandle),
        callbacks: new Set(),
      };
      this.#watched.set(signal, watched);
      listen(this.#self);
    }
    const { watch, callbacks } = watched;
    const entry = { callback };
    callbacks.add(entry);
    return {
      [Symbol.dispose]: () => {
        if (!callbacks.delete(entry) || callbacks.size > 0) return;
        watch.close();
        if (this.#watched.get(signal)?.watch !== watch) return;
        this.#watched.delete(signal);
        this.#unhook();
      },
    };
  }

  /** The callbacks of all signals that have arrived. */
  take(): (() => void)[] {
    const calls: (() => void)[] = [];
    for (const watched of this.#watched.values()) {
      const { watch, callbacks } = watched;
      if (!watch.take() && !watched.mayBePending) continue;
      watched.mayBePending = false;
      for (const entry of callbacks) calls.push(() => callbacks.has(entry) && entry.callback());
    }
    return calls;
  }

  /** Before a wait. libuv installs its own SIGCHLD handler with each child that it starts, and no event reports that. */
  refreshIfDisturbed(): void {
    if (this.#isDisturbed || this.#watched.has('SIGCHLD')) this.refresh();
  }

  /** Installs our handlers again. */
  refresh(): void {
    this.#isDisturbed = false;
    for (const [signal, watched] of this.#watched) {
      const wasTaken = check(watched.watch.refresh(), 'sigaction') === 1;
      // Children may have exited meanwhile. A SIGCHLD callback looks which ones have, and must expect none in any case.
      if (!wasTaken || signal !== 'SIGCHLD') continue;
      watched.mayBePending = true;
      watched.wake();
    }
  }

  close(): void {
    for (const { watch, callbacks } of this.#watched.values()) {
      callbacks.clear();
      watch.close();
    }
    this.#watched.clear();
    this.#unhook();
  }

  /** A handler of Node's for this signal is about to be added, or was removed. */
  disturb(signal: string): void {
    if (!this.#watched.has(signal)) return;
    this.#isDisturbed = true;
    process.nextTick(() => this.refresh());
  }

  #unhook(): void {
    if (this.#watched.size === 0) unlisten(this.#self);
  }
}

function openWatch(signal: string, wakeupHandle: number): NativeSignalWatch {
  const number = Object.hasOwn(constants.signals, signal) ? constants.signals[signal as NodeJS.Signals] : undefined;
  if (number === undefined) throw invalidValue(`this system has no signal '${signal}'`);
  if (FAULT_SIGNALS.includes(signal)) throw invalidValue(`${signal} ends the process: a program cannot go on after it`);
  const watch = new native.SignalWatch();
  const opened = watch.open(number, wakeupHandle);
  if (opened < 0) {
    watch.close();
    throw invalidValue(`${signal} cannot be handled here`);
  }
  return watch;
}
