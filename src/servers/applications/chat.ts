/** Post 004's chat room. A peer sends one JSON message per line, `{"user": …, "text": …}`; all peers get `[user] text` and a newline. */
import type { Application, Peer } from './application.js';
import { LineReader } from './framing.js';
import { Inbox, PendingInboxes } from './inbox.js';
import { printableName, printableLine } from './plain-text.js';

/** The longest line in bytes, without its newline. */
export const MAX_LINE = 65_536;
/** A slow peer with more unsent bytes than this is disconnected: its messages would fill the memory. */
export const MAX_UNSENT = 1 << 20;

const HELP = 'a message is a line like {"user": "ann", "text": "hello"}\n';

export function chat(): Application {
  const room = new Set<Peer>();
  const pending = new PendingInboxes();

  const onLine = (sender: Peer, line: string): void => {
    if (line.trim() === '') return;
    const message = format(line);
    if (message === null) {
      send(sender, HELP);
      return;
    }
    const bytes = Buffer.from(`${message}\n`, 'utf8');
    for (const peer of room) send(peer, bytes);
  };

  return {
    borrowsChunks: true,
    open(peer) {
      peer.data = new Inbox(
        peer,
        new LineReader(MAX_LINE, true),
        pending,
        (line) => onLine(peer, line),
        () => room.delete(peer),
      );
      room.add(peer);
    },
    data(peer, chunk) {
      if (peer.data instanceof Inbox) peer.data.receive(chunk);
    },
    close(peer) {
      room.delete(peer);
      if (peer.data instanceof Inbox) peer.data.close();
    },
    stop: () => pending.close(),
  };
}

function send(peer: Peer, bytes: Uint8Array | string): void {
  peer.write(bytes);
  // unsentLength, since the peer has had no chance to read bytes that were written after the last flush.
  if ((peer.unsentLength ?? peer.writableLength) > MAX_UNSENT) peer.destroy(new Error('reads too slowly'));
}

/** `[user] text`, without line breaks. null: the line is not a message */
function format(line: string): string | null {
  try {
    const { user, text } = JSON.parse(line) as { user?: unknown; text?: unknown };
    if (typeof user !== 'string' || typeof text !== 'string') return null;
    return `[${printableName(user)}] ${printableLine(text)}`;
  } catch {
    return null; // not JSON
  }
}
