/** Threads that wake a loop of this thread a given number of times, one by one or without waiting. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { distPath } from '../../package-folder.js';

// Indices of the shared numbers, of 32 bits.
/** Number of the job: incremented to start it. */
export const JOB = 0;
/** The wakeupHandle of the loop. */
export const HANDLE = 1;
/** Number of threads that take part. */
export const THREADS = 2;
/** Number of wake-ups of each thread. */
export const WAKEUPS_PER_THREAD = 3;
/** 1: a thread waits until its wake-up is acknowledged before it makes the next. */
export const ONE_BY_ONE = 4;
/** Number of wake-ups made or about to be made. */
export const MADE = 5;
/** Number of wake-ups that the loop has acknowledged. */
export const ACKNOWLEDGED = 6;
/** Number of threads that have finished the job. */
export const FINISHED = 7;
const CELLS = 8;

/** The workerData of a thread. */
export interface WakingData {
  readonly index: number;
  readonly cells: Int32Array;
}

/** One job of the threads. */
export interface WakingJob {
  /** The wakeupHandle of the loop. */
  readonly handle: number;
  /** Number of threads that take part. Default: all. */
  readonly threads?: number;
  /** Wake-ups per thread. */
  readonly times: number;
  /** Each thread waits for acknowledge() before its next wake-up. Default: false. */
  readonly isOneByOne?: boolean;
}

/** The threads, which run one job at a time. */
export class WakingThreads implements AsyncDisposable {
  readonly #cells = new Int32Array(new SharedArrayBuffer(CELLS * Int32Array.BYTES_PER_ELEMENT));
  readonly #workers: readonly Worker[];

  private constructor(count: number) {
    this.#workers = Array.from({ length: count }, (_, index) => {
      const data: WakingData = { index, cells: this.#cells };
      return new Worker(distPath('instruments/measuring/waking-thread.js'), { workerData: data });
    });
  }

  /** Resolves once all threads wait for their first job. @throws the error that ended a thread */
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

  /** Starts a job at once; this thread may block meanwhile. The previous job must be finished. */
  begin({ handle, threads = this.#workers.length, times, isOneByOne = false }: WakingJob): void {
    const cells = this.#cells;
    cells[HANDLE] = handle;
    cells[THREADS] = threads;
    cells[WAKEUPS_PER_THREAD] = times;
    cells[ONE_BY_ONE] = isOneByOne ? 1 : 0;
    cells[MADE] = cells[ACKNOWLEDGED] = cells[FINISHED] = 0;
    Atomics.add(cells, JOB, 1);
    Atomics.notify(cells, JOB);
  }

  /** Number of wake-ups made or about to be made. */
  get made(): number {
    return Atomics.load(this.#cells, MADE);
  }

  /** Acknowledges the first `made` wake-ups. */
  acknowledge(made: number): void {
    Atomics.store(this.#cells, ACKNOWLEDGED, made);
    Atomics.notify(this.#cells, ACKNOWLEDGED);
  }

  /** Blocks until the job is finished. @param timeout in milliseconds. @throws after the timeout */
  waitUntilFinished(timeout: number): void {
    const deadline = performance.now() + timeout;
    for (;;) {
      const finished = Atomics.load(this.#cells, FINISHED);
      if (finished === this.#workers.length) return;
      const left = deadline - performance.now();
      if (left <= 0) throw new Error('the waking threads did not finish in time');
      Atomics.wait(this.#cells, FINISHED, finished, left);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
