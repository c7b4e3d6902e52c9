/** Runs the server contract over a model and an application. */
import { afterAll, afterEach, beforeAll, describe, it } from 'vitest';
import { lacksOfModel } from '../contract/capabilities.js';
import { serverCases } from '../contract/server.js';
import { Bench } from './bench.js';
import { runCases } from './run-cases.js';
import {
  type ApplicationName,
  type ModelServer,
  type ServerModelRow,
  createServer,
  isSlowHere,
  until,
} from './servers.js';

const WORKERS = 2;

export function describeServer({ name, isAvailable, why }: ServerModelRow, application: ApplicationName): void {
  describe(`${name}, ${application}, on ${process.platform}`, () => {
    if (!isAvailable) {
      it.skip(`not run: ${why}`, () => undefined);
      return;
    }
    const lacks = lacksOfModel(name);
    // One server for all cases: the state that one case leaves behind affects the next.
    let server: ModelServer;
    let address: { host: string; port: number };
    beforeAll(async () => {
      server = createServer(name, { application, workers: WORKERS });
      address = await server.listen();
    });
    afterEach(() => until('nobody is left', async () => (await server.stats()).open === 0));
    afterAll(() => server.close());

    runCases(serverCases[application], lacks, () => ({
      bench: new Bench(),
      application,
      server,
      address,
      workers: WORKERS,
      hundreds: isSlowHere ? 50 : 200,
      has: (capability) => lacks[capability] === undefined,
    }));
  });
}
