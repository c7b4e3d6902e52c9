/** Direct calls of the addon, without the checks of the TypeScript layer: errors, never a crash. */
import { describe, expect, it } from 'vitest';
import { Bench } from './support/bench.js';
import { completionMechanisms } from './support/mechanisms.js';
import { answerOf, runProgram, runScript } from './support/program.js';

const noRing = completionMechanisms.some(({ mechanism, available }) => mechanism === 'io_uring' && available)
  ? ''
  : ' — not here: there is no io_uring';
const support = ['native-attack.ts', 'recording-attack.ts', 'fault-attack.ts', 'bad-values.ts', 'folders.ts'];

describe('the addon, called directly', () => {
  it('refuses wrong values, keeps within the given memory, and survives', async () => {
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
      expect.arrayContaining([
        'select',
        'poll',
        'recv',
        'send',
        'Waiter',
        'Wakeup',
        'Descriptor',
        'Descriptors',
        'Turn',
        'LoopWatch',
        'SignalWatch',
        'SharedFile',
        'Recording',
        'recordInFile',
        'FaultPlan',
        'startProcessFaults',
      ]),
    );
  });

  it('survives another thread that changes the descriptors meanwhile', async () => {
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
         for (const end = Date.now() + 700; Date.now() < end || counts.done + counts.refused <= 100; ) {
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

  it('survives another thread that changes the numbers of a turn', async () => {
    const outcome = runProgram(
      `const { Worker } = require('node:worker_threads');
       const shared = new Int32Array(new SharedArrayBuffer(4 * 64));
       const bytes = new Uint8Array(new SharedArrayBuffer(64));
       const [a, b] = selectors.Socket.pair({ blocking: false });
       const other = new Worker(
         \`const { workerData: [shared, fd] } = require('node:worker_threads');
          for (;;) for (const number of [0x7fffffff, fd, -1, 65536, -0x80000000]) shared.fill(number);\`,
         { eval: true, workerData: [shared, a.fd] });
       other.on('online', () => {
         const arena = new Uint8Array(70_000);
         const receiving = new Int32Array(a.fd + 1).fill(1, a.fd), borrowing = new Int32Array(a.fd + 1).fill(-1, a.fd), own = Int32Array.of(a.fd, syscalls.POLLIN | syscalls.POLLOUT);
         const room = new Int32Array(new SharedArrayBuffer(4 * 20));
         const waits = [native.multiplexers.poll(), native.multiplexers.select()];
         const turns = waits.map((wait) => {
           const turn = new native.Turn(wait);
           turn.setSlot(0, bytes);
           return [wait, turn];
         });
         const counts = { done: 0 };
         for (const end = Date.now() + 700; Date.now() < end || counts.done <= 100; counts.done++) {
           b.send('x'.repeat(64));
           for (const [wait, turn] of turns) {
             native.prepareWait(wait, 0, shared, 32, room);
             turn.wait(0, receiving, 4, arena, bytes, 0);
             native.prepareWait(wait, 0, own, 1, shared);
             wait(0);
             turn.wait(0, borrowing, 12, arena, bytes, 32);
             turn.wait(0, shared, 12, arena, bytes, 64);
           }
           const first = Int32Array.of(a.fd, 0, 8);
           native.flush(first, 1, bytes, []);
           native.flush(shared, 21, bytes, [bytes, bytes]);
           while (a.recv(65536)?.length > 0);
           while (b.recv(65536)?.length > 0);
         }
         console.log(JSON.stringify(counts));
         process.exit();
       });`,
    );
    const { done } = (await answerOf(outcome)) as { done: number };
    expect(done).toBeGreaterThan(100);
  });

  it.skipIf(noRing)(
    `survives another thread that changes the numbers and the bytes of a ring’s turn${noRing}`,
    async () => {
      const outcome = runProgram(
        `const { Worker } = require('node:worker_threads');
       const shared = new Int32Array(new SharedArrayBuffer(4 * 66));
       const bytes = new Uint8Array(new SharedArrayBuffer(64));
       const [a, b] = selectors.Socket.pair({ blocking: false });
       const other = new Worker(
         \`const { workerData: [shared, fd] } = require('node:worker_threads');
          for (;;) for (const number of [0x7fffffff, fd, -1, 65536, -0x80000000]) shared.fill(number);\`,
         { eval: true, workerData: [shared, a.fd] });
       other.on('online', () => {
         const ring = new native.IoUring();
         ring.open(4, 64);
         ring.openStreams(4, 64);
         ring.receiveStream(a.fd, 1, true);
         const counts = { done: 0 };
         for (const end = Date.now() + 700; Date.now() < end || counts.done <= 100; counts.done++) {
           b.send('x'.repeat(64));
           ring.turn(0, shared, 12, bytes, 32, 65536);
           ring.turn(0, shared, 12, bytes, 64, 65536);
           ring.flush(shared, 22, bytes, [bytes, bytes]);
           ring.flush(Int32Array.of(a.fd, 0, 8, -1, 0, 8), 2, bytes, []);
           ring.sendStream(a.fd, 1, [bytes, bytes]);
           ring.send(a.fd, bytes, 0, 1);
           ring.connectStream(a.fd, 1, bytes);
           ring.about(shared);
           ring.peerOf(a.fd, new Uint8Array(new SharedArrayBuffer(128)));
           ring.receiveStream(a.fd, 1, true);
           ring.completions(10);
           while (b.recv(65536)?.length > 0);
         }
         ring.close(1000);
         console.log(JSON.stringify(counts));
         process.exit();
       });`,
      );
      const { done } = (await answerOf(outcome)) as { done: number };
      expect(done).toBeGreaterThan(50);
    },
  );

  it.skipIf(noRing)(`tolerates detached or resized buffers of a ring while the kernel works${noRing}`, async () => {
    const outcome = runProgram(
      `const [a, b] = selectors.Socket.pair({ blocking: false });
       const answers = [];
       const call = (f) => { try { answers.push(f()); } catch (error) { answers.push(error.name); } };
       const ring = new native.IoUring();
       ring.open(8, 64);
       const memory = ring.openStreams(4, 64);
       for (const size of [64, 128, 40, 17, 1, 0]) {
         const buffer = new ArrayBuffer(64, { maxByteLength: 128 });
         const views = [new Uint8Array(buffer, 32, 32), new Uint8Array(buffer), new Uint8Array(64)];
         const ints = new Int32Array(buffer, 0, 15);
         for (const view of views) {
           ring.recv(b.fd, view, 0, 1);
           ring.read(b.fd, view, -1, 2);
           ring.recvmsg(b.fd, view, 0, 3);
           ring.send(b.fd, view, 0, 4);
         }
         ring.enter(0, 0);
         buffer.resize?.(size);
         structuredClone(views[2].buffer, { transfer: [views[2].buffer] });
         gc();
         for (let i = 0; i < 9; i++) a.send('x'.repeat(100));
         ring.enter(12, 1000);
         answers.push(ring.completions(100).length);
         for (const view of views) {
           call(() => ring.turn(0, new Int32Array(10), 2, view, 0, 65536));
           call(() => ring.turn(0, ints, 3, view, view.length, 65536));
           call(() => ring.flush(Int32Array.of(b.fd, 0, 32, b.fd, -1, 32), 2, view, [view, view]));
           call(() => ring.flush(ints, 5, view, [view, view]));
           call(() => ring.sendStream(b.fd, 1, [view, view]));
           call(() => ring.connectStream(b.fd, 1, view));
         }
         while (a.recv(65536)?.length > 0);
         while (b.recv(65536)?.length > 0);
       }
       if (memory.transfer === undefined) structuredClone(memory, { transfer: [memory] });
       else memory.transfer();
       gc();
       ring.receiveStream(b.fd, 5, true);
       a.send('x'.repeat(100));
       call(() => ring.turn(1000, new Int32Array(50), 10, new Uint8Array(0), 0, 65536));
       ring.close(1000);
       console.log(JSON.stringify(answers.length));`,
      ['--expose-gc'],
    );
    expect(await answerOf(outcome)).toBe(6 * (1 + 3 * 6) + 1);
  });

  it('tolerates detached or resized slots, pools and slabs', async () => {
    const outcome = runProgram(
      `const [a, b] = selectors.Socket.pair({ blocking: false });
       const answers = [];
       const call = (f) => { try { answers.push(f()); } catch (error) { answers.push(error.name); } };
       const buffer = new ArrayBuffer(64, { maxByteLength: 128 });
       const fixed = new Uint8Array(buffer, 32, 32), tracking = new Uint8Array(buffer), ints = new Int32Array(buffer, 0, 15);
       const poll = native.multiplexers.poll();
       const turn = new native.Turn(poll);
       turn.setSlot(0, fixed);
       turn.setSlot(1, tracking);
       const receiving = new Int32Array(a.fd + 1).fill(1), interest = Int32Array.of(a.fd, syscalls.POLLIN);
       const room = new Int32Array(new SharedArrayBuffer(40));
       for (const size of [64, 128, 40, 17, 1, 0]) {
         buffer.resize?.(size);
         for (const view of [fixed, tracking]) {
           b.send('x'.repeat(100));
           native.prepareWait(poll, 0, interest, 1, room);
           call(() => turn.wait(0, receiving, 2, view, view, 0));
           call(() => turn.wait(0, receiving, 2, view, view, view.length));
           call(() => native.prepareWait(poll, 0, ints, 7, room));
           call(() => turn.wait(0, ints, 1, view, view, 0));
           call(() => native.flush(Int32Array.of(a.fd, 0, 32, a.fd, -1, 32), 2, view, [view, view]));
           call(() => native.flush(ints, 5, view, [fixed, tracking]));
         }
         while (b.recv(65536)?.length > 0);
       }
       console.log(JSON.stringify(answers.length));`,
    );
    expect(await answerOf(outcome)).toBe(72);
  });

  it('survives a LoopWatch that its callback closes, restarts or drops', async () => {
    const outcome = runProgram(
      `const [a, b] = selectors.Socket.pair({ blocking: false });
       b.send('x');
       const counts = {};
       const acts = {
         drop: (watches) => { watches.length = 0; gc(); gc(); },
         close: ([watch]) => { watch.close(); watch.close(); },
         stop: ([watch]) => watch.stop(),
         again: ([watch]) => { watch.close(); watch.open(a.fd, () => undefined); watch.start(); watch.close(); },
         start: ([watch]) => { watch.start(); watch.open(a.fd, 5); },
         throw: () => { throw new Error('mine'); },
       };
       process.on('uncaughtException', ({ message }) => (counts[message] = (counts[message] ?? 0) + 1));
       const all = Object.entries(acts).map(([name, act]) => {
         const watches = [new native.LoopWatch()];
         watches[0].open(a.fd, () => {
           counts[name] = (counts[name] ?? 0) + 1;
           act(watches);
         });
         watches[0].start();
         return watches;
       });
       for (let i = 0; i < 20; i++) {
         const watch = new native.LoopWatch();
         if (i % 4 > 0) watch.open(a.fd, () => undefined);
         if (i % 4 > 1) watch.start();
         if (i % 4 > 2) watch.stop();
       }
       const expected = process.platform === 'win32' ? [] : [...Object.keys(acts), 'mine'];
       const deadline = performance.now() + 60_000;
       (function look() {
         if (expected.some((name) => counts[name] === undefined) && performance.now() < deadline) return setImmediate(look);
         for (const [watch] of all) watch?.close();
         gc();
         console.log(JSON.stringify(Object.keys(counts)));
         process.exit();
       })();`,
      ['--expose-gc'],
    );
    expect(await answerOf(outcome)).toEqual(
      expect.arrayContaining(
        process.platform === 'win32' ? [] : ['drop', 'close', 'stop', 'again', 'start', 'throw', 'mine'],
      ),
    );
  });

  it('tolerates detached or resized buffers', async () => {
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
