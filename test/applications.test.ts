/** The applications without sockets: bytes in, bytes out. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Application, Peer } from '../src/servers/applications/application.js';
import { MAX_LINE, MAX_UNSENT, chat } from '../src/servers/applications/chat.js';
import { echo } from '../src/servers/applications/echo.js';
import { MAX_MESSAGES, frame } from '../src/servers/applications/framing.js';
import { MAX_NAME, jsonForTerminal, printableLines } from '../src/servers/applications/plain-text.js';
import { MAX_FRAME, rpc } from '../src/servers/applications/rpc.js';

/** The peer of an in-memory connection. Copies what it receives at once, as a kernel does. */
class TestPeer implements Peer {
  data: unknown;
  got = Buffer.alloc(0);
  waiting = 0;
  ended = false;
  paused = false;
  destroyed: Error | true | undefined;

  constructor(readonly application: Application) {
    application.open?.(this);
  }

  get writableLength(): number {
    return this.waiting;
  }

  /** Sends from a buffer that is reused afterwards, as a loop's is. */
  sends(bytes: Uint8Array | string): this {
    const chunk = Buffer.from(bytes as Uint8Array);
    this.application.data(this, chunk);
    chunk.fill(0xff);
    return this;
  }

  write(bytes: Uint8Array | string): boolean {
    this.got = Buffer.concat([this.got, Buffer.from(bytes as Uint8Array)]);
    return true;
  }

  end(): void {
    this.ended = true;
  }

  destroy(error?: Error): void {
    this.destroyed = error ?? true;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  get text(): string {
    return this.got.toString('utf8');
  }

  /** The received frames, parsed. */
  get replies(): unknown[] {
    const replies: unknown[] = [];
    for (let at = 0; at < this.got.length;) {
      const length = this.got.readUInt32LE(at);
      replies.push(JSON.parse(this.got.toString('utf8', at + 4, at + 4 + length)));
      at += 4 + length;
    }
    return replies;
  }
}

const request = (name: unknown, params?: unknown): Buffer => frame(JSON.stringify({ in: name, params }));

/** A peer whose loop turns only on request. */
class LoopPeer extends TestPeer {
  readonly soon: (() => void)[] = [];
  readonly loop = { callSoon: (callback: () => void): void => void this.soon.push(callback) };

  turn(): void {
    for (const callback of this.soon.splice(0)) callback();
  }
}

describe('the share of one peer in a turn', () => {
  /** The time limit of a turn is never reached: only the message limit applies, on any machine. */
  const stopClock = (): void => void vi.spyOn(performance, 'now').mockReturnValue(0);
  afterEach(() => void vi.restoreAllMocks());

  const make = {
    rpc: {
      create: () => rpc(),
      bytes: (i: number) => request('ping', i),
      repliesOf: (peer: TestPeer) => peer.replies.length,
    },
    chat: {
      create: () => chat(),
      bytes: (i: number) => Buffer.from(`{"user": "a", "text": "${i}"}\n`),
      repliesOf: (peer: TestPeer) => peer.text.split('\n').length - 1,
    },
  };

  it.each(Object.entries(make))(
    '%s: bounded in messages; the rest in later turns, in order',
    (_, { create, bytes, repliesOf }) => {
      stopClock();
      const peer = new LoopPeer(create());
      peer.sends(Buffer.concat(Array.from({ length: 1000 }, (_unused, i) => bytes(i))));
      expect(repliesOf(peer)).toBe(MAX_MESSAGES);
      expect(peer.paused).toBe(true);
      while (peer.soon.length > 0) {
        const before = repliesOf(peer);
        peer.turn();
        expect(repliesOf(peer) - before).toBeLessThanOrEqual(MAX_MESSAGES);
      }
      expect(peer.paused).toBe(false);
      const whole = new TestPeer(create()).sends(Buffer.concat(Array.from({ length: 1000 }, (_unused, i) => bytes(i))));
      expect(peer.got.equals(whole.got)).toBe(true);
    },
  );

  it('rpc: bounded in time: one long request per turn', () => {
    const peer = new LoopPeer(rpc());
    peer.sends(Buffer.concat([request('sleep', 20), request('sleep', 20), request('ping', 1)]));
    expect(peer.replies).toHaveLength(1);
    peer.turn();
    expect(peer.replies).toHaveLength(2);
    peer.turn();
    expect(peer.replies).toHaveLength(3);
    expect(peer.soon).toHaveLength(0);
  });

  it('a peer that closes, and a server that stops, drop the rest; half a message stays queued', () => {
    stopClock();
    const many = Buffer.concat(Array.from({ length: 300 }, (_, i) => request('ping', i)));
    for (const end of [
      (peer: LoopPeer) => peer.application.close?.(peer),
      (peer: LoopPeer) => peer.application.stop?.(),
    ]) {
      const peer = new LoopPeer(rpc());
      peer.sends(many);
      end(peer);
      peer.turn();
      expect(peer.replies).toHaveLength(MAX_MESSAGES);
      expect(peer.soon).toHaveLength(0);
    }
    const peer = new LoopPeer(rpc());
    peer.sends(Buffer.concat([many, request('ping', 'last').subarray(0, 7)]));
    while (peer.soon.length > 0) peer.turn();
    peer.sends(request('ping', 'last').subarray(7));
    expect(peer.replies).toHaveLength(301);
  });
});

describe('echo', () => {
  it('sends the bytes back unchanged', () => {
    const bytes = Buffer.from([0, 1, 255, 10, 13]);
    expect(new TestPeer(echo()).sends(bytes).sends('').sends('x').got).toEqual(
      Buffer.concat([bytes, Buffer.from('x')]),
    );
  });
});

describe('rpc', () => {
  it('answers a ping with its parameters', () => {
    const peer = new TestPeer(rpc()).sends(request('ping', { any: ['thing', null] }));
    expect(peer.replies).toEqual([{ out: 'pong', result: { any: ['thing', null] } }]);
    expect(peer.sends(request('ping')).replies[1]).toEqual({ out: 'pong', result: null });
  });

  it('R31 frames split at every byte boundary, and several in one read, are answered in order', () => {
    const params = [1, 'grüße', '', { deep: [[]] }, 'x'.repeat(300)];
    const stream = Buffer.concat(params.map((one) => request('ping', one)));
    const expected = params.map((result) => ({ out: 'pong', result }));
    for (let cut = 0; cut <= stream.length; cut++) {
      const peer = new TestPeer(rpc()).sends(stream.subarray(0, cut)).sends(stream.subarray(cut));
      expect(peer.replies).toEqual(expected);
    }
    const peer = new TestPeer(rpc());
    for (const byte of stream) peer.sends(Buffer.of(byte));
    expect(peer.replies).toEqual(expected);
  });

  it('R31 a length over the limit ends that connection alone; requests before it get their replies', () => {
    const application = rpc();
    const [bad, good] = [new TestPeer(application), new TestPeer(application)];
    const tooLong = Buffer.alloc(4);
    tooLong.writeUInt32LE(MAX_FRAME + 1);
    bad.sends(Buffer.concat([request('ping', 1), tooLong, Buffer.from('{"in"')]));
    expect(bad.replies).toEqual([{ out: 'pong', result: 1 }]);
    expect(bad.ended).toBe(true);
    expect(bad.destroyed).toBe(undefined);
    // Further input is discarded, because a reset would destroy the replies in flight; but only up to a limit.
    bad.sends(request('ping', 2)).sends(Buffer.alloc(1 << 20));
    expect(bad.replies).toHaveLength(1);
    expect(bad.destroyed).toBe(undefined);
    for (let i = 0; i < 16; i++) bad.sends(Buffer.alloc(1 << 20));
    expect(bad.destroyed).toBe(true);
    expect(good.sends(request('ping', 3)).replies).toEqual([{ out: 'pong', result: 3 }]);
  });

  it('accepts the longest frame, also in small pieces, in linear time', () => {
    const peer = new TestPeer(rpc());
    const body = JSON.stringify({ in: 'ping', params: 'x'.repeat(MAX_FRAME - 25) });
    const bytes = frame(body);
    expect(bytes.length).toBe(MAX_FRAME + 4);
    for (let i = 0; i < bytes.length; i += 64) peer.sends(bytes.subarray(i, i + 64));
    expect(peer.replies).toHaveLength(1);
  });

  it.each([
    ['broken JSON', frame('{"in": '), /JSON/],
    ['an empty frame', frame(''), /JSON/],
    ['JSON that is no object', frame('null'), /a request is/],
    ['no name', frame('{"params": 1}'), /a request is/],
    ['an unknown method', request('pong'), /no method 'pong'/],
    ['a name of JavaScript’s own', request('constructor'), /no method 'constructor'/],
    ['a method that throws', request('fail'), /on purpose/],
    ['a result that JSON has not', request('big'), /BigInt/],
  ])('%s is answered with an error, and the next request is served', (_, bytes, why) => {
    const fail = (): never => {
      throw new Error('on purpose');
    };
    const methods = {
      ping: { out: 'pong', call: (params: unknown) => params },
      fail: { out: 'failed', call: fail },
      big: { out: 'big', call: () => 1n },
    };
    const peer = new TestPeer(rpc(methods)).sends(Buffer.concat([bytes, request('ping', 1)]));
    expect(peer.replies).toEqual([
      { out: 'error', result: expect.stringMatching(why) as string },
      { out: 'pong', result: 1 },
    ]);
    expect(peer.ended).toBe(false);
  });

  it('JSON nested too deeply costs its own request alone', () => {
    const methods = { ping: { out: 'pong', call: (params: unknown) => params } };
    const deep = frame(`{"in":"ping","params":${'['.repeat(2e5)}${']'.repeat(2e5)}}`);
    const { replies } = new TestPeer(rpc(methods)).sends(Buffer.concat([deep, request('ping', 1)]));
    // V8 serializes without recursion since Node 26; before, it throws a RangeError. Compared by name: printing the value recurses, too.
    expect(replies.map((reply) => (reply as { out: string }).out)).toEqual([
      expect.stringMatching(/^(?:error|pong)$/),
      'pong',
    ]);
  });
});

describe('chat', () => {
  const line = (user: string, text: string): string => `${JSON.stringify({ user, text })}\n`;

  it('every member gets the message, also its sender; a member that has left does not', () => {
    const room = chat();
    const [ann, bob, eve] = [new TestPeer(room), new TestPeer(room), new TestPeer(room)];
    ann.sends(line('ann', 'hello'));
    room.close?.(eve);
    bob.sends(line('bob', 'grüße'));
    expect(ann.text).toBe('[ann] hello\n[bob] grüße\n');
    expect(bob.text).toBe(ann.text);
    expect(eve.text).toBe('[ann] hello\n');
  });

  it('lines split at every byte boundary', () => {
    const stream = Buffer.from(line('ann', 'grüße') + line('ann', '2'));
    for (let cut = 0; cut <= stream.length; cut++) {
      const peer = new TestPeer(chat()).sends(stream.subarray(0, cut)).sends(stream.subarray(cut));
      expect(peer.text).toBe('[ann] grüße\n[ann] 2\n');
    }
  });

  it('an invalid message is answered to its sender alone; an empty line is ignored', () => {
    const room = chat();
    const [ann, bob] = [new TestPeer(room), new TestPeer(room)];
    ann.sends('nonsense\n\n \r\n{"user": 1, "text": "x"}\n');
    expect(ann.text.split('\n').filter((one) => one.startsWith('a message is'))).toHaveLength(2);
    expect(bob.text).toBe('');
  });

  it('a line that is too long closes its sender’s connection alone', () => {
    const room = chat();
    const [ann, bob] = [new TestPeer(room), new TestPeer(room)];
    ann.sends('x'.repeat(MAX_LINE)).sends('y');
    expect(ann.ended).toBe(true);
    bob.sends(line('bob', 'hello'));
    expect(bob.text).toBe('[bob] hello\n');
    expect(ann.text).toBe('');
    ann.sends('more\n');
    expect(ann.text).toBe('');
    for (let i = 0; i < 17; i++) ann.sends(Buffer.alloc(1 << 20));
    expect(ann.destroyed).toBe(true);
  });

  it('a newline within a message does not split it', () => {
    const peer = new TestPeer(chat()).sends(line('ann', 'hello\n[bob] I owe ann a beer')).sends(line('a\r\nb', 'x'));
    expect(peer.text).toBe('[ann] hello [bob] I owe ann a beer\n[a b] x\n');
  });

  it('a message cannot send control sequences to a terminal, and no name imitates another', () => {
    const room = chat();
    const said = (user: string, text: string): string => {
      const before = ann.text.length;
      ann.sends(line(user, text));
      return ann.text.slice(before);
    };
    const ann = new TestPeer(room);
    const dangerous = /[\p{Cc}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}\p{Cs}]/u;
    const all = Array.from({ length: 0x3000 }, (_, i) => String.fromCharCode(i)).join('');
    for (const evil of [
      all,
      '\u001b[2K\u001b[1G[bob] forged',
      '\u009b31m\u0085',
      'a\u{e0041}',
      '\ud800',
      '\udc00x',
      '\u202eabc',
    ]) {
      for (const reply of [said('eve', evil), said(evil.slice(0, 100), 'x')]) {
        expect(reply.slice(0, -1)).not.toMatch(dangerous);
        expect(reply.split('\n')).toHaveLength(2);
      }
    }
    expect(said('bob] hi', 'x')).toBe('[bob) hi] x\n');
    expect(said('b\u200bo\u200db', 'x')).toBe('[bob] x\n');
    expect(said(' bob\u00a0 ', 'x')).toBe('[bob] x\n');
    expect(said('\u2800\u3164', 'x')).toBe('[?] x\n');
    expect(Array.from(/^\[(.*)\]/.exec(said('🎉'.repeat(500), 'x'))?.[1] ?? '')).toHaveLength(MAX_NAME);
    expect(said('zoë', 'नमस्ते \u{1f469}\u200d\u{1f680} grüße')).toBe('[zoë] नमस्ते \u{1f469}\u200d\u{1f680} grüße\n');
  });

  it('the client prints lines without control characters, and JSON with the same meaning', () => {
    expect(printableLines('a\tb\u001b[1mc\r\nd\n')).toBe('a b\ufffd[1mc \nd\n');
    expect(printableLines('a\tb\rc', '\t')).toBe('a\tb c');
    const value = { text: '\u001b\u009b\u007f\u202e\u2028\u{e0041}' };
    const shown = jsonForTerminal(JSON.stringify(value));
    expect(shown).toMatch(/^[ -~]+$/);
    expect(JSON.parse(shown)).toEqual(value);
  });

  it('a member that reads too slowly is closed before its output grows too large', () => {
    const room = chat();
    const [ann, slow] = [new TestPeer(room), new TestPeer(room)];
    slow.waiting = MAX_UNSENT + 1;
    ann.sends(line('ann', 'hello'));
    expect(slow.destroyed).toBeInstanceOf(Error);
    expect(ann.text).toBe('[ann] hello\n');
  });
});
