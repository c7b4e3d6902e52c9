import { EVERYTHING, type Model } from './model.js';
import { COMPLETION } from './mechanisms.js';

/** Post 002: "do it, and tell me when it is done". The loop itself is in loops/proactor-loop.ts. */
export const proactor: Model = {
  name: 'proactor',
  summary: 'one thread, completions: the system itself reads and writes, and tells when it has (post 002)',
  strengths: 'as the reactor, with a fraction of its system calls: the kernel does the reading (io_uring, IOCP)',
  weaknesses:
    'uses one core at the most; memory is the kernel’s while it works; imitated over readiness it costs speed',
  applications: EVERYTHING,
  mechanisms: COMPLETION,
  workers: null,
  options: ['maxConnections'],
  maxConnections: 10_000,

  main(server) {
    const loop = server.createProactorLoop();
    loop.listen({ socket: server.listen(), maxConnections: server.settings.maxConnections }, server.handler());
    server.run(loop);
  },
};
