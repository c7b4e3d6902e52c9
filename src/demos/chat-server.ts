/** Post 004's chat server: a JSON message a line comes in, `{"user": …, "text": …}`; `[user] text` goes out to everybody. */
import type { BaseSelector, Socket } from '../index.js';
import { type Handler, Peer, type Say } from './peer.js';
import { serve } from './server.js';

const LONGEST_LINE = 65_536;

/** `[user] text` of one line, or null when it is no message. */
function format(line: string): string | null {
  try {
    const { user, text } = JSON.parse(line) as { user?: unknown; text?: unknown };
    return typeof user === 'string' && typeof text === 'string' ? `[${user}] ${text}` : null;
  } catch {
    return null; // not JSON
  }
}

export function chatServer(listener: Socket, selector: BaseSelector<Handler>, say: Say): Promise<void> {
  /** Everybody in the room, with the beginning of a line whose end has not come yet. */
  const room = new Map<Peer, Buffer>();

  const onReadable = (peer: Peer): void => {
    const bytes = peer.receive();
    if (bytes === null) return;
    if (bytes.length === 0) return leave(peer);
    const lines = Buffer.concat([room.get(peer) ?? Buffer.alloc(0), bytes]);
    let start = 0;
    for (let end = lines.indexOf('\n'); end >= 0; end = lines.indexOf('\n', start)) {
      onLine(peer, lines.toString('utf8', start, end).trim());
      start = end + 1;
    }
    if (room.has(peer)) room.set(peer, lines.subarray(start));
    if (lines.length - start > LONGEST_LINE) leave(peer);
  };

  const onLine = (sender: Peer, line: string): void => {
    if (line === '') return;
    const message = format(line);
    if (message === null)
      return sender.send(Buffer.from('a message is a line like {"user": "ann", "text": "hello"}\n'));
    for (const peer of room.keys()) peer.send(Buffer.from(`${message}\n`));
  };

  const leave = (peer: Peer): void => {
    room.delete(peer);
    peer.end();
  };

  const onConnection = (connection: Socket): Peer => {
    const peer = new Peer(selector, connection, onReadable, say, () => room.delete(peer));
    room.set(peer, Buffer.alloc(0));
    return peer;
  };
  return serve(listener, selector, onConnection, say);
}
