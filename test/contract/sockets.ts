/** The contract of Socket: behaviours S98 to S110, and each method. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import {
  DefaultSelector,
  EVENT_READ,
  EVENT_WRITE,
  Socket,
  type SocketAddress,
  type SocketOptions,
} from '../../src/index.js';
import { constants, select } from '../../src/syscalls.js';
import type { Bench } from '../support/bench.js';
import { openDescriptors } from '../support/descriptors.js';
import { assertWaited, throwsCode, timed } from '../support/expect.js';
import { startProgram } from '../support/program.js';
import type { Case } from './case.js';

export interface SocketContext {
  readonly bench: Bench;
}

const { MSG_PEEK = 2, MSG_OOB = 1, MSG_TRUNC = 0, MSG_CTRUNC = 0 } = constants;
const BADF = process.platform === 'win32' ? 'ENOTSOCK' : 'EBADF';
const anyPort = { host: '127.0.0.1', port: 0 };
interface Ip {
  readonly host: string;
  readonly port: number;
}

function readable(...sockets: Socket[]): void {
  assert.deepEqual(select(sockets, [], [], 5000).read, sockets);
}

/** All data until the end of the stream. */
function readAll(socket: Socket): Buffer {
  const parts: Buffer[] = [];
  for (;;) {
    readable(socket);
    const part = socket.recv(65_536);
    if (part === null) continue;
    if (part.length === 0) return Buffer.concat(parts);
    parts.push(part);
  }
}

const blockingCases: readonly Case<SocketContext>[] = [
  {
    name: 'S98 non-blocking accept, recv and recvFrom without data return null at once',
    run({ bench }) {
      const listener = bench.listener();
      const [a] = bench.pair();
      const datagrams = bench.own(new Socket({ type: 'dgram', blocking: false })).bind(anyPort);
      const { value, ms } = timed(() => [
        listener.accept(),
        a.recv(10),
        a.recvInto(new Uint8Array(10)),
        datagrams.recvFrom(10),
      ]);
      assert.deepEqual(value, [null, null, null, null]);
      assert.ok(ms < 5000);
    },
  },
  {
    name: 'non-blocking send returns null when the kernel’s buffer is full, and works again when it has room',
    run({ bench }) {
      const [a, b] = bench.tcpPair();
      const chunk = Buffer.alloc(65_536, 1);
      let sent = 0;
      let full = false;
      while (!full) {
        const count = a.send(chunk);
        if (count === null) full = true;
        else sent += count;
        assert.ok(sent < 1e9);
      }
      let received = 0;
      while (received < sent) {
        readable(b);
        received += b.recv(65_536)?.length ?? 0;
      }
      assert.equal(received, sent);
      assert.deepEqual(select([], [a], [], 5000).write, [a]);
      assert.ok((a.send(chunk) ?? 0) > 0);
    },
  },
  {
    name: 'MSG_DONTWAIT and MSG_ERRQUEUE do not wait, on a blocking socket either',
    needs: ['MSG_DONTWAIT'],
    run({ bench }) {
      const { MSG_DONTWAIT = 0, MSG_ERRQUEUE = MSG_DONTWAIT } = constants;
      const [a, b] = bench.tcpPair();
      a.blocking = b.blocking = true;
      assert.equal(a.recv(10, MSG_DONTWAIT), null);
      assert.equal(a.recv(10, MSG_ERRQUEUE), null);
      const chunk = Buffer.alloc(65_536);
      while (b.send(chunk, 0, chunk.length, MSG_DONTWAIT) !== null);
    },
  },
  {
    name: 'SO_RCVTIMEO, the kernel’s own timeout: null when it expires',
    needs: ['MSG_DONTWAIT'],
    async run({ bench }) {
      const program = bench.own(
        startProgram(`
          const { SOL_SOCKET, SO_RCVTIMEO } = syscalls.constants;
          const [a] = selectors.Socket.pair();
          a.setOption(SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(BigInt64Array.of(0n, 50_000n).buffer));
          const start = performance.now();
          console.log(JSON.stringify([a.recv(10), performance.now() - start]));
        `),
      );
      const { stdout } = await program.ended;
      const [answer, ms] = JSON.parse(stdout) as [null, number];
      assert.equal(answer, null);
      assertWaited(ms, 49);
    },
  },
  {
    name: 'S99 blocking true and false are timeout null and 0; a timeout makes the descriptor non-blocking, and calls wait',
    run({ bench }) {
      const socket = bench.own(new Socket());
      assert.deepEqual([socket.blocking, socket.timeout], [true, null]);
      socket.blocking = false;
      assert.deepEqual([socket.blocking, socket.timeout], [false, 0]);
      socket.timeout = null;
      assert.deepEqual([socket.blocking, socket.timeout], [true, null]);
      socket.timeout = 30;
      assert.deepEqual([socket.blocking, socket.timeout], [true, 30]);
      socket.timeout = 0;
      assert.equal(socket.blocking, false);
      socket.timeout = Infinity;
      assert.deepEqual([socket.blocking, socket.timeout], [true, null]);
      const [a] = bench.pair();
      a.timeout = 50;
      const start = performance.now();
      throwsCode('ETIMEDOUT', () => a.recv(1));
      assertWaited(performance.now() - start, 50);
    },
  },
  {
    name: 'S102 an expired timeout is ETIMEDOUT with the name of the call, on recv, recvFrom, accept and sendAll',
    run({ bench }) {
      const [a] = bench.pair();
      const listener = bench.listener();
      const datagrams = bench.own(new Socket({ type: 'dgram' })).bind(anyPort);
      for (const socket of [a, listener, datagrams]) socket.timeout = 20;
      const calls: [string, () => unknown][] = [
        ['recv', () => a.recv(1)],
        ['recv', () => a.recvInto(new Uint8Array(1))],
        ['recvfrom', () => datagrams.recvFrom(1)],
        ['accept', () => listener.accept()],
        ['send', () => a.sendAll(Buffer.alloc(64 << 20))],
      ];
      for (const [syscall, call] of calls) {
        const start = performance.now();
        assert.throws(call, { code: 'ETIMEDOUT', syscall });
        assertWaited(performance.now() - start, 20);
      }
      assert.equal(a.timeout, 20);
    },
  },
  {
    name: 'an accepted connection blocks or not as its listener does (instead of S100)',
    run({ bench }) {
      for (const blocking of [true, false]) {
        const listener = bench.listener({ blocking: false });
        const client = bench.own(new Socket());
        client.connect(listener.localAddress);
        readable(listener);
        listener.blocking = blocking;
        const connection = bench.own(listener.accept() as Socket);
        assert.equal(connection.blocking, blocking);
        connection.timeout = 20;
        throwsCode('ETIMEDOUT', () => connection.recv(1));
        connection.blocking = blocking;
        if (!blocking) assert.equal(connection.recv(1), null);
      }
    },
  },
  {
    name: 'S103 S104 sendAll sends ten megabytes to a slow reader, blocking or not, with one timeout for the whole',
    async run({ bench }) {
      for (const blocking of [true, false]) {
        const listener = bench.listener();
        const { port } = listener.localAddress as Ip;
        const reader = bench.own(
          startProgram(`
            const socket = new selectors.Socket();
            socket.connect({ host: '127.0.0.1', port: ${port} });
            let count = 0, sum = 0;
            for (;;) {
              const part = socket.recv(50_000);
              if (part.length === 0) break;
              count += part.length;
              for (const byte of part) sum = (sum + byte) % 65521;
            }
            console.log(JSON.stringify({ count, sum }));
          `),
        );
        listener.timeout = 20_000;
        const socket = bench.own(listener.accept() as Socket);
        socket.blocking = blocking;
        const bytes = Buffer.from(Array.from({ length: 10_000_000 }, (_, i) => i % 251));
        socket.sendAll(bytes);
        socket.close();
        let sum = 0;
        for (const byte of bytes) sum = (sum + byte) % 65521;
        const { stdout, stderr } = await reader.ended;
        assert.deepEqual(JSON.parse(stdout || stderr), { count: bytes.length, sum });
      }
    },
  },
];

const lifeCases: readonly Case<SocketContext>[] = [
  {
    name: 'S101 every descriptor is close-on-exec: opened, accepted, paired, duplicated; inheritable toggles',
    run({ bench }) {
      const listener = bench.listener();
      const client = bench.own(new Socket());
      client.connect(listener.localAddress);
      readable(listener);
      const sockets = [
        listener,
        client,
        bench.own(listener.accept() as Socket),
        ...bench.pair(),
        bench.own(client.dup()),
      ];
      for (const socket of sockets) {
        assert.equal(socket.inheritable, false);
        socket.inheritable = true;
        assert.equal(socket.inheritable, true);
        assert.equal(bench.own(socket.dup()).inheritable, false);
        socket.inheritable = false;
        assert.equal(socket.inheritable, false);
      }
    },
  },
  {
    name: 'S105 after close() every method fails with ERR_CLOSED without a system call, and fileno() is -1',
    run({ bench }) {
      const [a] = bench.pair();
      const { fd } = a;
      a.close();
      a.close();
      // The number belongs to another socket now, which must not be affected.
      const others = Array.from({ length: 4 }, () => bench.own(new Socket()));
      if (process.platform !== 'win32') assert.ok(others.some((other) => other.fd === fd));
      assert.deepEqual([a.fd, a.fileno()], [-1, -1]);
      for (const call of [
        () => a.send('x'),
        () => a.recv(1),
        () => a.sendAll('x'),
        () => a.detach(),
        () => a.localAddress,
      ]) {
        throwsCode('ERR_CLOSED', call);
      }
      for (const other of others) assert.equal(other.error(), null);
    },
  },
  {
    name: 'S105 detach gives the descriptor away: it stays open, the object is closed',
    run({ bench }) {
      const [a, b] = bench.pair({ blocking: true });
      const { fd } = a;
      assert.equal(a.detach(), fd);
      assert.equal(a.fd, -1);
      throwsCode('ERR_CLOSED', () => a.recv(1));
      const again = bench.own(Socket.fromFd(fd));
      assert.equal(again.blocking, true);
      b.send('still open');
      assert.equal(again.recv(100)?.toString(), 'still open');
    },
  },
  {
    name: 'S106 fromFd reads family, type and mode; a file that is no socket is refused and stays the caller’s',
    run({ bench }) {
      const made = [
        new Socket({ blocking: false }),
        new Socket({ type: 'dgram' }),
        new Socket({ family: 'ipv6' }),
        new Socket({ family: 'ipv6', type: 'dgram', blocking: false }).bind({ host: '::1', port: 0 }),
      ];
      for (const socket of made) {
        const { family, type, blocking } = socket;
        const asked =
          process.platform === 'win32' && socket.family === 'ipv6' && made.indexOf(socket) === 2 ? 'ipv4' : family;
        const copy = bench.own(Socket.fromFd(socket.detach(), process.platform === 'win32' ? { blocking } : undefined));
        assert.deepEqual([copy.family, copy.type, copy.blocking], [asked, type, blocking]);
      }
      for (const fd of [-1, 1.5, 2 ** 32, NaN]) throwsCode('ERR_OUT_OF_RANGE', () => Socket.fromFd(fd));
      const [a] = bench.pair();
      const { fd } = a;
      a.close();
      throwsCode(BADF, () => Socket.fromFd(fd));
    },
  },
  {
    name: 'S106 a file is no socket: ENOTSOCK, and it stays open',
    needs: ['regular files'],
    run({ bench }) {
      const file = bench.regularFile();
      throwsCode('ENOTSOCK', () => Socket.fromFd(file.fd));
      throwsCode('ENOTSOCK', () => Socket.fromFd(file.fd));
    },
  },
  {
    name: 'fromFd with an option sets the mode; with a wrong one it takes nothing',
    run({ bench }) {
      const [a] = bench.pair({ blocking: true });
      throwsCode('ERR_INVALID_ARG_TYPE', () => Socket.fromFd(a.fd, { blocking: 1 as unknown as boolean }));
      const taken = bench.own(Socket.fromFd(a.detach(), { blocking: false }));
      assert.equal(taken.blocking, false);
      assert.equal(taken.recv(1), null);
    },
  },
  {
    name: 'dup: a second object for the same open file, closed on its own',
    run({ bench }) {
      const [a, b] = bench.pair();
      const copy = bench.own(a.dup());
      assert.notEqual(copy.fd, a.fd);
      assert.deepEqual([copy.family, copy.type, copy.timeout], [a.family, a.type, a.timeout]);
      a.close();
      copy.send('x');
      readable(b);
      assert.equal(b.recv(1)?.toString(), 'x');
    },
  },
  {
    name: '`using` closes the socket; the peer sees the end',
    run({ bench }) {
      const [a, b] = bench.pair();
      {
        using gone = a;
        gone.send('last');
      }
      assert.equal(a.fd, -1);
      assert.equal(readAll(b).toString(), 'last');
    },
  },
  {
    name: 'a net.Socket and its server are file objects',
    needs: ['handles of Node'],
    async run({ bench }) {
      const server = createServer((connection) => connection.end('from node:net'));
      bench.own(server);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      using selector = new DefaultSelector();
      assert.ok(selector.register(server, EVENT_READ).fd > 0);
      selector.unregister(server);
      const { port } = server.address() as { port: number };
      const client = bench.own(new Socket());
      client.connect({ host: '127.0.0.1', port });
      client.blocking = false;
      selector.register(client, EVENT_READ);
      assert.equal((await selector.selectAsync({ timeout: 5000 })).length, 1);
      assert.equal(client.recv(100)?.toString(), 'from node:net');
    },
  },
];

const streamCases: readonly Case<SocketContext>[] = [
  {
    name: 'TCP over IPv4 and IPv6: addresses, connect, accept, send, recv, half-close',
    run({ bench }) {
      for (const [family, host] of [
        ['ipv4', '127.0.0.1'],
        ['ipv6', '::1'],
      ] as const) {
        const listener = bench.own(new Socket({ family })).bind({ host, port: 0 }).listen();
        const { port } = listener.localAddress as Ip;
        assert.ok(port > 0);
        assert.equal((listener.localAddress as Ip).host, host);
        const client = bench.own(new Socket({ family }));
        assert.equal(client.connect(listener.localAddress), true);
        const server = bench.own(listener.accept() as Socket);
        assert.deepEqual([server.family, server.type], [family, 'stream']);
        assert.deepEqual(client.remoteAddress, listener.localAddress);
        assert.deepEqual(server.remoteAddress, client.localAddress);
        assert.equal(client.send('héllo'), 6);
        readable(server);
        assert.equal(server.recv(100)?.toString(), 'héllo');
        client.shutdown('write');
        assert.equal(server.recv(100)?.length, 0);
        server.sendAll('answer');
        readable(client);
        assert.equal(client.recv(3, MSG_PEEK)?.toString(), 'ans');
        assert.equal(client.recv(100)?.toString(), 'answer');
      }
    },
  },
  {
    name: 'a name is resolved; an unknown one is ENOTFOUND; an empty one means every address',
    run({ bench }) {
      const listener = bench.own(new Socket()).bind({ host: '', port: 0 }).listen();
      assert.equal((listener.localAddress as Ip).host, '0.0.0.0');
      const client = bench.own(new Socket());
      assert.equal(client.connect({ host: 'localhost', port: (listener.localAddress as Ip).port }), true);
      const six = bench.own(new Socket({ family: 'ipv6' })).bind({ host: '', port: 0 });
      assert.equal((six.localAddress as Ip).host, '::');
      const lost = bench.own(new Socket());
      assert.throws(
        () => lost.connect({ host: 'no-such-host.invalid', port: 1 }),
        (error: NodeJS.ErrnoException) => {
          assert.match(String(error.code), /^(ENOTFOUND|EAI_AGAIN)$/);
          assert.equal(error.syscall, 'getaddrinfo');
          assert.ok((error.errno ?? 0) < -3000, 'libuv’s number');
          return true;
        },
      );
    },
  },
  {
    name: 'errors name the call and the address: refused, in use, not local, not connected',
    run({ bench }) {
      const deaf = bench.unusedAddress();
      assert.throws(() => bench.own(new Socket()).connect(deaf), {
        code: 'ECONNREFUSED',
        syscall: 'connect',
        address: deaf.host,
        port: deaf.port,
        message: `ECONNREFUSED: connection refused, connect 127.0.0.1:${deaf.port}`,
      });
      const listener = bench.listener();
      throwsCode('EADDRINUSE', () => bench.own(new Socket()).bind(listener.localAddress).listen());
      throwsCode('EADDRNOTAVAIL', () => bench.own(new Socket()).bind({ host: '203.0.113.1', port: 0 }));
      const alone = bench.own(new Socket());
      throwsCode('ENOTCONN', () => alone.remoteAddress);
      throwsCode('ENOTCONN', () => alone.shutdown('both'));
    },
  },
  {
    name: 'S107 a backlog of -1 or 0 is accepted, an absurd one refused',
    run({ bench }) {
      for (const backlog of [-1, 0, 1, 2 ** 31 - 1]) {
        const listener = bench.own(new Socket()).bind(anyPort).listen(backlog);
        const client = bench.own(new Socket());
        client.connect(listener.localAddress);
        bench.own(listener.accept() as Socket);
      }
      const listener = bench.own(new Socket()).bind(anyPort);
      for (const backlog of [2 ** 31, 2 ** 64, NaN, 1.5])
        throwsCode('ERR_OUT_OF_RANGE', () => listener.listen(backlog));
      throwsCode('ERR_INVALID_ARG_TYPE', () => listener.listen('5' as unknown as number));
    },
  },
  {
    name: 'offsets and lengths: part of the buffer is sent or filled, and no byte beside it',
    run({ bench }) {
      const [a, b] = bench.pair();
      assert.equal(a.send('0123456789', 2, 3), 3);
      assert.equal(a.send(new Uint8Array([1, 2, 3]), 1), 2);
      const memory = new Uint8Array(8).fill(0xff);
      readable(b);
      assert.equal(b.recvInto(memory, 2, 3), 3);
      assert.deepEqual([...memory], [255, 255, 50, 51, 52, 255, 255, 255]);
      assert.equal(b.recvInto(memory.subarray(6)), 2);
      assert.deepEqual([...memory.subarray(6)], [2, 3]);
      for (const part of [[11], [-1], [0, 11], [5, 6], [0, -1], [1.5]]) {
        throwsCode('ERR_OUT_OF_RANGE', () => a.send('0123456789', ...(part as [number])));
      }
      assert.equal(a.send('0123456789', 10), 0);
      assert.equal(b.recv(100), null);
    },
  },
  {
    name: 'recv: 0 bytes give an empty Buffer; more than 64 KiB at once; the Buffer belongs to the caller',
    run({ bench }) {
      const [a, b] = bench.tcpPair();
      a.send('x');
      readable(b);
      assert.equal(b.recv(0)?.length, 0);
      const first = b.recv(10) as Buffer;
      a.send('y');
      readable(b);
      b.recv(10);
      assert.equal(first.toString(), 'x', 'the next recv does not overwrite it');
      let got = 0;
      a.sendAll(Buffer.alloc(100_000, 7));
      while (got < 100_000) {
        readable(b);
        const part = b.recv(200_000) as Buffer;
        assert.ok(part.every((byte) => byte === 7));
        got += part.length;
      }
    },
  },
  {
    name: 'an out-of-band byte is sent and received with MSG_OOB',
    run({ bench }) {
      const [client, server] = bench.tcpPair();
      client.send('!', 0, 1, MSG_OOB);
      assert.deepEqual(select([], [], [server], 5000).except, [server]);
      assert.equal(server.recv(1, MSG_OOB)?.toString(), '!');
      assert.equal(server.recv(10), null);
    },
  },
  {
    name: 'sending to a closed peer is an error, EPIPE or ECONNRESET, and no SIGPIPE',
    needs: ['reset seen'],
    run({ bench }) {
      const [a, b] = bench.tcpPair();
      b.close();
      assert.throws(() => {
        for (let i = 0; i < 1000; i++) {
          a.send('x');
          select([], [], [], 1);
        }
      }, /EPIPE|ECONNRESET|ECONNABORTED/);
      const [c, d] = bench.pair();
      d.close();
      assert.throws(() => {
        for (let i = 0; i < 1000; i++) {
          c.send('x');
          select([], [], [], 1);
        }
      }, /EPIPE|ECONNRESET|ECONNABORTED/);
    },
  },
];

const datagramCases: readonly Case<SocketContext>[] = [
  {
    name: 'datagrams: sendTo and recvFrom with addresses, over IPv4 and IPv6',
    run({ bench }) {
      for (const [family, host] of [
        ['ipv4', '127.0.0.1'],
        ['ipv6', '::1'],
      ] as const) {
        const open = () => bench.own(new Socket({ family, type: 'dgram', blocking: false })).bind({ host, port: 0 });
        const [a, b] = [open(), open()];
        assert.equal(a.sendTo('one', b.localAddress), 3);
        assert.equal(a.sendTo(new Uint8Array(0), b.localAddress), 0);
        readable(b);
        const { data, address } = b.recvFrom(100) as { data: Buffer; address: SocketAddress };
        assert.equal(data.toString(), 'one');
        assert.deepEqual(address, a.localAddress);
        readable(b);
        assert.equal(b.recvFrom(100)?.data.length, 0, 'an empty datagram is received');
        a.sendTo('long', b.localAddress);
        readable(b);
        assert.equal(b.recvFrom(2)?.data.toString(), 'lo', 'a longer datagram is truncated');
        assert.equal(b.recvFrom(2), null, 'and the rest is lost');
        // A connected socket sends and receives without an address.
        a.connect(b.localAddress);
        assert.equal(a.send('two'), 3);
        readable(b);
        assert.equal(b.recv(10)?.toString(), 'two');
      }
    },
  },
];

const optionCases: readonly Case<SocketContext>[] = [
  {
    name: 'options by name: booleans, numbers, SO_LINGER in seconds',
    run({ bench }) {
      const socket = bench.own(new Socket());
      for (const name of ['SO_REUSEADDR', 'SO_KEEPALIVE', 'TCP_NODELAY'] as const) {
        assert.equal(socket.getOption(name), 0, name);
        assert.equal(socket.setOption(name, true), socket);
        assert.notEqual(socket.getOption(name), 0, name);
        socket.setOption(name, 0);
        assert.equal(socket.getOption(name), 0, name);
      }
      socket.setOption('SO_RCVBUF', 50_000);
      assert.ok(socket.getOption('SO_RCVBUF') >= 50_000, 'Linux doubles it (socket(7))');
      assert.equal(socket.getOption('SO_LINGER'), -1);
      socket.setOption('SO_LINGER', 5);
      assert.equal(socket.getOption('SO_LINGER'), 5);
      socket.setOption('SO_LINGER', true);
      assert.equal(socket.getOption('SO_LINGER'), 0);
      socket.setOption('SO_LINGER', false);
      assert.equal(socket.getOption('SO_LINGER'), -1);
      const six = bench.own(new Socket({ family: 'ipv6' }));
      six.setOption('IPV6_V6ONLY', true);
      assert.equal(six.getOption('IPV6_V6ONLY'), 1);
      throwsCode('ERR_INVALID_ARG_VALUE', () => socket.setOption('SO_NOTHING' as 'SO_LINGER', 1));
      throwsCode('ERR_INVALID_ARG_TYPE', () => socket.setOption('SO_LINGER', '1' as unknown as number));
    },
  },
  {
    name: 'TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, SO_REUSEPORT',
    needs: ['all options'],
    run({ bench }) {
      const socket = bench.own(new Socket());
      for (const [name, value] of [
        ['TCP_KEEPIDLE', 33],
        ['TCP_KEEPINTVL', 7],
        ['TCP_KEEPCNT', 3],
      ] as const) {
        socket.setOption(name, value);
        assert.equal(socket.getOption(name), value, name);
      }
      const [first, second] = [bench.own(new Socket()), bench.own(new Socket())];
      for (const one of [first, second]) one.setOption('SO_REUSEPORT', true);
      first.bind(anyPort).listen();
      second.bind(first.localAddress).listen();
    },
  },
  {
    name: 'options by number: an int, and a struct’s bytes',
    run({ bench }) {
      const { SOL_SOCKET = 0, SO_KEEPALIVE = 0, SO_RCVTIMEO = 0 } = constants;
      const socket = bench.own(new Socket());
      socket.setOption(SOL_SOCKET, SO_KEEPALIVE, 1);
      assert.equal(socket.getOption(SOL_SOCKET, SO_KEEPALIVE, 4).readInt8(0), 1);
      // struct timeval, or milliseconds in a DWORD on Windows.
      const time = process.platform === 'win32' ? Int32Array.of(3000) : BigInt64Array.of(3n, 0n);
      const bytes = new Uint8Array(time.buffer);
      socket.setOption(SOL_SOCKET, SO_RCVTIMEO, bytes);
      assert.deepEqual(new Uint8Array(socket.getOption(SOL_SOCKET, SO_RCVTIMEO, bytes.length)), bytes);
      throwsCode('ENOPROTOOPT', () => socket.getOption(SOL_SOCKET, 12_345, 4));
    },
  },
  {
    name: 'TCP_INFO: the struct’s bytes',
    needs: ['TCP_INFO'],
    run({ bench }) {
      const { IPPROTO_TCP = 0, TCP_INFO = 0, TCP_ESTABLISHED, TCP_CLOSE } = constants;
      const [client] = bench.tcpPair();
      const info = client.getOption(IPPROTO_TCP, TCP_INFO, 256);
      assert.ok(info.length > 100 && info.length <= 256);
      assert.equal(info[0], TCP_ESTABLISHED);
      assert.equal(bench.own(new Socket()).getOption(IPPROTO_TCP, TCP_INFO, 1)[0], TCP_CLOSE);
    },
  },
];

const pairCases: readonly Case<SocketContext>[] = [
  {
    name: 'S110 pair: two connected stream sockets, each the peer of the other',
    run({ bench }) {
      const [a, b] = bench.pair({});
      assert.deepEqual([a.blocking, b.blocking, a.type, b.type], [true, true, 'stream', 'stream']);
      a.send('to b');
      b.send('to a');
      assert.equal(a.recv(10)?.toString(), 'to a');
      assert.equal(b.recv(10)?.toString(), 'to b');
      a.close();
      assert.equal(b.recv(10)?.length, 0);
    },
  },
  {
    name: 'pairs of datagram and seqpacket sockets keep messages apart',
    needs: ['unix sockets'],
    run({ bench }) {
      for (const type of ['dgram', 'seqpacket'] as const) {
        const [a, b] = bench.pair({ type, blocking: false });
        assert.deepEqual([a.family, a.type], ['unix', type]);
        a.send('one');
        a.send('two');
        assert.equal(b.recv(100)?.toString(), 'one');
        assert.equal(b.recv(100)?.toString(), 'two');
        assert.equal(b.recv(100), null);
      }
    },
  },
  {
    name: 'Unix sockets: a path, its file, a datagram’s sender; a path that is too long or contains NUL',
    needs: ['unix sockets'],
    run({ bench }) {
      const path = join(bench.folder(), 'socket');
      const listener = bench
        .own(new Socket({ family: 'unix' }))
        .bind({ path })
        .listen();
      assert.ok(existsSync(path));
      assert.deepEqual(listener.localAddress, { path });
      const client = bench.own(new Socket({ family: 'unix' }));
      assert.equal(client.connect({ path }), true);
      const server = bench.own(listener.accept() as Socket);
      assert.deepEqual(server.localAddress, { path });
      assert.deepEqual(server.remoteAddress, { path: '' });
      assert.deepEqual(client.remoteAddress, { path });
      const open = (name: string) =>
        bench.own(new Socket({ family: 'unix', type: 'dgram' })).bind({ path: `${path}${name}` });
      const [a, b] = [open('a'), open('b')];
      a.sendTo('x', b.localAddress);
      assert.deepEqual(b.recvFrom(10)?.address, { path: `${path}a` });
      const unnamed = bench.own(new Socket({ family: 'unix', type: 'dgram' }));
      unnamed.sendTo('x', b.localAddress);
      assert.deepEqual(b.recvFrom(10)?.address, { path: '' });
      const other = bench.own(new Socket({ family: 'unix' }));
      throwsCode('ENAMETOOLONG', () => other.bind({ path: 'x'.repeat(200) }));
      throwsCode('ERR_INVALID_ARG_VALUE', () => other.bind({ path: 'a\0b' }));
      throwsCode('ENOENT', () => other.connect({ path: `${path}none` }));
      throwsCode('EADDRINUSE', () => other.bind({ path }));
    },
  },
  {
    name: 'the abstract namespace: a name that begins with NUL, and no file',
    needs: ['abstract names'],
    run({ bench }) {
      const address = { path: `\0selectors-native-${process.pid}` };
      const listener = bench
        .own(new Socket({ family: 'unix' }))
        .bind(address)
        .listen();
      assert.deepEqual(listener.localAddress, address);
      assert.equal(bench.own(new Socket({ family: 'unix' })).connect(address), true);
    },
  },
  {
    name: 'abstract names with NUL inside, as padding, or only NUL: a reported address reaches the peer',
    needs: ['abstract names'],
    run({ bench }) {
      const to = bench.own(new Socket({ family: 'unix', type: 'dgram' })).bind({ path: '' });
      const { path: assigned } = to.localAddress as { path: string };
      assert.match(assigned, /^\0[0-9a-f]{5}$/, 'unix(7), autobind');
      const own = `\0selectors-native-${process.pid}`;
      for (const path of [`${own}\0x`, `${own}\0`, own.padEnd(108, '\0'), `\0${own}`, '\0']) {
        const from = bench.own(new Socket({ family: 'unix', type: 'dgram' })).bind({ path });
        assert.deepEqual(from.localAddress, { path });
        from.sendTo('question', to.localAddress);
        const { address } = to.recvFrom(20) as { address: SocketAddress };
        assert.deepEqual(address, { path });
        to.sendTo('answer', address);
        assert.equal(from.recv(20)?.toString(), 'answer');
        const listener = bench.own(new Socket({ family: 'unix' })).bind({ path: `${own}\0listener` });
        const client = bench.own(new Socket({ family: 'unix' })).bind({ path: Buffer.from(`${own}\0client`) });
        client.connect(listener.listen().localAddress);
        const server = bench.own(listener.accept() as Socket);
        assert.deepEqual(server.remoteAddress, client.localAddress);
        for (const socket of [from, listener, client]) socket.close();
      }
    },
  },
  {
    name: 'Unix paths as bytes: one that is not UTF-8 is reported as {raw}, and each call accepts it',
    needs: ['abstract names'],
    run({ bench }) {
      const folder = bench.folder();
      const bytes = (name: string) => Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, 'latin1')]);
      const open = (path: Uint8Array) => bench.own(new Socket({ family: 'unix', type: 'dgram' })).bind({ path });
      assert.deepEqual(open(bytes('utf-8')).localAddress, { path: `${folder}/utf-8` });
      const [a, b] = [open(bytes('\xff\xfe')), open(bytes('\xc3'))];
      assert.ok(existsSync(bytes('\xff\xfe')));
      a.sendTo('question', { path: bytes('\xc3') });
      const { address } = b.recvFrom(20) as { address: SocketAddress };
      assert.deepEqual(address, a.localAddress);
      assert.ok('raw' in address && Buffer.from(address.raw).includes(bytes('\xff\xfe')));
      b.sendTo('answer', address);
      assert.equal(a.recv(20)?.toString(), 'answer');
      b.connect(address);
      assert.deepEqual(b.remoteAddress, address);
      // As long as sun_path: no NUL follows (unix(7)).
      const longest = { path: join(folder, 'x'.repeat(108 - folder.length - 1)) };
      const listener = bench.own(new Socket({ family: 'unix' })).bind(longest);
      assert.deepEqual(listener.listen().localAddress, longest);
      assert.equal(bench.own(new Socket({ family: 'unix' })).connect(listener.localAddress), true);
      throwsCode('ENAMETOOLONG', () => open(Buffer.from(`${longest.path}x`)));
      for (const wrong of ['a\0', 'a\0b']) throwsCode('ERR_INVALID_ARG_VALUE', () => open(Buffer.from(wrong)));
    },
  },
  {
    name: 'an address of another family than the socket’s is the caller’s error, and the message names both',
    run({ bench }) {
      const [v4, v6] = [
        { host: '127.0.0.1', port: 9 },
        { host: '::1', port: 9 },
      ];
      const wrong: [SocketOptions, SocketAddress, RegExp][] = [
        [{ family: 'ipv6' }, v4, /'127\.0\.0\.1' is an address of family 'ipv4'.* 'ipv6'/],
        [{ family: 'ipv4' }, v6, /'::1' is an address of family 'ipv6'.* 'ipv4'/],
        [{ family: 'ipv4' }, { path: '/nowhere' }, /'unix'.* 'ipv4'/],
      ];
      if (process.platform !== 'win32') wrong.push([{ family: 'unix' }, v4, /'ipv4'.* 'unix'/]);
      for (const [options, address, message] of wrong) {
        const stream = bench.own(new Socket(options));
        const dgram = bench.own(new Socket({ ...options, ...(options.family !== 'unix' && { type: 'dgram' }) }));
        for (const call of [
          () => stream.connect(address),
          () => stream.bind(address),
          () => dgram.sendTo('x', address),
        ])
          assert.throws(call, { code: 'ERR_INVALID_ARG_VALUE', message });
      }
    },
  },
  {
    name: 'a resolver’s error keeps its own name',
    needs: ['EAI_ADDRFAMILY'],
    run({ bench }) {
      // A numeric IPv4 address, in a form that only getaddrinfo(3) accepts.
      const v6 = bench.own(new Socket({ family: 'ipv6' }));
      assert.throws(
        () => v6.connect({ host: '127.1', port: 9 }),
        ({ code, message }: NodeJS.ErrnoException) =>
          /^(EAI_ADDRFAMILY|ENOTFOUND)$/.test(code ?? '') && message.includes('getaddrinfo 127.1:9'),
      );
    },
  },
  {
    name: 'SOCK_NONBLOCK and SOCK_CLOEXEC in a type take effect, and `type` reads without them',
    run({ bench }) {
      const { SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_NONBLOCK = 0, SOCK_CLOEXEC = 0 } = constants;
      const open = (options: SocketOptions) => bench.own(new Socket(options));
      for (const socket of [
        open({ type: SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC }),
        ...bench.pair({ type: SOCK_STREAM | SOCK_NONBLOCK }),
      ]) {
        assert.deepEqual([socket.type, socket.blocking, socket.inheritable], ['stream', SOCK_NONBLOCK === 0, false]);
        const again = bench.own(Socket.fromFd(socket.detach()));
        assert.deepEqual([again.type, again.blocking], ['stream', SOCK_NONBLOCK === 0 || process.platform === 'win32']);
      }
      assert.deepEqual([open({ type: SOCK_DGRAM | SOCK_CLOEXEC }).blocking], [true]);
      assert.equal(open({ type: SOCK_STREAM | SOCK_NONBLOCK, blocking: false }).blocking, false);
      if (SOCK_NONBLOCK === 0) return;
      throwsCode('ERR_INVALID_ARG_VALUE', () => open({ type: SOCK_STREAM | SOCK_NONBLOCK, blocking: true }));
    },
  },
  {
    name: 'another family by its number, with the sockaddr as the OS defines it: netlink',
    needs: ['netlink'],
    run({ bench }) {
      const { AF_NETLINK = 0, SOCK_RAW = 0 } = constants;
      const socket = bench.own(new Socket({ family: AF_NETLINK, type: SOCK_RAW, protocol: 0, blocking: false }));
      assert.deepEqual([socket.family, socket.type], [AF_NETLINK, 'raw']);
      const sockaddr = new Uint8Array(12);
      new Uint16Array(sockaddr.buffer)[0] = AF_NETLINK;
      socket.bind({ raw: sockaddr });
      const { raw } = socket.localAddress as { raw: Uint8Array };
      assert.equal(raw.length, 12);
      assert.equal(new Uint16Array(raw.buffer, 0, 1)[0], AF_NETLINK);
      assert.notEqual(new Uint32Array(raw.buffer, 4, 1)[0], 0, 'the kernel assigned a port');
      const again = bench.own(Socket.fromFd(socket.detach()));
      assert.deepEqual([again.family, again.type], [AF_NETLINK, 'raw']);
    },
  },
];

const passingCases: readonly Case<SocketContext>[] = [
  {
    name: 'S109 sendFds and recvFds: several descriptors, new numbers, close-on-exec, the same open files',
    needs: ['SCM_RIGHTS'],
    run({ bench }) {
      const [a, b] = bench.pair();
      const [c, d] = bench.pair();
      assert.equal(b.recvFds(1), null);
      assert.equal(a.sendFds([c, d.fd], Buffer.from('two of them')), 11);
      const got = b.recvFds(5, 100) as { fds: number[]; data: Buffer; flags: number };
      assert.equal(got.data.toString(), 'two of them');
      assert.equal(got.fds.length, 2);
      assert.equal(got.flags & (MSG_TRUNC | MSG_CTRUNC), 0);
      const [copyOfC, copyOfD] = got.fds.map((fd) => bench.own(Socket.fromFd(fd))) as [Socket, Socket];
      for (const copy of [copyOfC, copyOfD]) {
        assert.ok(![a, b, c, d].some(({ fd }) => fd === copy.fd));
        assert.equal(copy.inheritable, false);
      }
      c.close();
      copyOfC.send('through the copy');
      assert.equal(copyOfD.recv(100)?.toString(), 'through the copy');
      assert.equal(a.sendFds([d]), 1, 'one byte is sent with the descriptors if there is no data');
      bench.own(Socket.fromFd((b.recvFds(1)?.fds ?? [])[0] as number));
      assert.equal(a.sendFds([], Buffer.from('none')), 4);
      assert.deepEqual(b.recvFds(3, 10)?.fds, []);
      a.close();
      const { fds, data } = b.recvFds(1) as { fds: number[]; data: Buffer };
      assert.deepEqual([fds, data.length], [[], 0], 'the end of the stream');
    },
  },
  {
    name: 'S108 MSG_CTRUNC: more descriptors than asked for; the rest is closed, not leaked',
    needs: ['SCM_RIGHTS'],
    run({ bench }) {
      const [a, b] = bench.pair();
      const [c, d] = bench.pair();
      for (const most of [0, 1, 2]) {
        a.sendFds([c, c, c]);
        const got = b.recvFds(most) as { fds: number[]; flags: number };
        assert.equal(got.fds.length, most);
        assert.notEqual(got.flags & MSG_CTRUNC, 0);
        for (const fd of got.fds) Socket.fromFd(fd).close();
      }
      // All copies are closed, so closing c ends the stream.
      c.close();
      readable(d);
      assert.equal(d.recv(1)?.length, 0);
    },
  },
  {
    name: 'recvFds: other control messages take no room from descriptors, and the kernel’s own descriptor is closed',
    needs: ['abstract names', 'SCM_RIGHTS'],
    run({ bench }) {
      const { SOL_SOCKET = 1, SO_PASSCRED = 16, SO_TIMESTAMP = 29, SO_PASSPIDFD = 76 } = constants;
      const [a, b] = bench.pair();
      const [c, d] = bench.pair();
      for (const option of [SO_PASSCRED, SO_TIMESTAMP]) b.setOption(SOL_SOCKET, option, 1);
      try {
        b.setOption(SOL_SOCKET, SO_PASSPIDFD, 1);
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'ENOPROTOOPT', 'available since Linux 6.5');
      }
      const before = openDescriptors().size;
      for (const [sent, most] of [
        [[], 8],
        [[c], 1],
        [[c], 0],
        [[c, c, c, c], 3],
        [new Array<Socket>(253).fill(c), 253],
        [new Array<Socket>(253).fill(c), 1],
      ] as const) {
        a.sendFds(sent, Buffer.from('data'));
        const got = b.recvFds(most, 10) as { fds: number[]; data: Buffer; flags: number };
        assert.deepEqual([got.fds.length, got.data.toString()], [Math.min(sent.length, most), 'data']);
        assert.equal((got.flags & MSG_CTRUNC) !== 0, sent.length > most);
        assert.equal(openDescriptors().size, before + got.fds.length, 'no other descriptor stays open');
        for (const fd of got.fds) Socket.fromFd(fd).close();
        assert.equal(openDescriptors().size, before, 'no other descriptor is closed');
      }
      for (const receive of [() => b.recv(10), () => b.recvInto(new Uint8Array(10)), () => b.recvFrom(10)]) {
        a.sendFds([c]);
        receive();
        assert.equal(openDescriptors().size, before);
      }
      c.close();
      readable(d);
      assert.equal(d.recv(1)?.length, 0, 'no copy of c is open');
    },
  },
  {
    name: 'MSG_TRUNC: never more bytes than asked for, and none of the memory’s former content',
    needs: ['MSG_DONTWAIT'],
    run({ bench }) {
      const secret = 'the password of another connection';
      const forget = () => {
        const [a, b] = bench.pair();
        a.send(secret);
        b.recv(100);
      };
      const datagrams = bench.own(new Socket({ type: 'dgram' })).bind(anyPort);
      const sender = bench.own(new Socket({ type: 'dgram' }));
      for (const flags of [MSG_TRUNC, MSG_PEEK | MSG_TRUNC]) {
        sender.sendTo('x'.repeat(34), datagrams.localAddress);
        for (const size of flags === MSG_TRUNC ? [4] : [0, 4, 33, 34, 100]) {
          forget();
          assert.equal(datagrams.recv(size, flags)?.toString(), 'x'.repeat(Math.min(size, 34)));
        }
        if (flags !== MSG_TRUNC) assert.equal(datagrams.recv(100)?.length, 34);
      }
      sender.sendTo('x'.repeat(100_000 / 2), datagrams.localAddress);
      assert.equal(datagrams.recvFrom(4)?.data.toString(), 'xxxx');
    },
  },
  {
    name: 'MSG_TRUNC on TCP discards: the discarded bytes are zeros',
    needs: ['MSG_TRUNC discards'],
    run({ bench }) {
      const [a, b] = bench.tcpPair();
      const [c, d] = bench.pair();
      c.send('the password of another connection');
      d.recv(100);
      a.send('0123456789');
      readable(b);
      assert.deepEqual(b.recv(4, MSG_PEEK | MSG_TRUNC), Buffer.alloc(4));
      assert.deepEqual(b.recv(4, MSG_TRUNC), Buffer.alloc(4));
      assert.equal(b.recv(2)?.toString(), '45');
      assert.deepEqual(b.recv(100_000, MSG_TRUNC), Buffer.alloc(4));
      a.close();
      readable(b);
      assert.equal(b.recv(4, MSG_TRUNC)?.length, 0, 'the end of the stream');
    },
  },
  {
    name: 'S108 MSG_TRUNC: a datagram longer than asked for',
    needs: ['SCM_RIGHTS'],
    run({ bench }) {
      const [a, b] = bench.pair({ type: 'dgram', blocking: false });
      a.sendFds([], Buffer.from('too long'));
      const got = b.recvFds(0, 3) as { data: Buffer; flags: number };
      assert.equal(got.data.toString(), 'too');
      assert.notEqual(got.flags & MSG_TRUNC, 0);
    },
  },
  {
    name: 'sendFds: a closed descriptor is EBADF, more than 253 EINVAL, a TCP socket is refused; nothing is sent',
    needs: ['SCM_RIGHTS'],
    run({ bench }) {
      const [a, b] = bench.pair();
      const [c] = bench.pair();
      const { fd } = c;
      throwsCode('EINVAL', () => a.sendFds(new Array<Socket>(254).fill(c)));
      assert.equal(a.sendFds(new Array<Socket>(253).fill(c)), 1);
      const { fds } = b.recvFds(253) as { fds: number[] };
      assert.equal(fds.length, 253);
      for (const one of fds) Socket.fromFd(one).close();
      c.close();
      throwsCode('EBADF', () => a.sendFds([fd]));
      assert.equal(b.recvFds(1), null);
      throwsCode('ERR_OUT_OF_RANGE', () => b.recvFds(254));
    },
  },
  {
    name: 'sendFds: a listener passed to another process, which serves its clients',
    needs: ['SCM_RIGHTS'],
    async run({ bench }) {
      const path = join(bench.folder(), 'socket');
      const meeting = bench
        .own(new Socket({ family: 'unix', blocking: false }))
        .bind({ path })
        .listen();
      const program = bench.own(
        startProgram(`
          const meeting = new selectors.Socket({ family: 'unix' });
          meeting.connect({ path: ${JSON.stringify(path)} });
          const { fds, data } = meeting.recvFds(1, 100);
          const listener = selectors.Socket.fromFd(fds[0], { blocking: true });
          console.log(data.toString(), listener.family, listener.type, listener.blocking);
          const connection = listener.accept();
          connection.sendAll('served by ' + process.pid);
          connection.close();
        `),
      );
      meeting.timeout = 20_000;
      const peer = bench.own(meeting.accept() as Socket);
      const listener = bench.own(new Socket()).bind(anyPort).listen();
      const address = listener.localAddress;
      peer.sendFds([listener], Buffer.from('here you are'));
      listener.close();
      await program.printed(/here you are ipv4 stream true/);
      const client = bench.own(new Socket());
      client.connect(address);
      client.blocking = false;
      assert.equal(readAll(client).toString(), `served by ${program.process.pid}`);
      await program.ended;
    },
  },
  {
    name: 'share and fromShare name the alternative',
    needs: ['SCM_RIGHTS'],
    run({ bench }) {
      const [a] = bench.pair();
      throwsCode('ERR_UNAVAILABLE', () => a.share(process.pid));
      throwsCode('ERR_UNAVAILABLE', () => Socket.fromShare(new Uint8Array(1)));
    },
  },
  {
    name: 'share and fromShare: the same socket in another object; sendFds names the alternative',
    needs: ['WSADuplicateSocket'],
    run({ bench }) {
      const [a, b] = bench.pair();
      const copy = bench.own(Socket.fromShare(a.share(process.pid)));
      assert.notEqual(copy.fd, a.fd);
      a.close();
      copy.send('through the copy');
      readable(b);
      assert.equal(b.recv(100)?.toString(), 'through the copy');
      throwsCode('ERR_UNAVAILABLE', () => b.sendFds([copy]));
      throwsCode('ERR_UNAVAILABLE', () => b.recvFds(1));
      throwsCode('ERR_OUT_OF_RANGE', () => Socket.fromShare(new Uint8Array(3)));
    },
  },
];

const connectCases: readonly Case<SocketContext>[] = [
  {
    name: 'non-blocking connect: false, writable when it is done, error() gives the outcome',
    run({ bench }) {
      const listener = bench.listener();
      const client = bench.own(new Socket({ blocking: false }));
      const connected = client.connect(listener.localAddress);
      using selector = new DefaultSelector();
      selector.register(client, EVENT_WRITE);
      assert.equal(selector.select(5000).length, 1);
      assert.equal(client.error(), null);
      assert.equal(typeof connected, 'boolean');
      throwsCode('EISCONN', () => {
        client.connect(listener.localAddress); // Linux accepts one more call, which completes the connect
        client.connect(listener.localAddress);
      });
      const refused = bench.own(new Socket({ blocking: false }));
      try {
        refused.connect(bench.unusedAddress());
        selector.register(refused, EVENT_WRITE, 'refused');
        while (!selector.select(5000).some(([{ data }]) => data === 'refused'));
        assert.equal(refused.error()?.code, 'ECONNREFUSED');
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'ECONNREFUSED'); // BSD may fail at once
      }
    },
  },
  {
    name: 'connect with a timeout: a refusal is reported before it expires, no answer is ETIMEDOUT',
    run({ bench }) {
      const socket = bench.own(new Socket());
      socket.timeout = 5000;
      throwsCode('ECONNREFUSED', () => socket.connect(bench.unusedAddress()));
      const listener = bench.listener();
      const other = bench.own(new Socket());
      other.timeout = 5000;
      assert.equal(other.connect(listener.localAddress), true);
      assert.equal(other.timeout, 5000);
    },
  },
];

export const socketCases: readonly Case<SocketContext>[] = [
  ...blockingCases,
  ...lifeCases,
  ...streamCases,
  ...datagramCases,
  ...optionCases,
  ...pairCases,
  ...passingCases,
  ...connectCases,
];
