/** Servers start, end and are killed: nothing is left, no caller hangs, the other workers serve on. The test file names the models. */
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Bench } from './bench.js';
import { Client } from './client.js';
import { leftOver, opened } from './descriptors.js';
import { rejectsCode } from './expect.js';
import { childrenOf, isRunning, threadCount } from './processes.js';
import { answerOf, root, runProgram, startProgram } from './program.js';
import { Random } from './random.js';
import {
  type ModelServer,
  type ServerModelRow,
  type WorkerExit,
  createServer,
  inTime,
  isSlowHere,
  until,
} from './servers.js';

const isWindows = process.platform === 'win32';
const noSignals = isWindows ? ' — not here: Windows has no signals to send' : '';
/** Wine keeps the socket of a process that was killed within recv(): its client waits forever for the end of the stream. */
const keptByWine = ({ name }: { readonly name: string }): string =>
  isWindows && ['process-per-connection', 'process-pool', 'prefork'].includes(name)
    ? ' — not here: Wine keeps the socket of a process that was killed within recv'
    : '';

const seed = Number(process.env.SEED ?? 20);

export type Address = Awaited<ReturnType<ModelServer['listen']>>;

/** The folder of the servers' files in a test: empty at the end. */
function ownFolder(bench: Bench): () => string[] {
  const folder = bench.folder();
  const names = isWindows ? ['TEMP', 'TMP'] : ['TMPDIR'];
  const before = names.map((name) => process.env[name]);
  for (const name of names) process.env[name] = folder;
  bench.atEnd(() => {
    names.forEach((name, i) => {
      const value = before[i];
      if (value === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = value;
    });
  });
  return () => readdirSync(folder);
}

/** The number of scoreboards that this process has mapped. Read from Linux's /proc; 0 on other systems. */
export const scoreboards = (): number =>
  process.platform === 'linux'
    ? readFileSync('/proc/self/maps', 'utf8')
        .split('\n')
        .filter((line) => /\/scoreboard( \(deleted\))?$/.test(line)).length
    : 0;

/** Takes a snapshot; the returned function checks that a server has left nothing behind since. */
export function watchLeftOvers(bench: Bench): (pids: readonly number[]) => Promise<void> {
  const files = ownFolder(bench);
  const threads = threadCount();
  const before = opened();
  const mapped = scoreboards();
  return async (pids) => {
    await until('no process is left', () => !pids.some(isRunning));
    await until('no thread is left', () => threadCount() <= threads);
    expect(await leftOver(before), 'descriptors').toEqual([]);
    expect(files(), 'files').toEqual([]);
    // A thread that was ending at the snapshot may still have one mapped.
    await until('no mapping is left', () => scoreboards() <= mapped);
  };
}

export const pidsOf = async (server: ModelServer): Promise<number[]> =>
  (await server.workers()).filter(({ kind }) => kind === 'process').map(({ id }) => id);

export const echoed = async (address: Address, text: string): Promise<void> => {
  const client = await Client.connect(address);
  await client.echoes(text);
  await client.leave();
};

type Models = readonly ServerModelRow[];

/** For each model: start, and end in four ways. */
export function describeEnds(models: Models): void {
  describe.each(models)('$name: close()', ({ name }) => {
    it('idle: no process, thread, descriptor or file is left; a second close() is no error; listen() afterwards is', async () => {
      using bench = new Bench();
      const before = createServer(name, { workers: 2 });
      await before.listen(); // makes what the first server creates once per process, also inside Node
      await before.close();
      const nothingIsLeft = watchLeftOvers(bench);
      const server = createServer(name, { workers: 2 });
      const listening = server.listen();
      await rejectsCode('ERR_CLOSED', server.listen());
      await listening;
      await rejectsCode('ERR_CLOSED', server.listen());
      const pids = await pidsOf(server);
      await Promise.all([server.close(), server.close()]);
      await server.close();
      await nothingIsLeft(pids);
      await rejectsCode('ERR_CLOSED', server.listen());
      expect(await server.workers()).toEqual([]);
      expect(await server.stats()).toMatchObject({ accepted: 0, open: 0 });
      expect(await server.killWorker(1)).toBe(false);
    });

    it('with clients that are idle, busy, never reading or in the backlog: they are closed, and nothing is left', async () => {
      using bench = new Bench();
      const nothingIsLeft = watchLeftOvers(bench);
      const server = createServer(name, { workers: 2 });
      const address = await server.listen();
      const clients: Client[] = [];
      const connect = async (options = {}): Promise<Client> => {
        const client = bench.own(await Client.connect(address, options));
        clients.push(client);
        return client;
      };
      const busy = await connect();
      await busy.echoes('begun');
      const deaf = await connect({ reads: false });
      for (let i = 0; i < 4; i++) await connect();
      let isOver = false;
      const load = (async (): Promise<void> => {
        for (let i = 0; !isOver; i++) await busy.echoes(`load ${i} `);
      })().catch(() => undefined); // the server ends the connection
      for (let i = 0; i < 64; i++) deaf.write(Buffer.alloc(1 << 16, 'x'));
      const since = (await server.stats()).bytesIn;
      await until('there is load', async () => (await server.stats()).bytesIn > since + 100);
      const pids = await pidsOf(server);
      const start = performance.now();
      await server.close();
      const ms = performance.now() - start;
      isOver = true;
      deaf.read();
      if (keptByWine({ name }) === '') for (const client of clients) await client.over().catch(() => undefined);
      for (const client of clients) client.close();
      await load;
      await nothingIsLeft(pids);
      expect((await server.stats()).open).toBe(0);
      expect(ms).toBeLessThan(30_000);
    });

    it('during the start: listen() rejects, or has succeeded before; nothing is left', async () => {
      using bench = new Bench();
      const nothingIsLeft = watchLeftOvers(bench);
      const random = new Random(seed);
      for (const delay of [0, random.below(60), 60 + random.below(100)]) {
        const server = createServer(name, { workers: 2 });
        const listening = server.listen().catch((error: unknown) => (error as NodeJS.ErrnoException).code);
        await sleep(delay);
        const closed = server.close();
        const outcome = await inTime('listen()', listening);
        if (typeof outcome !== 'object') expect(outcome).toBe('ERR_CLOSED');
        await inTime('close()', closed);
        await rejectsCode('ERR_CLOSED', server.listen());
      }
      await nothingIsLeft([]);
    });

    it('EADDRINUSE: listen() rejects, and nothing is left', async () => {
      using bench = new Bench();
      const { port } = bench.listener().localAddress as Address;
      const nothingIsLeft = watchLeftOvers(bench);
      const server = createServer(name, { workers: 2, port });
      await expect(server.listen()).rejects.toMatchObject({ code: 'EADDRINUSE', syscall: 'bind' });
      expect(await server.workers()).toEqual([]);
      await server.close();
      await nothingIsLeft([]);
    });
  });
}

/** Clients that connect, send requests and disconnect, repeatedly, until stop(). */
class Load {
  answers = 0;
  /** Connections that ended before the reply had arrived. */
  lost = 0;
  readonly #over: Promise<unknown>;
  #isOver = false;

  constructor(
    readonly address: Address,
    clients: number,
  ) {
    this.#over = Promise.all(Array.from({ length: clients }, () => this.#client()));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#over;
  }

  async #client(): Promise<void> {
    while (!this.#isOver) {
      using bench = new Bench();
      try {
        const client = bench.own(await Client.connect(this.address));
        for (let i = 0; i < 3; i++) {
          await client.echoes(`request ${i} `);
          this.answers++;
        }
        await client.leave();
      } catch (error) {
        if ((error as Error).message.startsWith('waited in vain')) throw error;
        this.lost++;
      }
    }
  }
}

/** For each model that has workers: `count` of them are killed. */
export function describeKills(models: Models, count: number): void {
  const killable = models.filter(({ workers, name }) => workers !== null || name === 'reactor-thread-per-task');

  describe.each(killable.map((model) => ({ ...model, not: keptByWine(model) })))(
    '$name: workers are killed under load$not',
    ({ name, not }) => {
      it.skipIf(not)(
        `the others serve on, dead workers are replaced, and the report counts the lost connections, seed ${seed}`,
        async () => {
          using bench = new Bench();
          const exits: WorkerExit[] = [];
          await using server = createServer(name, { workers: 2, onWorkerExit: (exit) => exits.push(exit) });
          const address = await server.listen();
          const load = new Load(address, 4);
          bench.atEnd(() => void load.stop());
          const random = new Random(seed);
          // A worker that was about to exit by itself may not be reported.
          while (exits.length < count) {
            const { answers } = load;
            await until('there is load', () => load.answers > answers + 8);
            let killed = -1;
            await until('one is killed', async () => {
              const workers = (await server.workers()).filter(({ role }) => role !== 'main');
              if (workers.length === 0) return false;
              const { id, kind } = random.of(workers);
              killed = id;
              if (kind === 'thread' || random.chance(0.5)) return server.killWorker(id);
              return isRunning(id) && process.kill(id, 'SIGKILL');
            });
            await until('it has exited', async () => !(await server.workers()).some(({ id }) => id === killed));
          }
          const { answers } = load;
          await until('it serves on', () => load.answers > answers + 8);
          await load.stop();
          await until('no connection is open, and none is queued', async () => {
            const { open, queued } = await server.stats();
            return open + queued === 0;
          });
          const reported = exits.reduce((sum, { lost }) => sum + lost, 0);
          expect(exits.filter(({ role, why }) => role === 'main' || why === '')).toEqual([]);
          // A process that accepts may be killed between accept(2) and counting the connection.
          const uncounted = name === 'prefork' || name === 'multi-process-reactor' ? exits.length : 0;
          expect(load.lost).toBeLessThanOrEqual((await server.stats()).lost + uncounted);
          expect(reported).toBeLessThanOrEqual((await server.stats()).lost);
          await echoed(address, 'and it serves on');
        },
      );
    },
  );
}

export const withServers = (models: Models, body: string): string => `
  const servers = require(${JSON.stringify(join(root, 'dist/servers.js'))});
  const models = ${JSON.stringify(models.map(({ name }) => name))};
  (async () => { ${body} })();
`;

/** For each model: EchoServer's two-line program. */
export function describeTextbook(models: Models): void {
  describe('EchoServer', () => {
    const textbook = (port: number, name: string): string =>
      withServers(models, `new servers.EchoServer('127.0.0.1', ${port}, { model: '${name}' }).run();`);

    /** Retries the connect: the program prints nothing when it listens. */
    async function firstClient(bench: Bench, address: Address): Promise<Client> {
      let client: Client | undefined;
      await until('the server listens', async () => {
        client = await Client.connect(address).catch(() => undefined);
        return client !== undefined;
      });
      return bench.own(client as Client);
    }

    it.skipIf(noSignals).each(models)(
      `$name: serves; Ctrl-C ends it, and no child is left${noSignals}`,
      async ({ name }) => {
        using bench = new Bench();
        const address = bench.unusedAddress();
        const program = bench.own(startProgram(textbook(address.port, name)));
        const client = await firstClient(bench, address);
        await client.echoes('hello');
        const children = childrenOf(program.process.pid ?? -1);
        // Wait for the program's exit, not the end of its output: a child that still serves a client keeps the output open.
        const ended = once(program.process, 'exit');
        program.process.kill('SIGINT');
        expect(await inTime('its end', ended)).toEqual([null, 'SIGINT']);
        client.close();
        expect(await inTime('the end of its output', program.ended)).toMatchObject({ stdout: '', stderr: '' });
        await until('no child is left', () => !children.some(isRunning));
      },
    );
  });
}

/** Programs that run a server of each of these models. */
export function describeModelsOfOneProgram(models: Models): void {
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
      for (const address of addresses) await echoed(address, 'hello');
      program.close();
      await program.ended;
      await until('no child is left', () => !pids.some(isRunning));
    });
  });

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
}
