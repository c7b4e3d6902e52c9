/** Distributing connections to the loops of other threads (post 003: a main reactor and its sub-reactors). */
import { type ConnectionHandler, type ProactorLoop, type Reactor, type Socket } from '../../index.js';
import { isTransientAcceptError } from '../../net/accept-errors.js';
import { closeQuietly, isSocketError } from './blocking.js';
import type { ConnectionQueue } from './connection-queue.js';
import type { Server } from './server.js';
import { wakeLoop } from './wake-loop.js';

/** EINVAL: macOS reports it for a socket whose peer has reset. */
const isReset = (error: unknown): boolean => {
  const { code = '' } = error as NodeJS.ErrnoException;
  return isSocketError(error) && (code === 'EINVAL' || isTransientAcceptError(code));
};

/** Connections that wait for one loop, which takes them in its next turn. */
const QUEUE_CAPACITY = 1024;

/** Main program: accepts, and passes each connection to the next loop (round robin). BLOCKS until the server is closed. */
export function acceptAndDistribute(server: Server): void {
  const { workers } = server.settings;
  const queues = Array.from({ length: workers }, () => server.newQueue(QUEUE_CAPACITY));
  server.workers.startThreads((index) => queues[index] as ConnectionQueue);
  const listener = server.listen();
  for (let next = 0; ; next = (next + 1) % workers) {
    server.waitBelowLimit();
    const connection = server.accept(listener);
    const queue = queues[next] as ConnectionQueue;
    const isPut = server.passOn(connection, () => {
      while (!queue.put(connection)) server.pause(1);
      return true;
    });
    if (isPut === undefined) continue;
    server.count.enqueued++;
    wakeLoop(queue.wakeupHandle);
  }
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
