import { type Model, REQUEST_APPLICATIONS } from './model.js';
import { ThreadPerTask, answerOneTask } from '../worker/task-threads.js';
import { Tasks } from '../worker/tasks.js';
import { SELECTOR_MECHANISMS } from './mechanisms.js';

/** Threads at the same time; further tasks wait. */
const MAX_THREADS = 64;

/** Post 003: the reactor reads, and starts a thread for each request. */
export const reactorThreadPerTask: Model = {
  name: 'reactor-thread-per-task',
  summary: 'the reactor reads and writes; a new thread does the work of each request (post 003)',
  strengths: 'a slow request does not block the others',
  weaknesses: 'replies to one connection may come out of order; starting a thread costs far more than a short request',
  applications: REQUEST_APPLICATIONS,
  mechanisms: SELECTOR_MECHANISMS,
  workers: null,
  options: ['maxConnections'],
  maxConnections: 10_000,

  main(server) {
    const loop = server.createReactor();
    const listener = server.listen();
    const tasks = new Tasks(server, new ThreadPerTask(server, MAX_THREADS), { keepsOrder: false });
    const { maxConnections } = server.settings;
    const listening = loop.listen(
      { socket: listener, maxConnections },
      server.handler({ application: tasks.application }),
    );
    server.run(loop, listening, () => tasks.collect());
  },

  task: answerOneTask,
};
