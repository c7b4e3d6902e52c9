import { acceptAndDistribute, adoptAssigned } from '../worker/distribution.js';
import { listenOnReservedPort, reservePort } from '../worker/shared-port.js';
import { type Model, REQUEST_APPLICATIONS } from './model.js';
import { PROACTOR_MECHANISMS } from './mechanisms.js';

/** Post 002's proactor, one per thread. */
export const multiProactor: Model = {
  name: 'multi-proactor',
  summary: 'one thread accepts and distributes connections to a proactor in each thread (post 002)',
  strengths: 'like multi-reactor, with a fraction of its system calls',
  weaknesses: 'a slow handler blocks the other connections of its thread; each thread needs a ring or port of its own',
  applications: REQUEST_APPLICATIONS,
  mechanisms: PROACTOR_MECHANISMS,
  workers: 'threads',
  options: ['workers', 'accept', 'maxConnections'],
  acceptStrategies: ['reuseport'],
  maxConnections: 10_000,

  main(server) {
    if (server.settings.accept === 'reuseport') reservePort(server);
    else acceptAndDistribute(server);
  },

  work(server) {
    const loop = server.createProactorLoop();
    if (server.settings.accept === 'reuseport') {
      listenOnReservedPort(server, loop);
      server.run(loop);
    } else {
      server.run(loop, undefined, adoptAssigned(server, loop, server.handler({ wasAccepted: true })));
    }
  },
};
