/** Timers of a loop or a proactor: a binary heap by the time they are due, the earlier made first where that is equal. */
export interface Timer extends Disposable {
  /** It will not be called. After it was called, or the second time, nothing happens. */
  cancel(): void;
}

/** Purged when more of them than this, and more than half of all, are cancelled (asyncio's numbers). */
const MOST_CANCELLED = 100;

class Timeout implements Timer {
  cancelled = false;
  /** Not taken away yet to be called. */
  isKept = true;

  constructor(
    readonly due: number,
    readonly order: number,
    public callback: (() => void) | undefined,
    readonly onCancel: () => void,
  ) {}

  cancel(): void {
    if (this.callback === undefined) return;
    this.callback = undefined; // what it refers to is free
    this.cancelled = true;
    if (this.isKept) this.onCancel();
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
    if (this.#cancelled > MOST_CANCELLED && 2 * this.#cancelled > this.#heap.length) this.#purge();
  };

  /** How many are kept, cancelled ones among them. */
  get size(): number {
    return this.#heap.length;
  }

  /** @param due on its owner's clock */
  add(due: number, callback: () => void): Timer {
    const timeout = new Timeout(due, this.#made++, callback, this.#onCancel);
    this.#heap.push(timeout);
    this.#rise(this.#heap.length - 1);
    return timeout;
  }

  /** When the next one is due; Infinity: there is none. */
  nextDue(): number {
    while (this.#heap[0]?.cancelled === true) {
      this.#removeFirst();
      this.#cancelled--;
    }
    return this.#heap[0]?.due ?? Infinity;
  }

  /** Takes those away that are due, in their order. */
  takeDue(now: number): (() => unknown)[] {
    const due: (() => unknown)[] = [];
    while (this.nextDue() <= now) {
      const timeout = this.#removeFirst();
      timeout.isKept = false;
      // Looked at when it is its turn: one that is called before it may cancel it.
      due.push(() => {
        const { callback } = timeout;
        timeout.callback = undefined;
        return callback?.(); // a promise, of one that is async
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
