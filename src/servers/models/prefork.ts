import { EVENT_READ, type Socket } from '../../index.js';
import { EPOLLEXCLUSIVE, EPOLLIN, Epoll } from '../../syscalls.js';
import { type Model, REQUESTS } from './model.js';
import type { AcceptStrategy } from '../protocol/settings.js';
import { Closing, type Server } from '../worker/server.js';
import { READINESS } from './mechanisms.js';

/** Post 003: children that were started before anybody came, and all accept. */
export const prefork: Model = {
  name: 'prefork',
  summary: 'a fixed number of processes, started beforehand, all accept on one listening socket (post 003)',
  strengths: 'nobody waits for a process to start; the kernel deals out the connections; isolated as processes are',
  weaknesses: 'one connection wakes all who wait (see --accept); as many slow clients as processes hold up all others',
  applications: REQUESTS,
  mechanisms: READINESS,
  workers: 'processes',
  options: ['workers', 'accept'],
  maxConnections: 1000,

  main(server) {
    const { accept, workers } = server.settings;
    const reusePort = accept === 'reuseport';
    const listener = server.bind({ reusePort }).listen();
    const { port } = listener.localAddress as { port: number };
    // SO_REUSEPORT: as many sockets on one port as there are children. The parent has them too, so that who dies leaves no client behind.
    const others = reusePort
      ? Array.from({ length: workers - 1 }, () => server.bind({ reusePort, port }).listen())
      : [];
    const listeners = [listener, ...others];
    server.workers.startProcesses((index) => listeners[index % listeners.length] as Socket);
    server.announce(listener);
    server.supervise();
  },

  work(server) {
    server.inherited.blocking = false;
    const accept = ACCEPTING[server.settings.accept](server, server.inherited);
    for (;;) {
      const connection = accept();
      if (connection === null) server.count.emptyWakeups++;
      else server.serve(connection);
    }
  },
};

/** How a child comes by its next connection. null: it was woken, and somebody else was faster. */
type Accept = () => Socket | null;

const ACCEPTING: Readonly<Record<AcceptStrategy, (server: Server, listener: Socket) => Accept>> = {
  /** All children wait for the same socket. One connection wakes them all, and one of them gets it. */
  'thundering-herd'(server, listener) {
    const selector = server.createSelector();
    selector.register(listener, EVENT_READ);
    return () => {
      server.select(selector);
      return server.tryAccept(listener);
    };
  },

  /** Who has the lock waits for a connection; the others wait for the lock. */
  lock(server, listener) {
    const accept = ACCEPTING['thundering-herd'](server, listener);
    return () => server.withAcceptLock(accept);
  },

  /** EPOLLEXCLUSIVE (Linux 4.5, nginx 1.11.3): the kernel wakes one of those who wait. As a rule the one that came last to wait. */
  exclusive(server, listener) {
    const epoll = new Epoll();
    epoll.add(listener, EPOLLIN | EPOLLEXCLUSIVE);
    if (server.parent !== null) epoll.add(server.parent, EPOLLIN);
    server.isReady();
    return () => {
      const ready = server.waitPatiently(() => epoll.wait());
      server.count.wakeups++;
      if (ready.some(({ data }) => data === server.parent?.fd)) throw new Closing();
      return server.tryAccept(listener);
    };
  },

  /** SO_REUSEPORT (Linux 3.9): the socket is the child's own, and the kernel deals the connections out by their hash. */
  reuseport: (server, listener) => ACCEPTING['thundering-herd'](server, listener),
};
