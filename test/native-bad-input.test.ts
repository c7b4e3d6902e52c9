/** The addon itself, behind the back of the TypeScript that guards it: errors, and never a crash. */
import { describe, expect, it } from 'vitest';
import { Bench } from './support/bench.js';
import { answerOf, runProgram, runScript } from './support/program.js';

const support = ['native-attack.ts', 'bad-values.ts'];

describe('the addon, called directly', () => {
  it('refuses wrong values, keeps to the memory that it is given, and survives', async () => {
    using bench = new Bench();
    const outcome = runScript(
      bench,
      support,
      `const { attackAddon } = require('./native-attack.js');
       const result = attackAddon(native, { index: selectors, syscalls });
       gc();
       setTimeout(() => {
         gc();
         console.log(JSON.stringify(result));
       }, 300);`,
      ['--expose-gc'],
    );
    const { faults, strikes, functions } = (await answerOf(outcome)) as {
      faults: string[];
      strikes: number;
      functions: string[];
    };
    expect(faults).toEqual([]);
    expect(strikes).toBeGreaterThan(10_000);
    expect(functions).toEqual(
      expect.arrayContaining(['select', 'poll', 'recv', 'send', 'Waiter', 'Wakeup', 'Descriptor']),
    );
  });

  it('survives another thread that changes the descriptors while it looks at them', async () => {
    const outcome = runProgram(
      `const { Worker } = require('node:worker_threads');
       const shared = new Int32Array(new SharedArrayBuffer(4 * 64));
       const [a] = selectors.Socket.pair({ blocking: false });
       const other = new Worker(
         \`const { workerData: [shared, fd] } = require('node:worker_threads');
          for (;;) shared.fill(shared[0] === fd ? 0x7fffffff : fd);\`,
         { eval: true, workerData: [shared, a.fd] });
       other.on('online', () => {
         const out = new Int32Array(128), none = new Int32Array(0);
         const counts = { done: 0, refused: 0 };
         for (const end = Date.now() + 700; Date.now() < end; ) {
           try {
             native.select(none, 0, shared, 64, none, 0, out, 0);
             native.poll(shared, 32, out, 0);
             counts.done++;
           } catch {
             counts.refused++;
           }
         }
         console.log(JSON.stringify(counts));
         process.exit();
       });`,
    );
    const { done, refused } = (await answerOf(outcome)) as { done: number; refused: number };
    expect(done + refused).toBeGreaterThan(100);
  });

  it('survives memory that shrinks, and memory that has gone', async () => {
    const outcome = runProgram(
      `const [a, b] = selectors.Socket.pair({ blocking: false });
       const answers = [];
       const call = (f) => { try { answers.push(f()); } catch (error) { answers.push(error.name); } };
       const buffer = new ArrayBuffer(64, { maxByteLength: 128 });
       const fixed = new Uint8Array(buffer, 32, 32), tracking = new Uint8Array(buffer), ints = new Int32Array(buffer, 16, 8);
       for (const size of [64, 128, 40, 17, 1, 0]) {
         buffer.resize?.(size);
         for (const view of [fixed, tracking]) {
           b.send('x'.repeat(100));
           call(() => native.recv(a.fd, view, 0, 32, 0));
           call(() => native.recv(a.fd, view, 0, view.length, 0));
           call(() => native.send(a.fd, view, 0, 32, 0));
           call(() => native.getsockname(a.fd, view));
           call(() => native.decode(view));
         }
         call(() => native.poll(ints, 4, ints, 0));
         call(() => native.select(ints, 2, ints, 2, ints, 2, ints, 0));
       }
       console.log(JSON.stringify(answers.length));`,
    );
    expect(await answerOf(outcome)).toBe(72);
  });
});
