/** What the server models do alike, for the models that a test file names. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Bench } from './bench.js';
import { Client } from './client.js';
import {
  type ModelServer,
  type ServerModelName,
  type ServerModelRow,
  type ServerOptions,
  createServer,
  until,
} from './servers.js';

export type Address = Awaited<ReturnType<ModelServer['listen']>>;

/** Runs the test with a listening server and closes it afterwards. */
export async function withServer(
  model: ServerModelName,
  options: ServerOptions,
  use: (server: ModelServer, address: Address, bench: Bench) => Promise<void>,
): Promise<void> {
  await using server = createServer(model, options);
  const address = await server.listen();
  using bench = new Bench();
  await use(server, address, bench);
}

/** For each model: more clients than it may have at the same time. */
export function describeMaxConnections(models: readonly ServerModelRow[]): void {
  // Concurrent: each test waits to see that something does not happen.
  describe.concurrent.each(models)('$name: maxConnections', ({ name }) => {
    it('further clients wait in the backlog, and are served later', async () => {
      await withServer(name, { workers: 2, maxConnections: 1 }, async (server, address, bench) => {
        const connect = async (): Promise<Client> => bench.own(await Client.connect(address));
        const [first, second, third] = [await connect(), await connect(), await connect()];
        for (const client of [first, second, third]) client.write(Buffer.from('hello'));
        await until('one is served', () => [first, second, third].some(({ length }) => length > 0));
        const served = [first, second, third].find(({ length }) => length > 0) as Client;
        const others = [first, second, third].filter((client) => client !== served);
        await sleep(150); // long enough for a reply
        expect(others.map(({ length }) => length)).toEqual([0, 0]);
        const { open } = await server.stats();
        expect(open).toBeLessThanOrEqual(1);
        await served.leave();
        await until('another is served', () => others.some(({ length }) => length > 0));
        const next = others.find(({ length }) => length > 0) as Client;
        await next.received('hello'.length);
        await next.leave();
        await (others.find((client) => client !== next) as Client).received('hello'.length);
      });
    });
  });
}
