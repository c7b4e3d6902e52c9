/** Servers start, stop and are killed: nothing of them remains. A few models; the others are in test/long/. */
import { describe, expect, it } from 'vitest';
import { Bench } from './support/bench.js';
import { Client } from './support/client.js';
import { rejectsCode } from './support/expect.js';
import { isRunning } from './support/processes.js';
import { answerOf, runProgram, startProgram } from './support/program.js';
import {
  type Address,
  describeEnds,
  describeKills,
  describeTextbook,
  echoed,
  pidsOf,
  scoreboards,
  watchLeftOvers,
  withServers,
} from './support/server-lifetime-cases.js';
import { FEW, SERVER_MODELS, type WorkerExit, createServer, inTime, isSlowHere, until } from './support/servers.js';

const available = SERVER_MODELS.filter(({ isAvailable }) => isAvailable);
const few = available.filter(({ name }) => FEW.includes(name));
/** Time limit of a test that runs all models in one process. */
const models = isSlowHere ? few : available;

describeEnds(few);

describe('close() before listen()', () => {
  it('starts nothing, and listen() rejects', async () => {
    const server = createServer('prefork');
    await server.close();
    await server.close();
    await rejectsCode('ERR_CLOSED', server.listen());
    expect(await server.workers()).toEqual([]);
    await using disposed = createServer('reactor');
    expect(disposed.model).toBe('reactor');
  });
});

describeKills(few, 2);

describe('an idle loop is killed', () => {
  it.each(['multi-reactor', 'multi-proactor'] as const)('%s: it ends, and is reported once', async (name) => {
    const exits: WorkerExit[] = [];
    await using server = createServer(name, { workers: 2, onWorkerExit: (exit) => exits.push(exit) });
    await server.listen();
    const [{ id } = { id: -1 }] = (await server.workers()).filter(({ role }) => role === 'work');
    await Promise.all([server.killWorker(id), server.killWorker(id)]);
    await until('the worker is removed', async () => !(await server.workers()).some((worker) => worker.id === id));
    await until('another has come', async () => (await server.workers()).length === 3);
    expect(exits).toMatchObject([{ id, why: 'terminated', isReplaced: true }]);
  });
});

describe('the server’s own thread is killed', () => {
  it.each(['reactor', 'prefork', 'multi-reactor'] as const)('%s: it is reported, and the server ends', async (name) => {
    using bench = new Bench();
    const nothingIsLeft = watchLeftOvers(bench);
    const exits: WorkerExit[] = [];
    const server = createServer(name, { workers: 2, onWorkerExit: (exit) => exits.push(exit) });
    const address = await server.listen();
    const client = bench.own(await Client.connect(address));
    await client.echoes('hello');
    const pids = await pidsOf(server);
    const main = (await server.workers()).find(({ role }) => role === 'main');
    expect(await server.killWorker(main?.id ?? -1)).toBe(true);
    await client.over().catch(() => undefined);
    client.close();
    await until('all workers are removed', async () => (await server.workers()).length === 0);
    expect(exits).toMatchObject([{ role: 'main', kind: 'thread', isReplaced: false }]);
    await expect(Client.connect(address)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(await server.stats()).toMatchObject({ accepted: 1, open: 0, bytesIn: 5 });
    await server.close();
    await nothingIsLeft(pids);
  });
});

const onlyLinux = process.platform === 'linux' ? '' : ' — not here: needs /proc';

describe('servers that start and stop', () => {
  it.skipIf(process.platform !== 'linux')(
    `leave no memory mapped, also when their threads are terminated${onlyLinux}`,
    async () => {
      using bench = new Bench();
      const before = scoreboards();
      let most = 0;
      for (let i = 0; i < 6; i++) {
        const server = createServer(
          (['reactor', 'thread-pool', 'thread-per-connection'] as const)[i % 3] ?? 'reactor',
          {
            workers: 2,
          },
        );
        const address = await server.listen();
        const client = bench.own(await Client.connect(address));
        await client.echoes('there'); // and stays connected: its worker blocks in recv
        most = Math.max(most, scoreboards());
        await server.close();
        await until(`${server.model} has no memory mapped`, () => scoreboards() <= before);
      }
      expect(most, 'seen while they serve').toBeGreaterThan(before + 1);
    },
  );
});

describe('the caller’s event loop', () => {
  /** Longer than a Node thread takes to start on a busy machine, shorter than any wait of a server. In ms. */
  const MAX_MS = isSlowHere ? 2000 : 250;

  it('is not blocked while a server starts, serves and closes', async () => {
    const longest = (await answerOf(
      runProgram(
        withServers(
          models,
          `
          const net = require('node:net');
          const { monitorEventLoopDelay } = require('node:perf_hooks');
          // A busy machine delays a loop now and then; a server that blocks it does so in each try.
          const longest = {};
          for (const name of models.flatMap((model) => [model, model, model])) {
            if (longest[name] <= ${MAX_MS}) continue;
            const delay = monitorEventLoopDelay({ resolution: 1 });
            delay.enable();
            const server = servers.createServer(name, { workers: 2 });
            const { host, port } = await server.listen();
            await new Promise((resolve, reject) => {
              const client = net.connect({ host, port, allowHalfOpen: true }, () => client.write('hello'));
              client.on('error', reject).on('close', resolve).on('data', () => client.end());
            });
            await server.close();
            delay.disable();
            longest[name] = Math.min(longest[name] ?? Infinity, Math.round(delay.max / 1e6));
          }
          console.log(JSON.stringify(longest));
        `,
        ),
      ),
    )) as Record<string, number>;
    process.stdout.write(`longest delays of the caller's loop, in ms: ${JSON.stringify(longest)}\n`);
    expect(Object.keys(longest)).toEqual(models.map(({ name }) => name));
    expect(Object.entries(longest).filter(([, ms]) => ms > MAX_MS)).toEqual([]);
  });

  it('may block: all servers go on; when its process is killed, no child is left', async () => {
    using bench = new Bench();
    const program = bench.own(
      startProgram(
        withServers(
          models,
          `
          const all = models.map((name) => servers.createServer(name, { workers: 1 }));
          const addresses = await Promise.all(all.map((server) => server.listen()));
          const workers = (await Promise.all(all.map((server) => server.workers()))).flat();
          const pids = workers.filter(({ kind }) => kind === 'process').map(({ id }) => id);
          require('node:fs').writeSync(1, JSON.stringify({ addresses, pids }) + '\\n');
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
        `,
        ),
      ),
    );
    const [line] = await inTime('its servers', program.printed(/.*\n/));
    const { addresses, pids } = JSON.parse(line) as { addresses: Address[]; pids: number[] };
    expect(addresses).toHaveLength(models.length);
    for (const address of addresses) await echoed(address, 'nobody looks after you');
    program.close();
    await program.ended;
    await until('no child is left', () => !pids.some(isRunning));
  });
});

describeTextbook(few);

describe('EchoServer on a port in use', () => {
  it('throws EADDRINUSE with every model', async () => {
    using bench = new Bench();
    const { port } = bench.listener().localAddress as Address;
    const codes = await answerOf(
      runProgram(
        withServers(
          models,
          `
          const codes = models.map((model) => {
            try {
              new servers.EchoServer('127.0.0.1', ${port}, { model }).run();
            } catch ({ code }) {
              return code;
            }
          });
          console.log(JSON.stringify(codes));
        `,
        ),
      ),
    );
    expect(codes).toEqual(models.map(() => 'EADDRINUSE'));
  });
});
