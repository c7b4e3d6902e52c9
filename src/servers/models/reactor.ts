import { ALL_APPLICATIONS, type Model } from './model.js';
import { SELECTOR_MECHANISMS } from './mechanisms.js';

/** Posts 001 to 004: the selector reports which sockets are ready, and the loop receives and sends itself. The loop is in loops/reactor.ts. */
export const reactor: Model = {
  name: 'reactor',
  summary: 'one thread, one selector: it reports which descriptors are ready, the loop does the I/O (posts 001 to 004)',
  strengths: 'thousands of connections in one thread; no locks; idle connections cost next to nothing',
  weaknesses: 'uses at most one core; a slow handler blocks all connections',
  applications: ALL_APPLICATIONS,
  mechanisms: SELECTOR_MECHANISMS,
  workers: null,
  options: ['maxConnections'],
  maxConnections: 10_000,

  main(server) {
    const loop = server.createReactor();
    loop.listen({ socket: server.listen(), maxConnections: server.settings.maxConnections }, server.handler());
    server.run(loop);
  },
};
