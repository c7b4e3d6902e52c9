import { type Model, REQUESTS } from './model.js';
import { ThreadPerTask, answerOne } from '../worker/task-threads.js';
import { Tasks } from '../worker/tasks.js';
import { READINESS } from './mechanisms.js';

/** How many threads there are at once at the most; further tasks wait. */
const MOST_THREADS = 64;

/** Post 003: the reactor reads, and starts a thread for each request. */
export const reactorThreadPerTask: Model = {
  name: 'reactor-thread-per-task',
  summary: 'the reactor reads and writes; a new thread does the work of each request (post 003)',
  strengths: 'a request that takes long holds up nobody else',
  weaknesses: 'answers one connection’s requests out of order; a thread costs far more than a short request is worth',
  applications: REQUESTS,
  mechanisms: READINESS,
  workers: null,
  options: ['maxConnections'],
  maxConnections: 10_000,

  main(server) {
    const loop = server.createReactor();
    const listener = server.listen();
    const tasks = new Tasks(server, new ThreadPerTask(server, MOST_THREADS), { keepsOrder: false });
    const { maxConnections } = server.settings;
    const listening = loop.listen(
      { socket: listener, maxConnections },
      server.handler({ application: tasks.application }),
    );
    server.run(loop, listening, () => tasks.collect());
  },

  task: answerOne,
};
