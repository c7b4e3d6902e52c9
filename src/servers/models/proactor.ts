import { ALL_APPLICATIONS, type Model } from './model.js';
import { PROACTOR_MECHANISMS } from './mechanisms.js';

/** Post 002: the kernel receives and sends, and reports each completion. The loop is in loops/proactor-loop.ts. */
export const proactor: Model = {
  name: 'proactor',
  summary: 'one thread, one proactor: the kernel reads and writes, and reports completed operations (post 002)',
  strengths: 'like reactor, with a fraction of its system calls: the kernel does the I/O (io_uring, IOCP)',
  weaknesses:
    'uses at most one core; buffers must stay valid until the operation completes; slower when emulated on readiness',
  applications: ALL_APPLICATIONS,
  mechanisms: PROACTOR_MECHANISMS,
  workers: null,
  options: ['maxConnections'],
  maxConnections: 10_000,

  main(server) {
    const loop = server.createProactorLoop();
    loop.listen({ socket: server.listen(), maxConnections: server.settings.maxConnections }, server.handler());
    server.run(loop);
  },
};
