/** Servers start, stop and are killed: nothing of them remains. A few models; the others are in test/long/. */
import { describe, expect, it } from 'vitest';
import { Bench } from './support/bench.js';
import { Client } from './support/client.js';
import { rejectsCode } from './support/expect.js';
import {
  describeEnds,
  describeKills,
  describeModelsOfOneProgram,
  describeTextbook,
  pidsOf,
  scoreboards,
  watchLeftOvers,
} from './support/server-lifetime-cases.js';
import { FEW, SERVER_MODELS, type WorkerExit, createServer, until } from './support/servers.js';

const available = SERVER_MODELS.filter(({ isAvailable }) => isAvailable);
const few = available.filter(({ name }) => FEW.includes(name));

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
      for (const model of ['reactor', 'thread-pool', 'thread-per-connection'] as const) {
        const server = createServer(model, { workers: 2 });
        const address = await server.listen();
        const client = bench.own(await Client.connect(address));
        await client.echoes('there'); // and stays connected: its worker blocks in recv
        most = Math.max(most, scoreboards());
        await server.close();
        await until(`${model} has no memory mapped`, () => scoreboards() <= before);
      }
      expect(most, 'seen while they serve').toBeGreaterThan(before + 1);
    },
  );
});

describeModelsOfOneProgram(few);

describeTextbook(few);
