/** Threads that wake a loop of this one: how many times each, and whether they wait until it has noticed. */
import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

// What is shared with them: numbers of 32 bits.
/** Counts up with each job. */
export const JOB = 0;
/** The wakeupHandle. */
export const HANDLE = 1;
/** How many threads wake, and how often each. */
export const THREADS = 2;
export const TIMES = 3;
/** 1: a thread waits until its wake-up was acknowledged before the next. */
export const ONE_BY_ONE = 4;
/** How many wake-ups were made, or are about to be; up to which one the loop has noticed. */
export const MADE = 5;
export const ACKNOWLEDGED = 6;
/** How many threads have finished the job. */
export const FINISHED = 7;
const CELLS = 8;

export interface WakingData {
  readonly index: number;
  readonly cells: Int32Array;
}

export interface WakingJob {
  /** Of whom they wake. */
  readonly handle: number;
  /** So many of the threads do it. All of them where nothing is said. */
  readonly threads?: number;
  /** Each so many times. */
  readonly times: number;
  /** Each waits for acknowledge() before the next time. */
  readonly isOneByOne?: boolean;
}

export class WakingThreads implements AsyncDisposable {
  readonly #cells = new Int32Array(new SharedArrayBuffer(CELLS * Int32Array.BYTES_PER_ELEMENT));
  readonly #workers: readonly Worker[];

  private constructor(count: number) {
    this.#workers = Array.from({ length: count }, (_, index) => {
      const data: WakingData = { index, cells: this.#cells };
      return new Worker(join(__dirname, 'waking-thread.js'), { workerData: data });
    });
  }

  /** Resolves when they wait for their first job. @throws what a thread has died of */
  static async start(count: number): Promise<WakingThreads> {
    const threads = new WakingThreads(count);
    try {
      await Promise.all(threads.#workers.map((worker) => once(worker, 'message')));
      return threads;
    } catch (error) {
      await threads[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** They go about it at once, whether this thread blocks or not. The job before must be finished. */
  begin({ handle, threads = this.#workers.length, times, isOneByOne = false }: WakingJob): void {
    const cells = this.#cells;
    cells[HANDLE] = handle;
    cells[THREADS] = threads;
    cells[TIMES] = times;
    cells[ONE_BY_ONE] = isOneByOne ? 1 : 0;
    cells[MADE] = cells[ACKNOWLEDGED] = cells[FINISHED] = 0;
    Atomics.add(cells, JOB, 1);
    Atomics.notify(cells, JOB);
  }

  /** How many wake-ups were made, or are about to be. */
  get made(): number {
    return Atomics.load(this.#cells, MADE);
  }

  /** Up to this one they were noticed. */
  acknowledge(made: number): void {
    Atomics.store(this.#cells, ACKNOWLEDGED, made);
    Atomics.notify(this.#cells, ACKNOWLEDGED);
  }

  /** BLOCKS until the job is done. @throws where it is not in so many milliseconds */
  waitUntilFinished(longest: number): void {
    const deadline = performance.now() + longest;
    for (;;) {
      const finished = Atomics.load(this.#cells, FINISHED);
      if (finished === this.#workers.length) return;
      const left = deadline - performance.now();
      if (left <= 0) throw new Error('the threads do not finish');
      Atomics.wait(this.#cells, FINISHED, finished, left);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
