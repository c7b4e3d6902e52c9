/** Timers of a loop or a proactor: a binary heap by due time; of equal ones the timer that was made first comes first. */

/** A callback that callLater() has scheduled. */
export interface Timer extends Disposable {
  /** Its callback will not be called. After the call, and the second time, it does nothing. */
  cancel(): void;
}

/** Cancelled timers are removed when there are more than this, and more than half of all (asyncio's numbers). */
const MAX_CANCELLED = 100;

class Timeout implements Timer {
  cancelled = false;
  /** Still in the heap. */
  isInHeap = true;

  constructor(
    readonly due: number,
    readonly order: number,
    public callback: (() => void) | undefined,
    readonly onCancel: () => void,
  ) {}

  cancel(): void {
    if (this.callback === undefined) return;
    this.callback = undefined; // so that what it refers to can be collected
    this.cancelled = true;
    if (this.isInHeap) this.onCancel();
  }

  [Symbol.dispose](): void {
    this.cancel();
  }

  isBefore(other: Timeout): boolean {
    return this.due < other.due || (this.due === other.due && this.order < other.order);
  }
}

export class Timers {
  #heap: Timeout[] = [];
  #made = 0;
  #cancelled = 0;
  readonly #onCancel = (): void => {
    this.#cancelled++;
    if (this.#cancelled > MAX_CANCELLED && 2 * this.#cancelled > this.#heap.length) this.#purge();
  };

  /** Number of timers in the heap, with cancelled ones. */
  get size(): number {
    return this.#heap.length;
  }

  /** @param due milliseconds, on the clock of nextDue() and takeDue() */
  add(due: number, callback: () => void): Timer {
    const timeout = new Timeout(due, this.#made++, callback, this.#onCancel);
    this.#heap.push(timeout);
    this.#rise(this.#heap.length - 1);
    return timeout;
  }

  /** When the first timer is due; Infinity: there is none. */
  nextDue(): number {
    while (this.#heap[0]?.cancelled === true) {
      this.#removeFirst();
      this.#cancelled--;
    }
    return this.#heap[0]?.due ?? Infinity;
  }

  /** Removes the due timers. @returns their callbacks, in the order of due time */
  takeDue(now: number): (() => unknown)[] {
    const due: (() => unknown)[] = [];
    while (this.nextDue() <= now) {
      const timeout = this.#removeFirst();
      timeout.isInHeap = false;
      // Read when it is called: an earlier callback may cancel this timer.
      due.push(() => {
        const { callback } = timeout;
        timeout.callback = undefined;
        return callback?.(); // an async callback returns a promise
      });
    }
    return due;
  }

  clear(): void {
    for (const timeout of this.#heap) timeout.callback = undefined;
    this.#heap = [];
    this.#cancelled = 0;
  }

  #removeFirst(): Timeout {
    const heap = this.#heap;
    const first = heap[0] as Timeout;
    const last = heap.pop() as Timeout;
    if (heap.length > 0) {
      heap[0] = last;
      this.#sink(0);
    }
    return first;
  }

  #purge(): void {
    this.#heap = this.#heap.filter(({ cancelled }) => !cancelled);
    this.#cancelled = 0;
    for (let i = (this.#heap.length >> 1) - 1; i >= 0; i--) this.#sink(i);
  }

  #rise(index: number): void {
    const heap = this.#heap;
    const timeout = heap[index] as Timeout;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!timeout.isBefore(heap[parent] as Timeout)) break;
      heap[index] = heap[parent] as Timeout;
      index = parent;
    }
    heap[index] = timeout;
  }

  #sink(index: number): void {
    const heap = this.#heap;
    const timeout = heap[index] as Timeout;
    for (;;) {
      let child = 2 * index + 1;
      const right = heap[child + 1];
      if (right?.isBefore(heap[child] as Timeout) === true) child++;
      const earlier = heap[child];
      if (earlier?.isBefore(timeout) !== true) break;
      heap[index] = earlier;
      index = child;
    }
    heap[index] = timeout;
  }
}
