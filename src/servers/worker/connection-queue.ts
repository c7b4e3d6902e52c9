/**
 * The queue of connections between the thread that accepts and the threads that serve (post 000). It is bounded, and take() sleeps while it is
 * empty. It holds descriptor numbers: the threads of a process share their descriptors.
 *
 * Single producer, multiple consumers: a ring buffer. Only the producer moves the tail; consumers move the head by compare-and-exchange, so
 * each connection is taken once.
 */
import type { Socket } from '../../index.js';
import { adoptFd } from './adopt-fd.js';
import type { CriticalSection } from './critical-section.js';

const HEAD = 0;
const TAIL = 1;
const CLOSED = 2;
/** Incremented by each put() and by close(): the consumers sleep on it. */
const CHANGES = 3;
/** Wakes the consumer if it is a loop (see wakeup()). */
const WAKEUP_HANDLE = 4;
/** Cells before the ring. */
const HEADER_CELLS = 5;

export class ConnectionQueue {
  readonly #memory: Int32Array;
  readonly #section: CriticalSection | null;
  readonly #onTaken: () => void;
  readonly #onFailed: (error: unknown) => void;
  /** A power of two, so that head and tail may overflow. */
  readonly #capacity: number;

  /**
   * @param memory the memory of a queue that another thread has created; or, for a new one, its capacity, rounded up to a power of two
   * @param section the critical section of this thread; null: the thread is never terminated from outside
   * @param onTaken called inside the section in which a connection is taken: it counts the connection, even if the thread is terminated next
   * @param onFailed called with the error when no socket can be made of a descriptor; the connection is closed (reset)
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
      memory = new SharedArrayBuffer((HEADER_CELLS + capacity) * Int32Array.BYTES_PER_ELEMENT);
    }
    this.#memory = new Int32Array(memory);
    this.#capacity = this.#memory.length - HEADER_CELLS;
  }

  /** To construct a ConnectionQueue in another thread. */
  get memory(): SharedArrayBuffer {
    return this.#memory.buffer as SharedArrayBuffer;
  }

  /** Connections in the queue. */
  get length(): number {
    return (Atomics.load(this.#memory, TAIL) - Atomics.load(this.#memory, HEAD)) | 0;
  }

  /** The handle that wakes the consumer's loop (see wakeup()); 0: none. */
  get wakeupHandle(): number {
    return Atomics.load(this.#memory, WAKEUP_HANDLE) >>> 0;
  }

  set wakeupHandle(handle: number) {
    Atomics.store(this.#memory, WAKEUP_HANDLE, handle | 0);
  }

  /** Adds a connection, and wakes one consumer. @returns false: the queue is full; the caller still owns the connection */
  put(connection: Socket): boolean {
    if (this.length >= this.#capacity) return false;
    const tail = Atomics.load(this.#memory, TAIL);
    this.#inSection(() => {
      Atomics.store(this.#memory, this.#cellOf(tail), connection.detach());
      Atomics.store(this.#memory, TAIL, (tail + 1) | 0);
    });
    Atomics.add(this.#memory, CHANGES, 1);
    Atomics.notify(this.#memory, CHANGES, 1);
    return true;
  }

  /** BLOCKS while the queue is empty. @returns null: it is closed and empty */
  take(): Socket | null {
    for (;;) {
      const seen = Atomics.load(this.#memory, CHANGES);
      const connection = this.tryTake();
      if (connection !== null) return connection;
      if (Atomics.load(this.#memory, CLOSED) !== 0) return null;
      Atomics.wait(this.#memory, CHANGES, seen);
    }
  }

  /** @returns null: it is empty */
  tryTake(): Socket | null {
    for (;;) {
      const taken = this.#inSection(() => {
        const fd = this.#takeFd();
        if (fd === null) return null;
        this.#onTaken();
        return adoptFd(fd, this.#onFailed);
      });
      if (taken !== undefined) return taken;
    }
  }

  /** Wakes all consumers: take() returns null once the queue is empty. */
  close(): void {
    Atomics.store(this.#memory, CLOSED, 1);
    Atomics.add(this.#memory, CHANGES, 1);
    Atomics.notify(this.#memory, CHANGES);
  }

  #takeFd(): number | null {
    for (;;) {
      const head = Atomics.load(this.#memory, HEAD);
      if (head === Atomics.load(this.#memory, TAIL)) return null;
      const fd = Atomics.load(this.#memory, this.#cellOf(head));
      // If another consumer has moved the head, it owns this descriptor.
      if (Atomics.compareExchange(this.#memory, HEAD, head, (head + 1) | 0) === head) return fd;
    }
  }

  #inSection<T>(action: () => T): T {
    return this.#section === null ? action() : this.#section.run(action);
  }

  #cellOf(position: number): number {
    return HEADER_CELLS + (position & (this.#capacity - 1));
  }
}
