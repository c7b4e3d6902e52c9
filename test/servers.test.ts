/** The server contract, over every model of this machine and every application that it serves. */
import { afterAll, afterEach, beforeAll, describe, it } from 'vitest';
import { lacksOfModel } from './contract/capabilities.js';
import { serverCases } from './contract/server.js';
import { Bench } from './support/bench.js';
import { runCases } from './support/run-cases.js';
import { type ModelServer, SERVER_MODELS, createServer, isSlowHere, until } from './support/servers.js';

const WORKERS = 2;
/** A model of each kind. */
const ECHO_EVERYWHERE: readonly string[] = ['iterative', 'busy-wait', 'thread-pool', 'prefork', 'reactor', 'proactor'];

for (const { name, applications, isAvailable, why } of SERVER_MODELS) {
  for (const application of applications) {
    describe(`${name}, ${application}, on ${process.platform}`, () => {
      if (!isAvailable) {
        it.skip(`not run: ${why}`, () => undefined);
        return;
      }
      if (isSlowHere && application === 'echo' && !ECHO_EVERYWHERE.includes(name)) {
        it.skip('not run here, where threads and processes take long to start: rpc is', () => undefined);
        return;
      }
      const lacks = lacksOfModel(name);
      // One server for all cases: what one of them leaves behind, the next one meets.
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
}
