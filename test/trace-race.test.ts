/**
 * Four workers that record as fast as they can, and a reader. Nothing else of the package is loaded: it makes no other call, so every call
 * is counted.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { type SyscallRecord, type Trace, startTrace } from '../src/trace.js';
import { NOBODY, marksOf, workerText } from './support/traces.js';

const isSlowHere = process.platform === 'win32' || process.env.SELECTORS_NATIVE_SANITIZED !== undefined;
const WORKERS = 4;
const CALLS = isSlowHere ? 10_000 : 100_000;
/** Distance between the workers' ranges of numbers. */
const RANGE_PER_WORKER = 1e6;

const work = workerText(`
  on((index) => {
    for (let i = 0; i < ${CALLS}; i++) mark(${RANGE_PER_WORKER} * index + i);
    post('done');
  });`);

/** All records taken while the workers ran, and after. */
async function race(trace: Trace): Promise<SyscallRecord[]> {
  const workers = Array.from({ length: WORKERS }, () => new Worker(work, { eval: true }));
  try {
    await Promise.all(workers.map((worker) => once(worker, 'online')));
    let working = WORKERS;
    for (const [i, worker] of workers.entries()) {
      worker.on('message', () => working--);
      worker.postMessage(i);
    }
    const seen: SyscallRecord[] = [];
    while (working > 0) {
      for (const record of trace.take()) seen.push(record);
      await sleep(1);
    }
    for (const record of trace.take()) seen.push(record);
    return seen;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** If the system stops a writer for a second, its record is dropped: the test is then repeated. */
const MAX_ATTEMPTS = 3;

async function attempt(capacity: number): Promise<{ records: readonly SyscallRecord[]; dropped: number }> {
  using trace = startTrace({ capacity });
  const records = await race(trace);
  expect(records.length + trace.dropped).toBe(WORKERS * CALLS);
  return { records, dropped: trace.dropped };
}

it.each([16, 1024, 2 ** 19])(
  'with room for %i: no record is lost or read twice, each thread’s are in order, kept and dropped add up',
  async (capacity) => {
    const canRegister = capacity > WORKERS * CALLS;
    let { records, dropped } = await attempt(capacity);
    for (let i = 1; i < MAX_ATTEMPTS && canRegister && dropped > 0; i++)
      ({ records, dropped } = await attempt(capacity));
    if (canRegister) expect(dropped).toBe(0);

    const marks = marksOf(records).map((number) => number - NOBODY);
    expect(marks.length).toBe(records.length);
    const last = new Map<number, number>();
    const threads = new Map<number, Set<number>>();
    for (const [i, { sequence, thread, error }] of records.entries()) {
      const mark = marks[i] as number;
      const worker = Math.floor(mark / RANGE_PER_WORKER);
      if (sequence !== i || mark <= (last.get(worker) ?? -1) || !['EBADF', 'ENOTSOCK'].includes(error ?? ''))
        throw new Error(`${i}: ${sequence}, ${mark} after ${last.get(worker)}, ${error}`);
      last.set(worker, mark);
      threads.set(worker, (threads.get(worker) ?? new Set()).add(thread));
    }
    const ofWorkers = [...threads.values()].map((one) => [...one]);
    expect(ofWorkers.every((one) => one.length === 1)).toBe(true);
    expect(new Set(ofWorkers.flat()).size).toBe(ofWorkers.length);
  },
);
