import { EVERYTHING, type Model } from './model.js';
import { NonBlockingPeer } from '../worker/non-blocking.js';

/** Post 004: every socket is non-blocking, and each is tried in turn, for ever. */
export const busyWait: Model = {
  name: 'busy-wait',
  summary: 'non-blocking sockets, each tried in turn, without any multiplexer (post 004)',
  strengths: 'one thread serves many clients with nothing but recv and send',
  weaknesses: 'burns a whole core, idle or not: nearly all of the time goes into asking sockets that have nothing',
  applications: EVERYTHING,
  mechanisms: [],
  workers: null,
  options: ['maxConnections'],
  maxConnections: 1000,

  main(server) {
    const { application, count } = server;
    const listener = server.listen();
    listener.blocking = false;
    const peers = new Set<NonBlockingPeer>();
    while (!server.isClosing) {
      let found = 0;
      const connection = peers.size < server.settings.maxConnections ? server.tryAccept(listener) : null;
      if (connection !== null) {
        const peer = server.passOn(connection, () => new NonBlockingPeer(connection, application, count));
        if (peer !== undefined) peers.add(peer);
        found++;
      }
      for (const peer of peers) {
        if (peer.attempt()) found++;
        if (peer.isOver) peers.delete(peer);
      }
      count.wakeups++;
      if (found === 0) count.emptyWakeups++;
    }
  },
};
