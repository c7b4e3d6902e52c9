import { type Model, REQUESTS } from './model.js';

/** Posts 002 and 003: a process for each connection. Node cannot fork(); a new process inherits the descriptor all the same. */
export const processPerConnection: Model = {
  name: 'process-per-connection',
  summary: 'blocking I/O, a process for each connection, which inherits the descriptor (posts 002, 003)',
  strengths: 'clients are isolated: a crash costs one connection, and the system cleans up behind it',
  weaknesses: 'to start a process costs far more than a short connection is worth; a few hundred are the most',
  applications: REQUESTS,
  mechanisms: [],
  workers: 'processes',
  options: ['maxConnections'],
  startsForEach: true,
  maxConnections: 64,

  main(server) {
    const listener = server.listen();
    for (;;) {
      server.waitForRoom();
      const connection = server.accept(listener);
      const child = server.workers.startProcess(connection);
      if (child === null) server.reject(connection);
      else connection.close(); // the parent's copy: the connection would never be over
    }
  },

  work(server) {
    server.serve(server.inherited);
  },
};
