/** A thread that wakes somebody else's loop, again and again. Started by WakingThreads. */
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
  TIMES,
  type WakingData,
} from './waking-threads.js';

const { index, cells } = workerData as WakingData;

/** Another number in the cell than this one. BLOCKS. */
function changed(cell: number, from: number): number {
  Atomics.wait(cells, cell, from);
  return Atomics.load(cells, cell);
}

function wakeAgainAndAgain(): void {
  const handle = Atomics.load(cells, HANDLE) >>> 0;
  const isOneByOne = Atomics.load(cells, ONE_BY_ONE) === 1;
  for (let i = 0; i < Atomics.load(cells, TIMES); i++) {
    // Counted first: who is woken and counts fewer than all knows that another one is to come.
    const number = Atomics.add(cells, MADE, 1) + 1;
    wakeup(handle);
    for (let seen = Atomics.load(cells, ACKNOWLEDGED); isOneByOne && seen < number;) seen = changed(ACKNOWLEDGED, seen);
  }
}

parentPort?.postMessage('ready');
for (let job = 0; ;) {
  job = changed(JOB, job);
  if (index < Atomics.load(cells, THREADS)) wakeAgainAndAgain();
  Atomics.add(cells, FINISHED, 1);
  Atomics.notify(cells, FINISHED);
}
