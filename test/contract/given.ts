/** The contract of adopted sockets: connections accepted elsewhere (adopt), and sockets that listen already (listen). */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Connection, type ConnectionHandler, EmulatedProactor, type EventLoop, Socket } from '../../src/index.js';
import type { Bench } from '../support/bench.js';
import { throwsCode } from '../support/expect.js';
import type { Case } from './case.js';
import { type LoopContext, Reader, clientOf, echo, listen, recorder } from './loop.js';

/** Blocking sockets, as accept() returns them: [client, server]. */
function accepted(bench: Bench): [client: Socket, server: Socket] {
  const listener = bench.listener({});
  const client = clientOf(bench, { address: listener.localAddress });
  return [client, bench.own(listener.accept() as Socket)];
}

/** Checks that the caller still owns the socket: it is blocking, and data passes in both directions. */
function assertUntouched(socket: Socket, peer: Socket): void {
  assert.ok(socket.fd >= 0);
  assert.equal(socket.blocking, true);
  socket.sendAll('there');
  peer.timeout = 5000;
  assert.equal(peer.recv(100)?.toString(), 'there');
  peer.send('back');
  assert.equal(socket.recv(100)?.toString(), 'back');
}

const adopting: readonly Case<LoopContext>[] = [
  {
    name: 'adopt(): bytes received before it are delivered and answered; the caller’s Socket is closed, the descriptor number stays',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const [client, server] = accepted(bench);
      const { fd } = server;
      const reader = new Reader(client);
      client.send('before ');
      const { handler, log, errors } = recorder({ data: (one, chunk) => void one.write(chunk) });
      const connection = loop.adopt(server, handler);
      assert.equal(server.fd, -1);
      server.close();
      assert.equal(connection.fd, fd);
      assert.equal(connection.loop, loop);
      assert.deepEqual(connection.remoteAddress, client.localAddress);
      assert.deepEqual(connection.localAddress, client.remoteAddress);
      await until(loop, 'the first echo', () => reader.poll().text === 'before ');
      client.send('and after');
      await until(loop, 'the second', () => reader.poll().text === 'before and after');
      client.close();
      await until(loop, 'it closes', () => log.includes('close'));
      assert.deepEqual([log.filter((entry) => entry !== 'data'), errors], [['open', 'close'], [null]]);
    },
  },
  {
    name: 'adopt(): the descriptor becomes non-blocking, whether it blocked or had a timeout before',
    async run({ bench, loop: make, until }) {
      const loop = make();
      for (const timeout of [null, 0, 5000]) {
        const [client, server] = accepted(bench);
        server.timeout = timeout;
        const connection = loop.adopt(server, echo);
        const number = Socket.fromFd(connection.fd);
        assert.equal(number.blocking, process.platform === 'win32', 'Windows cannot report the mode');
        number.detach();
        connection.write(Buffer.alloc(10_000_000));
        let got = 0;
        await until(loop, 'all of it', () => {
          got += client.recv(1 << 20)?.length ?? 0;
          return got === 10_000_000;
        });
      }
    },
  },
  {
    name: 'S118 adopt(): half-close, also of a peer that had finished before: all bytes come back, then the end of the stream',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const [client, server] = accepted(bench);
      const reader = new Reader(client);
      client.send('last words');
      client.shutdown('write');
      const { handler, log } = recorder({
        data: (connection, chunk) => void connection.write(chunk),
        end: (connection) => void loop.callLater(5, () => connection.end('!')),
      });
      loop.adopt(server, handler);
      await until(loop, 'the end', () => reader.poll().ended);
      assert.equal(reader.text, 'last words!');
      await until(loop, 'it closes', () => log.includes('close'));
      assert.deepEqual(log, ['open', 'data', 'end', 'close']);
    },
  },
  {
    name: 'adopt(): one end of a socket pair',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const [a, b] = bench.pair({});
      const connection = loop.adopt(b, echo);
      assert.deepEqual(connection.remoteAddress, a.localAddress);
      a.blocking = false;
      const reader = new Reader(a);
      a.send('through a pair');
      a.shutdown('write');
      await until(loop, 'the echo', () => reader.poll().ended);
      assert.equal(reader.text, 'through a pair');
    },
  },
  {
    name: 'adopt() in a callback and in a handler: `open` in the next turn, before data that arrived earlier',
    async run({ bench, loop: make, until }) {
      const loop = make();
      let turn = 0;
      const said: string[] = [];
      const adopt = (name: string): void => {
        const [client, server] = accepted(bench);
        client.send('long ago');
        const now = turn;
        const connection: Connection<string> = loop.adopt<string>(server, {
          open: (one) => said.push(`open ${one.data} ${turn - now}`),
          data: (one) => said.push(`data ${one.data}`),
        });
        connection.data = name;
      };
      const [client, server] = accepted(bench);
      loop.adopt(server, { data: () => adopt('in a handler') });
      client.send('now');
      loop.callSoon(() => adopt('in a callback'));
      const count = (): void => {
        turn++;
        if (said.length < 4) loop.callLater(0, count);
      };
      loop.callLater(0, count);
      await until(loop, 'both', () => said.length === 4);
      for (const name of ['in a handler', 'in a callback']) {
        const own = said.filter((entry) => entry.includes(name));
        assert.deepEqual([own[0]?.split(' ')[0], own[1]], ['open', `data ${name}`]);
        assert.match(own[0] ?? '', /[01]$/, 'timers are called after callbacks');
      }
    },
  },
  {
    name: 'adopt(): an immediate write() and end() are sent after `open`; destroy() before `open` calls only `close`',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const [client, server] = accepted(bench);
      const [other, unwanted] = accepted(bench);
      const one = recorder({ open: (connection) => assert.equal(connection.writableLength, 100_000) });
      const connection = loop.adopt(server, one.handler, { highWaterMark: 100_000 });
      const two = recorder();
      loop.adopt(unwanted, two.handler).destroy();
      assert.equal(connection.write(Buffer.alloc(99_999)), true);
      assert.equal(connection.write('!'), false);
      connection.end();
      const reader = new Reader(client);
      await until(loop, 'the end', () => reader.poll().ended);
      assert.equal(reader.text.length, 100_000);
      client.close();
      await until(loop, 'both close', () => one.log.includes('close') && two.log.includes('close'));
      assert.deepEqual(one.log, ['open', 'close']);
      assert.deepEqual(two.log, ['close']);
      assert.equal(new Reader(other).poll().ended, true);
    },
  },
  {
    name: 'R12 adopt(): reading pauses as for an accepted connection while too much output is queued',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const [client, server] = accepted(bench);
      let most = 0;
      const handler: ConnectionHandler = {
        data(connection, chunk) {
          connection.write(chunk);
          most = Math.max(most, connection.writableLength);
        },
      };
      loop.adopt(server, handler, { highWaterMark: 65_536 });
      const piece = Buffer.alloc(65_536);
      let refused = 0;
      await until(loop, 'the kernel takes no more', () => {
        refused = client.send(piece) === null ? refused + 1 : 0;
        return refused > 20;
      });
      assert.ok(most <= 2 * 65_536, `${most} bytes were buffered`);
    },
  },
  {
    name: 'R6 adopt(): an `open` that throws closes its own connection and does not throw in the caller of adopt()',
    async run({ bench, loop: make, until }) {
      const thrown: unknown[] = [];
      const loop = make((error) => thrown.push(error));
      const [bad, good] = [accepted(bench), accepted(bench)];
      const { handler, log, errors } = recorder({
        open() {
          throw new Error('in open');
        },
      });
      loop.adopt(bad[1], handler);
      loop.adopt(good[1], echo);
      const reader = new Reader(good[0]);
      bad[0].send('x');
      good[0].send('x');
      await until(loop, 'it closes', () => log.includes('close') && reader.poll().text === 'x');
      assert.deepEqual(log, ['open', 'close']);
      assert.deepEqual(thrown, errors);
      assert.match(String(errors[0]), /in open/);
    },
  },
  {
    name: 'close() of the loop closes adopted connections, also before `open`; a closing loop adopts nothing',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const pairs = [accepted(bench), accepted(bench), accepted(bench)] as const;
      let late: unknown;
      const one = recorder({
        close() {
          try {
            loop.adopt(pairs[2][1], {});
          } catch (error) {
            late = error;
          }
        },
      });
      const two = recorder();
      loop.adopt(pairs[0][1], one.handler);
      await until(loop, 'it opens', () => one.log.length === 1);
      loop.adopt(pairs[1][1], two.handler);
      loop.close();
      assert.deepEqual([one.log, two.log], [['open', 'close'], ['close']]);
      assert.equal((late as NodeJS.ErrnoException).code, 'ERR_CLOSED');
      throwsCode('ERR_CLOSED', () => loop.adopt(pairs[2][1], {}));
      for (const [client] of pairs.slice(0, 2)) {
        client.timeout = 5000;
        assert.equal(client.recv(1)?.length, 0);
      }
      assertUntouched(pairs[2][1], pairs[2][0]);
    },
  },
  {
    name: 'adopt() refuses an unsuitable socket before anything changes: the caller’s socket is unchanged',
    run({ bench, loop: make }) {
      const loop = make();
      const [client, server] = accepted(bench);
      for (const wrong of [undefined, null, 1, {}, { fd: server.fd }, server.fd])
        throwsCode('ERR_INVALID_ARG_TYPE', () => loop.adopt(wrong as unknown as Socket, {}));
      throwsCode('ERR_INVALID_ARG_TYPE', () => loop.adopt(server, { data: 1 } as unknown as ConnectionHandler));
      throwsCode('ERR_OUT_OF_RANGE', () => loop.adopt(server, {}, { highWaterMark: 0 }));
      const closed = new Socket();
      closed.close();
      throwsCode('ERR_CLOSED', () => loop.adopt(closed, {}));
      const datagrams = bench.own(new Socket({ type: 'dgram' }));
      throwsCode('ERR_INVALID_ARG_VALUE', () => loop.adopt(datagrams, {}));
      throwsCode('ENOTCONN', () => loop.adopt(bench.own(new Socket()), {}));
      throwsCode('ENOTCONN', () => loop.adopt(bench.listener(), {}));
      assertUntouched(server, client);
      const proactor = bench.own(new EmulatedProactor());
      const operation = proactor.recv(server, 10);
      throwsCode('ERR_BUSY', () => loop.adopt(server, {}));
      operation.cancel();
      proactor.wait();
      assertUntouched(server, client);
      const connection = loop.adopt(server, {});
      // A second object for the same number: its owner would be ambiguous.
      const second = Socket.fromFd(connection.fd);
      throwsCode('ERR_KEY_EXISTS', () => loop.adopt(second, {}));
      connection.pause();
      loop.runOnce(0);
      throwsCode('ERR_KEY_EXISTS', () => loop.adopt(second, {}));
      second.detach();
    },
  },
  {
    name: 'adopt(): a peer that has already reset is ENOTCONN, and the caller still owns the socket',
    needs: ['reset seen'],
    run({ bench, loop: make }) {
      const loop = make();
      const [client, server] = accepted(bench);
      client.setOption('SO_LINGER', true);
      client.close();
      assert.throws(() => loop.adopt(server, {}), { code: /^(ENOTCONN|EINVAL)$/, syscall: 'getpeername' });
      assert.ok(server.fd >= 0);
      loop.runOnce(0);
    },
  },
  {
    name: 'I18 a socket that has had operations on another port cannot be adopted: EINVAL, and the caller still owns it',
    needs: ['one loop a file'],
    async run({ bench, loop: make, until }) {
      const [client, server] = accepted(bench);
      const [one, other] = [make(), make()];
      const copy = bench.own(server.dup());
      const connection = one.adopt(copy, echo);
      const reader = new Reader(client);
      client.send('x');
      await until(one, 'the echo', () => reader.poll().text === 'x');
      throwsCode('EINVAL', () => other.adopt(server, {}));
      assert.ok(server.fd >= 0);
      connection.destroy();
    },
  },
];

/** Runs turns of two loops alternately until `count` clients are served. */
async function bothUntil(until: LoopContext['until'], loop: EventLoop, other: EventLoop, done: () => boolean) {
  await until(loop, 'all of them', () => {
    other.runOnce(0);
    return done();
  });
}

const listening: readonly Case<LoopContext>[] = [
  {
    name: 'listen({socket}): takes a listening socket with its backlog; the caller’s Socket is closed, and close() closes the listener',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const socket = bench.listener({});
      const address = socket.localAddress;
      const early = new Reader(clientOf(bench, { address }));
      const listener = listen(loop, echo, { socket, maxConnections: 2, highWaterMark: 1000 });
      assert.equal(socket.fd, -1);
      socket.close();
      assert.deepEqual(listener.address, address);
      const late = new Reader(clientOf(bench, listener));
      for (const { client } of [early, late]) client.send('x');
      await until(loop, 'both are served', () => early.poll().text === 'x' && late.poll().text === 'x');
      assert.equal(listener.connections, 2);
      listener.close();
      listener.close();
      throwsCode('ECONNREFUSED', () => bench.own(new Socket()).connect(address));
      early.client.send('y');
      await until(loop, 'connections stay open', () => early.poll().text === 'xy');
    },
  },
  {
    name: 'listen({socket}): two loops share one socket, and accept a hundred clients between them, each once',
    needs: ['any number of loops a file'],
    async run({ bench, loop: make, until }) {
      const [one, other] = [make(), make()];
      const socket = bench.listener({});
      const copy = socket.dup();
      const served = [0, 0];
      const [first, second] = [one, other].map((loop, i) => {
        const handler: ConnectionHandler = {
          open(connection) {
            served[i] = (served[i] ?? 0) + 1;
            connection.end(String(i));
          },
        };
        return listen(loop, handler, { socket: i === 0 ? socket : copy });
      });
      assert.deepEqual(first?.address, second?.address);
      const readers: Reader[] = [];
      const connect = (): void => void readers.push(new Reader(clientOf(bench, first as typeof second & object)));
      for (let i = 0; i < 20; i++) connect();
      await bothUntil(until, one, other, () => {
        if (readers.length < 100) connect();
        return readers.filter((reader) => reader.poll().ended).length === 100;
      });
      assert.equal((served[0] ?? 0) + (served[1] ?? 0), 100);
      for (const { text } of readers) assert.match(text, /^[01]$/, 'served once');
      for (const { client } of readers) client.close();
      await bothUntil(until, one, other, () => first?.connections === 0 && second?.connections === 0);
      // One loop closes its listener; the other one accepts every client.
      first?.close();
      const before = served[1] ?? 0;
      const last = new Reader(clientOf(bench, second as NonNullable<typeof second>));
      await until(other, 'the last', () => last.poll().ended);
      assert.equal(served[1], before + 1);
    },
  },
  {
    name: 'listen({socket}): where a file has one port, a second loop fails with EINVAL, and the caller still owns the socket',
    needs: ['one loop a file'],
    async run({ bench, loop: make, until }) {
      const [one, other] = [make(), make()];
      const socket = bench.listener({});
      const copy = bench.own(socket.dup());
      const listener = listen(one, echo, { socket });
      throwsCode('EINVAL', () => listen(other, echo, { socket: copy }));
      assert.ok(copy.fd >= 0);
      const reader = new Reader(clientOf(bench, listener));
      reader.client.send('x');
      await until(one, 'it is served', () => reader.poll().text === 'x');
    },
  },
  {
    name: 'listen({socket}): does not remove the file of a Unix socket',
    needs: ['unix sockets'],
    async run({ bench, loop: make, until }) {
      const loop = make();
      const path = join(bench.folder(), 'socket');
      const socket = bench.own(new Socket({ family: 'unix' }));
      const listener = listen(loop, echo, { socket: socket.bind({ path }).listen() });
      assert.deepEqual(listener.address, { path });
      const client = recorder({ open: (connection) => connection.end('through a file') });
      loop.connect({ path }, client.handler);
      await until(loop, 'the echo', () => client.log.includes('close'));
      assert.equal(client.bytes, 'through a file');
      listener.close();
      assert.equal(existsSync(path), true);
    },
  },
  {
    name: 'listen({socket}) refuses a socket that does not listen, and conflicting options, before anything changes',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const socket = bench.listener({});
      for (const wrong of [null, 1, {}, { fd: socket.fd }])
        throwsCode('ERR_INVALID_ARG_TYPE', () => listen(loop, echo, { socket: wrong as unknown as Socket }));
      for (const more of [{ host: '::1' }, { port: 0 }, { path: '/x' }, { backlog: 5 }, { reusePort: false }])
        throwsCode('ERR_INVALID_ARG_VALUE', () => listen(loop, echo, { socket, ...more }));
      throwsCode('ERR_OUT_OF_RANGE', () => listen(loop, echo, { socket, maxConnections: 0 }));
      throwsCode('ERR_INVALID_ARG_TYPE', () => listen(loop, { data: 1 } as unknown as ConnectionHandler, { socket }));
      const closed = new Socket();
      closed.close();
      throwsCode('ERR_CLOSED', () => listen(loop, echo, { socket: closed }));
      throwsCode('ERR_INVALID_ARG_VALUE', () =>
        listen(loop, echo, { socket: bench.own(new Socket({ type: 'dgram' })) }),
      );
      const [client, server] = accepted(bench);
      throwsCode('EINVAL', () => listen(loop, echo, { socket: server }));
      assertUntouched(server, client);
      assert.equal(socket.blocking, true);
      const operations = bench.own(new EmulatedProactor());
      const accept = operations.accept(socket);
      throwsCode('ERR_BUSY', () => listen(loop, echo, { socket }));
      accept.cancel();
      operations.wait();
      const reader = new Reader(clientOf(bench, listen(loop, echo, { socket })));
      reader.client.send('x');
      await until(loop, 'it is served', () => reader.poll().text === 'x');
    },
  },
  {
    name: 'listen({socket}) refuses a bound socket that does not listen, and takes it once it listens',
    needs: ['SO_ACCEPTCONN'],
    async run({ bench, loop: make, until }) {
      const loop = make();
      const bound = bench.own(new Socket()).bind({ host: '127.0.0.1', port: 0 });
      throwsCode('EINVAL', () => listen(loop, echo, { socket: bound }));
      assert.equal(bound.blocking, true);
      const reader = new Reader(clientOf(bench, listen(loop, echo, { socket: bound.listen() })));
      reader.client.send('x');
      await until(loop, 'it is served', () => reader.poll().text === 'x');
    },
  },
];

export const givenCases: readonly Case<LoopContext>[] = [...adopting, ...listening];
