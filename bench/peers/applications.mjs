/**
 * The applications of bun.js and deno.mjs. A server calls one per connection and gets a function, which it calls with each chunk of bytes and
 * which returns the reply. Replies of `chat` go to all connections. The function throws if the bytes are invalid.
 */

const MAX_FRAME = 1 << 20;
const PREFIX = 4;
const NEWLINE = 10;
const NOTHING = new Uint8Array(0);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const applications = { echo: () => (chunk) => chunk, chat, rpc };

/** Lines of `{"user": "ann", "text": "hello"}`, each of which becomes `[ann] hello`. */
function chat() {
  let rest = NOTHING;
  return (chunk) => {
    const bytes = rest.length === 0 ? chunk : joined([rest, chunk]);
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    rest = kept(bytes, end);
    return encoder.encode(decoder.decode(bytes.subarray(0, end)).split('\n').map(chatLine).join(''));
  };
}

function chatLine(line) {
  if (line.trim() === '') return '';
  const { user, text } = JSON.parse(line);
  if (typeof user !== 'string' || typeof text !== 'string') throw new Error('no message');
  // A newline in the text would let a client send lines in another user's name.
  return `[${user}] ${text}`.replace(/[\r\n\u2028\u2029]+/g, ' ') + '\n';
}

/** Frames of a length (4 bytes, little-endian) and as many bytes of JSON: a ping is answered by a pong. */
function rpc() {
  let rest = NOTHING;
  return (chunk) => {
    const bytes = rest.length === 0 ? chunk : joined([rest, chunk]);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const answers = [];
    let start = 0;
    while (bytes.length - start >= PREFIX) {
      const end = start + PREFIX + view.getUint32(start, true);
      if (end > bytes.length) break;
      answers.push(answered(decoder.decode(bytes.subarray(start + PREFIX, end))));
      start = end;
    }
    rest = kept(bytes, start);
    return framed(answers);
  };
}

function answered(request) {
  const { in: name, params } = JSON.parse(request);
  if (name !== 'ping') throw new Error('no such method');
  return JSON.stringify({ out: 'pong', result: params ?? null });
}

function framed(texts) {
  // UTF-8 takes at most three bytes for each unit of a string.
  const bytes = new Uint8Array(texts.reduce((sum, text) => sum + PREFIX + 3 * text.length, 0));
  const view = new DataView(bytes.buffer);
  let size = 0;
  for (const text of texts) {
    const { written } = encoder.encodeInto(text, bytes.subarray(size + PREFIX));
    view.setUint32(size, written, true);
    size += PREFIX + written;
  }
  return bytes.subarray(0, size);
}

export function joined(chunks) {
  if (chunks.length === 1) return chunks[0];
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let size = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, size);
    size += chunk.length;
  }
  return bytes;
}

/** A copy of the rest from `start` on, because the memory of a chunk is reused for the next. */
function kept(bytes, start) {
  if (bytes.length - start > MAX_FRAME) throw new Error('too long');
  return start === bytes.length ? NOTHING : new Uint8Array(bytes.subarray(start));
}
