import { type Model, REQUESTS } from './model.js';
import { ThreadPool, answerTasks } from '../worker/task-threads.js';
import { Tasks } from '../worker/tasks.js';
import { READINESS } from './mechanisms.js';

/** Post 003: the reactor reads and writes, a pool of threads does the work. */
export const reactorThreadPool: Model = {
  name: 'reactor-thread-pool',
  summary: 'the reactor reads and writes; a fixed number of threads does the work of the requests (post 003)',
  strengths: 'requests that take long hold up others only when all threads have one; answers keep their order',
  weaknesses: 'one thread still does all the reading and writing; each request crosses to another thread and back',
  applications: REQUESTS,
  mechanisms: READINESS,
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
