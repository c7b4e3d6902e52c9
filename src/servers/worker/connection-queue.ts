/**
 * The queue of connections between the thread that accepts and those that serve (post 000): bounded, and whoever takes from an empty one
 * sleeps. What changes hands is the descriptor's number, for threads of one process have their descriptors in common.
 *
 * One thread puts, any number take. A ring of numbers: only who puts moves the tail; who takes moves the head by compare-and-exchange, so
 * that each connection is taken once.
 */
import type { Socket } from '../../index.js';
import { adopted } from './adopted.js';
import type { CriticalSection } from './critical-section.js';

const HEAD = 0;
const TAIL = 1;
const CLOSED = 2;
/** Another number after each put, and after close(): what takers sleep on. */
const NEWS = 3;
/** What wakes the loop that takes, where it is a loop. */
const WAKEUP_HANDLE = 4;
const HEADER = 5;

export class ConnectionQueue {
  readonly #memory: Int32Array;
  readonly #section: CriticalSection | null;
  readonly #onTaken: () => void;
  readonly #onFailed: (error: unknown) => void;
  /** A power of two, so that the numbers of the places may overflow. */
  readonly #capacity: number;

  /**
   * @param memory of another thread's queue, or how many connections at least it shall hold
   * @param section this thread's own; null: it is never ended from outside
   * @param onTaken counts a connection as this thread's: in the section in which it is taken, so that none is missed when the thread is ended
   * @param onFailed called for a connection that was taken, and is closed (reset) since no socket can be made of it
   */
  constructor(
    memory: SharedArrayBuffer | number,
    section: CriticalSection | null,
    onTaken: () => void = () => undefined,
    onFailed: (error: unknown) => void = () => undefined,
  ) {
    this.#onFailed = onFailed;
    this.#section = section;
    this.#onTaken = onTaken;
    if (typeof memory === 'number') {
      const capacity = 2 ** Math.ceil(Math.log2(memory));
      memory = new SharedArrayBuffer((HEADER + capacity) * Int32Array.BYTES_PER_ELEMENT);
    }
    this.#memory = new Int32Array(memory);
    this.#capacity = this.#memory.length - HEADER;
  }

  /** For another thread's ConnectionQueue. */
  get memory(): SharedArrayBuffer {
    return this.#memory.buffer as SharedArrayBuffer;
  }

  get length(): number {
    return (Atomics.load(this.#memory, TAIL) - Atomics.load(this.#memory, HEAD)) | 0;
  }

  /** See wakeup(). 0: none yet. */
  get wakeupHandle(): number {
    return Atomics.load(this.#memory, WAKEUP_HANDLE) >>> 0;
  }

  set wakeupHandle(handle: number) {
    Atomics.store(this.#memory, WAKEUP_HANDLE, handle | 0);
  }

  /** Hands the connection over, and wakes one that waits. @returns false: the queue is full, and the connection still the caller's */
  put(connection: Socket): boolean {
    if (this.length >= this.#capacity) return false;
    const tail = Atomics.load(this.#memory, TAIL);
    this.#uninterrupted(() => {
      Atomics.store(this.#memory, this.#place(tail), connection.detach());
      Atomics.store(this.#memory, TAIL, (tail + 1) | 0);
    });
    Atomics.add(this.#memory, NEWS, 1);
    Atomics.notify(this.#memory, NEWS, 1);
    return true;
  }

  /** BLOCKS while the queue is empty. @returns null: it is closed */
  take(): Socket | null {
    for (;;) {
      const seen = Atomics.load(this.#memory, NEWS);
      const connection = this.tryTake();
      if (connection !== null) return connection;
      if (Atomics.load(this.#memory, CLOSED) !== 0) return null;
      Atomics.wait(this.#memory, NEWS, seen);
    }
  }

  /** @returns null: it is empty */
  tryTake(): Socket | null {
    for (;;) {
      const taken = this.#uninterrupted(() => {
        const fd = this.#takeNumber();
        if (fd === null) return null;
        this.#onTaken();
        return adopted(fd, this.#onFailed);
      });
      if (taken !== undefined) return taken;
    }
  }

  /** No more will be put: whoever waits is told so. */
  close(): void {
    Atomics.store(this.#memory, CLOSED, 1);
    Atomics.add(this.#memory, NEWS, 1);
    Atomics.notify(this.#memory, NEWS);
  }

  #takeNumber(): number | null {
    for (;;) {
      const head = Atomics.load(this.#memory, HEAD);
      if (head === Atomics.load(this.#memory, TAIL)) return null;
      const fd = Atomics.load(this.#memory, this.#place(head));
      // Somebody else may have been faster, and then the number is his.
      if (Atomics.compareExchange(this.#memory, HEAD, head, (head + 1) | 0) === head) return fd;
    }
  }

  #uninterrupted<T>(action: () => T): T {
    return this.#section === null ? action() : this.#section.run(action);
  }

  #place(number: number): number {
    return HEADER + (number & (this.#capacity - 1));
  }
}
