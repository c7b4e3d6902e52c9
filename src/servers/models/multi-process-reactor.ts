import { type Model, REQUESTS } from './model.js';
import { READINESS } from './mechanisms.js';

/** Posts 002 and 004, nginx: a reactor a process. */
export const multiProcessReactor: Model = {
  name: 'multi-process-reactor',
  summary: 'a fixed number of processes, each with a reactor, all accept on one listening socket (posts 001, 002, 004)',
  strengths: 'uses all cores without sharing any memory; a crash costs the connections of one process',
  weaknesses: 'connections may be dealt out unevenly, and one of them wakes several processes',
  applications: REQUESTS,
  mechanisms: READINESS,
  workers: 'processes',
  options: ['workers', 'maxConnections'],
  maxConnections: 10_000,

  main(server) {
    const listener = server.bind().listen();
    server.workers.startProcesses(() => listener);
    server.announce(listener);
    server.supervise();
  },

  work(server) {
    const { maxConnections, workers } = server.settings;
    const loop = server.createReactor();
    const share = Math.floor(maxConnections / workers);
    const listener = loop.listen({ socket: server.inherited, maxConnections: share }, server.handler());
    server.run(loop, listener);
  },
};
