import { type Model, REQUEST_APPLICATIONS } from './model.js';
import { ThreadPool, answerTasks } from '../worker/task-threads.js';
import { Tasks } from '../worker/tasks.js';
import { SELECTOR_MECHANISMS } from './mechanisms.js';

/** Post 003: the reactor reads and writes, and a pool of threads works on the requests. */
export const reactorThreadPool: Model = {
  name: 'reactor-thread-pool',
  summary: 'the reactor reads and writes; a fixed number of threads works on the requests (post 003)',
  strengths: 'slow requests block others only once they occupy all threads; replies keep the order of the requests',
  weaknesses: 'one thread does all the reading and writing; each request crosses to another thread and back',
  applications: REQUEST_APPLICATIONS,
  mechanisms: SELECTOR_MECHANISMS,
  workers: 'threads',
  options: ['workers', 'maxConnections'],
  maxConnections: 10_000,

  main(server) {
    const { maxConnections, workers } = server.settings;
    const loop = server.createReactor();
    const listener = server.bind().listen();
    const pool = new ThreadPool(server, workers);
    pool.waitUntilReady();
    server.announce(listener);
    const tasks = new Tasks(server, pool, { keepsOrder: true });
    const listening = loop.listen(
      { socket: listener, maxConnections },
      server.handler({ application: tasks.application }),
    );
    server.run(loop, listening, () => tasks.collect());
  },

  task: answerTasks,
};
