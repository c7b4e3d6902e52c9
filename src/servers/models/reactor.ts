import { EVERYTHING, type Model } from './model.js';
import { READINESS } from './mechanisms.js';

/** Posts 002 to 004: "tell me when it is ready, I do it myself". The loop itself is in loops/reactor.ts. */
export const reactor: Model = {
  name: 'reactor',
  summary: 'one thread, one selector: tells what is ready, and the handler reads and writes (posts 001 to 004)',
  strengths: 'thousands of connections in one thread; no locks; idle connections cost next to nothing',
  weaknesses: 'uses one core at the most; a handler that takes long holds up everybody',
  applications: EVERYTHING,
  mechanisms: READINESS,
  workers: null,
  options: ['maxConnections'],
  maxConnections: 10_000,

  main(server) {
    const loop = server.createReactor();
    loop.listen({ socket: server.listen(), maxConnections: server.settings.maxConnections }, server.handler());
    server.run(loop);
  },
};
