/** SharedFile: memory shared by objects, threads and processes, and a lock that is released when its holder exits. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel, Worker, receiveMessageOnPort } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { SharedFile } from '../src/syscalls.js';
import { makeTemporaryFolder, removeTemporaryFolder } from '../src/syscalls/temporary-folders.js';
import { Bench } from './support/bench.js';
import { openDescriptors } from './support/descriptors.js';
import { throwsCode } from './support/expect.js';
import { collectUntil } from './support/gc.js';
import { type Program, answerOf, programText, root, startProgram } from './support/program.js';

const isLinux = process.platform === 'linux';
const isWindows = process.platform === 'win32';
const SIZE = 4096 + 100;

const pathIn = (bench: Bench, name = 'shared'): string => join(bench.folder(), name);
const open = (bench: Bench, path: string, size = SIZE) => bench.own(new SharedFile(path, size));

/** A process that has the file open as `file`, its bytes as `bytes` and its numbers as `numbers`. */
const program = (bench: Bench, path: string, body: string): Program =>
  bench.own(startProgram(opening(JSON.stringify(path)) + body));

const opening = (path: string) => `
  const file = new syscalls.SharedFile(${path}, ${SIZE});
  const bytes = new Uint8Array(file.memory), numbers = new Int32Array(file.memory);
`;

/** The same in a worker thread; `post` sends a message to the parent. */
function thread(bench: Bench, path: string, body: string): Worker {
  const text = programText(`
    const { parentPort, workerData } = require('node:worker_threads');
    const post = (message, list) => parentPort.postMessage(message, list);
    (async () => { ${opening('workerData')} ${body} })();
  `);
  const worker = new Worker(text, { eval: true, workerData: path });
  bench.atEnd(() => void worker.terminate());
  return worker;
}

/** Transfers the memory to a new ArrayBuffer, `moved`, which Node does not track as external memory. */
const MOVING = `
  const stream = new ReadableStream({ type: 'bytes', pull: ({ byobRequest }) => byobRequest.respond(1) });
  const moved = file.memory.transfer?.() ?? (await stream.getReader({ mode: 'byob' }).read(bytes)).value.buffer;`;

const messageOf = async (worker: Worker): Promise<unknown> => ((await once(worker, 'message')) as unknown[])[0];

async function until(what: string, condition: () => boolean): Promise<void> {
  for (const deadline = performance.now() + 20_000; !condition(); await sleep(5))
    if (performance.now() > deadline) throw new Error(`not within 20 seconds: ${what}`);
}

const numbersOf = (file: SharedFile) => new Int32Array(file.memory, 0, SIZE / 4);

/** The number of mappings and descriptors of the file in this process. */
const mappings = (path: string) =>
  readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.endsWith(path)).length;
const descriptors = (path: string) => [...openDescriptors().values()].filter((what) => what === path).length;
const onlyLinux = isLinux ? '' : ' — not here: needs /proc';

describe('memory', () => {
  it('is shared by two objects: zeros at first, as many bytes as asked for, the same ArrayBuffer each time', () => {
    using bench = new Bench();
    const path = pathIn(bench);
    const [a, b] = [open(bench, path), open(bench, path)];
    expect(a.memory).toBe(a.memory);
    expect(a.memory).not.toBe(b.memory);
    expect(a.memory).toBeInstanceOf(ArrayBuffer);
    expect(a.memory.byteLength).toBe(SIZE);
    const [mine, theirs] = [new Uint8Array(a.memory), new Uint8Array(b.memory)];
    expect(mine.every((byte) => byte === 0)).toBe(true);
    mine[0] = 1;
    mine[SIZE - 1] = 2;
    expect([theirs[0], theirs[SIZE - 1]]).toEqual([1, 2]);
    expect(Atomics.add(numbersOf(b), 5, 3)).toBe(0);
    expect(Atomics.load(numbersOf(a), 5)).toBe(3);
  });

  it('is the content of the file, which is extended if it is shorter, and never truncated', () => {
    using bench = new Bench();
    const path = pathIn(bench, 'Schlüssel 鍵');
    writeFileSync(path, 'contents');
    const file = open(bench, path, 10);
    expect(Buffer.from(file.memory).toString()).toBe('contents\0\0');
    expect(statSync(path).size).toBe(10);
    const small = open(bench, path, 3);
    expect(small.memory.byteLength).toBe(3);
    expect(statSync(path).size).toBe(10);
    const one = open(bench, pathIn(bench), 1);
    expect(one.memory.byteLength).toBe(1);
  });

  it.skipIf(isWindows)('belongs to its owner alone: mode 0600', () => {
    using bench = new Bench();
    const path = pathIn(bench);
    open(bench, path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('is shared with a worker thread and with another process', async () => {
    using bench = new Bench();
    const path = pathIn(bench);
    const numbers = numbersOf(open(bench, path));
    numbers[0] = 1;
    const worker = thread(bench, path, 'numbers[1] = numbers[0] + 1; post(numbers[1]);');
    expect(await messageOf(worker)).toBe(2);
    expect(numbers[1]).toBe(2);
    const child = program(
      bench,
      path,
      'numbers[2] = numbers[1] + 1; console.log(JSON.stringify([...numbers.slice(0, 3)]));',
    );
    expect(await answerOf(child.ended)).toEqual([1, 2, 3]);
    expect(numbers[2]).toBe(3);
  });

  it('stays when the object is closed, and when the file is removed', () => {
    using bench = new Bench();
    const path = pathIn(bench);
    const [a, b] = [open(bench, path), open(bench, path)];
    const { memory } = a;
    a.close();
    expect(a.closed).toBe(true);
    expect(a.memory).toBe(memory);
    new Uint8Array(memory)[7] = 9;
    expect(new Uint8Array(b.memory)[7]).toBe(9);
  });

  it('cannot be transferred away: a copy is sent, or nothing', () => {
    using bench = new Bench();
    const { memory } = open(bench, pathIn(bench));
    const { port1, port2 } = new MessageChannel();
    const transfers = [
      () => structuredClone(memory, { transfer: [memory] }),
      () => {
        port1.postMessage(memory, [memory]);
        receiveMessageOnPort(port2);
      },
    ];
    for (const transfer of transfers) {
      try {
        transfer();
      } catch (error) {
        expect((error as Error).name).toBe('DataCloneError');
      }
      expect(memory.byteLength).toBe(SIZE);
    }
    port1.close();
  });

  it('that was moved outlives the thread that opened the file', async () => {
    using bench = new Bench();
    const path = pathIn(bench);
    const numbers = numbersOf(open(bench, path));
    const worker = thread(
      bench,
      path,
      `numbers[0] = 42; ${MOVING}
       post([file.memory.byteLength, moved], [moved]);`,
    );
    const exited = once(worker, 'exit');
    const [left, moved] = (await messageOf(worker)) as [number, ArrayBuffer];
    await exited;
    expect(left).toBe(0);
    expect(moved.byteLength).toBe(SIZE);
    const theirs = new Int32Array(moved);
    expect(theirs[0]).toBe(42);
    theirs[1] = 43;
    expect(numbers[1]).toBe(43);
  });

  it.skipIf(!isLinux)(
    `is unmapped with its ArrayBuffer, and the descriptor closed with its object${onlyLinux}`,
    async () => {
      using bench = new Bench();
      const path = pathIn(bench);
      let views: Uint8Array[] = [];
      const objects = () => {
        for (let i = 0; i < 10; i++) {
          const file = new SharedFile(path, SIZE);
          file.lock();
          views.push(new Uint8Array(file.memory, 100, 1));
          if (i < 9) file.close();
        }
      };
      objects();
      expect(mappings(path)).toBe(10);
      expect(await collectUntil(() => descriptors(path) === 0)).toBe(true);
      expect(mappings(path)).toBe(10);
      views.forEach((view, i) => (view[0] = i));
      expect(views.map((view) => view[0])).toEqual(new Array(10).fill(9));
      using other = new SharedFile(path, SIZE);
      expect(other.tryLock(), 'a collected object has released the lock').toBe(true);
      views = [];
      expect(await collectUntil(() => mappings(path) === 1)).toBe(true);
      expect(other.memory.byteLength).toBe(SIZE);
    },
  );

  it.skipIf(!isLinux)(`that was moved to another thread is kept once per file and size${onlyLinux}`, async () => {
    using bench = new Bench();
    const path = pathIn(bench);
    for (let time = 1; time <= 3; time++) {
      const worker = thread(bench, path, `file.lock(); numbers[0]++; ${MOVING} post(moved, [moved]);`);
      const exited = once(worker, 'exit');
      const moved = (await messageOf(worker)) as ArrayBuffer;
      await exited;
      expect(descriptors(path)).toBe(0);
      expect(mappings(path)).toBe(1);
      expect(new Int32Array(moved)[0]).toBe(time);
    }
    const file = open(bench, path);
    expect(file.tryLock(), 'the lock was released when its thread exited').toBe(true);
    expect(numbersOf(file)[0]).toBe(3);
    expect(mappings(path), 'the existing mapping is reused').toBe(1);
  });

  it.skipIf(!isLinux)(`is unmapped at the end of its thread, however the thread ends${onlyLinux}`, async () => {
    using bench = new Bench();
    const path = pathIn(bench);
    using here = new SharedFile(path, SIZE);
    const seen = new Uint8Array(here.memory);
    const endings = [
      '',
      'process.exit();',
      'throw new Error("mine");',
      'for (;;);',
      'for (;;) bytes[1]++;',
      'for (;;) Atomics.add(new Int32Array(own.memory), 1, 1);',
      'own.close(); for (;;) bytes[1]++;',
      'own.lock(); setInterval(() => bytes[1]++, 1);',
    ];
    for (const [index, ending] of [...endings, ...endings].entries()) {
      const worker = new Worker(
        `const { parentPort, workerData: [built, path, size] } = require('node:worker_threads');
         const own = new (require(built).SharedFile)(path, size), bytes = new Uint8Array(own.memory);
         globalThis.kept = bytes;
         parentPort.postMessage(bytes[0]++);
         ${ending}`,
        { eval: true, workerData: [join(root, 'dist/syscalls/shared-file.js'), path, SIZE] },
      );
      bench.atEnd(() => void worker.terminate());
      worker.on('error', () => undefined);
      const exited = new Promise((resolve) => worker.on('exit', resolve));
      // Its error event may precede its message.
      expect(await new Promise((resolve) => worker.on('message', resolve))).toBe(index);
      if (/^(?:own.*)?for|setInterval/.test(ending)) await worker.terminate();
      await exited;
      expect(mappings(path), ending).toBe(1);
      expect(descriptors(path), ending).toBe(1);
      expect(seen[0], 'each worker increments it once').toBe(index + 1);
    }
    expect(here.tryLock()).toBe(true);
  });
});

describe('the lock', () => {
  it('has one holder among the objects of a path', () => {
    using bench = new Bench();
    const path = pathIn(bench);
    const [a, b] = [open(bench, path), open(bench, path)];
    const elsewhere = open(bench, pathIn(bench));
    a.lock();
    elsewhere.lock();
    expect(b.tryLock()).toBe(false);
    expect(b.tryLock()).toBe(false);
    a.unlock();
    expect(b.tryLock()).toBe(true);
    expect(a.tryLock()).toBe(false);
    b.unlock();
    a.lock();
    a.unlock();
  });

  it('cannot be taken twice, nor released by an object that does not hold it', () => {
    using bench = new Bench();
    const path = pathIn(bench);
    const [a, b] = [open(bench, path), open(bench, path)];
    throwsCode('ERR_NOT_LOCKED', () => a.unlock());
    a.lock();
    throwsCode('ERR_BUSY', () => a.lock());
    throwsCode('ERR_BUSY', () => a.tryLock());
    throwsCode('ERR_NOT_LOCKED', () => b.unlock());
    expect(b.tryLock()).toBe(false);
    a.unlock();
    throwsCode('ERR_NOT_LOCKED', () => a.unlock());
    expect(a.tryLock()).toBe(true);
    throwsCode('ERR_BUSY', () => a.lock());
  });

  it('is released by close(), which may be called again, and by `using`', () => {
    using bench = new Bench();
    const path = pathIn(bench);
    const b = open(bench, path);
    {
      using a = new SharedFile(path, SIZE);
      a.lock();
      expect(b.tryLock()).toBe(false);
    }
    b.lock();
    b.close();
    b.close();
    expect(b.closed).toBe(true);
    for (const method of ['lock', 'tryLock', 'unlock'] as const) throwsCode('ERR_CLOSED', () => b[method]());
    expect(open(bench, path).tryLock()).toBe(true);
    expect(existsSync(path)).toBe(true);
  });

  it('excludes processes and threads: no count is lost', async () => {
    using bench = new Bench();
    const path = pathIn(bench);
    const file = open(bench, path);
    const numbers = numbersOf(file);
    const times = isWindows ? 300 : 2000;
    // Two numbers that must always be equal under the lock: four processes block in the kernel, two threads poll.
    const counting = (count: number) => `
      let torn = 0;
      for (let i = 0; i < ${count}; i++) {
        file.lock();
        if (numbers[0] !== numbers[1]) torn++;
        numbers[0]++;
        if (i % 16 === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0.1);
        numbers[1]++;
        file.unlock();
      }`;
    const children = Array.from({ length: 4 }, () => program(bench, path, `${counting(times)} console.log(torn);`));
    const workers = [1, 2].map(() => thread(bench, path, `${counting(100)} post(torn);`));
    const torn = await Promise.all([...children.map(({ ended }) => answerOf(ended)), ...workers.map(messageOf)]);
    expect(torn).toEqual([0, 0, 0, 0, 0, 0]);
    expect(numbers[0]).toBe(4 * times + 200);
    expect(numbers[1]).toBe(4 * times + 200);
  });

  it('is released when its holder is killed, and goes to one that waits', async () => {
    using bench = new Bench();
    const path = pathIn(bench);
    const file = open(bench, path);
    const holder = program(bench, path, 'file.lock(); console.log("has it"); setInterval(() => file.closed, 1000);');
    await holder.printed(/has it/);
    expect(file.tryLock()).toBe(false);
    const waiter = program(bench, path, 'console.log("waits"); file.lock(); numbers[3] = 1; console.log(1);');
    await waiter.printed(/waits/);
    if (isLinux) {
      // proc_locks(5): blocked waiters are marked with an arrow.
      const waiting = new RegExp(`-> FLOCK .*:${statSync(path).ino} `);
      await until('it waits in the kernel', () => waiting.test(readFileSync('/proc/locks', 'utf8')));
    }
    expect(numbersOf(file)[3]).toBe(0);
    holder.process.kill('SIGKILL');
    expect((await holder.ended).code).not.toBe(0);
    expect(await answerOf(waiter.ended)).toBe(1);
    expect(numbersOf(file)[3]).toBe(1);
    await until('the lock is free', () => file.tryLock());
  });

  it('worker.terminate() ends a wait for it promptly', async () => {
    using bench = new Bench();
    const path = pathIn(bench);
    const file = open(bench, path);
    file.lock();
    const worker = thread(bench, path, 'post(file.tryLock()); file.lock(); post("has it");');
    expect(await messageOf(worker)).toBe(false);
    await sleep(30);
    const start = performance.now();
    await worker.terminate();
    expect(performance.now() - start).toBeLessThan(20_000);
    file.unlock();
    expect(open(bench, path).tryLock()).toBe(true);
  });

  it('a waiting worker gets it soon after it is released', async () => {
    using bench = new Bench();
    const path = pathIn(bench);
    const file = open(bench, path);
    file.lock();
    const worker = thread(
      bench,
      path,
      // An unreferenced object is collected, and its lock is released.
      'post(file.tryLock()); file.lock(); post("has it"); setInterval(() => file.closed, 1000);',
    );
    expect(await messageOf(worker)).toBe(false);
    await sleep(30);
    file.unlock();
    expect(await messageOf(worker)).toBe('has it');
    expect(file.tryLock()).toBe(false);
  });
});

describe('an invalid file', () => {
  it('is a typed error, with the path and the call', () => {
    using bench = new Bench();
    const folder = bench.folder();
    const path = join(folder, 'shared');
    const failing = (code: string, where: string, size = 1) =>
      assert.throws(
        () => new SharedFile(where, size),
        (error: NodeJS.ErrnoException) => {
          expect(error).toMatchObject({ code, path: where, syscall: 'open' });
          return true;
        },
      );
    failing('ENOENT', join(folder, 'no folder', 'file'));
    failing('ENOENT', '');
    failing('EISDIR', folder);
    if (!isWindows) failing('ENAMETOOLONG', join(folder, 'x'.repeat(1000)));
    if (!isWindows && process.getuid?.() !== 0) {
      mkdirSync(join(folder, 'not mine'), { mode: 0o500 });
      failing('EACCES', join(folder, 'not mine', 'file'));
    }
    for (const size of [0, -1, 1.5, NaN, 2 ** 30 + 1]) throwsCode('ERR_OUT_OF_RANGE', () => new SharedFile(path, size));
    throwsCode('ERR_INVALID_ARG_TYPE', () => new SharedFile(path, '1' as unknown as number));
    throwsCode('ERR_INVALID_ARG_TYPE', () => new SharedFile(5 as unknown as string, 1));
    throwsCode('ERR_INVALID_ARG_VALUE', () => new SharedFile(`${path}\0`, 1));
    expect(existsSync(path), 'no file is created').toBe(false);
  });

  it.skipIf(isWindows)('a pipe or a device is EINVAL, and is closed again', () => {
    using bench = new Bench();
    const [read] = bench.pipe();
    const before = isLinux ? openDescriptors().size : 0;
    if (isLinux) throwsCode('EINVAL', () => new SharedFile(`/proc/self/fd/${read.fd}`, 1));
    throwsCode('EINVAL', () => new SharedFile('/dev/null', 1));
    if (isLinux) expect(openDescriptors().size).toBe(before);
    if (isLinux)
      expect(descriptors('/dev/null')).toBe(new Set([...openDescriptors()].filter(([, w]) => w === '/dev/null')).size);
  });
});

it(`a temporary folder with a file that is still mapped is removed at once${isWindows ? ' — on Windows it may stay: no error' : ''}`, () => {
  using bench = new Bench();
  const folder = makeTemporaryFolder('selectors-native-test-');
  const { memory } = open(bench, join(folder, 'mapped'));
  removeTemporaryFolder(folder);
  expect(existsSync(folder)).toBe(isWindows);
  new Uint8Array(memory).fill(1); // still mapped
});
