import { type Model, REQUEST_APPLICATIONS } from './model.js';

/** Posts 000, 002 and 003: the first thread accepts, and starts a thread for each connection. */
export const threadPerConnection: Model = {
  name: 'thread-per-connection',
  summary: 'blocking I/O, a thread for each connection (posts 000, 002, 003)',
  strengths: 'the program reads as if there were one client; a slow client does not block the others',
  weaknesses: 'a thread per connection: memory, context switches; throughput collapses once the scheduler is saturated',
  applications: REQUEST_APPLICATIONS,
  mechanisms: [],
  workers: 'threads',
  options: ['maxConnections'],
  startsPerConnection: true,
  maxConnections: 128,

  main(server) {
    const listener = server.listen();
    for (;;) {
      server.waitBelowLimit();
      const connection = server.accept(listener);
      server.passOn(connection, () => server.workers.startThread(connection));
    }
  },

  work(server) {
    server.serve(server.inherited);
  },
};
