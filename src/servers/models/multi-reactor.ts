import { distributeFromReactor, adoptAssigned } from '../worker/distribution.js';
import { listenOnReservedPort, reservePort } from '../worker/shared-port.js';
import { type Model, REQUEST_APPLICATIONS } from './model.js';
import { SELECTOR_MECHANISMS } from './mechanisms.js';

/** Posts 002 and 003, muduo, Netty: one loop per thread. */
export const multiReactor: Model = {
  name: 'multi-reactor',
  summary: 'the main reactor accepts and distributes connections to a sub-reactor in each thread (posts 002, 003)',
  strengths: 'reading and writing use all cores; a connection stays on its thread, so its replies keep their order',
  weaknesses: 'a slow handler blocks the other connections of its thread',
  applications: REQUEST_APPLICATIONS,
  mechanisms: SELECTOR_MECHANISMS,
  workers: 'threads',
  options: ['workers', 'accept', 'maxConnections'],
  acceptStrategies: ['reuseport'],
  maxConnections: 10_000,

  main(server) {
    if (server.settings.accept === 'reuseport') reservePort(server);
    else distributeFromReactor(server);
  },

  work(server) {
    const loop = server.createReactor();
    if (server.settings.accept === 'reuseport') {
      listenOnReservedPort(server, loop);
      server.run(loop);
    } else {
      server.run(loop, undefined, adoptAssigned(server, loop, server.handler({ wasAccepted: true })));
    }
  },
};
