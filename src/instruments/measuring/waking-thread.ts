/** A thread that wakes another thread's loop repeatedly. Started by WakingThreads. */
import { parentPort, workerData } from 'node:worker_threads';
import { wakeup } from '../../index.js';
import {
  ACKNOWLEDGED,
  FINISHED,
  HANDLE,
  JOB,
  MADE,
  ONE_BY_ONE,
  THREADS,
  WAKEUPS_PER_THREAD,
  type WakingData,
} from './waking-threads.js';

const { index, cells } = workerData as WakingData;

/** Blocks until the cell holds another value than `from`, and returns it. */
function waitForChange(cell: number, from: number): number {
  Atomics.wait(cells, cell, from);
  return Atomics.load(cells, cell);
}

function runJob(): void {
  const handle = Atomics.load(cells, HANDLE) >>> 0;
  const isOneByOne = Atomics.load(cells, ONE_BY_ONE) === 1;
  for (let i = 0; i < Atomics.load(cells, WAKEUPS_PER_THREAD); i++) {
    // Counted first: a woken loop that has counted fewer than all knows that another wake-up follows.
    const number = Atomics.add(cells, MADE, 1) + 1;
    wakeup(handle);
    for (let seen = Atomics.load(cells, ACKNOWLEDGED); isOneByOne && seen < number;)
      seen = waitForChange(ACKNOWLEDGED, seen);
  }
}

parentPort?.postMessage('ready');
for (let job = 0; ;) {
  job = waitForChange(JOB, job);
  if (index < Atomics.load(cells, THREADS)) runJob();
  Atomics.add(cells, FINISHED, 1);
  Atomics.notify(cells, FINISHED);
}
