/** io_uring: the calls, the streams of a loop on it, and what the kernel may refuse. */
import { describe, it } from 'vitest';
import { IoUringProactor, ProactorLoop } from '../src/index.js';
import { IoUring } from '../src/syscalls.js';
import { lacksOfProactor } from './contract/capabilities.js';
import { nativeStreamCases, ringCases, ringLoopCases } from './contract/io-uring.js';
import { Bench } from './support/bench.js';
import { completionMechanisms } from './support/mechanisms.js';
import { runCases } from './support/run-cases.js';

const row = completionMechanisms.find(({ mechanism }) => mechanism === 'io_uring');
const lacks = lacksOfProactor('io_uring');

describe('io_uring, the calls', () => {
  if (row?.available !== true) {
    it.skip(`not run: ${row?.why}`, () => undefined);
    return;
  }
  runCases([...ringCases, ...nativeStreamCases], lacks, () => {
    const bench = new Bench();
    return { bench, ring: (entries?: number) => bench.own(new IoUring(entries)) };
  });
  runCases(ringLoopCases, lacks, () => {
    const bench = new Bench();
    const loop = (onError?: (error: unknown) => void) =>
      bench.own(new ProactorLoop({ proactor: new IoUringProactor(), ...(onError && { onError }) }));
    return { bench, loop };
  });
});
