import { EVENT_READ, Socket } from '../../index.js';
import { closeQuietly, isOfConnection } from '../blocking.js';
import { handOver, takeOver } from '../hand-over.js';
import { type Model, REQUESTS } from '../model.js';
import type { WorkerProcess } from '../workers.js';
import { READINESS } from './mechanisms.js';

/** A child, and the parent's end of the way to it. */
interface Child {
  readonly process: WorkerProcess;
  readonly channel: Socket;
}

const IDLE = 'i';

/** Posts 002 and 003: the parent accepts, and hands connections to children that have none. A child says when it is idle again. */
export const processPool: Model = {
  name: 'process-pool',
  summary: 'the parent accepts and passes descriptors to a fixed number of processes (posts 002, 003)',
  strengths: 'processes are started once; the parent knows who is idle, and nobody is woken in vain',
  weaknesses:
    'to pass a descriptor costs more than a lock around accept (Stevens); as many slow clients as workers hold up all',
  applications: REQUESTS,
  mechanisms: READINESS,
  workers: 'processes',
  options: ['workers'],
  maxConnections: 1000,

  main(server) {
    const listener = server.listen();
    listener.blocking = false;
    using selector = server.createSelector<Child | null>();
    const idle: Child[] = [];

    const start = (): void => {
      const [channel, theirs] = Socket.pair();
      const process = server.workers.startPooledProcess(theirs);
      theirs.close();
      if (process === null) return channel.close();
      selector.register(channel, EVENT_READ, { process, channel });
    };
    /** While no child is idle, clients wait in the backlog. */
    const watch = (): void => {
      const isWatched = selector.getMap().has(listener);
      if (idle.length > 0 && !isWatched) selector.register(listener, EVENT_READ, null);
      if (idle.length === 0 && isWatched) selector.unregister(listener);
    };
    const onListener = (): void => {
      const connection = server.tryAccept(listener);
      const child = idle.pop();
      if (connection === null || child === undefined) {
        server.count.emptyWakeups++;
        if (child !== undefined) idle.push(child);
        return;
      }
      child.process.row.handed++;
      try {
        handOver(child.channel, connection, child.process.pid);
      } catch (error) {
        if (!isOfConnection(error)) throw error;
        closeQuietly(connection); // the child has died this moment
      }
    };
    const onChild = (child: Child): void => {
      if (child.channel.recv(IDLE.length)?.length === IDLE.length) return void idle.push(child);
      selector.unregister(child.channel); // it has died
      child.channel.close();
      child.process.release();
      if (idle.includes(child)) idle.splice(idle.indexOf(child), 1);
      start();
    };

    for (let i = 0; i < server.settings.workers; i++) start();
    for (;;) {
      for (const [{ data: child }] of server.select(selector)) {
        if (child === null) onListener();
        else onChild(child);
      }
      watch();
    }
  },

  work(server) {
    const channel = server.inherited;
    channel.blocking = true;
    for (;;) {
      channel.sendAll(IDLE);
      const connection = takeOver(channel);
      if (connection === null) return; // the parent has gone
      server.serve(connection);
    }
  },
};
