import type { Socket } from '../../index.js';
import { listenersOnOnePort } from '../worker/shared-port.js';
import { type Model, REQUEST_APPLICATIONS } from './model.js';
import { SELECTOR_MECHANISMS } from './mechanisms.js';

/** Posts 001, 002 and 004, nginx: one reactor per process. */
export const multiProcessReactor: Model = {
  name: 'multi-process-reactor',
  summary: 'a fixed number of processes, each with a reactor, all accept on one listening socket (posts 001, 002, 004)',
  strengths: 'uses all cores without shared memory; a crash costs the connections of one process only',
  weaknesses: 'connections may be distributed unevenly, and a connection may wake several processes',
  applications: REQUEST_APPLICATIONS,
  mechanisms: SELECTOR_MECHANISMS,
  workers: 'processes',
  options: ['workers', 'accept', 'maxConnections'],
  acceptStrategies: ['thundering-herd', 'reuseport'],
  maxConnections: 10_000,

  main(server) {
    const listeners = server.settings.accept === 'reuseport' ? listenersOnOnePort(server) : [server.bind().listen()];
    server.workers.startProcesses((index) => listeners[index % listeners.length] as Socket);
    server.announce(listeners[0] as Socket);
    server.waitUntilClosed();
  },

  work(server) {
    const { maxConnections, workers } = server.settings;
    const loop = server.createReactor();
    const share = Math.floor(maxConnections / workers);
    const listener = loop.listen({ socket: server.inherited, maxConnections: share }, server.handler());
    server.run(loop, listener);
  },
};
