import { type Model, REQUESTS } from './model.js';

/** Post 000, "pseudo-asynchronous": the acceptor puts connections into a queue, from which a fixed number of threads takes them. */
export const threadPool: Model = {
  name: 'thread-pool',
  summary: 'blocking I/O, a fixed number of threads and a queue of connections (post 000)',
  strengths: 'as many threads as there are workers, however many clients come; a full queue turns clients away at once',
  weaknesses: 'recv still blocks: as many silent or slow clients as there are workers hold up all others',
  applications: REQUESTS,
  mechanisms: [],
  workers: 'threads',
  options: ['workers', 'maxQueued', 'maxConnections'],
  maxConnections: 10_000,

  main(server) {
    const queue = server.newQueue(server.settings.maxQueued);
    server.workers.startThreads(() => queue);
    const listener = server.listen();
    for (;;) {
      server.waitForRoom();
      const connection = server.accept(listener);
      const isPut = server.passOn(connection, () => queue.put(connection));
      if (isPut === true) server.count.enqueued++;
      else if (isPut === false) server.reject(connection); // rather than to let it wait for an answer that may never come
    }
  },

  work(server) {
    const { queue } = server;
    server.isReady();
    for (let connection = queue.take(); connection !== null; connection = queue.take()) {
      server.serve(connection);
    }
  },
};
