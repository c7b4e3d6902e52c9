/** The minimal HTTP server of the benchmark, without sockets; and the same requests to Node's `http`, which answers alike. */
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_HEAD, httpGet } from '../src/instruments/measuring/http.js';
import { createPathServer } from '../src/instruments/measuring/node-http.js';
import type { Peer } from '../src/servers/applications/application.js';

class TestPeer implements Peer {
  data: unknown;
  got = '';
  ended = false;
  readonly writableLength = 0;

  constructor() {
    httpGet.open?.(this);
  }

  /** Sends from a buffer that is reused afterwards, as a loop's is. */
  sends(text: string): this {
    const chunk = Buffer.from(text, 'latin1');
    httpGet.data(this, chunk);
    chunk.fill(0xff);
    return this;
  }

  write(bytes: Uint8Array | string): boolean {
    expect(this.ended).toBe(false);
    this.got += Buffer.from(bytes as Uint8Array).toString('latin1');
    return true;
  }

  end(): void {
    this.ended = true;
  }

  destroy(): void {
    this.ended = true;
  }

  pause(): void {
    throw new Error('it answers all that it has received');
  }

  resume(): void {
    this.pause();
  }
}

interface Reply {
  readonly status: number;
  readonly body: string;
}

/** Splits a stream of replies by their lengths. */
function repliesIn(text: string): Reply[] {
  const replies: Reply[] = [];
  for (let rest = text; rest !== '';) {
    const [head = ''] = rest.split('\r\n\r\n', 1);
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
    const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
    const start = head.length + 4;
    expect(rest.length).toBeGreaterThanOrEqual(start + length);
    replies.push({ status, body: rest.slice(start, start + length) });
    rest = rest.slice(start + length);
  }
  return replies;
}

const HOST = 'Host: a\r\n';
const get = (path: string, fields = HOST, version = '1.1'): string => `GET ${path} HTTP/${version}\r\n${fields}\r\n`;

/** What is sent; the replies; whether the server ends the connection. */
const CASES: readonly (readonly [name: string, sent: string, statuses: readonly number[], ends: boolean])[] = [
  ['a request', get('/a/b?c=%20'), [200], false],
  ['two at once', get('/1') + get('/2'), [200, 200], false],
  ['fields of any case, and blanks around values', get('/', 'hOST: \t a \t\r\nX-Y: z\r\n'), [200], false],
  ['Connection: close', get('/', `${HOST}Connection: close\r\n`) + get('/late'), [200], true],
  ['HTTP/1.0', get('/', '', '1.0'), [200], true],
  ['no Host', get('/', ''), [400], true],
  ['a field without a colon', get('/', `${HOST}nonsense\r\n`), [400], true],
  ['a blank in front of the colon', get('/', `${HOST}X : y\r\n`), [400], true],
  ['no version', 'GET /\r\n\r\n', [400], true],
  ['no HTTP', 'hello\r\n\r\n', [400], true],
  ['a good one, then a bad one', `${get('/1')}bad\r\n\r\n${get('/3')}`, [200, 400], true],
];

describe('the application', () => {
  it.each(CASES)('%s', (_, sent, statuses, ends) => {
    const peer = new TestPeer().sends(sent);
    expect(repliesIn(peer.got).map(({ status }) => status)).toEqual(statuses);
    expect(peer.ended).toBe(ends);
  });

  it.each(CASES)('%s, byte by byte', (_, sent, statuses) => {
    const whole = new TestPeer().sends(sent);
    const peer = new TestPeer();
    for (const byte of sent) peer.sends(byte);
    expect(repliesIn(peer.got)).toEqual(repliesIn(whole.got));
    expect(repliesIn(peer.got).length).toBe(statuses.length);
  });

  it('the body is the path, and the head has type, date and length', () => {
    const { got } = new TestPeer().sends(get('/some/path?x=y'));
    expect(repliesIn(got)).toEqual([{ status: 200, body: '/some/path?x=y' }]);
    expect(got).toMatch(
      /^HTTP\/1\.1 200 OK\r\nContent-Type: text\/plain\r\nDate: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT\r\n/,
    );
  });

  it.each([
    ['another method', `POST / HTTP/1.1\r\n${HOST}\r\n`, 501],
    ['a body', `GET / HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`, 413],
    ['a chunked body', `GET / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 413],
    ['two lengths', `GET / HTTP/1.1\r\n${HOST}Content-Length: 0\r\nContent-Length: 0\r\n\r\n`, 400],
    ['two hosts', `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`, 400],
    ['a control character in the path', `GET /\x01 HTTP/1.1\r\n${HOST}\r\n`, 400],
    ['a line end within a value', `GET / HTTP/1.1\r\n${HOST}X: a\nb\r\n\r\n`, 400],
    ['a head that does not end', `GET / HTTP/1.1\r\nX: ${'x'.repeat(MAX_HEAD)}`, 431],
  ])('%s ends the connection: status %3$s', (_, sent, status) => {
    const peer = new TestPeer().sends(sent);
    expect(repliesIn(peer.got).map((reply) => reply.status)).toEqual([status]);
    expect(peer.ended).toBe(true);
    expect(peer.got).toContain('\r\nConnection: close\r\n');
    expect(new TestPeer().sends(sent).sends(get('/')).got).toBe(peer.got); // what follows is dropped
  });
});

describe("Node's http, which it is measured beside", () => {
  const server = createPathServer();
  beforeAll(() => once(server.listen(0, '127.0.0.1'), 'listening'));
  afterAll(() => void server.close());

  // Node takes a request without a version for one of HTTP/0.9. It answers a bad request at once, before the earlier ones.
  const alike = CASES.filter(([name, , statuses]) => name !== 'no version' && new Set(statuses).size === 1);

  it.each(alike)('answers alike: %s', async (_, sent, statuses, ends) => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    let got = '';
    socket.on('data', (chunk) => (got += chunk.toString('latin1')));
    socket.write(sent);
    if (!ends) socket.end();
    await once(socket, 'close');
    expect(Array.from(got.matchAll(/HTTP\/1\.1 (\d+)/g), ([, status]) => Number(status))).toEqual(statuses);
    if (statuses.includes(200)) expect(repliesIn(got)).toEqual(repliesIn(new TestPeer().sends(sent).got));
  });
});
