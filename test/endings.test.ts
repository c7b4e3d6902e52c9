/**
 * Programs that use the package exit by themselves with code 0 and without a warning, on every version of Node.
 *
 * At the end of a thread Node detaches external ArrayBuffers, and aborts if it cannot (CallbackInfo::CleanupHook, src/node_buffer.cc): since
 * Node 24 it cannot after markAsUntransferable().
 *
 * ENDINGS=10 runs each program ten times: `npm run test:node -- 24 --endings`.
 */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Bench } from './support/bench.js';
import { readinessMechanisms } from './support/mechanisms.js';
import { proactorRows } from './support/proactors.js';
import { programText, root, startProgram } from './support/program.js';
import { DIFFERENT, SERVER_MODELS } from './support/servers.js';

const SERVERS = JSON.stringify(join(root, 'dist/servers.js'));
const RUNS = Number(process.env.ENDINGS ?? 1);
/** All models if each program runs several times. */
const served = SERVER_MODELS.filter(
  ({ name, isAvailable }) => isAvailable && (RUNS > 1 || DIFFERENT.includes(name)),
).map(({ name }) => name);

/** Runs a program until it exits. @returns its last output line */
async function endsQuietly(body: string): Promise<string> {
  using bench = new Bench();
  let printed = '';
  for (let run = 0; run < RUNS; run++) {
    const { code, signal, stderr, stdout } = await bench.own(startProgram(body, [], { FOLDER: bench.folder() })).ended;
    expect({ run, code, signal, stderr }).toEqual({ run, code: 0, signal: null, stderr: '' });
    printed = stdout.trim();
  }
  return printed;
}

/** A client that sends a small and a large message and reads both echoes. */
const CLIENT = `
  const net = require('node:net');
  const talk = (address) => new Promise((resolve, reject) => {
    const socket = net.connect(address.port, address.host);
    let received = 0;
    socket.on('error', reject).on('close', resolve).on('data', (chunk) => {
      if (received < 10 && received + chunk.length >= 10) socket.write(Buffer.alloc(100_000));
      received += chunk.length;
      if (received === 100_010) socket.end();
    });
    socket.write('0123456789');
  });
`;

/** moved(memory): the same memory in another ArrayBuffer, transferred in any way this Node version allows; undefined if none does. */
const MOVED = `
  const { parentPort } = require('node:worker_threads');
  async function moved(memory) {
    const byobReader = () => {
      const stream = new ReadableStream({ type: 'bytes', pull: ({ byobRequest }) => byobRequest.respond(1) });
      return stream.getReader({ mode: 'byob' }).read(new Uint8Array(memory));
    };
    for (const way of [() => memory.transfer(), async () => (await byobReader()).value.buffer]) {
      try {
        return await way();
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
      }
    }
  }
`;

/** Runs a program in a thread that posts memory to its parent. The parent reads it after the thread's exit and prints the sum of the sizes. */
const inThread = (body: string): string => `
  const { Worker } = require('node:worker_threads');
  const worker = new Worker(${JSON.stringify(programText(body))}, { eval: true });
  const memories = [];
  worker.on('message', (memory) => memories.push(memory));
  worker.on('error', (error) => { throw error; });
  worker.on('exit', () => {
    for (const memory of memories) Buffer.from(memory).fill(1);
    console.log(memories.reduce((sum, { byteLength }) => sum + byteLength, 0));
  });
`;

/** A file for a program, as \`path\`. The test removes it: Windows removes no file that is mapped. */
const FILE = `
  const path = require('node:path').join(process.env.FOLDER, 'shared-' + process.pid);
`;

describe('a program that served ends with exit code 0', () => {
  // Each in turn, in one program.
  it(`${served.join(', ')}: opened and closed`, async () => {
    await endsQuietly(`${CLIENT}
      const { createServer } = require(${SERVERS});
      (async () => {
        for (const name of ${JSON.stringify(served)}) {
          const server = createServer(name, { port: 0 });
          await talk(await server.listen());
          await server.close();
        }
      })();`);
  });
});

const loops = [
  ...readinessMechanisms.map(({ mechanism, available, why }) => ({
    name: `reactor:${mechanism}`,
    why: available ? '' : why,
    make: `new selectors.Reactor({ selector: selectors.createSelector('${mechanism}') })`,
  })),
  ...proactorRows.map(({ mechanism, create, why }) => ({
    name: `proactor:${mechanism}`,
    why: create === undefined ? why : '',
    make: `new selectors.ProactorLoop({ proactor: selectors.createProactor('${mechanism}') })`,
  })),
];

describe('a program whose chunks were moved to another thread ends with exit code 0', () => {
  for (const { name, why, make } of loops) {
    for (const borrowsChunks of [false, true]) {
      it.skipIf(why !== '')(
        `${name}, ${borrowsChunks ? 'borrowed' : 'kept'} chunks${why === '' ? '' : ` — not here: ${why}`}`,
        async () => {
          const moved = Number(
            await endsQuietly(
              inThread(`${CLIENT} ${MOVED}
                (async () => {
                  const loop = ${make};
                  const memories = new Set();
                  const listener = loop.listen({ host: '127.0.0.1', port: 0 }, {
                    borrowsChunks: ${borrowsChunks},
                    data(connection, chunk) {
                      connection.write(Buffer.from(chunk));
                      // Not from Node's buffer pool: in Node 20 its reader never answers.
                      if (chunk.buffer.byteLength !== 8192) memories.add(chunk.buffer);
                    },
                  });
                  const ended = loop.start();
                  await talk(listener.address);
                  for (const memory of memories) {
                    const elsewhere = await moved(memory);
                    if (elsewhere !== undefined) parentPort.postMessage(elsewhere, [elsewhere]);
                  }
                  await talk(listener.address);
                  loop.stop();
                  await ended;
                  loop.close();
                })();`),
            ),
          );
          // A reactor's borrowed chunks share one memory, which cannot be transferred; Node copies it before version 24.
          const isRefused = borrowsChunks && name.startsWith('reactor') && parseInt(process.versions.node) >= 24;
          if (isRefused) expect(moved, 'bytes moved').toBe(0);
          else expect(moved, 'bytes moved').toBeGreaterThan(0);
        },
      );
    }
  }
});

describe('a program that shared a file ends with exit code 0', () => {
  it.each([
    ['and closed it', 'file.close();'],
    ['and holds its memory', 'globalThis.memory = new Uint8Array(file.memory);'],
    ['and holds its lock', 'file.lock();'],
    ['and calls process.exit()', 'globalThis.memory = file.memory; setImmediate(() => process.exit());'],
  ])('%s', async (_, body) => {
    await endsQuietly(`${FILE} const file = new syscalls.SharedFile(path, 5000); ${body}`);
    await endsQuietly(`${FILE}
      const { Worker } = require('node:worker_threads');
      const body = ${JSON.stringify(programText(`const file = new syscalls.SharedFile(process.env.SHARED, 5000); ${body}`))};
      for (let i = 0; i < 3; i++) new Worker(body, { eval: true, env: { ...process.env, SHARED: path } });`);
  });

  it('and moved its memory to a thread that outlives its own', async () => {
    const moved = await endsQuietly(
      inThread(`${MOVED} ${FILE}
        (async () => {
          const file = new syscalls.SharedFile(path, 5000);
          const elsewhere = await moved(file.memory);
          parentPort.postMessage(elsewhere, [elsewhere]);
          file.close();
        })();`),
    );
    expect(moved).toBe('5000');
  });
});
