/** Post 004's chat room: a JSON message a line comes in, `{"user": …, "text": …}`; `[user] text` and a newline go out to everybody. */
import type { Application, Peer } from './application.js';
import { LineReader } from './framing.js';
import { Inbox, Waiting } from './inbox.js';
import { nameOf, textOf } from './plain-text.js';

export const LONGEST_LINE = 65_536;
/** A peer that reads so slowly that more than this waits for it is let go, before it eats the memory. */
export const MOST_WAITING = 1 << 20;

const HELP = 'a message is a line like {"user": "ann", "text": "hello"}\n';

export function chat(): Application {
  const room = new Set<Peer>();
  const waiting = new Waiting();

  const onLine = (sender: Peer, line: string): void => {
    if (line.trim() === '') return;
    const message = format(line);
    if (message === null) {
      say(sender, HELP);
      return;
    }
    const bytes = Buffer.from(`${message}\n`, 'utf8');
    for (const peer of room) say(peer, bytes);
  };

  return {
    borrowsChunks: true,
    open(peer) {
      peer.data = new Inbox(
        peer,
        new LineReader(LONGEST_LINE, true),
        waiting,
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
    stop: () => waiting.close(),
  };
}

function say(peer: Peer, bytes: Uint8Array | string): void {
  peer.write(bytes);
  // Not what was written since the last flush: the peer has had no chance to read that yet.
  if ((peer.unsentLength ?? peer.writableLength) > MOST_WAITING) peer.destroy(new Error('reads too slowly'));
}

/** `[user] text` of one line, or null when it is no message. */
function format(line: string): string | null {
  try {
    const { user, text } = JSON.parse(line) as { user?: unknown; text?: unknown };
    if (typeof user !== 'string' || typeof text !== 'string') return null;
    return `[${nameOf(user)}] ${textOf(text)}`;
  } catch {
    return null; // not JSON
  }
}
