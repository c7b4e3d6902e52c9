import { type Model, REQUESTS } from './model.js';

/** Posts 002 and 003: accept, recv, send, close, in one loop. */
export const iterative: Model = {
  name: 'iterative',
  summary: 'one connection after the other: accept, recv, send, close (posts 002, 003)',
  strengths: 'the shortest server there is, and the fastest for one client',
  weaknesses: 'serves one client at a time: one that is silent, or slow, holds up all others',
  applications: REQUESTS,
  mechanisms: [],
  workers: null,
  options: [],
  maxConnections: 1,

  main(server) {
    const listener = server.listen();
    for (;;) {
      const connection = server.accept(listener);
      server.serve(connection); // to its end; all others wait in the backlog
    }
  },
};
