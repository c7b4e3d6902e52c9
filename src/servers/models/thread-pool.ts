import { type Model, REQUEST_APPLICATIONS } from './model.js';

/** Post 000, "pseudo-asynchronous": the first thread accepts and puts connections into a queue; a fixed number of threads takes them out. */
export const threadPool: Model = {
  name: 'thread-pool',
  summary: 'blocking I/O, a fixed number of threads and a queue of connections (post 000)',
  strengths: 'the number of threads does not grow with the number of clients; a full queue rejects clients at once',
  weaknesses: 'recv still blocks: as many silent or slow clients as there are workers block all others',
  applications: REQUEST_APPLICATIONS,
  mechanisms: [],
  workers: 'threads',
  options: ['workers', 'maxQueued', 'maxConnections'],
  maxConnections: 10_000,

  main(server) {
    const queue = server.newQueue(server.settings.maxQueued);
    server.workers.startThreads(() => queue);
    const listener = server.listen();
    for (;;) {
      server.waitBelowLimit();
      const connection = server.accept(listener);
      const isPut = server.passOn(connection, () => queue.put(connection));
      if (isPut === true) server.count.enqueued++;
      else if (isPut === false) server.reject(connection); // the queue is full: a reset now, not a wait without end
    }
  },

  work(server) {
    const { queue } = server;
    server.markReady();
    for (let connection = queue.take(); connection !== null; connection = queue.take()) {
      server.serve(connection);
    }
  },
};
