/** The contract of every proactor, whatever its mechanism: behaviours U1 to U34 and I1 to I34, as far as callers can observe them. */
import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type BaseProactor, type Operation, Socket, type SocketAddress, wakeup } from '../../src/index.js';
import type { Bench } from '../support/bench.js';
import { failsWith, finish, pattern, resultOf, sendAll } from '../support/completion.js';
import { assertWaited, rejectsCode, throwsCode, timed } from '../support/expect.js';
import { collectUntil, gc } from '../support/gc.js';
import { programText } from '../support/program.js';
import { Random } from '../support/random.js';
import type { Case } from './case.js';

export interface ProactorContext {
  readonly bench: Bench;
  /** Makes a proactor; it is closed at the end. */
  readonly proactor: () => BaseProactor;
}

type Cases = readonly Case<ProactorContext>[];

const anyPort = { host: '127.0.0.1', port: 0 };
const COUNT_OF_RACES = 1000;

/** Two connected TCP sockets, blocking or non-blocking: [client, server]. */
function tcp(bench: Bench, blocking: boolean): [Socket, Socket] {
  const pair = bench.tcpPair();
  for (const socket of pair) socket.blocking = blocking;
  return pair;
}

function datagrams(bench: Bench): Socket {
  return bench.own(new Socket({ type: 'dgram', blocking: false })).bind(anyPort);
}

/** The data available in the socket now; the end of the stream counts as no data. */
function rest(socket: Socket): Buffer {
  socket.blocking = false;
  const parts: Buffer[] = [];
  for (;;) {
    const part = socket.recv(65_536);
    if (part === null || part.length === 0) return Buffer.concat(parts);
    parts.push(part);
  }
}

/** Receives until the end of the stream, or until this many bytes have arrived. */
function receiveAll(proactor: BaseProactor, socket: Socket, most = Infinity): Buffer {
  const parts: Buffer[] = [];
  for (let count = 0; count < most;) {
    const part = resultOf(proactor, proactor.recv(socket, Math.min(65_536, most - count)));
    if (part.length === 0) break;
    parts.push(part);
    count += part.length;
  }
  return Buffer.concat(parts);
}

/** One operation of each kind that can stay pending forever. */
function pendingOnes(bench: Bench, proactor: BaseProactor): Operation[] {
  const [a, b] = bench.tcpPair();
  return [
    proactor.accept(bench.listener()),
    proactor.recv(a, 10),
    proactor.recvInto(b, new Uint8Array(10)),
    proactor.recvFrom(datagrams(bench), 10),
    proactor.timeout(1e9),
  ];
}

// --------------------------------------------------------------------------------------------------------- ordinary use

const conversations: Cases = [true, false].map((blocking) => ({
  name: `accept, connect, send and recv on ${blocking ? 'blocking' : 'non-blocking'} sockets: kinds, data, results`,
  run({ bench, proactor }) {
    const p = proactor();
    const listener = bench.listener({ blocking });
    const client = bench.own(new Socket({ blocking }));
    const accepting = p.accept(listener, 'an accept');
    const connecting = p.connect(client, listener.localAddress, 'a connect');
    assert.deepEqual([accepting.kind, accepting.data, accepting.pending], ['accept', 'an accept', true]);
    assert.deepEqual([connecting.kind, connecting.data, connecting.pending], ['connect', 'a connect', true]);
    assert.equal(p.pending, 2);
    const returned = finish(p, accepting, connecting);
    assert.deepEqual(new Set(returned), new Set([accepting, connecting]));
    assert.equal(p.pending, 0);
    assert.deepEqual([connecting.error, connecting.result], [undefined, undefined]);
    const server = bench.own(accepting.result as Socket);
    assert.equal(server.blocking, blocking, 'the same mode as the listener');
    assert.deepEqual(server.remoteAddress, client.localAddress);
    assert.deepEqual(client.remoteAddress, server.localAddress);
    const receiving = p.recv(server, 100);
    const sending = p.send(client, 'Grüße');
    finish(p, receiving, sending);
    assert.equal(sending.result, 7);
    assert.equal(receiving.result?.toString(), 'Grüße');
    assert.equal(receiving.error, undefined);
    assert.deepEqual([client.blocking, server.blocking, listener.blocking], [blocking, blocking, blocking]);
    if (!blocking) assert.equal(client.recv(1), null, 'still does not block');
  },
}));

const ordinary: Cases = [
  ...conversations,
  {
    name: 'a blocking socket stays blocking during an operation and after it',
    run({ bench, proactor }) {
      const p = proactor();
      // Read from the system, where it reports the mode: a duplicate shares it.
      const areBlocking = (...sockets: Socket[]) => {
        for (const socket of sockets) assert.ok(bench.own(Socket.fromFd(socket.dup().detach())).blocking);
      };
      const listener = bench.listener({ blocking: true });
      const client = bench.own(new Socket());
      const accepting = p.accept(listener);
      p.wait(0);
      const connecting = p.connect(client, listener.localAddress);
      areBlocking(listener, client);
      finish(p, accepting, connecting);
      const server = bench.own(accepting.result as Socket);
      areBlocking(listener, client, server);
      const receiving = p.recv(client, 10);
      p.wait(0);
      areBlocking(client);
      server.send('x');
      finish(p, receiving, p.send(client, 'y'));
      const again = p.accept(listener);
      again.cancel();
      finish(p, again);
      areBlocking(listener, client, server);
    },
  },
  {
    name: 'recvInto receives into the caller’s buffer, at most its length',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.pair();
      const memory = Buffer.alloc(8, '.');
      const receiving = p.recvInto(b, memory.subarray(2, 6), 'data');
      a.send('abcdef');
      finish(p, receiving);
      assert.deepEqual([receiving.kind, receiving.data, receiving.result], ['recv', 'data', 4]);
      assert.equal(memory.toString(), '..abcd..');
      assert.equal(resultOf(p, p.recvInto(b, memory)), 2);
      assert.equal(memory.toString(), 'efabcd..');
    },
  },
  {
    name: 'sendTo and recvFrom: one datagram, and its sender',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = [datagrams(bench), datagrams(bench)];
      const receiving = p.recvFrom(b, 100, 'receiving');
      const sending = p.sendTo(a, 'datagram', b.localAddress, 'sending');
      finish(p, receiving, sending);
      assert.deepEqual([sending.kind, sending.result, sending.data], ['sendTo', 8, 'sending']);
      assert.deepEqual([receiving.kind, receiving.data], ['recvFrom', 'receiving']);
      assert.equal(receiving.result?.data.toString(), 'datagram');
      assert.deepEqual(receiving.result?.address, a.localAddress);
      assert.equal(resultOf(p, p.sendTo(a, new Uint8Array(0), b.localAddress)), 0);
      assert.equal(resultOf(p, p.recvFrom(b, 100)).data.length, 0, 'an empty datagram');
    },
  },
  {
    name: 'I21 a datagram that is too long is truncated, and the next one is whole',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = [datagrams(bench), datagrams(bench)];
      for (const text of ['much too long', 'short', 'too long again', 'short']) a.sendTo(text, b.localAddress);
      assert.equal(resultOf(p, p.recvFrom(b, 5)).data.toString(), 'much ');
      assert.equal(resultOf(p, p.recvFrom(b, 5)).data.toString(), 'short');
      b.connect(a.localAddress);
      assert.equal(resultOf(p, p.recv(b, 5)).toString(), 'too l');
      assert.equal(resultOf(p, p.recv(b, 5)).toString(), 'short');
    },
  },
  {
    name: 'I22 a datagram to a port without a receiver: an error of one operation, not of the socket',
    needs: ['errors left to the caller', 'port unreachable reported'],
    run({ bench, proactor }) {
      const p = proactor();
      const a = datagrams(bench);
      const b = datagrams(bench);
      const address = b.localAddress;
      a.connect(address);
      b.close();
      const receiving = p.recv(a, 10);
      resultOf(p, p.send(a, 'x'));
      failsWith('ECONNREFUSED', p, receiving);
      const again = bench.own(new Socket({ type: 'dgram', blocking: false })).bind(address);
      again.sendTo('there now', a.localAddress);
      assert.equal(resultOf(p, p.recv(a, 100)).toString(), 'there now');
    },
  },
  {
    name: 'read and write a file at positions; empty at its end and beyond',
    run({ bench, proactor }) {
      const p = proactor();
      const file = bench.regularFile();
      const reading = p.read(file, 100, 0, 'data');
      finish(p, reading);
      assert.deepEqual([reading.kind, reading.data, reading.result?.toString()], ['read', 'data', 'contents']);
      const writing = p.write(file, Buffer.from('XY'), 3, 'more');
      finish(p, writing);
      assert.deepEqual([writing.kind, writing.data, writing.result], ['write', 'more', 2]);
      assert.equal(resultOf(p, p.read(file, 4, 2)).toString(), 'nXYn');
      assert.equal(resultOf(p, p.write(file, Buffer.from('far'), 20)), 3);
      assert.equal(resultOf(p, p.read(file.fd, 100, 8)).toString('latin1'), `${'\0'.repeat(12)}far`);
      for (const position of [23, 24, 2 ** 40]) assert.equal(resultOf(p, p.read(file, 10, position)).length, 0);
      assert.equal(resultOf(p, p.read(file, 0, 0)).length, 0);
      assert.equal(resultOf(p, p.write(file, new Uint8Array(0), 0)), 0);
    },
  },
  {
    name: 'read and write a pipe: the next bytes, whatever the position; empty when the other end is closed',
    needs: ['pipes'],
    run({ bench, proactor }) {
      const p = proactor();
      const [output, input] = bench.pipe();
      const reading = p.read(output, 100, 7);
      assert.deepEqual(p.wait(0), []);
      assert.equal(resultOf(p, p.write(input, Buffer.from('through'), 1000)), 7);
      assert.equal(resultOf(p, reading).toString(), 'through');
      const last = p.read(output, 100, 0);
      input.close();
      assert.equal(resultOf(p, last).length, 0);
    },
  },
  {
    name: 'a full pipe: the write is pending, and no thread blocks',
    needs: ['pipes'],
    run({ bench, proactor }) {
      const p = proactor();
      const [output, input] = bench.pipe();
      const bytes = pattern(300_000);
      const received: Buffer[] = [];
      let written = 0;
      let count = 0;
      let writing = p.write(input, bytes, 0);
      while (count < bytes.length) {
        const part = resultOf(p, p.read(output, 65_536, 0));
        received.push(part);
        count += part.length;
        if (writing.pending) continue;
        written += resultOf(p, writing);
        if (written < bytes.length) writing = p.write(input, bytes.subarray(written), 0);
      }
      assert.ok(Buffer.concat(received).equals(bytes));
    },
  },
  {
    name: 'Unix sockets: streams by a path, and datagrams of an unnamed sender',
    needs: ['unix sockets'],
    run({ bench, proactor }) {
      const p = proactor();
      const path = join(bench.folder(), 'socket');
      const listener = bench
        .own(new Socket({ family: 'unix' }))
        .bind({ path })
        .listen();
      const client = bench.own(new Socket({ family: 'unix' }));
      const accepting = p.accept(listener);
      finish(p, accepting, p.connect(client, { path }));
      const server = bench.own(accepting.result as Socket);
      assert.equal(server.family, 'unix');
      finish(p, p.send(client, 'x'));
      assert.equal(resultOf(p, p.recv(server, 10)).toString(), 'x');
      const name = join(bench.folder(), 'datagrams');
      const to = bench.own(new Socket({ family: 'unix', type: 'dgram' })).bind({ path: name });
      const from = bench.own(new Socket({ family: 'unix', type: 'dgram' }));
      finish(p, p.sendTo(from, 'y', { path: name }));
      const { data, address } = resultOf(p, p.recvFrom(to, 10));
      assert.deepEqual([data.toString(), address], ['y', { path: '' }]);
    },
  },
  {
    name: 'Unix addresses of any bytes: sendTo and connect reach the address that a datagram or client came from',
    needs: ['abstract names'],
    run({ bench, proactor }) {
      const p = proactor();
      const open = (type: 'dgram' | 'stream', path: Uint8Array) =>
        bench.own(new Socket({ family: 'unix', type })).bind({ path });
      for (const name of [`\0${process.pid}\0x`, `\0${process.pid}\0\xff\xfe`, '\0'.repeat(108)]) {
        const path = Buffer.from(name, 'latin1');
        const to = open('dgram', Buffer.of());
        const from = open('dgram', path);
        finish(p, p.sendTo(from, 'question', to.localAddress));
        const { address } = resultOf(p, p.recvFrom(to, 20));
        assert.deepEqual(address, from.localAddress);
        finish(p, p.sendTo(to, 'answer', address));
        assert.equal(resultOf(p, p.recv(from, 20)).toString(), 'answer');
        from.close();
        const listener = open('stream', path).listen();
        const client = bench.own(new Socket({ family: 'unix' }));
        finish(p, p.connect(client, { path }));
        assert.deepEqual(client.remoteAddress, listener.localAddress);
        listener.close();
      }
    },
  },
  {
    name: 'a Unix socket without a listener: ECONNREFUSED; a missing path: ENOENT',
    needs: ['unix sockets'],
    run({ bench, proactor }) {
      const p = proactor();
      const path = join(bench.folder(), 'socket');
      const client = bench.own(new Socket({ family: 'unix' }));
      failsWith('ENOENT', p, p.connect(client, { path }));
      bench.own(new Socket({ family: 'unix' })).bind({ path });
      failsWith('ECONNREFUSED', p, p.connect(client, { path }));
    },
  },
  {
    name: 'IPv6: a connection and a datagram',
    run({ bench, proactor }) {
      const p = proactor();
      const listener = bench
        .own(new Socket({ family: 'ipv6' }))
        .bind({ host: '::1', port: 0 })
        .listen();
      const client = bench.own(new Socket({ family: 'ipv6' }));
      const accepting = p.accept(listener);
      finish(p, accepting, p.connect(client, listener.localAddress));
      const server = bench.own(accepting.result as Socket);
      assert.deepEqual(server.remoteAddress, client.localAddress);
      const to = bench.own(new Socket({ family: 'ipv6', type: 'dgram' })).bind({ host: '::1', port: 0 });
      const from = bench.own(new Socket({ family: 'ipv6', type: 'dgram' })).bind({ host: '::1', port: 0 });
      finish(p, p.sendTo(from, 'six', to.localAddress));
      const { data, address } = resultOf(p, p.recvFrom(to, 10));
      assert.deepEqual([data.toString(), address], ['six', from.localAddress]);
    },
  },
  ...[0, 1, 65_536, 1_048_576].map((size) => ({
    name: `U34 ${size} bytes there and back, repeated after each short send and short recv`,
    run({ bench, proactor }: ProactorContext) {
      const p = proactor();
      const [a, b] = bench.tcpPair();
      const bytes = pattern(size);
      const received: Buffer[] = [];
      let [sent, count] = [0, 0];
      let sending = p.send(a, bytes);
      let receiving = p.recv(b, Math.max(1, size));
      if (size === 0) return assert.equal(resultOf(p, sending), 0);
      while (count < size) {
        p.wait(5000);
        if (!sending.pending && sent < size) {
          sent += resultOf(p, sending);
          if (sent < size) sending = p.send(a, bytes.subarray(sent));
        }
        if (receiving.pending) continue;
        const part = resultOf(p, receiving);
        assert.ok(part.length > 0 && part.length <= size);
        received.push(part);
        count += part.length;
        receiving = p.recv(b, size);
      }
      assert.ok(Buffer.concat(received).equals(bytes));
      receiving.cancel();
      finish(p, receiving);
      assert.equal(rest(b).length, 0);
    },
  })),
  {
    name: 'U34 a blocking socket takes what fits and blocks no thread: the same thread receives',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = tcp(bench, true);
      const size = 8 << 20;
      const sending = p.send(a, pattern(size));
      let count = 0;
      while (sending.pending) {
        const receiving = p.recv(b, 1 << 20);
        while (receiving.pending && sending.pending) p.wait(5000);
        receiving.cancel();
        finish(p, receiving);
        count += receiving.result?.length ?? 0;
      }
      const sent = resultOf(p, sending);
      assert.ok(sent > 0 && sent <= size);
      assert.ok(count <= sent);
      count += receiveAll(p, b, sent - count).length;
      assert.equal(count, sent);
      assert.equal(rest(b).length, 0);
    },
  },
  {
    name: 'a recv of 0 bytes consumes nothing',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.pair();
      a.send('there');
      assert.equal(resultOf(p, p.recv(b, 0)).length, 0);
      assert.equal(resultOf(p, p.recvInto(b, new Uint8Array(0))), 0);
      assert.equal(resultOf(p, p.recv(b, 10)).toString(), 'there');
    },
  },
  {
    name: 'a recv larger than the available data returns the available data',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.pair();
      a.send('little');
      const part = resultOf(p, p.recv(b, 1 << 26));
      assert.equal(part.toString(), 'little');
      assert.ok(part.buffer.byteLength < 1 << 20, 'the result keeps no larger buffer');
    },
  },
  {
    name: 'several recv on one socket: completed in the order of submission',
    needs: ['order of submission'],
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.tcpPair();
      const receiving = [1, 2, 3, 4, 5].map((size) => p.recv(b, size, size));
      a.send('122333444455555');
      const returned = finish(p, ...receiving);
      assert.deepEqual(returned, receiving);
      assert.deepEqual(
        receiving.map(({ result }) => result?.toString()),
        ['1', '22', '333', '4444', '55555'],
      );
    },
  },
  {
    name: 'several send on one socket: carried out in the order of submission',
    needs: ['order of submission'],
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.tcpPair();
      const sending = Array.from({ length: 20 }, (_, i) => p.send(a, `${i};`));
      finish(p, ...sending);
      assert.equal(receiveAll(p, b, 50).toString(), Array.from({ length: 20 }, (_, i) => `${i};`).join(''));
    },
  },
  {
    name: 'several recv on one socket: each byte is delivered to exactly one of them',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.tcpPair();
      const receiving = Array.from({ length: 10 }, () => p.recv(b, 10));
      a.send(pattern(100));
      finish(p, ...receiving);
      const bytes = Buffer.concat(receiving.map(({ result }) => result as Buffer));
      assert.deepEqual(
        [...bytes].sort((x, y) => x - y),
        [...pattern(100)],
      );
    },
  },
  {
    name: 'recv and send of one socket at once do not wait for each other',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.tcpPair();
      const receiving = p.recv(a, 10);
      assert.equal(resultOf(p, p.send(a, 'x')), 1);
      assert.ok(receiving.pending);
      assert.equal(resultOf(p, p.recv(b, 10)).toString(), 'x');
      b.send('y');
      assert.equal(resultOf(p, receiving).toString(), 'y');
    },
  },
  {
    name: 'several accept on one listener, each another client',
    run({ bench, proactor }) {
      const p = proactor();
      const listener = bench.listener();
      const accepting = Array.from({ length: 5 }, () => p.accept(listener));
      const clients = accepting.map(() => bench.own(new Socket({ blocking: false })));
      finish(p, ...accepting, ...clients.map((client) => p.connect(client, listener.localAddress)));
      const servers = accepting.map(({ result }) => bench.own(result as Socket));
      const ports = (sockets: Socket[], which: 'localAddress' | 'remoteAddress') =>
        sockets.map((socket) => (socket[which] as { port: number }).port).sort();
      assert.deepEqual(ports(servers, 'remoteAddress'), ports(clients, 'localAddress'));
    },
  },
];

// ------------------------------------------------------------------------------------------------ ends, errors, cancels

const ends: Cases = [
  {
    name: 'U5 I13 close of a socket under a recv: one ECANCELED, and the peer sees the end',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.tcpPair();
      const receiving = p.recv(a, 10);
      p.wait(0);
      a.close();
      const atPeer = p.recv(b, 10);
      const returned = finish(p, receiving, atPeer);
      assert.equal(receiving.error?.code, 'ECANCELED');
      assert.equal(atPeer.result?.length, 0);
      assert.equal(returned.filter((one) => one === receiving).length, 1);
      assert.deepEqual(p.wait(0), []);
    },
  },
  {
    name: 'U22 I13 close of a listener under several accept: all are ECANCELED, and no client is accepted any more',
    needs: ['errors left to the caller'],
    run({ bench, proactor }) {
      const p = proactor();
      const listener = bench.listener();
      const address = listener.localAddress;
      const accepting = [p.accept(listener), p.accept(listener)];
      p.wait(0);
      listener.close();
      for (const one of accepting) failsWith('ECANCELED', p, one);
      failsWith('ECONNREFUSED', p, p.connect(bench.own(new Socket()), address));
    },
  },
  {
    name: 'U5 a reused descriptor number: nothing of the closed socket reaches the new one',
    run({ bench, proactor }) {
      const p = proactor();
      const old: Operation[] = [];
      for (let i = 0; i < 20; i++) {
        const [a, b] = bench.tcpPair();
        old.push(p.recv(b, 10), p.recv(a, 10));
        a.close();
        b.close();
      }
      const [c, d] = bench.tcpPair();
      const receiving = p.recv(d, 10);
      c.send('new');
      assert.equal(resultOf(p, receiving).toString(), 'new');
      finish(p, ...old);
      // The socket closed second may receive the end of the stream before it is closed itself.
      for (const { error, result } of old) assert.ok(error?.code === 'ECANCELED' || (result as Buffer).length === 0);
    },
  },
  {
    name: 'U6 shutdown of the receiving side under a recv: empty',
    needs: ['shutdown ends receiving'],
    run({ bench, proactor }) {
      const p = proactor();
      const [a] = bench.tcpPair();
      const receiving = p.recv(a, 10);
      p.wait(0);
      a.shutdown('read');
      assert.equal(resultOf(p, receiving).length, 0);
    },
  },
  {
    name: 'U6 after a shutdown of the receiving side a recv ends at the latest with a cancel',
    run({ bench, proactor }) {
      const p = proactor();
      const [a] = bench.tcpPair();
      const receiving = p.recv(a, 10);
      p.wait(0);
      a.shutdown('read');
      receiving.cancel();
      assert.deepEqual(finish(p, receiving), [receiving]);
      assert.ok(receiving.result?.length === 0 || receiving.error?.code === 'ECANCELED');
    },
  },
  {
    name: 'U20 I10 end of stream: empty, each time; bytes sent before come first',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.tcpPair();
      a.send('last words');
      a.shutdown('write');
      assert.equal(resultOf(p, p.recv(b, 4)).toString(), 'last');
      assert.equal(resultOf(p, p.recv(b, 100)).toString(), ' words');
      for (let i = 0; i < 3; i++) assert.equal(resultOf(p, p.recv(b, 100)).length, 0);
      assert.equal(resultOf(p, p.recvInto(b, new Uint8Array(4))), 0);
      assert.equal(resultOf(p, p.send(b, 'the other direction is open')), 27);
      assert.equal(resultOf(p, p.recv(a, 100)).length, 27);
    },
  },
  {
    name: 'I8 a reset under a recv: ECONNRESET; a send after it: an error, and no SIGPIPE',
    needs: ['errors left to the caller', 'reset seen'],
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.tcpPair();
      const receiving = p.recv(b, 10);
      p.wait(0);
      a.setOption('SO_LINGER', 0);
      a.close();
      failsWith('ECONNRESET', p, receiving);
      const sending = p.send(b, 'x');
      finish(p, sending);
      assert.match(String(sending.error?.code), /^(EPIPE|ECONNRESET|ECONNABORTED)$/);
    },
  },
  {
    name: 'a send to a closed peer fails in the end: EPIPE or ECONNRESET',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.pair();
      b.close();
      let sending = p.send(a, 'x');
      for (let i = 0; i < 100 && finish(p, sending) && sending.error === undefined; i++) sending = p.send(a, 'x');
      assert.match(String(sending.error?.code), /^(EPIPE|ECONNRESET|ECONNABORTED)$/);
      assert.match(String(sending.error?.syscall), /^send$/);
    },
  },
  {
    name: 'I9 a client that has left the backlog does not end the accepting',
    run({ bench, proactor }) {
      const p = proactor();
      const listener = bench.listener();
      const gone = bench.own(new Socket());
      gone.connect(listener.localAddress);
      gone.setOption('SO_LINGER', 0);
      gone.close();
      const client = bench.own(new Socket());
      client.connect(listener.localAddress);
      const port = (address: SocketAddress) => ('port' in address ? address.port : 0);
      // Linux accepts the reset connection all the same.
      for (let i = 0; ; i++) {
        const server = bench.own(resultOf(p, p.accept(listener)));
        client.send('x');
        const receiving = p.recv(server, 1);
        finish(p, receiving);
        if (receiving.result?.toString() === 'x') {
          assert.equal(port(server.remoteAddress), port(client.localAddress));
          return;
        }
        assert.equal(i, 0);
      }
    },
  },
  {
    name: 'U25 I7 connect to a port without a listener: ECONNREFUSED, with the name of the call',
    needs: ['errors left to the caller'],
    run({ bench, proactor }) {
      const p = proactor();
      for (const blocking of [true, false]) {
        const error = failsWith(
          'ECONNREFUSED',
          p,
          p.connect(bench.own(new Socket({ blocking })), bench.unusedAddress()),
        );
        assert.equal(error.syscall, 'connect');
        assert.equal(typeof error.errno, 'number');
      }
    },
  },
  {
    name: 'U25 an invalid descriptor is an error of the operation, and is not thrown',
    run({ bench, proactor }) {
      const p = proactor();
      const reading = p.read(99_999, 10, 0);
      const writing = p.write(99_999, Buffer.from('x'), 0);
      assert.deepEqual(new Set(finish(p, reading, writing)), new Set([reading, writing]));
      assert.equal(failsWith('EBADF', p, reading).syscall, 'read');
      assert.equal(failsWith('EBADF', p, writing).syscall, 'write');
      const file = bench.regularFile();
      file.close();
      failsWith('EBADF', p, p.read(file.fd, 10, 0));
    },
  },
  {
    name: 'U25 a socket whose descriptor other code has closed: EBADF of each operation on it',
    needs: ['sockets closed by number'],
    run({ bench, proactor }) {
      const p = proactor();
      const [a] = Socket.pair({ blocking: false });
      const listener = new Socket({ type: 'dgram', blocking: false });
      bench.own(Socket.fromFd(a.dup().detach()));
      for (const socket of [a, listener]) closeSync(socket.fd);
      const operations = [
        p.recv(a, 1),
        p.send(a, 'x'),
        p.recvFrom(listener, 1),
        p.sendTo(listener, 'x', bench.unusedAddress()),
        p.connect(listener, bench.unusedAddress()),
        p.accept(listener),
      ];
      for (const socket of [a, listener]) socket.detach();
      for (const one of operations) failsWith('EBADF', p, one);
    },
  },
  {
    name: 'an operation that the system refuses completes with the error: accept without listen, send without connect',
    run({ bench, proactor }) {
      const p = proactor();
      const refused = (codes: RegExp, operation: Operation) => {
        finish(p, operation);
        assert.match(String(operation.error?.code), codes, operation.kind);
      };
      const [, b] = bench.tcpPair(); // the accepted end: a repeated connect(2) on the other one may still succeed
      const to = datagrams(bench);
      to.sendTo('x', to.localAddress);
      refused(/^EINVAL$/, p.accept(bench.own(new Socket())));
      refused(/^(EPIPE|ENOTCONN|ECONNRESET)$/, p.send(bench.own(new Socket()), 'x')); // Wine: the last
      refused(/^ENOTCONN$/, p.recv(bench.own(new Socket()), 1));
      refused(/^EISCONN$/, p.connect(b, b.remoteAddress));
      refused(/^(ENOTSUP|EOPNOTSUPP)$/, p.accept(to)); // the same number on Linux
    },
  },
  {
    name: 'accept on a socket that cannot accept fails although it never becomes ready, also behind another operation',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.tcpPair();
      const datagram = datagrams(bench);
      const bound = bench.own(new Socket()).bind({ host: '127.0.0.1', port: 0 });
      for (const silent of [a, bound, datagram]) {
        const accepting = [p.accept(silent), p.accept(silent)];
        finish(p, ...accepting);
        for (const { error } of accepting) assert.match(String(error?.code), /^(EINVAL|ENOTSUP|EOPNOTSUPP)$/);
      }
      const receiving = p.recv(a, 10);
      const behind = p.accept(a);
      b.send('x');
      finish(p, receiving, behind);
      assert.deepEqual([receiving.result?.toString(), behind.error?.code], ['x', 'EINVAL']);
    },
  },
  {
    name: 'writing the read end of a pipe, and reading its write end: EBADF',
    needs: ['pipes'],
    run({ bench, proactor }) {
      const p = proactor();
      const [output, input] = bench.pipe();
      failsWith('EBADF', p, p.write(output, Buffer.from('x'), 0));
      failsWith('EBADF', p, p.read(input, 1, 0));
    },
  },
  {
    name: 'U7 U9 I11 cancel: each kind completes with ECANCELED, once',
    run({ bench, proactor }) {
      const p = proactor();
      const operations = pendingOnes(bench, p);
      assert.deepEqual(p.wait(0), []);
      for (const one of operations) one.cancel();
      assert.ok(
        operations.every(({ pending }) => pending),
        'pending until wait() returns it',
      );
      const returned = finish(p, ...operations);
      assert.deepEqual(new Set(returned), new Set(operations));
      for (const one of operations) {
        assert.deepEqual([one.error?.code, one.result, one.pending], ['ECANCELED', undefined, false]);
      }
      assert.deepEqual([p.pending, p.wait(0)], [0, []]);
    },
  },
  {
    name: 'U7 a cancel before any wait, and a second cancel',
    run({ bench, proactor }) {
      const p = proactor();
      for (const one of pendingOnes(bench, p)) {
        one.cancel();
        one.cancel();
        assert.deepEqual(finish(p, one), [one]);
        assert.equal(one.error?.code, 'ECANCELED');
      }
    },
  },
  {
    name: 'U8 I11 a cancel of a completed operation does nothing',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.pair();
      a.send('x');
      const receiving = p.recv(b, 10);
      finish(p, receiving);
      const timeout = p.timeout(0);
      finish(p, timeout);
      for (const one of [receiving, timeout]) one.cancel();
      assert.deepEqual([receiving.result?.toString(), receiving.error], ['x', undefined]);
      const next = p.recv(b, 10);
      receiving.cancel();
      assert.deepEqual(p.wait(0), []);
      a.send('y');
      assert.equal(resultOf(p, next).toString(), 'y');
    },
  },
  {
    name: 'U7 a cancel of one in a queue: the others go on, in their order',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.tcpPair();
      const [first, second, third] = [p.recv(b, 1), p.recv(b, 1), p.recv(b, 1)];
      second.cancel();
      failsWith('ECANCELED', p, second);
      a.send('13');
      finish(p, first, third);
      assert.deepEqual([first.result?.toString(), third.result?.toString()].sort(), ['1', '3']);
    },
  },
  {
    name: 'U7 a cancelled connect has one outcome, and its socket can be closed',
    run({ bench, proactor }) {
      const p = proactor();
      const listener = bench.listener();
      for (let i = 0; i < 20; i++) {
        const client = bench.own(new Socket({ blocking: i % 2 === 0 }));
        const connecting = p.connect(client, listener.localAddress);
        connecting.cancel();
        assert.deepEqual(finish(p, connecting), [connecting]);
        assert.match(String(connecting.error?.code), /^(undefined|ECANCELED)$/);
        client.close();
      }
    },
  },
  {
    name: 'U27 close of the proactor under a recv: later bytes are still in the socket',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.tcpPair();
      const receiving = p.recv(b, 10);
      p.wait(0);
      p.close();
      assert.deepEqual([receiving.pending, receiving.error?.code], [false, 'ECANCELED']);
      a.send('late');
      const q = proactor();
      assert.equal(resultOf(q, q.recv(b, 10)).toString(), 'late');
    },
  },
];

// ---------------------------------------------------------------------------------------------------------------- races

/** Starts a thread that connects and sends `count` bytes in small chunks. */
function sender(bench: Bench, address: SocketAddress, count: number): Worker {
  const text = programText(`
    const { workerData } = require('node:worker_threads');
    const socket = new selectors.Socket();
    socket.connect(workerData.address);
    let sent = 0;
    while (sent < workerData.count) {
      const piece = Buffer.alloc(Math.min(1 + sent % 7, workerData.count - sent));
      for (let i = 0; i < piece.length; i++) piece[i] = (sent + i) % 251;
      socket.sendAll(piece);
      sent += piece.length;
      for (let spin = 0; spin < (sent * 7919) % 3000; spin++);
    }
    socket.close();
  `);
  const worker = new Worker(text, { eval: true, workerData: { address, count } });
  bench.atEnd(() => void worker.terminate());
  return worker;
}

const races: Cases = [
  {
    name: `U11 cancel against completion, ${COUNT_OF_RACES} times: one outcome each, and no byte is lost`,
    run({ bench, proactor }) {
      const p = proactor();
      const random = new Random(11);
      const [a, b] = bench.tcpPair();
      const received: Buffer[] = [];
      const outcomes = { result: 0, canceled: 0 };
      let sent = 0;
      for (let i = 0; i < COUNT_OF_RACES; i++) {
        const receiving = p.recv(b, 64);
        const steps = [
          () => (sent += a.send(pattern(1 + random.below(5), sent)) ?? 0),
          () => {
            receiving.cancel();
          },
          () => assert.ok(p.wait(0).every((one) => one === receiving)),
        ];
        while (steps.length > 0) steps.splice(random.below(steps.length), 1)[0]?.();
        finish(p, receiving);
        assert.ok((receiving.result === undefined) !== (receiving.error === undefined), 'one outcome');
        if (receiving.error === undefined) {
          outcomes.result++;
          received.push(receiving.result as Buffer);
        } else {
          assert.equal(receiving.error.code, 'ECANCELED');
          outcomes.canceled++;
        }
        // Receive what a cancelled recv left, so that the next one finds no data.
        const left = sent - received.reduce((sum, { length }) => sum + length, 0);
        if (left > 0) received.push(receiveAll(p, b, left));
      }
      a.shutdown('write');
      assert.ok(Buffer.concat(received).equals(pattern(sent)), 'every byte that was sent, in order');
      assert.ok(outcomes.result > 100 && outcomes.canceled > 100, JSON.stringify(outcomes));
    },
  },
  {
    name: 'U11 cancel against a sender in another thread, at random moments: no byte is lost',
    run({ bench, proactor }) {
      const p = proactor();
      const random = new Random(12);
      const listener = bench.listener();
      const count = 20_000;
      sender(bench, listener.localAddress, count);
      const socket = bench.own(resultOf(p, p.accept(listener)));
      const received: Buffer[] = [];
      for (let isOver = false; !isOver;) {
        const receiving = p.recv(socket, 1 + random.below(16));
        if (random.chance(0.5)) p.wait(0);
        for (let spin = random.below(20_000); spin > 0; spin--);
        if (random.chance(0.7)) receiving.cancel();
        finish(p, receiving);
        const { result, error } = receiving;
        if (error !== undefined) assert.equal(error.code, 'ECANCELED');
        if (result !== undefined) received.push(result);
        isOver = result?.length === 0;
      }
      assert.ok(Buffer.concat(received).equals(pattern(count)));
    },
  },
  {
    name: 'U11 I29 cancel of an accept against a client: accepted, or left for the next accept',
    run({ bench, proactor }) {
      const p = proactor();
      const random = new Random(13);
      const listener = bench.listener();
      for (let i = 0; i < COUNT_OF_RACES / 4; i++) {
        const client = bench.own(new Socket());
        const accepting = p.accept(listener);
        const steps = [
          () => client.connect(listener.localAddress),
          () => {
            accepting.cancel();
          },
          () => p.wait(0),
        ];
        while (steps.length > 0) steps.splice(random.below(steps.length), 1)[0]?.();
        finish(p, accepting);
        if (accepting.error !== undefined) assert.equal(accepting.error.code, 'ECANCELED');
        const server = bench.own(accepting.result ?? resultOf(p, p.accept(listener)));
        assert.deepEqual(server.remoteAddress, client.localAddress);
        server.close();
        client.close();
      }
    },
  },
  {
    name: 'U11 I29 close of the proactor against a client: accepted, or still in the backlog',
    run({ bench, proactor }) {
      const random = new Random(14);
      const listener = bench.listener();
      for (let i = 0; i < 50; i++) {
        const p = proactor();
        const accepting = p.accept(listener);
        const client = bench.own(new Socket());
        if (random.chance(0.5)) p.wait(0);
        client.connect(listener.localAddress);
        p.close();
        assert.equal(accepting.pending, false);
        const server = bench.own(accepting.result ?? (listener.accept() as Socket));
        assert.deepEqual(server.remoteAddress, client.localAddress);
      }
    },
  },
];

// -------------------------------------------------------------------------------------------------------------- waiting

const waiting: Cases = [
  {
    name: 'I1 wait: 0 and less do not wait, an expired timeout returns nothing, and a wait is never shorter than asked',
    run({ bench, proactor }) {
      const p = proactor();
      p.recv(bench.pair()[0], 1);
      for (const timeout of [0, -1, -Infinity]) {
        const { value, ms } = timed(() => p.wait(timeout));
        assert.deepEqual(value, []);
        assert.ok(ms < 5000);
      }
      for (const timeout of [30, 12.5, 0.4]) {
        const { value, ms } = timed(() => p.wait(timeout));
        assert.deepEqual(value, []);
        assertWaited(ms, timeout);
      }
    },
  },
  {
    name: 'I1 wait without a timeout, null and Infinity: until an operation completes',
    run({ proactor }) {
      const p = proactor();
      for (const timeout of [undefined, null, Infinity]) {
        const start = performance.now(); // before the operation: its timeout may start at once
        const operation = p.timeout(20);
        assert.deepEqual(p.wait(timeout), [operation]);
        assertWaited(performance.now() - start, 19);
      }
    },
  },
  {
    name: 'I19 many that complete at once: each is returned exactly once',
    run({ bench, proactor }) {
      const p = proactor();
      const pairs = Array.from({ length: 40 }, () => bench.pair());
      const receiving = pairs.map(([, b], i) => p.recv(b, 10, i));
      const sending = pairs.map(([a], i) => p.send(a, String(i), i));
      assert.equal(p.pending, 80);
      const returned = finish(p, ...receiving, ...sending);
      assert.equal(returned.length, 80);
      assert.deepEqual(new Set(returned), new Set<Operation>([...receiving, ...sending]));
      for (const { result, data } of receiving) assert.equal(result?.toString(), String(data));
      assert.deepEqual([p.pending, p.wait(0)], [0, []]);
    },
  },
  {
    name: 'I15 an operation is pending until wait returns it, also one that could be done at once',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.pair();
      const operations = [p.send(a, 'x'), p.read(99_999, 1, 0), p.timeout(0), p.read(bench.regularFile(), 4, 0)];
      a.send('y');
      operations.push(p.recv(b, 1));
      for (const one of operations)
        assert.deepEqual([one.pending, one.result, one.error], [true, undefined, undefined]);
      assert.equal(p.pending, 5);
      const before = p.pending;
      const { length } = p.wait(5000);
      assert.ok(length > 0);
      assert.equal(p.pending, before - length);
      finish(p, ...operations);
    },
  },
  {
    name: 'I26 timeouts complete in the order of their time, none early; 0 at once',
    run({ proactor }) {
      const p = proactor();
      const due = [40, 10, 25.5, 0, 10, 0.3].map((ms) => {
        const begun = performance.now();
        const operation = p.timeout(ms);
        return { operation, ms, earliest: begun + ms, latest: performance.now() + ms };
      });
      const completed: (typeof due)[number][] = [];
      while (p.pending > 0) {
        for (const one of p.wait()) {
          const timeout = due.find(({ operation }) => operation === one) as (typeof due)[number];
          completed.push(timeout);
          assert.ok(performance.now() >= timeout.earliest, `${timeout.ms} completed early`);
        }
      }
      assert.equal(completed.length, due.length);
      for (const [i, a] of completed.entries()) {
        for (const b of completed.slice(i + 1)) {
          // The shorter one is later if this thread had no processor for long before it started it.
          assert.ok(a.ms <= b.ms || a.earliest <= b.latest, `${a.ms} completed before ${b.ms}`);
        }
      }
    },
  },
  {
    name: 'I26 a timeout of years is accepted, and can be cancelled',
    run({ proactor }) {
      const p = proactor();
      const operations = [2 ** 31, 2 ** 32, 1e12, Number.MAX_SAFE_INTEGER].map((ms) => p.timeout(ms));
      assert.deepEqual(p.wait(20), []);
      for (const one of operations) one.cancel();
      finish(p, ...operations);
      for (const { error } of operations) assert.equal(error?.code, 'ECANCELED');
    },
  },
  {
    name: 'a timeout ends a longer wait, also of waitAsync',
    async run({ bench, proactor }) {
      const p = proactor();
      p.recv(bench.pair()[0], 1);
      const first = p.timeout(20);
      assert.deepEqual(p.wait(60_000), [first]);
      const second = p.timeout(20);
      assert.deepEqual(await p.waitAsync({ timeout: 60_000 }), [second]);
    },
  },
  {
    name: 'waitAsync: completed operations, an expired timeout, and an operation submitted meanwhile',
    async run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.pair();
      const first = p.recv(b, 10);
      a.send('x');
      assert.deepEqual(await p.waitAsync(), [first]);
      const start = performance.now();
      assert.deepEqual(await p.waitAsync({ timeout: 20 }), []);
      assertWaited(performance.now() - start, 19);
      assert.deepEqual(await p.waitAsync({ timeout: 0 }), []);
      const waits = p.waitAsync();
      await sleep(10);
      const second = p.recv(b, 10);
      await sleep(10);
      a.send('y');
      assert.deepEqual(await waits, [second]);
      assert.equal(second.result?.toString(), 'y');
    },
  },
  {
    name: 'waitAsync: submitted meanwhile and completed at once, of every kind',
    async run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.pair();
      const file = bench.regularFile();
      a.send('x');
      const listener = bench.listener();
      const starts = [
        () => p.recv(b, 1),
        () => p.send(a, 'x'),
        () => p.read(file, 1, 0),
        () => p.write(file, Buffer.from('x'), 0),
        () => p.timeout(0),
        () => p.read(99_999, 1, 0),
        () => p.connect(bench.own(new Socket()), listener.localAddress),
        () => p.accept(listener),
      ];
      for (const start of starts) {
        const waits = p.waitAsync({ timeout: 10_000 });
        await sleep(5);
        const operation = start();
        assert.deepEqual(await waits, [operation], operation.kind);
      }
    },
  },
  {
    name: 'waitAsync: a cancel meanwhile ends it',
    async run({ bench, proactor }) {
      const p = proactor();
      for (const operation of pendingOnes(bench, p)) {
        const waits = p.waitAsync({ timeout: 10_000 });
        await setImmediate();
        await sleep(2);
        operation.cancel();
        assert.deepEqual(await waits, [operation]);
        assert.equal(operation.error?.code, 'ECANCELED');
      }
    },
  },
  {
    name: 'waitAsync: closing a socket meanwhile ends it',
    async run({ bench, proactor }) {
      const p = proactor();
      const [a] = bench.pair();
      const receiving = p.recv(a, 1);
      const waits = p.waitAsync({ timeout: 10_000 });
      await sleep(5);
      a.close();
      assert.deepEqual(await waits, [receiving]);
      assert.equal(receiving.error?.code, 'ECANCELED');
    },
  },
  {
    name: 'waitAsync: one at a time (ERR_BUSY); wait() in between returns completed operations, and the pending waitAsync goes on',
    async run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.pair();
      const first = p.recv(b, 1);
      const waits = p.waitAsync();
      await rejectsCode('ERR_BUSY', p.waitAsync());
      await sleep(5);
      a.send('xy');
      assert.deepEqual(finish(p, first), [first]);
      const second = p.recv(b, 1);
      assert.deepEqual(await waits, [second]);
    },
  },
  {
    name: 'waitAsync: an AbortSignal, fired before or during the wait, loses no completion',
    async run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.pair();
      const receiving = p.recv(b, 10);
      await rejectsCode('ABORT_ERR', p.waitAsync({ signal: AbortSignal.abort() }));
      const controller = new AbortController();
      const waits = p.waitAsync({ signal: controller.signal });
      await sleep(5);
      a.send('kept');
      controller.abort(new Error('enough'));
      await assert.rejects(waits, (error: Error) => {
        assert.equal(error.name, 'AbortError');
        assert.equal((error.cause as Error).message, 'enough');
        return true;
      });
      assert.deepEqual(await p.waitAsync(), [receiving]);
      assert.equal(receiving.result?.toString(), 'kept');
    },
  },
  {
    name: 'I2 wakeup is sticky, and many count as one',
    async run({ proactor }) {
      const p = proactor();
      for (let i = 0; i < 5; i++) p.wakeup();
      assert.deepEqual(p.wait(), []);
      const { ms } = timed(() => p.wait(20));
      assertWaited(ms, 20);
      p.wakeup();
      assert.deepEqual(await p.waitAsync(), []);
      const waits = p.waitAsync();
      await sleep(5);
      p.wakeup();
      assert.deepEqual(await waits, []);
      wakeup(p.wakeupHandle);
      assert.deepEqual(p.wait(), []);
    },
  },
  {
    name: 'I2 wakeup from another thread, of wait and of waitAsync',
    async run({ bench, proactor }) {
      const p = proactor();
      p.recv(bench.pair()[0], 1);
      const waker = () => {
        const text = programText(`
          const { workerData } = require('node:worker_threads');
          setTimeout(() => selectors.wakeup(workerData), 20);
        `);
        const worker = new Worker(text, { eval: true, workerData: p.wakeupHandle });
        bench.atEnd(() => void worker.terminate());
      };
      waker();
      const { value, ms } = timed(() => p.wait(30_000));
      assert.deepEqual(value, []);
      assert.ok(ms < 20_000);
      waker();
      const start = performance.now();
      assert.deepEqual(await p.waitAsync({ timeout: 30_000 }), []);
      assert.ok(performance.now() - start < 20_000);
    },
  },
  {
    name: 'two proactors on one thread, each with its own operations',
    async run({ bench, proactor }) {
      const [p, q] = [proactor(), proactor()];
      const [a, b] = bench.tcpPair();
      const receiving = p.recv(b, 10);
      const sending = q.send(a, 'x');
      assert.deepEqual(finish(q, sending), [sending]);
      assert.deepEqual(finish(p, receiving), [receiving]);
      const waits = [p.waitAsync(), q.waitAsync()];
      const operations = [p.recv(b, 10), q.recv(a, 10)];
      a.send('y');
      b.send('z');
      assert.deepEqual(await Promise.all(waits), [[operations[0]], [operations[1]]]);
      q.close();
      assert.equal(resultOf(p, p.send(b, 'still')), 5);
      assert.notEqual(p.wakeupHandle, q.wakeupHandle);
    },
  },
];

// ------------------------------------------------------------------------------------------------------ life and memory

const life: Cases = [
  {
    name: 'I27 close: pending operations are ECANCELED, descriptors stay open, a second close does nothing',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.tcpPair();
      const file = bench.regularFile();
      const operations = [...pendingOnes(bench, p), p.recv(a, 1), p.recv(b, 1)];
      const quick = [p.read(file, 1, 0), p.send(a, 'x')];
      assert.equal(p.closed, false);
      p.close();
      assert.ok(p.closed);
      assert.equal(p.pending, 0);
      for (const { pending, error, result } of [...operations, ...quick]) {
        assert.equal(pending, false);
        assert.ok((error === undefined) !== (result === undefined));
        if (error !== undefined) assert.equal(error.code, 'ECANCELED');
      }
      for (const { kind, error } of operations.slice(0, 5)) assert.equal(error?.code, 'ECANCELED', kind);
      p.close();
      p[Symbol.dispose]();
      a.send('open');
      assert.ok(b.fd >= 0 && rest(b).toString().endsWith('open'));
      const q = proactor();
      assert.equal(resultOf(q, q.read(file, 1, 0)).length, 1);
    },
  },
  {
    name: 'I27 after close every method throws ERR_CLOSED, and waitAsync rejects with it, the pending one too',
    async run({ bench, proactor }) {
      const p = proactor();
      const [a] = bench.pair();
      const waits = p.waitAsync();
      const receiving = p.recv(a, 1);
      await sleep(5);
      p.close();
      await rejectsCode('ERR_CLOSED', waits);
      assert.equal(receiving.error?.code, 'ECANCELED');
      await rejectsCode('ERR_CLOSED', p.waitAsync());
      const calls = [
        () => p.accept(a),
        () => p.connect(a, bench.unusedAddress()),
        () => p.recv(a, 1),
        () => p.recvInto(a, new Uint8Array(1)),
        () => p.recvFrom(a, 1),
        () => p.send(a, 'x'),
        () => p.sendTo(a, 'x', bench.unusedAddress()),
        () => p.read(0, 1, 0),
        () => p.write(0, new Uint8Array(1), 0),
        () => p.timeout(1),
        () => p.wait(0),
        () => {
          p.wakeup();
        },
      ];
      for (const call of calls) throwsCode('ERR_CLOSED', call);
      receiving.cancel();
      wakeup(p.wakeupHandle);
    },
  },
  {
    name: 'a closed socket is the caller’s error: ERR_CLOSED, and no operation has started',
    run({ bench, proactor }) {
      const p = proactor();
      const socket = bench.own(new Socket());
      socket.close();
      const calls = [
        () => p.accept(socket),
        () => p.connect(socket, anyPort),
        () => p.recv(socket, 1),
        () => p.recvInto(socket, new Uint8Array(1)),
        () => p.recvFrom(socket, 1),
        () => p.send(socket, 'x'),
        () => p.sendTo(socket, 'x', anyPort),
      ];
      for (const call of calls) throwsCode('ERR_CLOSED', call);
      assert.equal(p.pending, 0);
    },
  },
  {
    name: 'U10 I12 sends the bytes as they were at submission, whatever happens to the caller’s buffer',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.tcpPair();
      const changed = Buffer.from('as it was');
      const moved = new Uint8Array(Buffer.from('as it was'));
      const own = new Uint8Array(moved.length);
      own.set(moved);
      finish(p, p.timeout(0));
      const first = p.send(a, changed);
      changed.fill('!');
      finish(p, first);
      const second = p.send(a, own);
      structuredClone(own.buffer, { transfer: [own.buffer] });
      finish(p, second);
      const datagram = datagrams(bench);
      const third = p.sendTo(datagram, changed, datagram.localAddress);
      changed.fill('?');
      finish(p, third);
      const file = bench.regularFile();
      const fourth = p.write(file, changed, 0);
      changed.fill('#');
      finish(p, fourth);
      assert.equal(receiveAll(p, b, 18).toString(), 'as it wasas it was');
      assert.equal(resultOf(p, p.recvFrom(datagram, 100)).data.toString(), '!'.repeat(9));
      assert.equal(resultOf(p, p.read(file, 100, 0)).toString(), '?'.repeat(9));
    },
  },
  {
    name: 'U10 I12 the buffer of a pending recvInto is detached: an error, and no crash',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.pair();
      const memory = new Uint8Array(16);
      const receiving = p.recvInto(b, memory);
      p.wait(0);
      structuredClone(memory.buffer, { transfer: [memory.buffer] });
      a.send('nowhere');
      failsWith('ERR_INVALID_ARG_VALUE', p, receiving);
      a.send('goes on');
      assert.equal(resultOf(p, p.recv(b, 100)).toString(), 'goes on');
    },
  },
  {
    name: 'U10 I12 unreferenced operations and buffers: they complete, and nothing crashes',
    async run({ bench, proactor }) {
      const p = proactor();
      const pairs = Array.from({ length: 20 }, () => bench.pair());
      for (const [, b] of pairs) {
        p.recvInto(b, new Uint8Array(65_536));
        p.recv(b, 65_536).cancel();
      }
      p.wait(0);
      gc();
      await setImmediate();
      gc();
      for (const [a] of pairs) {
        // The buffer that it is sent from is garbage at once.
        p.send(a, Buffer.alloc(1000, 'x'));
      }
      gc();
      let returned = 60 - p.pending;
      while (p.pending > 0) returned += p.wait(5000).length;
      assert.equal(returned, 60);
    },
  },
  {
    name: 'an unreferenced socket stays open while an operation on it is pending',
    async run({ bench, proactor }) {
      const p = proactor();
      const port = (() => {
        const socket = new Socket({ type: 'dgram', blocking: false }).bind(anyPort);
        p.recvFrom(socket, 100);
        return (socket.localAddress as { port: number }).port;
      })();
      for (let i = 0; i < 5; i++) {
        gc();
        await setImmediate();
      }
      datagrams(bench).sendTo('still there', { host: '127.0.0.1', port });
      const [receiving] = p.wait(10_000) as [Operation<{ data: Buffer }>];
      assert.equal(receiving.result?.data.toString(), 'still there');
    },
  },
  {
    name: 'a completed operation is not kept in memory',
    async run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.pair();
      const operations = (() => {
        const made = [p.recv(b, 10), p.recv(a, 10), p.timeout(0), p.send(a, 'x')];
        made[1]?.cancel();
        finish(p, ...made);
        return made.map((one) => new WeakRef(one));
      })();
      assert.ok(await collectUntil(() => operations.every((one) => one.deref() === undefined)));
    },
  },
  {
    name: 'received bytes belong to the caller: nothing changes them later',
    run({ bench, proactor }) {
      const p = proactor();
      const [a, b] = bench.tcpPair();
      const kept: Buffer[] = [];
      for (let i = 0; i < 50; i++) {
        sendAll(p, a, Buffer.alloc(500, i));
        kept.push(receiveAll(p, b, 500));
      }
      kept.forEach((bytes, i) => {
        assert.ok(bytes.equals(Buffer.alloc(500, i)), `number ${i}`);
      });
    },
  },
  {
    name: 'the proactor is closed meanwhile: by a getter of an address, and by a fileno()',
    run({ bench, proactor }) {
      const [p, q] = [proactor(), proactor()];
      const socket = bench.own(new Socket());
      const address = {
        host: '127.0.0.1',
        get port() {
          p.close();
          return 9;
        },
      };
      throwsCode('ERR_CLOSED', () => p.connect(socket, address));
      const file = {
        fileno() {
          q.close();
          return 0;
        },
      };
      throwsCode('ERR_CLOSED', () => q.read(file, 1, 0));
      assert.deepEqual([p.pending, q.pending], [0, 0]);
    },
  },
  {
    name: 'the socket is closed, or the bytes are detached, by a getter of the address',
    run({ bench, proactor }) {
      const p = proactor();
      const socket = bench.own(new Socket({ type: 'dgram', blocking: false }));
      const bytes = new Uint8Array(4);
      const address = (act: () => void) => ({
        host: '127.0.0.1',
        get port() {
          act();
          return 9;
        },
      });
      const taking = address(() => structuredClone(bytes.buffer, { transfer: [bytes.buffer] }));
      throwsCode('ERR_INVALID_ARG_VALUE', () => p.sendTo(socket, bytes, taking));
      const closing = address(() => {
        socket.close();
      });
      throwsCode('ERR_CLOSED', () => p.sendTo(socket, 'x', closing));
      assert.equal(p.pending, 0);
    },
  },
];

export const proactorCases: Cases = [...ordinary, ...ends, ...races, ...waiting, ...life];
