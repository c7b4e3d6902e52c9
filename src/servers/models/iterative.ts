import { type Model, REQUEST_APPLICATIONS } from './model.js';

/** Posts 002 and 003: accept, recv, send and close in one loop. */
export const iterative: Model = {
  name: 'iterative',
  summary: 'one connection after the other: accept, recv, send, close (posts 002, 003)',
  strengths: 'the shortest server, and the fastest for one client',
  weaknesses: 'serves one client at a time: a silent or slow client blocks all others',
  applications: REQUEST_APPLICATIONS,
  mechanisms: [],
  workers: null,
  options: [],
  maxConnections: 1,

  main(server) {
    const listener = server.listen();
    for (;;) {
      const connection = server.accept(listener);
      server.serve(connection); // until it ends; all other clients wait in the backlog
    }
  },
};
