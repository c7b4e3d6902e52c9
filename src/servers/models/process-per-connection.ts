import { type Model, REQUEST_APPLICATIONS } from './model.js';

/** Posts 002 and 003: a process for each connection. Node cannot fork(): a new process is started, and inherits the descriptor. */
export const processPerConnection: Model = {
  name: 'process-per-connection',
  summary: 'blocking I/O, a process for each connection, which inherits the descriptor (posts 002, 003)',
  strengths: 'clients are isolated: a crash costs one connection, and the system frees what the process had open',
  weaknesses: 'starting a process costs far more than serving a short connection; a few hundred connections at most',
  applications: REQUEST_APPLICATIONS,
  mechanisms: [],
  workers: 'processes',
  options: ['maxConnections'],
  startsPerConnection: true,
  maxConnections: 64,

  main(server) {
    const listener = server.listen();
    for (;;) {
      server.waitBelowLimit();
      const connection = server.accept(listener);
      const child = server.workers.startProcess(connection);
      if (child === null) server.reject(connection);
      else connection.close(); // the parent's copy: with it open, the connection would not end when the child closes it
    }
  },

  work(server) {
    server.serve(server.inherited);
  },
};
