/** Distributing connections to the loops of other threads (post 003: a main reactor and its sub-reactors). */
import { type ConnectionHandler, type ProactorLoop, type Reactor, type Socket } from '../../index.js';
import { isTransientAcceptError } from '../../net/accept-errors.js';
import { closeQuietly, isSocketError } from './blocking.js';
import type { ConnectionQueue } from './connection-queue.js';
import { LIMIT_POLL_INTERVAL_MS, type Server } from './server.js';
import { wakeLoop } from './wake-loop.js';

/** EINVAL: macOS reports it for a socket whose peer has reset. */
const isReset = (error: unknown): boolean => {
  const { code = '' } = error as NodeJS.ErrnoException;
  return isSocketError(error) && (code === 'EINVAL' || isTransientAcceptError(code));
};

/** Connections that wait for one loop, which takes them in its next turn. */
const QUEUE_CAPACITY = 1024;

/** Accepts per turn of the main reactor, as loops do. */
const MAX_ACCEPTS = 64;

/** Main program: a blocking accept(2); passes each connection to the next loop (round robin). BLOCKS until the server is closed. */
export function acceptAndDistribute(server: Server): void {
  const pass = startLoops(server);
  const listener = server.listen();
  for (;;) {
    server.waitBelowLimit();
    pass(server.accept(listener));
  }
}

/** Main program: the main reactor of post 003, which watches the listener alone. Otherwise as acceptAndDistribute(). */
export function distributeFromReactor(server: Server): void {
  const pass = startLoops(server);
  const loop = server.createReactor();
  const listener = server.listen();
  listener.blocking = false;
  const watch = (): void => {
    loop.addReader(listener, () => {
      for (let accepts = 0; accepts < MAX_ACCEPTS; accepts++) {
        if (server.isAtLimit) return pauseAtLimit();
        const connection = server.tryAccept(listener);
        if (connection === null) return;
        pass(connection);
      }
    });
  };
  const pauseAtLimit = (): void => {
    loop.removeReader(listener); // clients wait in the backlog
    const retry = (): unknown => (server.isAtLimit ? loop.callLater(LIMIT_POLL_INTERVAL_MS, retry) : watch());
    retry();
  };
  watch();
  server.run(loop);
}

/** Starts the threads, each with a queue. @returns passes a connection to the next of them */
function startLoops(server: Server): (connection: Socket) => void {
  const { workers } = server.settings;
  const queues = Array.from({ length: workers }, () => server.newQueue(QUEUE_CAPACITY));
  server.workers.startThreads((index) => queues[index] as ConnectionQueue);
  let next = 0;
  return (connection) => {
    const queue = queues[next] as ConnectionQueue;
    next = (next + 1) % workers;
    const isPut = server.passOn(connection, () => {
      while (!queue.put(connection)) server.pause(1);
      return true;
    });
    if (isPut === undefined) return;
    server.count.enqueued++;
    wakeLoop(queue.wakeupHandle);
  };
}

/** @returns for `afterTurn` of Server.run(): adds the connections in this thread's queue to the loop, and returns their number */
export function adoptAssigned(server: Server, loop: Reactor | ProactorLoop, handler: ConnectionHandler): () => number {
  const { queue, count } = server;
  const adopt = (connection: Socket): void => {
    try {
      loop.adopt(connection, handler);
    } catch (error) {
      if (isReset(error)) {
        closeQuietly(connection);
        count.opened++;
        count.closed++;
      } else {
        server.report(error);
        server.reject(connection); // select's sets are full; ENOMEM; ENOSPC, epoll's limit of watches
        count.assigned--;
      }
    }
  };
  return () => {
    let taken = 0;
    for (let connection = queue.tryTake(); connection !== null; connection = queue.tryTake(), taken++)
      adopt(connection);
    return taken;
  };
}
