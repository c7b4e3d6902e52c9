import { ALL_APPLICATIONS, type Model } from './model.js';
import { NonBlockingPeer } from '../worker/non-blocking.js';

/** Post 004: all sockets are non-blocking, and an endless loop tries each in turn. */
export const busyWait: Model = {
  name: 'busy-wait',
  summary: 'non-blocking sockets, each tried in turn, without a multiplexer (post 004)',
  strengths: 'one thread serves many clients with nothing but recv and send',
  weaknesses: 'uses a whole core even when idle: nearly all calls of recv find nothing to receive',
  applications: ALL_APPLICATIONS,
  mechanisms: [],
  workers: null,
  options: ['maxConnections'],
  maxConnections: 1000,

  main(server) {
    const { application, count, settings } = server;
    const listener = server.listen();
    listener.blocking = false;
    const peers = new Set<NonBlockingPeer>();
    while (!server.isClosing) {
      let found = 0;
      const connection = peers.size < settings.maxConnections ? server.tryAccept(listener) : null;
      if (connection !== null) {
        const peer = server.passOn(connection, () => new NonBlockingPeer(connection, application, count));
        if (peer !== undefined) peers.add(peer);
        found++;
      }
      for (const peer of peers) {
        if (peer.tryIo()) found++;
        if (peer.isClosed) peers.delete(peer);
      }
      count.wakeups++;
      if (found === 0) count.emptyWakeups++;
    }
  },
};
