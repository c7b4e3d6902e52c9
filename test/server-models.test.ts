/** What distinguishes the server models: order, full pools, limits; and the arguments that createServer() rejects. */
import assert from 'node:assert/strict';
import { describe, expect, it } from 'vitest';
import { lacksOfSystem } from './contract/capabilities.js';
import { Client } from './support/client.js';
import { rejectsCode, throwsCode } from './support/expect.js';
import {
  ACCEPT_STRATEGIES,
  DIFFERENT,
  EchoServer,
  SERVER_MODELS,
  type ServerModelName,
  type ServerOptions,
  createServer,
  until,
} from './support/servers.js';
import { type Address, describeMaxConnections, withServer } from './support/server-models-cases.js';
import { framesOf, rpcRequest } from './support/talks.js';

const available = SERVER_MODELS.filter(({ isAvailable }) => isAvailable);

describe('R29 order in a pool of threads', () => {
  const slept = (client: Client): number[] =>
    framesOf(client.bytes).map((body) => (JSON.parse(body) as { result: number }).result);

  /** Sends requests that sleep for these times, in ms, all at once. @returns the order of the replies, and the total time */
  async function sleepAll(client: Client, times: readonly number[]): Promise<{ order: number[]; ms: number }> {
    const { length } = slept(client);
    const start = performance.now();
    client.write(Buffer.concat(times.map((ms) => rpcRequest('sleep', ms))));
    await client.receivedWhere('all answers', () => slept(client).length === length + times.length);
    return { order: slept(client).slice(length), ms: performance.now() - start };
  }

  it.each([
    ['reactor-thread-pool', 4, [800, 600, 400, 200]],
    ['multi-reactor-thread-pool', 1, [800, 600]],
  ] as const)('%s: requests run at the same time, and are answered in order', async (model, workers, times) => {
    await withServer(model, { application: 'rpc', workers }, async (_, address, bench) => {
      const client = bench.own(await Client.connect(address));
      // One request per thread, so that every thread has started.
      await sleepAll(
        client,
        times.map(() => 1),
      );
      const { order, ms } = await sleepAll(client, times);
      expect(order).toEqual(times);
      expect(ms).toBeGreaterThanOrEqual(Math.max(...times));
      expect(ms).toBeLessThan(times.reduce<number>((sum, one) => sum + one, 0));
    });
  });

  it('reactor-thread-per-task: replies come in the order of completion', async () => {
    await withServer('reactor-thread-per-task', { application: 'rpc' }, async (_, address, bench) => {
      const client = bench.own(await Client.connect(address));
      // Whichever thread starts first, the longest request finishes last.
      const { order } = await sleepAll(client, [2000, 1, 1]);
      expect(order).toEqual([1, 1, 2000]);
    });
  });
});

describe('a pool of threads whose queue is full', () => {
  /** How a client above the limit is turned away. */
  async function turnedAway(address: Address): Promise<string> {
    const client = await Client.connect(address).catch((error: unknown) => error as NodeJS.ErrnoException);
    if (client instanceof Error) return client.code ?? client.message;
    await client.over().catch(() => undefined);
    client.close();
    return client.error?.code ?? 'end';
  }

  it('R30 rejects further clients at once, counts them, and serves all others when the slow ones have left', async () => {
    const options = { workers: 2, maxQueued: 2 };
    await withServer('thread-pool', options, async (server, address, bench) => {
      const connect = async (): Promise<Client> => bench.own(await Client.connect(address));
      const slow = [await connect(), await connect()];
      for (const client of slow) await client.echoes('I am slow');
      const waiting = [await connect(), await connect()];
      for (const client of waiting) client.write(Buffer.from('and I wait'));
      await until('two wait', async () => (await server.stats()).queued === 2);
      const expected = lacksOfSystem()['reset seen'] === undefined ? ['ECONNRESET'] : ['ECONNRESET', 'end'];
      for (let i = 1; i <= 3; i++) {
        expect(expected).toContain(await turnedAway(address));
        // The client sees the reset before the server counts it.
        await until('it is counted', async () => (await server.stats()).open === 4);
        expect(await server.stats()).toMatchObject({ accepted: 4 + i, queued: 2, rejected: i });
      }
      expect(waiting.map(({ length }) => length)).toEqual([0, 0]);
      for (const client of slow) await client.leave();
      for (const client of waiting) await client.received('and I wait'.length);
      for (const client of waiting) await client.leave();
      const late = await connect();
      await late.echoes('once more');
      await late.leave();
      await until('no connection is open', async () => (await server.stats()).open === 0);
      expect(await server.stats()).toMatchObject({ accepted: 8, queued: 0, rejected: 3, lost: 0 });
    });
  });
});

describeMaxConnections(available.filter(({ name }) => DIFFERENT.includes(name)));

describe('how the processes of prefork accept', () => {
  for (const { name, isAvailable, why } of ACCEPT_STRATEGIES) {
    if (!isAvailable) {
      it(`${name} is refused: ${why}`, () => {
        throwsCode('ERR_UNAVAILABLE', () => createServer('prefork', { accept: name }));
      });
      continue;
    }
    it(`${name}: clients at the same time, and one after another`, async () => {
      await withServer('prefork', { accept: name, workers: 2 }, async (server, address, bench) => {
        // SO_REUSEPORT may assign two clients to one process: they leave and do not wait for replies.
        await Promise.all(
          Array.from({ length: 10 }, async (_, i) => {
            const client = bench.own(await Client.connect(address));
            await client.echoes(`client ${i}`);
            await client.leave();
          }),
        );
        await until('no connection is open', async () => (await server.stats()).open === 0);
        expect(await server.stats()).toMatchObject({ accepted: 10, bytesIn: 80, bytesOut: 80, lost: 0 });
      });
    });
  }
});

describe('several loops that accept on one port (SO_REUSEPORT)', () => {
  const MODELS = ['multi-reactor', 'multi-proactor', 'multi-process-reactor'] as const;
  const row = ACCEPT_STRATEGIES.find(({ name }) => name === 'reuseport');

  for (const model of MODELS) {
    if (!available.some(({ name }) => name === model)) continue;
    if (row?.isAvailable !== true) {
      it(`${model}: refused, because ${row?.why}`, () => {
        throwsCode('ERR_UNAVAILABLE', () => createServer(model, { accept: 'reuseport' }));
      });
      continue;
    }

    it(`${model}: each worker accepts its own connections, and the totals are right`, async () => {
      await withServer(model, { accept: 'reuseport', workers: 2 }, async (server, address, bench) => {
        const clients = await Promise.all(
          Array.from({ length: 40 }, async (_, i) => {
            const client = bench.own(await Client.connect(address));
            await client.echoes(`client ${i + 10}`);
            return client;
          }),
        );
        const workers = (await server.workers()).filter(({ role }) => role === 'work');
        expect(workers.length).toBe(2);
        // The chance that a fair hash gives all 40 to one worker is 1 in 10^11.
        for (const { accepted, open } of workers) {
          expect(accepted).toBeGreaterThan(0);
          expect(open).toBe(accepted);
        }
        expect(workers.reduce((sum, { accepted }) => sum + accepted, 0)).toBe(40);
        for (const client of clients) await client.leave();
        await until('no connection is open', async () => (await server.stats()).open === 0);
        expect(await server.stats()).toMatchObject({ accepted: 40, bytesIn: 360, bytesOut: 360, lost: 0 });
      });
    });

    it(`${model}: a worker that is killed is replaced, on the same port`, async () => {
      const exits: unknown[] = [];
      const options: ServerOptions = { accept: 'reuseport', workers: 2, onWorkerExit: (exit) => exits.push(exit) };
      await withServer(model, options, async (server, address, bench) => {
        const [first] = (await server.workers()).filter(({ role }) => role === 'work');
        await server.killWorker(first?.id ?? -1);
        await until('it is replaced', async () => {
          const workers = (await server.workers()).filter(({ role }) => role === 'work');
          return exits.length === 1 && workers.length === 2 && workers.every(({ id }) => id !== first?.id);
        });
        const echoed = async (): Promise<boolean> => {
          const client = bench.own(await Client.connect(address));
          try {
            await client.echoes('hello');
            await client.leave();
            return true;
          } catch {
            return false; // it was in the backlog of the worker that was killed
          }
        };
        await until('twenty clients in a row are served', async () => {
          for (let i = 0; i < 20; i++) if (!(await echoed())) return false;
          return true;
        });
      });
    });
  }

  it('the other strategies are those of prefork', () => {
    for (const model of ['multi-reactor', 'multi-proactor', 'multi-process-reactor'] as const)
      throwsCode('ERR_INVALID_ARG_VALUE', () => createServer(model, { accept: 'lock' }));
    throwsCode('ERR_INVALID_ARG_VALUE', () => createServer('multi-reactor', { accept: 'thundering-herd' }));
    throwsCode('ERR_INVALID_ARG_TYPE', () => createServer('multi-reactor', { accept: 1 as never }));
  });
});

describe('is refused before anything is started', () => {
  const unavailable = SERVER_MODELS.filter(({ isAvailable }) => !isAvailable);

  it.each([
    ['no model', undefined, {}, 'ERR_INVALID_ARG_TYPE'],
    ['a model that is none', 'apache', {}, 'ERR_INVALID_ARG_VALUE'],
    ['a property of every object', 'constructor', {}, 'ERR_INVALID_ARG_VALUE'],
    ['options that are none', 'reactor', 7, 'ERR_INVALID_ARG_TYPE'],
    ['null for options', 'reactor', null, 'ERR_INVALID_ARG_TYPE'],
    ['a host that is a number', 'reactor', { host: 1 }, 'ERR_INVALID_ARG_TYPE'],
    ['a port that is a string', 'reactor', { port: '80' }, 'ERR_INVALID_ARG_TYPE'],
    ['a port beyond the last', 'reactor', { port: 65_536 }, 'ERR_OUT_OF_RANGE'],
    ['a port below the first', 'reactor', { port: -1 }, 'ERR_OUT_OF_RANGE'],
    ['half a port', 'reactor', { port: 0.5 }, 'ERR_OUT_OF_RANGE'],
    ['an application that is none', 'reactor', { application: 'http' }, 'ERR_INVALID_ARG_VALUE'],
    ['an application that is a number', 'reactor', { application: 1 }, 'ERR_INVALID_ARG_TYPE'],
    ['a chat of several rooms', 'multi-reactor', { application: 'chat' }, 'ERR_INVALID_ARG_VALUE'],
    ['no workers', 'thread-pool', { workers: 0 }, 'ERR_OUT_OF_RANGE'],
    ['too many workers', 'thread-pool', { workers: 1025 }, 'ERR_OUT_OF_RANGE'],
    ['NaN workers', 'thread-pool', { workers: NaN }, 'ERR_OUT_OF_RANGE'],
    ['workers that are a string', 'prefork', { workers: '2' }, 'ERR_INVALID_ARG_TYPE'],
    ['null workers', 'prefork', { workers: null }, 'ERR_INVALID_ARG_TYPE'],
    ['a mechanism that is none', 'reactor', { mechanism: 'kpoll' }, 'ERR_INVALID_ARG_VALUE'],
    ['a mechanism of another kind', 'proactor', { mechanism: 'poll' }, 'ERR_INVALID_ARG_VALUE'],
    ['a mechanism that is a number', 'reactor', { mechanism: 1 }, 'ERR_INVALID_ARG_TYPE'],
    ['a mechanism for a model without one', 'iterative', { mechanism: 'poll' }, 'ERR_INVALID_ARG_VALUE'],
    ['an accept strategy that is none', 'prefork', { accept: 'luck' }, 'ERR_INVALID_ARG_VALUE'],
    ['an accept strategy that is a number', 'prefork', { accept: 1 }, 'ERR_INVALID_ARG_TYPE'],
    ['an accept strategy for a model without', 'reactor', { accept: 'lock' }, 'ERR_INVALID_ARG_VALUE'],
    ['no connections', 'reactor', { maxConnections: 0 }, 'ERR_OUT_OF_RANGE'],
    ['null connections', 'reactor', { maxConnections: null }, 'ERR_INVALID_ARG_TYPE'],
    ['too many connections', 'reactor', { maxConnections: 100_001 }, 'ERR_OUT_OF_RANGE'],
    ['no queue', 'thread-pool', { maxQueued: 0 }, 'ERR_OUT_OF_RANGE'],
    ['too long a queue', 'thread-pool', { maxQueued: 65_537 }, 'ERR_OUT_OF_RANGE'],
    ['null for a queue', 'thread-pool', { maxQueued: null }, 'ERR_INVALID_ARG_TYPE'],
    ['a listener that is none', 'prefork', { onWorkerExit: 'tell me' }, 'ERR_INVALID_ARG_TYPE'],
  ])('createServer: %s', (_, model, options, code) => {
    throwsCode(code, () => createServer(model as ServerModelName, options as ServerOptions));
  });

  it.each([
    ['a host that is a number', [1, 80], 'ERR_INVALID_ARG_TYPE'],
    ['a port that is a string', ['127.0.0.1', '80'], 'ERR_INVALID_ARG_TYPE'],
    ['no port', ['127.0.0.1'], 'ERR_INVALID_ARG_TYPE'],
    ['no host', [], 'ERR_INVALID_ARG_TYPE'],
    ['a port beyond the last', ['127.0.0.1', 65_536], 'ERR_OUT_OF_RANGE'],
    ['a model that is none', ['127.0.0.1', 80, { model: 'apache' }], 'ERR_INVALID_ARG_VALUE'],
    ['options that are none', ['127.0.0.1', 80, 'reactor'], 'ERR_INVALID_ARG_TYPE'],
    [
      'a mechanism for a model without one',
      ['127.0.0.1', 80, { model: 'iterative', mechanism: 'poll' }],
      'ERR_INVALID_ARG_VALUE',
    ],
  ])('EchoServer: %s', (_, args, code) => {
    throwsCode(code, () => new EchoServer(...(args as ConstructorParameters<typeof EchoServer>)));
  });

  it('mechanisms that this system lacks', () => {
    for (const { name } of unavailable) throwsCode('ERR_UNAVAILABLE', () => createServer(name, { mechanism: 'iocp' }));
    const lacking = process.platform === 'win32' ? 'epoll' : 'iocp';
    const model = lacking === 'iocp' ? 'proactor' : 'reactor';
    throwsCode('ERR_UNAVAILABLE', () => createServer(model, { mechanism: lacking }));
  });

  it.skipIf(process.platform !== 'linux')('EPOLLEXCLUSIVE over another mechanism', () => {
    throwsCode('ERR_INVALID_ARG_VALUE', () => createServer('prefork', { accept: 'exclusive', mechanism: 'poll' }));
  });

  it('killWorker: an invalid id, and an unknown one', async () => {
    await using server = createServer('prefork', { workers: 1 });
    for (const wrong of [undefined, '1', null])
      await rejectsCode('ERR_INVALID_ARG_TYPE', server.killWorker(wrong as never));
    for (const wrong of [-1, 0.5, NaN]) await rejectsCode('ERR_OUT_OF_RANGE', server.killWorker(wrong));
    expect(await server.killWorker(1)).toBe(false); // before listen()
    await server.listen();
    expect(await server.killWorker(process.pid)).toBe(false);
    expect(await server.killWorker(2 ** 40)).toBe(false);
    assert.ok((await server.workers()).some(({ role }) => role === 'work'));
  });

  it('an invalid host: listen() rejects, and the server is closed', async () => {
    const server = createServer('reactor', { host: 'no-such-host.invalid' });
    await expect(server.listen()).rejects.toMatchObject({ code: expect.stringMatching(/^E/) as string });
    await rejectsCode('ERR_CLOSED', server.listen());
    expect(await server.workers()).toEqual([]);
    await server.close();
  });
});
