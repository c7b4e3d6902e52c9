/** The contract of completion ports, of the calls and of the proactor over them: behaviours I1 to I32. Windows. */
import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { IocpProactor, Socket, type SocketAddress, wakeup } from '../../src/index.js';
import { type CompletionPacket, Iocp } from '../../src/syscalls.js';
import type { Bench } from '../support/bench.js';
import { assertWaited, rejectsCode, throwsCode, timed } from '../support/expect.js';
import type { Case } from './case.js';

export interface IocpContext {
  readonly bench: Bench;
}

type Cases = readonly Case<IocpContext>[];

const KEY = 7;
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const bytes = (content: string) => Buffer.from(content);

function portOf(bench: Bench): Iocp {
  return bench.own(new Iocp());
}

/** A port and two connected sockets; the first one is associated with it. */
function associated(bench: Bench): [port: Iocp, a: Socket, b: Socket] {
  const [a, b] = bench.tcpPair();
  const port = portOf(bench);
  port.associate(a, KEY);
  return [port, a, b];
}

function datagrams(bench: Bench): Socket {
  return bench.own(new Socket({ type: 'dgram', blocking: false })).bind({ host: '127.0.0.1', port: 0 });
}

/** Waits for `count` packets. @returns the packets, in order */
function packets(port: Iocp, count: number): CompletionPacket[] {
  const all: CompletionPacket[] = [];
  for (const deadline = performance.now() + 5000; all.length < count && performance.now() < deadline;)
    all.push(...port.getQueuedCompletionStatus(count - all.length, 1000));
  assert.equal(all.length, count);
  return all;
}

/** The packet of one operation, with its error. */
function packetOf(
  port: Iocp,
  operation: number,
): { readonly key: number; readonly bytes: number; readonly error: string } {
  const [packet] = packets(port, 1);
  assert.equal(packet?.operation, operation);
  return { key: packet.key, bytes: packet.bytes, error: packet.error?.code ?? '' };
}

/** The error of an operation: it is either thrown, and then there is no packet, or it is in the packet. */
function failureOf(port: Iocp, start: () => number): string {
  try {
    return packetOf(port, start()).error;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

const nothingMore = (port: Iocp) => {
  assert.deepEqual(port.getQueuedCompletionStatus(8, 0), []);
};

/** Closes with a reset, as far as the system's close() supports it. */
function reset(socket: Socket): void {
  socket.setOption('SO_LINGER', 0);
  socket.close();
}

// --------------------------------------------------------------------------------------------------------------- the port

const port: Cases = [
  {
    name: 'I1 I26 a timeout returns an empty list, never early; fractions are rounded up',
    run({ bench }) {
      const iocp = portOf(bench);
      for (const ms of [0.3, 1, 15.5, 40]) {
        const { value, ms: took } = timed(() => iocp.getQueuedCompletionStatus(4, ms));
        assert.deepEqual(value, []);
        assertWaited(took, ms);
      }
      assert.ok(timed(() => iocp.getQueuedCompletionStatus(4, 0)).ms < 5000);
    },
  },
  {
    name: 'I26 timeouts beyond the call’s range, and infinite ones: a packet ends them',
    run({ bench }) {
      const iocp = portOf(bench);
      for (const timeout of [1e308, 2 ** 32, 2 ** 31, Infinity, -1, null, undefined]) {
        iocp.post(1);
        assert.equal(iocp.getQueuedCompletionStatus(1, timeout).length, 1);
      }
    },
  },
  {
    name: 'I2 a posted packet wakes the wait; its key and bytes come back unchanged, and it has no operation',
    run({ bench }) {
      const iocp = portOf(bench);
      for (const [key, count] of [
        [0, 0],
        [5, 7],
        [2 ** 53 - 1, 2 ** 32 - 1],
      ] as const) {
        iocp.post(key, count);
        assert.deepEqual(iocp.getQueuedCompletionStatus(1, 1000), [
          { key, bytes: count, operation: null, error: null },
        ]);
      }
    },
  },
  {
    name: 'I3 a failed operation is a packet with its error; a failed call throws and has no packet',
    run({ bench }) {
      const [iocp, a, b] = associated(bench);
      const operation = iocp.wsaRecv(a, new Uint8Array(8));
      reset(b);
      assert.deepEqual(packetOf(iocp, operation), { key: KEY, bytes: 0, error: 'ECONNRESET' });
      const unconnected = bench.own(new Socket());
      iocp.associate(unconnected, 1);
      throwsCode('ENOTCONN', () => iocp.wsaRecv(unconnected, new Uint8Array(8)));
      nothingMore(iocp);
    },
  },
  {
    name: 'I18 a handle belongs to one port while it is open; its duplicate is the same file, its reused number is not',
    run({ bench }) {
      const [iocp, a, b] = associated(bench);
      throwsCode('EINVAL', () => portOf(bench).associate(a, 1));
      throwsCode('EINVAL', () => {
        iocp.associate(a, 1);
      });
      const copy = bench.own(a.dup());
      const operation = iocp.wsaRecv(copy, new Uint8Array(8));
      b.send('x');
      assert.equal(packetOf(iocp, operation).bytes, 1);
      const { fd } = a;
      a.close();
      const others: Socket[] = [];
      while (others.length < 200 && others.at(-1)?.fd !== fd) others.push(bench.own(new Socket()));
      for (const other of others) throwsCode('EINVAL', () => iocp.wsaRecv(other, new Uint8Array(8)));
      for (const other of others) iocp.associate(other, 1);
      throwsCode('ENOTCONN', () => iocp.wsaRecv(others.at(-1) as Socket, new Uint8Array(8)));
    },
  },
  {
    name: 'I18 an operation on a handle that is not associated with the port is refused: its packet would never come',
    run({ bench }) {
      const [a] = bench.tcpPair();
      const iocp = portOf(bench);
      throwsCode('EINVAL', () => iocp.wsaRecv(a, new Uint8Array(8)));
      portOf(bench).associate(a, 1);
      throwsCode('EINVAL', () => iocp.wsaSend(a, bytes('x')));
    },
  },
  {
    name: 'I19 one call returns many packets, in the port’s order, at most as many as asked for',
    run({ bench }) {
      const iocp = portOf(bench);
      const keys = (list: readonly CompletionPacket[]) => list.map(({ key }) => key);
      for (let key = 0; key < 1000; key++) iocp.post(key);
      const all: number[] = [];
      while (all.length < 1000) {
        const some = iocp.getQueuedCompletionStatus(7, 1000);
        assert.ok(some.length > 0 && some.length <= 7);
        all.push(...keys(some));
      }
      assert.deepEqual(
        all,
        Array.from({ length: 1000 }, (_, key) => key),
      );
      for (let key = 0; key < 5; key++) iocp.post(key);
      assert.deepEqual(keys(iocp.getQueuedCompletionStatus(64, 1000)), [0, 1, 2, 3, 4]);
    },
  },
  {
    name: 'I20 after close(): closed, every call fails with ERR_CLOSED, a second close() does nothing',
    run({ bench }) {
      const [iocp, a] = associated(bench);
      const address: SocketAddress = { host: '127.0.0.1', port: 9 };
      iocp.close();
      iocp.close();
      assert.equal(iocp.closed, true);
      const calls: (() => unknown)[] = [
        () => {
          iocp.associate(a, 1);
        },
        () => {
          iocp.post(1);
        },
        () => iocp.acceptEx(a, a),
        () => iocp.connectEx(a, address),
        () => iocp.wsaRecv(a, new Uint8Array(1)),
        () => iocp.wsaRecvFrom(a, new Uint8Array(1)),
        () => iocp.wsaSend(a, new Uint8Array(1)),
        () => iocp.wsaSendTo(a, new Uint8Array(1), address),
        () => iocp.openFile(0),
        () => {
          iocp.closeFile(0);
        },
        () => iocp.readFile(a, new Uint8Array(1), 0),
        () => iocp.writeFile(a, new Uint8Array(1), 0),
        () => iocp.cancelIoEx(a),
        () => iocp.getQueuedCompletionStatus(1, 0),
      ];
      for (const call of calls) throwsCode('ERR_CLOSED', call);
    },
  },
];

// --------------------------------------------------------------------------------------------------------- operations of the port

const operations: Cases = [
  {
    name: 'I4 I5 AcceptEx is pending until a client connects; the packet has the listener’s key, and the connection has its peer address',
    run({ bench }) {
      const listener = bench.listener();
      const iocp = portOf(bench);
      iocp.associate(listener, 1);
      const accepted = bench.own(new Socket());
      const operation = iocp.acceptEx(listener, accepted);
      nothingMore(iocp);
      const client = bench.own(new Socket());
      client.connect(listener.localAddress);
      assert.deepEqual(packetOf(iocp, operation), { key: 1, bytes: 0, error: '' });
      assert.deepEqual(accepted.remoteAddress, client.localAddress);
      accepted.shutdown('write');
      assert.equal(client.recv(8)?.length, 0);
      assert.equal(accepted.inheritable, false);
    },
  },
  {
    name: 'I6 ConnectEx: an unbound socket is bound first; the connection has its peer address and can be shut down',
    run({ bench }) {
      for (const bound of [false, true]) {
        const listener = bench.listener({ blocking: true });
        const iocp = portOf(bench);
        const client = bench.own(new Socket());
        if (bound) client.bind({ host: '127.0.0.1', port: 0 });
        iocp.associate(client, 2);
        const operation = iocp.connectEx(client, listener.localAddress);
        assert.deepEqual(packetOf(iocp, operation), { key: 2, bytes: 0, error: '' });
        const server = bench.own(listener.accept() as Socket);
        assert.deepEqual(client.remoteAddress, listener.localAddress);
        client.shutdown('write');
        assert.equal(server.recv(8)?.length, 0);
      }
    },
  },
  {
    name: 'I6 ConnectEx over IPv6',
    run({ bench }) {
      const listener = bench
        .own(new Socket({ family: 'ipv6' }))
        .bind({ host: '::1', port: 0 })
        .listen();
      const client = bench.own(new Socket({ family: 'ipv6' }));
      const iocp = portOf(bench);
      iocp.associate(client, 2);
      const operation = iocp.connectEx(client, listener.localAddress);
      assert.equal(packetOf(iocp, operation).error, '');
      assert.deepEqual(client.remoteAddress, listener.localAddress);
    },
  },
  {
    name: 'I7 ConnectEx to a port without a listener: ECONNREFUSED, in its packet',
    run({ bench }) {
      const client = bench.own(new Socket());
      const iocp = portOf(bench);
      iocp.associate(client, 2);
      const operation = iocp.connectEx(client, bench.unusedAddress());
      assert.equal(packetOf(iocp, operation).error, 'ECONNREFUSED');
    },
  },
  {
    name: 'I8 I10 the peer’s reset is ECONNRESET, its end 0 bytes',
    run({ bench }) {
      const [iocp, a, b] = associated(bench);
      const ended = iocp.wsaRecv(a, new Uint8Array(8));
      b.shutdown('write');
      assert.deepEqual(packetOf(iocp, ended), { key: KEY, bytes: 0, error: '' });
      const [other, peer] = bench.tcpPair();
      iocp.associate(other, KEY);
      const failed = iocp.wsaRecv(other, new Uint8Array(8));
      reset(peer);
      assert.equal(packetOf(iocp, failed).error, 'ECONNRESET');
    },
  },
  {
    name: 'I11 CancelIoEx: ECANCELED, in one packet; a second cancel finds nothing',
    run({ bench }) {
      const [iocp, a] = associated(bench);
      const operation = iocp.wsaRecv(a, new Uint8Array(8));
      assert.equal(iocp.cancelIoEx(a, operation), true);
      assert.equal(packetOf(iocp, operation).error, 'ECANCELED');
      assert.equal(iocp.cancelIoEx(a, operation), false);
      assert.equal(iocp.cancelIoEx(a, 999_999), false);
      const both = [iocp.wsaRecv(a, new Uint8Array(8)), iocp.wsaRecv(a, new Uint8Array(8))];
      assert.equal(iocp.cancelIoEx(a), true);
      assert.deepEqual(
        packets(iocp, 2)
          .map(({ operation: id, error }) => [id, error?.code])
          .sort(),
        both.map((id) => [id, 'ECANCELED']),
      );
      nothingMore(iocp);
    },
  },
  {
    name: 'I12 the kernel never has the caller’s memory: buffers are detached and changed while operations are pending',
    run({ bench }) {
      const [iocp, a, b] = associated(bench);
      const taken = new Uint8Array(8);
      const receiving = iocp.wsaRecv(a, taken);
      structuredClone(taken.buffer, { transfer: [taken.buffer] });
      b.send('abc');
      assert.deepEqual(packetOf(iocp, receiving), { key: KEY, bytes: 3, error: '' });
      const given = bytes('sent');
      const sending = iocp.wsaSend(a, given);
      given.fill(0);
      assert.equal(packetOf(iocp, sending).bytes, 4);
      b.blocking = true;
      assert.equal(text(b.recv(8) ?? bytes('')), 'sent');
      const untouched = new Uint8Array(8).fill(1);
      const cancelled = iocp.wsaRecv(a, untouched);
      iocp.cancelIoEx(a, cancelled);
      assert.equal(packetOf(iocp, cancelled).error, 'ECANCELED');
      assert.deepEqual(untouched, new Uint8Array(8).fill(1));
    },
  },
  {
    name: 'I13 a socket closed during a receive: one packet, ECANCELED',
    run({ bench }) {
      const [iocp, a] = associated(bench);
      const operation = iocp.wsaRecv(a, new Uint8Array(8));
      a.close();
      assert.equal(packetOf(iocp, operation).error, 'ECANCELED');
      nothingMore(iocp);
    },
  },
  {
    name: 'I15 an operation that succeeds at once still has exactly one packet',
    async run({ bench }) {
      const [iocp, a, b] = associated(bench);
      b.send('there already');
      await sleep(50);
      const buffer = new Uint8Array(20);
      const operation = iocp.wsaRecv(a, buffer);
      assert.deepEqual(packetOf(iocp, operation), { key: KEY, bytes: 13, error: '' });
      assert.equal(text(buffer.subarray(0, 13)), 'there already');
      nothingMore(iocp);
    },
  },
  {
    name: 'I17 a receive of no bytes waits until bytes arrive, and takes none',
    run({ bench }) {
      const [iocp, a, b] = associated(bench);
      const operation = iocp.wsaRecv(a, new Uint8Array(0));
      nothingMore(iocp);
      b.send('zz');
      assert.deepEqual(packetOf(iocp, operation), { key: KEY, bytes: 0, error: '' });
      assert.equal(text(a.recv(8) ?? bytes('')), 'zz');
    },
  },
  {
    name: 'I21 a datagram that is too long is truncated: EMSGSIZE, with the bytes that fit, whether it arrived before or after the call',
    async run({ bench }) {
      const [receiver, sender] = [datagrams(bench), datagrams(bench)];
      const iocp = portOf(bench);
      iocp.associate(receiver, KEY);
      for (const early of [true, false]) {
        const buffer = new Uint8Array(4);
        if (early) {
          sender.sendTo('too long', receiver.localAddress);
          await sleep(50);
        }
        const operation = iocp.wsaRecvFrom(receiver, buffer);
        if (!early) sender.sendTo('too long', receiver.localAddress);
        const [packet] = packets(iocp, 1);
        assert.deepEqual(
          [packet?.operation, packet?.bytes, packet?.error?.code, packet?.address],
          [operation, 4, 'EMSGSIZE', sender.localAddress],
        );
        assert.equal(text(buffer), 'too ');
      }
      nothingMore(iocp);
    },
  },
  {
    name: 'WSARecvFrom and WSASendTo: a datagram and its sender',
    run({ bench }) {
      const [receiver, sender] = [datagrams(bench), datagrams(bench)];
      const iocp = portOf(bench);
      iocp.associate(receiver, 1);
      iocp.associate(sender, 2);
      const buffer = new Uint8Array(20);
      const receiving = iocp.wsaRecvFrom(receiver, buffer);
      const sending = iocp.wsaSendTo(sender, bytes('datagram'), receiver.localAddress);
      const both = packets(iocp, 2);
      const received = both.find(({ operation }) => operation === receiving);
      assert.deepEqual(received, { key: 1, bytes: 8, operation: receiving, error: null, address: sender.localAddress });
      assert.equal(both.find(({ operation }) => operation === sending)?.bytes, 8);
      assert.equal(text(buffer.subarray(0, 8)), 'datagram');
    },
  },
  {
    name: 'ReadFile and WriteFile at positions; EOF at the end; a descriptor for reading is none for writing',
    run({ bench }) {
      const path = join(bench.folder(), 'file');
      writeFileSync(path, 'contents');
      const fd = openSync(path, 'r+');
      bench.atEnd(() => {
        closeSync(fd);
      });
      const iocp = portOf(bench);
      const [reading, writing] = [iocp.openFile(fd), iocp.openFile(fd, 'write')];
      throwsCode('EINVAL', () => iocp.readFile(reading, new Uint8Array(8), 0));
      iocp.associate(reading, 1);
      iocp.associate(writing, 2);
      const write = iocp.writeFile(writing, bytes('XY'), 3);
      assert.deepEqual(packetOf(iocp, write), { key: 2, bytes: 2, error: '' });
      const buffer = new Uint8Array(20);
      const read = iocp.readFile(reading, buffer, 1);
      assert.deepEqual(packetOf(iocp, read), { key: 1, bytes: 7, error: '' });
      assert.equal(text(buffer.subarray(0, 7)), 'onXYnts');
      assert.equal(
        failureOf(iocp, () => iocp.readFile(reading, buffer, 100)),
        'EOF',
      );
      nothingMore(iocp);
      iocp.closeFile(writing);
      throwsCode('EBADF', () => {
        iocp.closeFile(writing);
      });
      assert.equal(readFileSync(path, 'utf8'), 'conXYnts');
      const onlyRead = openSync(path, 'r');
      bench.atEnd(() => {
        closeSync(onlyRead);
      });
      throwsCode('EBADF', () => iocp.openFile(onlyRead, 'write'));
      throwsCode('EBADF', () => iocp.openFile(999));
    },
  },
  {
    name: 'I27 close() cancels pending operations; the sockets stay open, and later bytes are not lost',
    run({ bench }) {
      const [iocp, a, b] = associated(bench);
      const buffer = new Uint8Array(8);
      for (let i = 0; i < 10; i++) iocp.wsaRecv(a, buffer);
      iocp.close();
      b.send('later');
      a.blocking = true;
      assert.equal(text(a.recv(8) ?? bytes('')), 'later');
      assert.deepEqual(buffer, new Uint8Array(8));
    },
  },
  {
    name: 'I28 close() waits at most five seconds for an operation that cannot be cancelled, then fails',
    run({ bench }) {
      const [iocp, a] = associated(bench);
      // The file stays open, but the number that the operation was started with no longer refers to it.
      const copy = bench.own(a.dup());
      iocp.wsaRecv(a, new Uint8Array(8));
      a.close();
      if (iocp.getQueuedCompletionStatus(1, 50).length > 0) return; // cancelled when its handle was closed
      const { ms } = timed(() => {
        throwsCode('ETIMEDOUT', () => {
          iocp.close();
        });
      });
      assertWaited(ms, 4900);
      assert.ok(copy.fd >= 0);
    },
  },
  {
    name: 'I32 two receives on one stream are filled in the order in which they were started',
    run({ bench }) {
      const [iocp, a, b] = associated(bench);
      const [first, second] = [new Uint8Array(2), new Uint8Array(2)];
      const ids = [iocp.wsaRecv(a, first), iocp.wsaRecv(a, second)];
      b.send('abcd');
      assert.deepEqual(
        packets(iocp, 2).map(({ operation }) => operation),
        ids,
      );
      assert.deepEqual([text(first), text(second)], ['ab', 'cd']);
    },
  },
];

// ----------------------------------------------------------------------------------------------------------- the proactor

function proactorOf(bench: Bench): IocpProactor {
  return bench.own(new IocpProactor());
}

/** Waits until nothing is pending. */
function finish(proactor: IocpProactor): void {
  for (const deadline = performance.now() + 5000; proactor.pending > 0 && performance.now() < deadline;)
    proactor.wait(1000);
  assert.equal(proactor.pending, 0);
}

const proactor: Cases = [
  {
    name: 'I9 clients that reset before they are accepted do not end the accepting',
    async run({ bench }) {
      const listener = bench.listener();
      const p = proactorOf(bench);
      for (let i = 0; i < 5; i++) {
        const client = new Socket();
        client.connect(listener.localAddress);
        reset(client);
      }
      await sleep(50);
      const client = bench.own(new Socket());
      client.connect(listener.localAddress);
      const wanted = JSON.stringify(client.localAddress);
      for (let i = 0; i < 6; i++) {
        const accept = p.accept(listener);
        finish(p);
        assert.equal(accept.error, undefined);
        const accepted = bench.own(accept.result as Socket);
        let peer = '';
        try {
          peer = JSON.stringify(accepted.remoteAddress);
        } catch {
          // The client has disconnected.
        }
        if (peer === wanted) return;
      }
      assert.fail('the client that stayed connected was not accepted');
    },
  },
  {
    name: 'I12 I27 a result that came before the cancel is kept: the connection of an accept, and the bytes of a recv',
    async run({ bench }) {
      const p = proactorOf(bench);
      const listener = bench.listener();
      const [a, b] = bench.tcpPair();
      const [accept, recv] = [p.accept(listener), p.recv(a, 8)];
      const client = bench.own(new Socket());
      client.connect(listener.localAddress);
      b.send('first');
      await sleep(50);
      accept.cancel();
      recv.cancel();
      finish(p);
      assert.deepEqual(bench.own(accept.result as Socket).remoteAddress, client.localAddress);
      assert.equal(recv.result?.toString(), 'first');
    },
  },
  {
    name: 'I13 I14 a socket closed during a receive: ECANCELED, and the peer sees an end, not a reset',
    run({ bench }) {
      const p = proactorOf(bench);
      const [a, b] = bench.tcpPair();
      const recv = p.recv(a, 8);
      a.close();
      finish(p);
      assert.equal(recv.error?.code, 'ECANCELED');
      b.blocking = true;
      assert.equal(b.recv(8)?.length, 0);
    },
  },
  {
    name: 'I18 a socket of another port: EINVAL as the operation’s error; its reused number is another socket',
    run({ bench }) {
      const [p, other] = [proactorOf(bench), proactorOf(bench)];
      const [a, b] = bench.tcpPair();
      const send = p.send(a, 'x');
      const refused = other.send(a, 'x');
      finish(p);
      finish(other);
      assert.deepEqual([send.result, refused.error?.code], [1, 'EINVAL']);
      const copy = p.send(bench.own(a.dup()), 'x');
      finish(p);
      assert.equal(copy.result, 1);
      b.close();
      for (let i = 0; i < 20; i++) {
        const [one, two] = bench.tcpPair();
        const sends = [i % 2 === 0 ? p : other, i % 2 === 0 ? other : p].map((its) => its.send(one, 'x'));
        finish(p);
        finish(other);
        assert.deepEqual(
          sends.map(({ result, error }) => [result, error?.code]),
          [
            [1, undefined],
            [undefined, 'EINVAL'],
          ],
        );
        one.close();
        two.close();
      }
    },
  },
  {
    name: 'I18 I27 the sockets of a closed proactor work with the next one, which gets no operation of the old one',
    run({ bench }) {
      const listener = bench.listener();
      const [a, b] = bench.tcpPair();
      for (let i = 0; i < 5; i++) {
        const p = proactorOf(bench);
        const [recv, accept] = [p.recv(a, 8), p.accept(listener)];
        p.wakeup();
        const client = bench.own(new Socket());
        const connect = p.connect(client, listener.localAddress);
        b.send('x');
        finish(p);
        assert.deepEqual([recv.result?.toString(), connect.error], ['x', undefined]);
        bench.own(accept.result as Socket);
        const pending = [p.recv(a, 8), p.accept(listener)];
        p.wakeup();
        p.close();
        for (const { error } of pending) assert.equal(error?.code, 'ECANCELED');
        using next = new IocpProactor();
        assertWaited(timed(() => next.wait(20)).ms, 20);
      }
    },
  },
  {
    name: 'accept is EINVAL on a socket that does not listen, EOPNOTSUPP on a datagram socket',
    run({ bench }) {
      const p = proactorOf(bench);
      const refused = [p.accept(bench.own(new Socket())), p.accept(datagrams(bench))];
      finish(p);
      assert.deepEqual(
        refused.map(({ error }) => error?.code),
        ['EINVAL', 'EOPNOTSUPP'],
      );
    },
  },
  {
    name: 'I21 I22 datagrams: truncation is no error, and an unreachable receiver costs at most one operation',
    run({ bench }) {
      const p = proactorOf(bench);
      const [receiver, sender] = [datagrams(bench), datagrams(bench)];
      const deaf = datagrams(bench);
      const nowhere = deaf.localAddress;
      deaf.close();
      const unreceived = p.sendTo(receiver, 'no receiver', nowhere);
      finish(p);
      assert.equal(unreceived.result, 'no receiver'.length);
      for (let tries = 0; ; tries++) {
        const recv = p.recvFrom(receiver, 4);
        const send = p.sendTo(sender, 'too long', receiver.localAddress);
        finish(p);
        assert.equal(send.result, 8);
        if (recv.error?.code === 'ECONNRESET' && tries === 0) continue;
        assert.deepEqual([recv.result?.data.toString(), recv.result?.address], ['too ', sender.localAddress]);
        return;
      }
    },
  },
  {
    name: 'I2 wakeup(): sticky, many before one wait count as one, also by its handle from another thread; it hides no completion',
    async run({ bench }) {
      const p = proactorOf(bench);
      const [a, b] = bench.tcpPair();
      for (let i = 0; i < 1000; i++) wakeup(p.wakeupHandle);
      assert.ok(timed(() => p.wait(30_000)).ms < 20_000);
      assertWaited(timed(() => p.wait(50)).ms, 50);
      const recv = p.recv(a, 8);
      b.send('x');
      await sleep(50);
      p.wakeup();
      assert.deepEqual(p.wait(5000), [recv]);
      const waiting = p.waitAsync();
      wakeup(p.wakeupHandle);
      assert.deepEqual(await waiting, []);
    },
  },
  {
    name: 'I19 waits beside Node’s loop and blocking waits alternate: nothing is lost or reported twice, in the port’s order',
    async run({ bench }) {
      const p = proactorOf(bench);
      const [a, b] = bench.tcpPair();
      const seen: string[] = [];
      const COUNT = 300;
      for (let i = 0; i < COUNT; i++) p.recv(a, 1, i);
      let waiting: Promise<void> | undefined;
      for (let sent = 0; seen.length < COUNT;) {
        waiting ??= p.waitAsync({ timeout: 20 }).then((done) => {
          for (const { result } of done) seen.push(String(result));
          waiting = undefined;
        });
        for (let i = 0; i < 7 && sent < COUNT; i++, sent++) b.send(String(sent % 10));
        if (sent % 3 === 0) await sleep(1);
        for (const { result } of p.wait(0)) seen.push(String(result));
        if (sent % 5 === 0) await waiting;
      }
      await waiting;
      assert.equal(seen.join(''), Array.from({ length: COUNT }, (_, i) => String(i % 10)).join(''));
    },
  },
  {
    name: 'I20 close() ends a pending waitAsync with ERR_CLOSED',
    async run({ bench }) {
      const p = proactorOf(bench);
      const [a] = bench.tcpPair();
      const recv = p.recv(a, 8);
      const waiting = p.waitAsync();
      await sleep(20);
      p.close();
      await rejectsCode('ERR_CLOSED', waiting);
      assert.equal(recv.error?.code, 'ECANCELED');
    },
  },
  {
    name: 'I27 I29 close() with operations of every kind in flight: each completes, and a connection accepted meanwhile is not lost',
    async run({ bench }) {
      const p = proactorOf(bench);
      const listener = bench.listener();
      const [a, b] = bench.tcpPair();
      const accept = p.accept(listener);
      const others = [p.recv(a, 8), p.recvFrom(datagrams(bench), 8), p.timeout(1e6), p.accept(bench.listener())];
      const client = bench.own(new Socket());
      client.connect(listener.localAddress);
      await sleep(50);
      assert.ok(timed(() => p.close()).ms < 4500);
      assert.deepEqual(
        others.map(({ pending, error }) => [pending, error?.code]),
        others.map(() => [false, 'ECANCELED']),
      );
      const accepted = accept.result as Socket;
      assert.deepEqual(accepted.remoteAddress, client.localAddress);
      accepted.close();
      client.blocking = true;
      assert.equal(client.recv(8)?.length, 0);
      b.send('later');
      a.blocking = true;
      assert.equal(a.recv(8)?.toString(), 'later');
    },
  },
];

export const iocpCases = { 'the port': port, 'its operations': operations, 'the proactor': proactor } as const;
