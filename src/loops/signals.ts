/** Signals as events of a loop: the handler signals the multiplexer's wake channel (native/wait/signals.cc). */
import { constants } from 'node:os';
import { check, invalidType, invalidValue } from '../errors.js';
import type { NativeSignalWatch } from '../addon.js';
import { native } from '../native.js';

/** A handler of these would return to the very instruction that failed. */
const FAULTS: readonly string[] = ['SIGSEGV', 'SIGBUS', 'SIGFPE', 'SIGILL'];

/** Those that watch a signal; a loop that is forgotten is not kept by this. */
const watching = new Set<WeakRef<Signals>>();
/** What a process tells of its handlers. */
const LISTENING = ['newListener', 'removeListener'] as const;
const onListener = (signal: unknown): void => {
  if (typeof signal !== 'string') return;
  for (const one of watching) {
    const signals = one.deref();
    if (signals === undefined) unlisten(one);
    else signals.disturb(signal);
  }
};

function listen(one: WeakRef<Signals>): void {
  if (watching.size === 0) for (const event of LISTENING) process.on(event, onListener);
  watching.add(one);
}

function unlisten(one: WeakRef<Signals>): void {
  if (!watching.delete(one) || watching.size > 0) return;
  for (const event of LISTENING) process.off(event, onListener);
}

interface Watched {
  readonly watch: NativeSignalWatch;
  mayHaveCome: boolean;
  readonly wake: () => void;
  readonly callbacks: Set<{ readonly callback: () => void }>;
}

export class Signals {
  readonly #watched = new Map<string, Watched>();
  /** Somebody has added or removed a handler of Node's since, which puts another one in place of ours, or none. */
  #disturbed = false;
  readonly #self = new WeakRef(this);

  get size(): number {
    return this.#watched.size;
  }

  /** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE */
  add(signal: unknown, wakeupHandle: number, callback: () => void): Disposable {
    if (typeof signal !== 'string') throw invalidType('signal', "a signal's name, like 'SIGINT'", signal);
    let watched = this.#watched.get(signal);
    if (watched === undefined) {
      watched = {
        watch: openWatch(signal, wakeupHandle),
        mayHaveCome: false,
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

  /** What is to be called: the callbacks of all signals that have come. */
  take(): (() => void)[] {
    const calls: (() => void)[] = [];
    for (const watched of this.#watched.values()) {
      const { watch, callbacks } = watched;
      if (!watch.take() && !watched.mayHaveCome) continue;
      watched.mayHaveCome = false;
      for (const entry of callbacks) calls.push(() => callbacks.has(entry) && entry.callback());
    }
    return calls;
  }

  /** Before a wait. SIGCHLD is taken by libuv with each child that is started, and nobody is told. */
  refreshIfDisturbed(): void {
    if (this.#disturbed || this.#watched.has('SIGCHLD')) this.refresh();
  }

  /** Puts our handlers back in place. */
  refresh(): void {
    this.#disturbed = false;
    for (const [signal, watched] of this.#watched) {
      const wasTaken = check(watched.watch.refresh(), 'sigaction') === 1;
      // Children may have ended meanwhile. Whoever is told looks which, and may find none: it is so with SIGCHLD in any case.
      if (!wasTaken || signal !== 'SIGCHLD') continue;
      watched.mayHaveCome = true;
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

  /** A handler of Node's for this signal is about to come or has gone. */
  disturb(signal: string): void {
    if (!this.#watched.has(signal)) return;
    this.#disturbed = true;
    process.nextTick(() => this.refresh());
  }

  #unhook(): void {
    if (this.#watched.size === 0) unlisten(this.#self);
  }
}

function openWatch(signal: string, wakeupHandle: number): NativeSignalWatch {
  const number = Object.hasOwn(constants.signals, signal) ? constants.signals[signal as NodeJS.Signals] : undefined;
  if (number === undefined) throw invalidValue(`this system has no signal '${signal}'`);
  if (FAULTS.includes(signal)) throw invalidValue(`${signal} ends the process: nobody can go on after it`);
  const watch = new native.SignalWatch();
  const opened = watch.open(number, wakeupHandle);
  if (opened < 0) {
    watch.close();
    throw invalidValue(`${signal} cannot be handled here`);
  }
  return watch;
}
