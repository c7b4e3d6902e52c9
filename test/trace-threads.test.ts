/** The trace of worker threads: which threads are recorded, and the records of threads that exit. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { native } from '../src/native.js';
import { type SyscallRecord, startTrace } from '../src/trace.js';
import { Bench } from './support/bench.js';
import { until } from './support/servers.js';
import { NOBODY, marksOf, tracedText, workerText } from './support/traces.js';

const marks = (records: readonly SyscallRecord[]): number[] => marksOf(records).map((number) => number - NOBODY);
const mark = (number: number): unknown => native.isOpen(NOBODY + number);

async function startWorker(bench: Bench, body: string, workerData: unknown = null): Promise<Worker> {
  const worker = new Worker(workerText(body), { eval: true, workerData });
  bench.atEnd(() => void worker.terminate());
  await once(worker, 'online');
  return worker;
}

async function ask(worker: Worker, message: unknown): Promise<unknown> {
  const answered = once(worker, 'message') as Promise<unknown[]>;
  worker.postMessage(message);
  return (await answered)[0];
}

/** Records each number that it receives and sends it back. */
const MARKS = `on((number) => { mark(number); post(number); });`;

describe('a trace', () => {
  it('has the calls of workers started after it, and of their workers; none of earlier ones', async () => {
    using bench = new Bench();
    const earlier = await startWorker(bench, MARKS);
    await ask(earlier, 1);
    using trace = startTrace();
    const later = await startWorker(bench, MARKS);
    const text = tracedText(`require('node:worker_threads').parentPort.postMessage(mark(31))`);
    const mother = await startWorker(
      bench,
      `const child = new Worker(workerData, { eval: true });
       child.on('message', () => { mark(30); post('done'); });`,
      text,
    );
    await once(mother, 'message');
    await ask(earlier, 2);
    await ask(later, 3);
    mark(4);
    trace.stop();
    const records = trace.records();
    expect(marks(records)).toEqual([31, 30, 3, 4]);
    const makers = new Map(records.map((record) => [marks([record])[0], record.thread]));
    expect(new Set([3, 4, 30, 31].map((number) => makers.get(number))).size).toBe(4);
    expect(new Set(records.map((record) => record.process))).toEqual(new Set([process.pid]));
    expect(records.map(({ sequence }) => sequence)).toEqual(records.map((_, i) => i));
  });

  it('ends for its workers, too, and later ones record nothing', async () => {
    using bench = new Bench();
    const trace = startTrace();
    const worker = await startWorker(bench, MARKS);
    await ask(worker, 1);
    trace.stop();
    await ask(worker, 2);
    const later = await startWorker(bench, MARKS);
    await ask(later, 3);
    expect(marks(trace.records())).toEqual([1]);
    expect(trace.dropped).toBe(0);
  });

  it('of a worker has that worker’s calls; one of this thread has those of both', async () => {
    using bench = new Bench();
    using trace = startTrace();
    const worker = await startWorker(
      bench,
      `const own = startTrace({ capacity: 4 });
       on((number) => {
         mark(number);
         post([own.take().map((record) => parseInt(record.arguments) - ${NOBODY}), own.dropped]);
       });`,
    );
    mark(1);
    expect(await ask(worker, 2)).toEqual([[2], 0]);
    mark(3);
    expect(await ask(worker, 4)).toEqual([[4], 0]);
    expect(marks(trace.records())).toEqual([1, 2, 3, 4]);
  });

  it('keeps the records of a worker that has ended, and of one terminated while recording', async () => {
    using bench = new Bench();
    using trace = startTrace();
    const ending = await startWorker(bench, `mark(1); mark(2);`);
    if (ending.threadId !== -1) await once(ending, 'exit');
    expect(marks(trace.records())).toEqual([1, 2]);
    for (let round = 0; round < 5; round++) {
      const busy = await startWorker(bench, `for (let i = 0; ; i++) mark(i);`);
      trace.take();
      await until('it records', () => trace.records().length > 100);
      await busy.terminate();
      // Complete and in order until the thread was terminated. If the trace was full, the last records are missing.
      const seen = marks(trace.take());
      expect(seen).toEqual(seen.map((_, i) => (seen[0] ?? 0) + i));
    }
    mark(7);
    expect(marks(trace.take())).toEqual([7]);
    const another = await startWorker(bench, MARKS);
    await ask(another, 8);
    expect(marks(trace.take())).toEqual([8]);
  });

  it('can start and stop while workers make calls', async () => {
    using bench = new Bench();
    const first = startTrace({ capacity: 1 });
    const busy = await startWorker(bench, `on(() => undefined); for (let i = 0; ; i++) mark(i % 1000);`);
    await until('it records', () => first.dropped > 0);
    const deadline = performance.now() + 1000;
    while (performance.now() < deadline) {
      using trace = startTrace({ capacity: 8 });
      mark(1);
      expect(marks(trace.records())).toEqual([1]);
    }
    first.stop();
    const { dropped } = first;
    await busy.terminate();
    // At most one call was about to be recorded.
    expect(first.dropped - dropped).toBeLessThanOrEqual(1);
  });
});
