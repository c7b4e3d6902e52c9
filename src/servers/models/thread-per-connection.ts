import { type Model, REQUESTS } from './model.js';

/** Posts 000, 002 and 003: the acceptor starts a thread for each connection. */
export const threadPerConnection: Model = {
  name: 'thread-per-connection',
  summary: 'blocking I/O, a thread for each connection (posts 000, 002, 003)',
  strengths: 'the program reads as if there was one client; who is slow holds up nobody else',
  weaknesses: 'as many threads as connections: memory, context switches, and a collapse when there are too many',
  applications: REQUESTS,
  mechanisms: [],
  workers: 'threads',
  options: ['maxConnections'],
  startsForEach: true,
  maxConnections: 128,

  main(server) {
    const listener = server.listen();
    for (;;) {
      server.waitForRoom();
      const connection = server.accept(listener);
      server.passOn(connection, () => server.workers.startThread(connection));
    }
  },

  work(server) {
    server.serve(server.inherited);
  },
};
