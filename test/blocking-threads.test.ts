/** Threads and processes of servers that block in system calls: what they call, and how they end. */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ProcessesTrace } from '../src/trace/processes-trace.js';
import { Bench } from './support/bench.js';
import { Client } from './support/client.js';
import { type Program, root, runProgram, startProgram } from './support/program.js';
import { type ServerModelName, createServer, isSlowHere, until } from './support/servers.js';

const isWindows = process.platform === 'win32';
const BLOCKING = ['iterative', 'thread-per-connection', 'thread-pool'] as const;
const MESSAGES = 50;

/** A program that serves until SIGTERM, then closes the server; `then` runs when it listens. */
const serving = (model: ServerModelName, then = ''): string => `
  const { createServer } = require(${JSON.stringify(join(root, 'dist/servers.js'))});
  const server = createServer(${JSON.stringify(model)}, { workers: 2 });
  server.listen().then(async ({ port }) => {
    console.log('port ' + port);
    ${then}
  });
  process.on('SIGTERM', () => void server.close().then(() => console.log('closed')));
`;

/** A client of a program that serves, after its first answer: the thread that serves it blocks in recv. */
async function clientOf(program: Program, bench: Bench): Promise<Client> {
  const [, port] = await program.printed(/port (\d+)/);
  const client = bench.own(await Client.connect({ host: '127.0.0.1', port: Number(port) }));
  await exchange(client, 1);
  return client;
}

async function exchange(client: Client, messages: number): Promise<void> {
  for (let i = 0; i < messages; i++) {
    const before = client.bytes.length;
    client.write(Buffer.from('x'));
    await client.received(before + 1);
  }
}

describe.skipIf(isWindows)('a thread that blocks, in a server that the main thread owns', () => {
  it.each(BLOCKING)(
    '%s: makes one recv and one send per message, and no call while it is idle; signals for others do not end its calls',
    async (model) => {
      using bench = new Bench();
      using trace = new ProcessesTrace();
      const program = bench.own(startProgram(serving(model), [], trace.env));
      const client = await clientOf(program, bench);
      // A call is recorded when it returns, which a client may be told of before.
      const calls: string[] = [];
      const recorded = (isComplete: () => boolean): Promise<void> =>
        until('the calls are recorded', () => {
          calls.push(...trace.take().map(({ name }) => name));
          return isComplete();
        });
      await recorded(() => calls.at(-1)?.startsWith('send') === true);
      calls.length = 0;
      await exchange(client, MESSAGES);
      await recorded(() => calls.length >= 2 * MESSAGES);
      expect(calls.filter((name) => name.startsWith('recv'))).toHaveLength(MESSAGES);
      expect(calls.filter((name) => name.startsWith('send'))).toHaveLength(MESSAGES);
      expect(calls).toHaveLength(2 * MESSAGES);

      const { made } = trace;
      await sleep(500);
      expect(trace.made).toBe(made);

      for (let i = 0; i < 5; i++) program.process.kill('SIGURG');
      await exchange(client, MESSAGES);
      program.process.kill('SIGTERM');
      expect(await program.ended).toMatchObject({
        stdout: expect.stringContaining('closed') as string,
        code: 0,
        stderr: '',
      });
    },
  );

  it.each(BLOCKING)('%s: an idle one ends with close(), before any client has come', async (model) => {
    const server = createServer(model, { workers: 2 });
    await server.listen();
    await server.close();
    expect(await server.workers()).toEqual([]);
  });

  it('a request to end that arrives before the call blocks is repeated', async () => {
    using bench = new Bench();
    // The fault plan sleeps before the call, and goes on sleeping when a signal interrupts it.
    const faults = { SELECTORS_NATIVE_FAULTS: 'accept:slow=300@1' };
    const program = bench.own(startProgram(serving('iterative', 'process.kill(process.pid, "SIGTERM");'), [], faults));
    expect(await program.ended).toMatchObject({ stdout: expect.stringContaining('closed') as string, code: 0 });
  });

  it.each(['thread-per-connection', 'thread-pool'] as const)(
    '%s: can be killed while it blocks in recv',
    async (model) => {
      using bench = new Bench();
      const exits: string[] = [];
      await using server = createServer(model, { workers: 1, onWorkerExit: ({ why }) => void exits.push(why) });
      const client = bench.own(await Client.connect(await server.listen()));
      await exchange(client, 1);
      const [worker] = (await server.workers()).filter(({ role }) => role === 'work');
      expect(await server.killWorker(worker?.id ?? -1)).toBe(true);
      await client.over();
      await until('the exit is reported', () => exits.length > 0);
      expect(exits).toEqual(['terminated']);
    },
  );

  it.each([...BLOCKING, 'multi-reactor', 'multi-proactor'] as const)(
    '%s: the process can exit meanwhile',
    async (model) => {
      using bench = new Bench();
      const program = bench.own(startProgram(serving(model, `process.stdin.once('data', () => process.exit(7));`)));
      await clientOf(program, bench);
      program.process.stdin?.write('exit\n');
      expect(await program.ended).toMatchObject({ code: 7, stderr: '' });
    },
  );

  it('the process can end with an exception meanwhile', async () => {
    using bench = new Bench();
    const program = bench.own(
      startProgram(serving('thread-pool', `process.stdin.once('data', () => { throw new Error('on purpose'); });`)),
    );
    await clientOf(program, bench);
    program.process.stdin?.write('throw\n');
    expect(await program.ended).toMatchObject({ code: 1, stderr: expect.stringContaining('on purpose') as string });
  });
});

it('a worker that owns a server can be terminated while its threads block: they wait in slices', async () => {
  const outcome = await runProgram(`
    const { Worker } = require('node:worker_threads');
    const worker = new Worker(${JSON.stringify(`
      const { createServer } = require(${JSON.stringify(join(root, 'dist/servers.js'))});
      createServer('thread-pool', { workers: 1 }).listen().then(({ port }) => require('node:worker_threads').parentPort.postMessage(port));
    `)}, { eval: true });
    worker.on('message', () => void worker.terminate().then(() => console.log('terminated')));
  `);
  expect(outcome).toMatchObject({ stdout: 'terminated\n', code: 0, stderr: '' });
});

describe.skipIf(isWindows)('prefork, with processes that block in accept', () => {
  it('they make no call while they are idle, also if a worker owns the server, whose own sockets are non-blocking underneath', async () => {
    using bench = new Bench();
    using trace = new ProcessesTrace();
    const owner = `const { createServer } = require(${JSON.stringify(join(root, 'dist/servers.js'))});
      createServer('prefork', { workers: 2, accept: 'blocking' }).listen().then(({ port }) => console.log('port ' + port));`;
    const program = bench.own(
      startProgram(
        `new (require('node:worker_threads').Worker)(${JSON.stringify(owner)}, { eval: true });`,
        [],
        trace.env,
      ),
    );
    const [, port] = await program.printed(/port (\d+)/);
    const client = bench.own(await Client.connect({ host: '127.0.0.1', port: Number(port) }));
    await exchange(client, 1); // one process serves it; the other one waits for a connection
    await until('no call is made', async () => {
      const { made } = trace;
      await sleep(300);
      return trace.made === made;
    });
  });

  it('they exit when the process that owns the server is killed', async () => {
    using bench = new Bench();
    const program = bench.own(
      startProgram(`
        const { createServer } = require(${JSON.stringify(join(root, 'dist/servers.js'))});
        createServer('prefork', { workers: ${isSlowHere ? 2 : 4}, accept: 'blocking' }).listen().then(({ port }) => console.log('port ' + port));
      `),
    );
    const [, port] = await program.printed(/port (\d+)/);
    program.process.kill('SIGKILL');
    await program.ended;
    const isRefused = (): Promise<boolean> =>
      new Promise((resolve) => {
        const socket = connect(Number(port), '127.0.0.1', () => {
          socket.destroy();
          resolve(false);
        });
        socket.on('error', () => resolve(true));
      });
    await until('no process listens', isRefused);
  });
});
