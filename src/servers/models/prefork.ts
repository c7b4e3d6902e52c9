import { EVENT_READ, type Socket } from '../../index.js';
import { EPOLLEXCLUSIVE, EPOLLIN, Epoll } from '../../syscalls.js';
import { type Model, REQUEST_APPLICATIONS } from './model.js';
import type { AcceptStrategy } from '../protocol/settings.js';
import { ServerClosing, type Server } from '../worker/server.js';
import { listenersOnOnePort } from '../worker/shared-port.js';
import { SELECTOR_MECHANISMS } from './mechanisms.js';

/** Post 003: processes that are started before the first client connects, and all accept on one listening socket. */
export const prefork: Model = {
  name: 'prefork',
  summary: 'a fixed number of processes, started beforehand, all accept on one listening socket (post 003)',
  strengths: 'no client waits for a process to start; the kernel distributes the connections; processes are isolated',
  weaknesses: 'a connection may wake all idle processes (see --accept); as many slow clients as processes block all',
  applications: REQUEST_APPLICATIONS,
  mechanisms: SELECTOR_MECHANISMS,
  workers: 'processes',
  options: ['workers', 'accept'],
  acceptStrategies: ['thundering-herd', 'blocking', 'lock', 'exclusive', 'reuseport'],
  maxConnections: 1000,

  main(server) {
    const listeners = server.settings.accept === 'reuseport' ? listenersOnOnePort(server) : [server.bind().listen()];
    server.workers.startProcesses((index) => listeners[index % listeners.length] as Socket);
    server.announce(listeners[0] as Socket);
    server.waitUntilClosed();
  },

  work(server) {
    const accept = ACCEPT_LOOPS[server.settings.accept ?? 'thundering-herd'](server, server.inherited);
    for (;;) {
      const connection = accept();
      if (connection === null) server.count.emptyWakeups++;
      else server.serve(connection);
    }
  },
};

/** BLOCKS until the child is woken. null: no connection: another process has it, its client has left, or no descriptor is free. */
type Accept = () => Socket | null;

/** By strategy: sets it up in a child, and returns the function that accepts. */
const ACCEPT_LOOPS: Readonly<Record<AcceptStrategy, (server: Server, listener: Socket) => Accept>> = {
  /** All children wait for the same socket. A connection wakes them all, and one of them gets it. */
  'thundering-herd'(server, listener) {
    listener.blocking = false;
    const selector = server.createSelector();
    selector.register(listener, EVENT_READ);
    return () => {
      server.select(selector);
      return server.tryAccept(listener);
    };
  },

  /** All children block in accept(2), which wakes one of them. The listener blocks for all processes that share it. */
  blocking(server, listener) {
    listener.blocking = true; // the parent's thread may have made it non-blocking: there, waits are sliced
    server.endWithParent();
    server.markReady();
    return () => {
      const connection = server.accept(listener);
      server.count.wakeups++;
      return connection;
    };
  },

  /** The child that holds the lock waits for a connection; the others wait for the lock. */
  lock(server, listener) {
    const accept = ACCEPT_LOOPS['thundering-herd'](server, listener);
    return () => server.withAcceptLock(accept);
  },

  /** EPOLLEXCLUSIVE (Linux 4.5, nginx 1.11.3): the kernel wakes one of the waiting children, usually the one that began to wait last. */
  exclusive(server, listener) {
    listener.blocking = false;
    const epoll = new Epoll();
    epoll.add(listener, EPOLLIN | EPOLLEXCLUSIVE);
    if (server.parent !== null) epoll.add(server.parent, EPOLLIN);
    server.markReady();
    return () => {
      const ready = server.waitWithRetry(() => epoll.wait());
      server.count.wakeups++;
      if (ready.some(({ data }) => data === server.parent?.fd)) throw new ServerClosing();
      return server.tryAccept(listener);
    };
  },

  /** SO_REUSEPORT (Linux 3.9): each child has its own socket, and the kernel chooses one by a hash of the connection's addresses. */
  reuseport: (server, listener) => ACCEPT_LOOPS['thundering-herd'](server, listener),
};
