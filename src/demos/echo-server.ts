/** Post 004's echo server: whatever a client sends comes back to it. */
import type { BaseSelector, Socket } from '../index.js';
import { type Handler, Peer, type Say } from './peer.js';
import { serve } from './server.js';

export function echoServer(listener: Socket, selector: BaseSelector<Handler>, say: Say): Promise<void> {
  const onReadable = (peer: Peer): void => {
    const bytes = peer.receive();
    if (bytes === null) return;
    if (bytes.length > 0) peer.send(bytes);
    else peer.end();
  };
  return serve(listener, selector, (connection) => new Peer(selector, connection, onReadable, say), say);
}
