/**
 * The counts of all threads and processes of a server, in memory that they share (Apache's scoreboard): one row per worker. Counting costs no
 * message and no system call, and the counts of a killed worker are not lost.
 *
 * Row 0 has the sums of workers that have exited: the supervisor adds their rows to it, and reuses the rows.
 */
import { SharedFile } from '../../syscalls/shared-file.js';

const COUNTS = [
  // Connections that accept(2) has returned to this worker.
  'accepted',
  // Connections that it has reset for lack of room.
  'rejected',
  // Connections that it began to serve.
  'opened',
  // Of those, connections that are closed.
  'closed',
  'bytesIn',
  'bytesOut',
  // Returns of a blocking call.
  'wakeups',
  // Wake-ups after which there was nothing to do.
  'emptyWakeups',
  // Connections that it has put into another thread's queue.
  'enqueued',
  // Connections that it has taken from its own queue.
  'dequeued',
] as const;

const CELLS = [
  ...COUNTS,
  // Connections that ended because their worker exited.
  'lost',
  // Tasks of a reactor that wait for a thread.
  'tasksWaiting',
  // Connections that another worker has given to this one: counted by the giver, or by this worker when it takes one from its queue.
  'assigned',
  // STARTING, INHERITED, SERVING or EXITED.
  'state',
  // Wakes its loop if it has one (see wakeup()); 0: none.
  'wakeupHandle',
  // Row 0: the port that the threads share (worker/shared-port.ts).
  'reservedPort',
] as const;

type Cell = (typeof CELLS)[number];

/** The counts of one worker. `row.accepted++` writes to the shared memory. */
export type Row = Record<Cell, number>;

const mapped: Scoreboard[] = [];

/**
 * Keeps a scoreboard reachable until its thread exits. Memory that the garbage collector frees while a thread exits stays mapped, because it
 * is not known then whether it was moved to another ArrayBuffer (native/core/external_memory.cc).
 */
export function keepMapped(scoreboard: Scoreboard): Scoreboard {
  mapped.push(scoreboard);
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
/** Sums over all rows. */
export type Totals = Record<(typeof TOTALS)[number], number>;

/** Row.state: it has not taken over its inherited sockets. */
export const STARTING = 0;
/** Row.state: it has all that it needs to serve. */
export const SERVING = 1;
/** Row.state: it owns its inherited sockets. */
export const INHERITED = 2;
/** Row.state: it has exited. */
export const EXITED = -1;

export class Scoreboard implements Disposable {
  readonly #file: SharedFile;
  readonly #rows: Row[];

  /**
   * @param path the file that all workers map; the supervisor creates and removes it
   * @param size number of rows
   */
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

  /** Sets a row to zeros, for a new worker. */
  clear(index: number): Row {
    const row = this.row(index);
    for (const name of CELLS) row[name] = 0;
    return row;
  }

  /**
   * Moves the counts of a worker that has exited to row 0; its connections have ended with it.
   * @param servesAccepted it serves the connections that it accepts itself: it may have been killed between accept and serve
   * @returns how many connections it had
   */
  retire(index: number, servesAccepted: boolean): number {
    const row = this.row(index);
    const sums = this.row(0);
    const accepted = servesAccepted ? row.accepted - row.rejected : 0;
    const held = Math.max(0, Math.max(row.opened, row.assigned, accepted) - row.closed);
    const [closed, rejected] = [row.closed, row.rejected];
    // In this order, a concurrent reader sees too many open connections at times, and never too few.
    row.closed = row.rejected = 0;
    for (const name of COUNTS) sums[name] += row[name];
    const lost = row.lost;
    this.clear(index).state = EXITED;
    sums.rejected += rejected;
    sums.closed += closed + held;
    sums.lost += lost;
    return held;
  }

  totals(): Totals {
    return Object.fromEntries(TOTALS.map((name) => [name, this.#sum(name)])) as Totals;
  }

  /** Connections that were accepted and are not closed: served, or on their way to the worker that will serve them. */
  get open(): number {
    return Math.max(0, this.#sum('accepted') - this.#sum('rejected') - this.#sum('closed'));
  }

  #sum(name: Cell): number {
    return this.#rows.reduce((total, row) => total + row[name], 0);
  }

  /** Runs the action while it holds the lock that all workers share (see SharedFile). BLOCKS until it is free. */
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
