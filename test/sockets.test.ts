/** The socket contract on this system. */
import assert from 'node:assert/strict';
import { describe, it } from 'vitest';
import { Socket } from '../src/index.js';
import { loopbackPair } from '../src/net/pair.js';
import { lacksOfSystem } from './contract/capabilities.js';
import { socketCases } from './contract/sockets.js';
import { Bench } from './support/bench.js';
import { throwsCode } from './support/expect.js';
import { runCases } from './support/run-cases.js';

describe(`sockets on ${process.platform}`, () => {
  runCases(socketCases, lacksOfSystem(), () => ({ bench: new Bench() }));
});

describe('the pair over the loopback, of systems without socketpair(2)', () => {
  it('S110 two sockets that have verified each other', () => {
    using bench = new Bench();
    const [a, b] = loopbackPair(() => bench.own(new Socket()));
    bench.own(b);
    a.send('x');
    assert.equal(b.recv(10)?.toString(), 'x');
    assert.deepEqual(a.remoteAddress, b.localAddress);
  });

  it('S110 a stranger that connects first is refused', () => {
    using bench = new Bench();
    const opened: Socket[] = [];
    const stranger = bench.own(new Socket());
    const open = (): Socket => {
      const [listener] = opened;
      if (listener !== undefined) stranger.connect(listener.localAddress);
      const socket = new Socket();
      opened.push(socket);
      return socket;
    };
    throwsCode('ECONNABORTED', () => loopbackPair(open));
    assert.deepEqual(
      opened.map(({ fd }) => fd),
      [-1, -1],
      'both are closed',
    );
    assert.equal(stranger.recv(10)?.length, 0);
  });
});
