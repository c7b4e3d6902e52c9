/**
 * What all threads and processes of a server have done, in memory that they share (Apache calls it the scoreboard): one row each, which its
 * worker alone writes. Counting costs no message and no system call, and what a worker has counted is still there when it has been killed.
 *
 * Row 0 is for those that have ended: the supervisor adds their rows up there, and gives the rows to others.
 */
import { SharedFile } from '../../syscalls/shared-file.js';

const COUNTS = [
  // Connections: accept(2) gave them to this worker; it turned them away, for there was no room; it began to serve them; they are over.
  'accepted',
  'rejected',
  'opened',
  'closed',
  'bytesIn',
  'bytesOut',
  // Returns of a call that waits, and those of them after which there was nothing to do.
  'wakeups',
  'emptyWakeups',
  // Connections that were put into a queue of another thread's, and taken from it.
  'enqueued',
  'dequeued',
] as const;

const CELLS = [
  ...COUNTS,
  // Connections that ended because their worker did.
  'lost',
  // Tasks that wait in its own memory for a thread.
  'tasksWaiting',
  // Connections that others have handed to this worker. They write it; who takes from a queue, itself, as it takes.
  'handed',
  // 0: it is starting. 2: it has what it was handed. 1: it has all that it needs, and serves. -1: it has ended.
  'state',
  // What wakes its loop, if it has one: see wakeup().
  'wakeupHandle',
] as const;

type Cell = (typeof CELLS)[number];

/** The row of one worker. `row.accepted++` */
export type Row = Record<Cell, number>;

const kept: Scoreboard[] = [];

/**
 * Keeps a scoreboard reachable until its thread ends, for a thread of a server's own, which ends with the server. Memory that the collector
 * frees while a thread ends stays mapped: whether it was moved to another ArrayBuffer is not known then (native/core/external_memory.cc).
 */
export function keepMapped(scoreboard: Scoreboard): Scoreboard {
  kept.push(scoreboard);
  return scoreboard;
}

class RowView {
  readonly cells: Float64Array;

  constructor(memory: ArrayBuffer, index: number) {
    this.cells = new Float64Array(memory, index * CELLS.length * Float64Array.BYTES_PER_ELEMENT, CELLS.length);
  }
}

CELLS.forEach((name, cell) => {
  Object.defineProperty(RowView.prototype, name, {
    get(this: RowView) {
      return this.cells[cell];
    },
    set(this: RowView, value: number) {
      this.cells[cell] = value;
    },
  });
});

const TOTALS = [...COUNTS, 'lost', 'tasksWaiting'] as const;
export type Totals = Record<(typeof TOTALS)[number], number>;

export const STARTING = 0;
export const SERVING = 1;
export const TAKEN = 2;
export const ENDED = -1;

export class Scoreboard implements Disposable {
  readonly #file: SharedFile;
  readonly #rows: Row[];

  /** @param path the file that all map; who makes it removes it */
  constructor(
    readonly path: string,
    readonly size: number,
  ) {
    this.#file = new SharedFile(path, size * CELLS.length * Float64Array.BYTES_PER_ELEMENT);
    const { memory } = this.#file;
    this.#rows = Array.from({ length: size }, (_, index) => new RowView(memory, index) as unknown as Row);
  }

  row(index: number): Row {
    const row = this.#rows[index];
    if (row === undefined) throw new RangeError(`the scoreboard has no row ${index}`);
    return row;
  }

  /** For a new worker. */
  clear(index: number): Row {
    const row = this.row(index);
    for (const name of CELLS) row[name] = 0;
    return row;
  }

  /**
   * Of a worker that has ended, and its connections with it. Its counts go to row 0.
   * @param servesOwn what it accepts it serves itself: it may have been killed in between
   * @returns how many connections it had
   */
  retire(index: number, servesOwn: boolean): number {
    const row = this.row(index);
    const ended = this.row(0);
    const accepted = servesOwn ? row.accepted - row.rejected : 0;
    const held = Math.max(0, Math.max(row.opened, row.handed, accepted) - row.closed);
    const [closed, rejected] = [row.closed, row.rejected];
    // Who looks meanwhile sees more open ones than there are, and never fewer.
    row.closed = row.rejected = 0;
    for (const name of COUNTS) ended[name] += row[name];
    const lost = row.lost;
    this.clear(index).state = ENDED;
    ended.rejected += rejected;
    ended.closed += closed + held;
    ended.lost += lost;
    return held;
  }

  totals(): Totals {
    return Object.fromEntries(TOTALS.map((name) => [name, this.#sum(name)])) as Totals;
  }

  /** Connections that were accepted and are not over: served, or on their way to who will serve them. */
  get open(): number {
    return Math.max(0, this.#sum('accepted') - this.#sum('rejected') - this.#sum('closed'));
  }

  #sum(name: Cell): number {
    return this.#rows.reduce((total, row) => total + row[name], 0);
  }

  /** The lock that the workers have in common (see SharedFile). BLOCKS. */
  withLock<T>(action: () => T): T {
    this.#file.lock();
    try {
      return action();
    } finally {
      this.#file.unlock();
    }
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
