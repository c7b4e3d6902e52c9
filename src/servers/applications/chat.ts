/** Post 004's chat room: a JSON message a line comes in, `{"user": …, "text": …}`; `[user] text` and a newline go out to everybody. */
import type { Application, Peer } from './application.js';
import { LineReader, Refused } from './framing.js';

export const LONGEST_LINE = 65_536;
/** A peer that reads so slowly that more than this waits for it is let go, before it eats the memory. */
export const MOST_WAITING = 1 << 20;

const HELP = 'a message is a line like {"user": "ann", "text": "hello"}\n';

export function chat(): Application {
  const room = new Set<Peer>();

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
      peer.data = new LineReader(LONGEST_LINE);
      room.add(peer);
    },
    data(peer, chunk) {
      const { data } = peer;
      if (data instanceof LineReader) {
        if (data.read(chunk, (line) => onLine(peer, line))) return;
        peer.data = new Refused();
        room.delete(peer);
        peer.end();
      } else if (!(data instanceof Refused) || !data.ignore(chunk)) {
        peer.destroy();
      }
    },
    close(peer) {
      room.delete(peer);
    },
  };
}

function say(peer: Peer, bytes: Uint8Array | string): void {
  peer.write(bytes);
  if (peer.writableLength > MOST_WAITING) peer.destroy(new Error('reads too slowly'));
}

/** `[user] text` of one line, or null when it is no message. */
function format(line: string): string | null {
  try {
    const { user, text } = JSON.parse(line) as { user?: unknown; text?: unknown };
    if (typeof user !== 'string' || typeof text !== 'string') return null;
    // One line: a newline within would let anybody speak as somebody else.
    return `[${user}] ${text}`.replace(/[\r\n\u2028\u2029]+/g, ' ');
  } catch {
    return null; // not JSON
  }
}
