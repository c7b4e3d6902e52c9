/**
 * SO_REUSEPORT (Linux 3.9): several listening sockets on one port. The kernel chooses one for each connection by a hash of its addresses, so
 * each thread or process accepts its own connections: no thread distributes them, and no message, lock or wake-up passes between workers.
 */
import type { Listener, ProactorLoop, Reactor, Socket } from '../../index.js';
import type { Server } from './server.js';

/**
 * Listening sockets for processes to inherit: one per worker. The parent keeps them open, so that clients in the backlog of a dead worker's
 * socket are not lost.
 */
export function listenersOnOnePort(server: Server): readonly Socket[] {
  const listener = server.bind({ reusePort: true }).listen();
  const { port } = listener.localAddress as { readonly port: number };
  const more = Array.from({ length: server.settings.workers - 1 }, () =>
    server.bind({ reusePort: true, port }).listen(),
  );
  return [listener, ...more];
}

/**
 * Main program: reserves the port, and starts threads that listen on it themselves (listenOnReservedPort). The socket that reserves it does
 * not listen, so the kernel gives it no connection. BLOCKS until the server is closed.
 */
export function reservePort(server: Server): void {
  const reserved = server.bind({ reusePort: true });
  server.reservedPort = (reserved.localAddress as { readonly port: number }).port;
  server.workers.startThreads();
  server.announce(reserved);
  server.waitUntilClosed();
}

/** In a thread of reservePort(): listens, for its share of maxConnections. */
export function listenOnReservedPort(server: Server, loop: Reactor | ProactorLoop): Listener {
  const { maxConnections, workers } = server.settings;
  const socket = server.bind({ reusePort: true, port: server.reservedPort }).listen();
  return loop.listen({ socket, maxConnections: Math.floor(maxConnections / workers) }, server.handler());
}
