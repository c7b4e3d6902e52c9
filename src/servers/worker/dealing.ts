/** Dealing connections out to loops in other threads (post 003: a main reactor and its sub-reactors). */
import { type ConnectionHandler, type ProactorLoop, type Reactor, type Socket } from '../../index.js';
import { isTransientAcceptError } from '../../net/accept-errors.js';
import { closeQuietly, isSocketError } from './blocking.js';
import type { ConnectionQueue } from './connection-queue.js';
import type { Server } from './server.js';
import { wakeLoop } from './wake-loop.js';

/** EINVAL: macOS, of a socket whose peer has reset. */
const hasReset = (error: unknown): boolean => {
  const { code = '' } = error as NodeJS.ErrnoException;
  return isSocketError(error) && (code === 'EINVAL' || isTransientAcceptError(code));
};

/** How many connections wait for one loop at the most. It takes them at its next turn. */
const MOST_WAITING = 1024;

/** Accepts, and gives each connection to the next loop. BLOCKS for as long as it serves. */
export function acceptAndDistribute(server: Server): void {
  const { workers } = server.settings;
  const queues = Array.from({ length: workers }, () => server.newQueue(MOST_WAITING));
  server.workers.startThreads((index) => queues[index] as ConnectionQueue);
  const listener = server.listen();
  for (let next = 0; ; next = (next + 1) % workers) {
    server.waitForRoom();
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

/** What a loop does after each of its turns: takes what it was dealt. */
export function adoptAssigned(server: Server, loop: Reactor | ProactorLoop, handler: ConnectionHandler): () => number {
  const { queue, count } = server;
  const adopt = (connection: Socket): void => {
    try {
      loop.adopt(connection, handler);
    } catch (error) {
      if (hasReset(error)) {
        closeQuietly(connection); // it has reset already
        count.opened++;
        count.closed++;
      } else {
        server.report(error);
        server.reject(connection); // select's sets are full; ENOMEM; ENOSPC, epoll's limit of watches
        count.handed--;
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
