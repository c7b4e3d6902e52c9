import { acceptAndDistribute, adoptAssigned } from '../worker/dealing.js';
import { type Model, REQUESTS } from './model.js';
import { ThreadPool, answerTasks } from '../worker/task-threads.js';
import { Tasks } from '../worker/tasks.js';
import { READINESS } from './mechanisms.js';

/** The threads of each sub-reactor's own pool. */
const POOL_THREADS = 2;

/** Post 003: sub-reactors, and pools of threads for what takes long. */
export const multiReactorThreadPool: Model = {
  name: 'multi-reactor-thread-pool',
  summary: `as multi-reactor, and each sub-reactor has a pool of ${POOL_THREADS} threads that do the work (post 003)`,
  strengths: 'reading and writing use all cores, and a request that takes long does not stop a sub-reactor',
  weaknesses: 'the most threads, and the most crossings between them, for requests that are short anyway',
  applications: REQUESTS,
  mechanisms: READINESS,
  workers: 'threads',
  options: ['workers', 'maxConnections'],
  maxConnections: 10_000,

  main: acceptAndDistribute,

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
