import { distributeFromReactor, adoptAssigned } from '../worker/distribution.js';
import { type Model, REQUEST_APPLICATIONS } from './model.js';
import { ThreadPool, answerTasks } from '../worker/task-threads.js';
import { Tasks } from '../worker/tasks.js';
import { SELECTOR_MECHANISMS } from './mechanisms.js';

/** Threads per sub-reactor. */
const POOL_THREADS = 2;

/** Post 003: sub-reactors, each with a pool of threads that works on the requests. */
export const multiReactorThreadPool: Model = {
  name: 'multi-reactor-thread-pool',
  summary: `like multi-reactor; each sub-reactor has ${POOL_THREADS} threads that work on its requests (post 003)`,
  strengths: 'reading and writing use all cores, and a slow request does not block a sub-reactor',
  weaknesses: 'the most threads, and the most crossings between threads, which short requests do not repay',
  applications: REQUEST_APPLICATIONS,
  mechanisms: SELECTOR_MECHANISMS,
  workers: 'threads',
  options: ['workers', 'maxConnections'],
  maxConnections: 10_000,

  main: distributeFromReactor,

  work(server) {
    const loop = server.createReactor();
    const pool = new ThreadPool(server, POOL_THREADS);
    const tasks = new Tasks(server, pool, { keepsOrder: true });
    const handler = server.handler({ application: tasks.application, wasAccepted: true });
    const adopt = adoptAssigned(server, loop, handler);
    pool.waitUntilReady();
    server.run(loop, undefined, () => adopt() + tasks.collect());
  },

  task: answerTasks,
};
