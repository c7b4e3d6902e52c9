import { acceptAndDistribute, adoptAssigned } from '../worker/dealing.js';
import { type Model, REQUESTS } from './model.js';
import { READINESS } from './mechanisms.js';

/** Posts 002 and 003, muduo, Netty: one loop a thread. */
export const multiReactor: Model = {
  name: 'multi-reactor',
  summary: 'the main reactor accepts, and deals connections out to a sub-reactor in each thread (posts 002, 003)',
  strengths:
    'reading and writing use all cores; a connection stays on its thread, so that its answers keep their order',
  weaknesses: 'a handler that takes long holds up the other connections of its thread',
  applications: REQUESTS,
  mechanisms: READINESS,
  workers: 'threads',
  options: ['workers', 'maxConnections'],
  maxConnections: 10_000,

  main: acceptAndDistribute,

  work(server) {
    const loop = server.createReactor();
    server.run(loop, undefined, adoptAssigned(server, loop, server.handler({ wasAccepted: true })));
  },
};
