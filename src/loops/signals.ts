/** Signals as events of a loop: the handler signals the multiplexer's wake channel (native/wait/signals.cc). */
import { constants } from 'node:os';
import { check, invalidType, invalidValue } from '../errors.js';
import { type NativeSignalWatch, native } from '../native.js';

/** A handler of these would return to the very instruction that failed. */
const FAULTS: readonly string[] = ['SIGSEGV', 'SIGBUS', 'SIGFPE', 'SIGILL'];

interface Watched {
  readonly watch: NativeSignalWatch;
  readonly callbacks: Set<{ readonly callback: () => void }>;
}

export class Signals {
  readonly #watched = new Map<string, Watched>();

  get size(): number {
    return this.#watched.size;
  }

  /** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE */
  add(signal: unknown, wakeupHandle: number, callback: () => void): Disposable {
    if (typeof signal !== 'string') throw invalidType('signal', "a signal's name, like 'SIGINT'", signal);
    let watched = this.#watched.get(signal);
    if (watched === undefined) {
      watched = { watch: openWatch(signal, wakeupHandle), callbacks: new Set() };
      this.#watched.set(signal, watched);
    }
    const { watch, callbacks } = watched;
    const entry = { callback };
    callbacks.add(entry);
    return {
      [Symbol.dispose]: () => {
        if (!callbacks.delete(entry) || callbacks.size > 0) return;
        watch.close();
        if (this.#watched.get(signal)?.watch === watch) this.#watched.delete(signal);
      },
    };
  }

  /** What is to be called: the callbacks of all signals that have come. */
  take(): (() => void)[] {
    const calls: (() => void)[] = [];
    for (const { watch, callbacks } of this.#watched.values()) {
      if (!watch.take()) continue;
      for (const entry of callbacks) calls.push(() => callbacks.has(entry) && entry.callback());
    }
    return calls;
  }

  /** Before a blocking wait: a handler that Node has put in place since could not be called in it. */
  refresh(): void {
    for (const { watch } of this.#watched.values()) check(watch.refresh(), 'sigaction');
  }

  close(): void {
    for (const { watch, callbacks } of this.#watched.values()) {
      callbacks.clear();
      watch.close();
    }
    this.#watched.clear();
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
