/** What the echo and the chat server share: a listening socket, and the loop. */
import { type BaseSelector, EVENT_READ, Socket } from '../index.js';
import type { Handler, Peer, Say } from './peer.js';

/** A non-blocking TCP socket that listens. */
export function listen(host: string, port: number): Socket {
  const listener = new Socket({ family: host.includes(':') ? 'ipv6' : 'ipv4', blocking: false });
  try {
    // A server that was stopped can start again at once. (Windows needs no such leave, and means something else by it.)
    if (process.platform !== 'win32') listener.setOption('SO_REUSEADDR', true);
    return listener.bind({ host, port }).listen();
  } catch (error) {
    listener.close();
    throw error;
  }
}

/** How long to wait for a descriptor when accept finds none free. */
const ACCEPT_PAUSE = 100;

/**
 * The event loop: accepts, and calls the handler of whoever is ready, until the selector is closed. Then everything is closed.
 *
 * @param onConnection makes a Peer of each new connection
 */
export async function serve(
  listener: Socket,
  selector: BaseSelector<Handler>,
  onConnection: (connection: Socket) => Peer,
  say: Say,
): Promise<void> {
  const peers = new Set<Peer>();
  const accept = (): void => {
    const connection = acceptOrPause();
    if (connection === null) return;
    try {
      peers.add(onConnection(connection));
    } catch (error) {
      say('listener', (error as Error).message); // ENOTCONN: it has gone already
      connection.close();
    }
  };
  const acceptOrPause = (): Socket | null => {
    try {
      return listener.accept();
    } catch (error) {
      // EMFILE: no descriptor is free. The client waits in the backlog, and the listener stays readable: asking at once would spin.
      say('listener', (error as Error).message);
      selector.unregister(listener);
      setTimeout(() => selector.closed || selector.register(listener, EVENT_READ, accept), ACCEPT_PAUSE);
      return null;
    }
  };

  selector.register(listener, EVENT_READ, accept);
  for await (const ready of selector) {
    for (const [key, events] of ready) key.data(events);
    for (const peer of peers) if (!peer.isOpen) peers.delete(peer);
  }
  for (const peer of peers) peer.socket.close();
  listener.close();
}
