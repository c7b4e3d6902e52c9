/** Threads wake others, which open, close, wait, exit and are terminated: `npm run test:tsan` checks them for data races. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { Bench } from './support/bench.js';
import { leftOver, opened } from './support/descriptors.js';
import { programText } from './support/program.js';

const ROUNDS = 30;
const WAKERS = 2;

/** Wakes each handle of the shared list repeatedly, until cell 0 is set. */
const waker = `
  const handles = new Uint32Array(require('node:worker_threads').workerData);
  while (Atomics.load(handles, 0) === 0)
    for (let i = 1; i < handles.length; i++) {
      const handle = Atomics.load(handles, i);
      if (handle !== 0) selectors.wakeup(handle);
    }
`;

/** Opens selectors and loops, waits for a wake-up, closes them, and opens others. */
const sleeper = `
  const { parentPort, workerData } = require('node:worker_threads');
  const handles = new Uint32Array(workerData.handles);
  const started = Date.now();
  for (let round = 0; round < workerData.rounds; round++) {
    const selector = new selectors.DefaultSelector();
    Atomics.store(handles, workerData.place, selector.wakeupHandle);
    selector.select();
    selector.select();
    if (round === workerData.failsIn) throw new Error('on purpose');
    selector.close();
  }
`;

describe('threads wake', () => {
  it.each(['end', 'throw', 'are terminated'])('%s: each wait returns, and no descriptor is left', async (how) => {
    using bench = new Bench();
    const before = opened();
    const handles = new SharedArrayBuffer(4 * (1 + 4));
    const wakers = Array.from(
      { length: WAKERS },
      () => new Worker(programText(waker), { eval: true, workerData: handles }),
    );
    bench.atEnd(() => Atomics.store(new Uint32Array(handles), 0, 1));
    const sleepers = Array.from({ length: 4 }, async (_, index) => {
      const failsIn = how === 'throw' ? ROUNDS / 2 : -1;
      const rounds = how === 'are terminated' ? Infinity : ROUNDS;
      const workerData = { handles, place: 1 + index, rounds, failsIn };
      const worker = new Worker(programText(sleeper), { eval: true, workerData });
      const failed = new Promise((resolve) => worker.once('error', resolve));
      const exited = new Promise((resolve) => worker.once('exit', resolve));
      if (how === 'are terminated') {
        const list = new Uint32Array(handles);
        const first = Atomics.load(list, 1 + index);
        while (Atomics.load(list, 1 + index) === first) await new Promise(setImmediate); // wait until it has opened others
        await worker.terminate();
      }
      if (how === 'throw') expect(await failed).toMatchObject({ message: 'on purpose' });
      await exited;
    });
    await Promise.all(sleepers);
    Atomics.store(new Uint32Array(handles), 0, 1);
    await Promise.all(wakers.map((worker) => once(worker, 'exit')));
    expect(await leftOver(before)).toEqual([]);
  });
});
