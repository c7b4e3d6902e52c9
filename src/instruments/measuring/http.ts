/**
 * A minimal HTTP/1.1 server of GET as an application (sans-I/O): the reply to `GET /path` is the path, as text. It shows what a loop leaves to a
 * protocol, and is measured beside Node's `http`. It is no application of `selectors-native serve`: a server for a network also needs bodies,
 * timeouts and limits per client, which are a package of their own.
 *
 *   reading --head complete--> replies --keep-alive--> reading
 *   reading --bad request, or Connection: close--> ended: further input is dropped
 */
import type { Application, Peer } from '../../servers/applications/application.js';

/** The longest head of a request, in bytes. */
export const MAX_HEAD = 16_384;
const HEAD_END = Buffer.from('\r\n\r\n');
const NOTHING = Buffer.alloc(0);
/** The state of a peer whose connection ends. Of all others: the beginning of a head. */
const ENDED = Symbol('ended');
const REQUEST_LINE = /^([!#$%&'*+.^_`|~\w-]+) (\/[!-~]*) HTTP\/1\.([01])$/;
const FIELD = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*$/;

let second = 0;
let date = '';
/** RFC 9110, 6.6.1: a server with a clock sends the date. */
function dateNow(): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) date = new Date(1000 * (second = now)).toUTCString();
  return date;
}

function reply(peer: Peer, status: string, body: string, isLast: boolean): void {
  const close = isLast ? 'Connection: close\r\n' : '';
  const head = `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nDate: ${dateNow()}\r\n${close}`;
  peer.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`); // the body is ASCII
  if (!isLast) return;
  peer.data = ENDED;
  peer.end();
}

const refuse = (peer: Peer, status: string): void => reply(peer, status, `${status}\n`, true);

/** Replies to one request. @param head without the empty line */
function answer(peer: Peer, head: string): void {
  const [requestLine = '', ...lines] = head.split('\r\n');
  const request = REQUEST_LINE.exec(requestLine);
  if (request === null) return refuse(peer, '400 Bad Request');
  const [, method, path = '', minor] = request;
  const fields = new Map<string, string>();
  for (const line of lines) {
    const field = FIELD.exec(line);
    const name = field?.[1]?.toLowerCase() ?? '';
    // RFC 9112, 3.2: exactly one Host. A repeated length could be read in two ways (request smuggling).
    if (field === null || (fields.has(name) && (name === 'host' || name === 'content-length')))
      return refuse(peer, '400 Bad Request');
    fields.set(name, field[2] ?? '');
  }
  if (minor === '1' && !fields.has('host')) return refuse(peer, '400 Bad Request');
  if (fields.has('transfer-encoding') || (fields.get('content-length') ?? '0') !== '0')
    return refuse(peer, '413 Content Too Large'); // bodies are not read
  if (method !== 'GET') return refuse(peer, '501 Not Implemented');
  reply(peer, '200 OK', path, minor === '0' || fields.get('connection')?.toLowerCase() === 'close');
}

export const httpGet: Application = {
  borrowsChunks: true,
  open(peer) {
    peer.data = NOTHING;
  },
  data(peer, chunk) {
    if (peer.data === ENDED) return;
    const kept = peer.data as Buffer;
    const bytes = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(HEAD_END); end >= 0; end = bytes.indexOf(HEAD_END, start)) {
      answer(peer, bytes.toString('latin1', start, end));
      if (peer.data === ENDED) return;
      start = end + HEAD_END.length;
    }
    if (bytes.length - start > MAX_HEAD) return refuse(peer, '431 Request Header Fields Too Large');
    peer.data = start === bytes.length ? NOTHING : Buffer.from(bytes.subarray(start));
  },
};
