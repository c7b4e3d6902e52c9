import { acceptAndDistribute, adoptAssigned } from '../worker/dealing.js';
import { type Model, REQUESTS } from './model.js';
import { COMPLETION } from './mechanisms.js';

/** Post 002's proactor, one a thread. */
export const multiProactor: Model = {
  name: 'multi-proactor',
  summary: 'one thread accepts, and deals connections out to a proactor in each thread (post 002)',
  strengths: 'as multi-reactor, with a fraction of its system calls',
  weaknesses: 'a handler that takes long holds up the other connections of its thread; a ring or port for each thread',
  applications: REQUESTS,
  mechanisms: COMPLETION,
  workers: 'threads',
  options: ['workers', 'maxConnections'],
  maxConnections: 10_000,

  main: acceptAndDistribute,

  work(server) {
    const loop = server.createProactorLoop();
    server.run(loop, undefined, adoptAssigned(server, loop, server.handler({ wasAccepted: true })));
  },
};
