/** The contract of every event loop, over any mechanism, blocking and inside Node's loop: behaviours S111 to S122 and R1 to R33. */
import assert from 'node:assert/strict';
import { closeSync, existsSync, mkdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import vm from 'node:vm';
import {
  type Connection,
  type ConnectionHandler,
  type EventLoop,
  type ListenOptions,
  type Listener,
  Socket,
  type SocketAddress,
  type Timer,
} from '../../src/index.js';
import type { Bench } from '../support/bench.js';
import { throwsCode } from '../support/expect.js';
import type { Case } from './case.js';

export interface LoopContext {
  readonly bench: Bench;
  /** Makes a loop over the mechanism under test; it is closed at the end. */
  loop(onError?: (error: unknown) => void): EventLoop;
  /** Runs the loop until the condition holds. */
  until(loop: EventLoop, what: string, condition: () => boolean): Promise<void>;
  /** Runs the loop, in the mode under test, until it is stopped. */
  run(loop: EventLoop): Promise<void>;
}

/** A connected blocking client socket. */
export function clientOf(bench: Bench, { address }: { readonly address: SocketAddress }): Socket {
  const client = bench.own(new Socket());
  client.connect(address);
  client.blocking = false;
  return client;
}

/** The data that has arrived at a non-blocking client; null at the end of the stream. */
function readAll(client: Socket): { readonly text: string; readonly ended: boolean } {
  let text = '';
  for (;;) {
    const bytes = client.recv(65_536);
    if (bytes === null) return { text, ended: false };
    if (bytes.length === 0) return { text, ended: true };
    text += bytes.toString('latin1');
  }
}

/** Reads a client's end of a connection step by step. */
export class Reader {
  text = '';
  ended = false;
  constructor(readonly client: Socket) {}
  poll(): this {
    if (this.ended) return this;
    const { text, ended } = readAll(this.client);
    this.text += text;
    this.ended = ended;
    return this;
  }
}

export const echo: ConnectionHandler = { data: (connection, chunk) => void connection.write(chunk) };

/** A handler that records its callbacks. */
export function recorder(more: ConnectionHandler = {}) {
  const log: string[] = [];
  const connections: Connection[] = [];
  const errors: (Error | null)[] = [];
  let bytes = '';
  const handler: ConnectionHandler = {
    open(connection) {
      connections.push(connection);
      log.push('open');
      more.open?.(connection);
    },
    data(connection, chunk) {
      bytes += chunk.toString('latin1');
      log.push('data');
      more.data?.(connection, chunk);
    },
    drain(connection) {
      log.push('drain');
      more.drain?.(connection);
    },
    close(connection, error) {
      log.push('close');
      errors.push(error);
      more.close?.(connection, error);
    },
  };
  if (more.end !== undefined) {
    const { end } = more;
    handler.end = (connection) => {
      log.push('end');
      end(connection);
    };
  }
  return {
    handler,
    log,
    connections,
    errors,
    get bytes() {
      return bytes;
    },
  };
}

export function listen(loop: EventLoop, handler: ConnectionHandler, options: ListenOptions = {}): Listener {
  return loop.listen(options, handler);
}

const callbacks: readonly Case<LoopContext>[] = [
  {
    name: 'callSoon: callbacks run in the order of the calls; S119 a callback added by a callback runs in the next turn, after another poll',
    async run({ loop: make, until }) {
      const loop = make();
      const said: string[] = [];
      loop.callSoon(() => {
        said.push('a');
        loop.callSoon(() => said.push('c'));
      });
      loop.callSoon(() => said.push('b'));
      assert.equal(loop.runOnce(0), 2);
      assert.deepEqual(said, ['a', 'b']);
      await until(loop, 'the third', () => said.length === 3);
      assert.deepEqual(said, ['a', 'b', 'c']);
    },
  },
  {
    name: 'R18 timers are never early; timers that are due at the same time run in the order of the calls',
    async run({ loop: make, until }) {
      const loop = make();
      let called: string[] = [];
      const late: number[] = [];
      // A timer starts at its own call: all calls compared must be made within 5 ms, or are repeated.
      for (let timers: Timer[] = [], took = Infinity; took > 5;) {
        for (const timer of timers.splice(0)) timer.cancel();
        const order: string[] = (called = []);
        const start = loop.now();
        timers = [30, 10.5, 20, 0, -5].map((ms) =>
          loop.callLater(ms, () => {
            order.push(String(ms));
            late.push(loop.now() - start - ms);
          }),
        );
        for (const name of ['x', 'y', 'z']) timers.push(loop.callLater(40, () => order.push(name)));
        took = loop.now() - start;
      }
      await until(loop, 'all', () => called.length === 8);
      assert.deepEqual(called.slice(2), ['10.5', '20', '30', 'x', 'y', 'z']);
      for (const ms of late) assert.ok(ms >= 0, `${-ms} ms early`);
    },
  },
  {
    name: 'S120 R18 cancelled timers do not run; a slow callback delays the others and skips none',
    async run({ loop: make, until }) {
      const loop = make();
      const said: string[] = [];
      let timers: Timer[] = [];
      // The first timer expires first, however long it takes to add the others.
      loop.callLater(0, () => {
        const end = loop.now() + 120;
        while (loop.now() < end);
        timers[298]?.[Symbol.dispose]();
      });
      timers = Array.from({ length: 300 }, (_, i) => loop.callLater(100, () => said.push(String(i))));
      for (const timer of timers.slice(0, 298)) timer.cancel();
      timers[0]?.cancel();
      await until(loop, 'the last', () => said.length > 0);
      assert.deepEqual(said, ['299']);
    },
  },
  {
    name: 'errors and bytes of another realm (Jest, vm) are accepted as errors and bytes',
    async run({ bench, loop: make, until }) {
      const reported: unknown[] = [];
      const loop = make((error) => reported.push(error));
      const closed: (Error | null)[] = [];
      const handler: ConnectionHandler = { close: (_connection, error) => void closed.push(error) };
      const foreign = (text: string): unknown => vm.runInNewContext(text);
      const given = ['new Error("x")', 'new (class extends RangeError {})("y")', 'Object.create(Error.prototype)'];
      const errors = given.map((text) => foreign(text) as Error);
      const adopt = (own: ConnectionHandler) => {
        const [a, b] = bench.pair();
        return { connection: loop.adopt(a, own), peer: b };
      };
      for (const error of errors) adopt(handler).connection.destroy(error);
      await until(loop, 'destroyed', () => closed.length === errors.length);
      assert.deepEqual(
        closed.map((error, i) => error === errors[i]),
        errors.map(() => true),
      );
      closed.length = 0;
      const { connection } = adopt({
        ...handler,
        open() {
          throw errors[0] as Error;
        },
      });
      await until(loop, 'a handler threw', () => closed.length > 0);
      assert.ok(closed[0] === errors[0] && reported[0] === errors[0] && connection.fd === -1);
      const { connection: writer, peer } = adopt(handler);
      peer.blocking = false;
      const reader = new Reader(peer);
      writer.write(foreign('new Uint8Array([104, 105])') as Uint8Array);
      await until(loop, 'the bytes', () => reader.poll().text === 'hi');
      for (const none of ['({ name: "Error", message: "x" })', '[]', '"x"', '(() => 1)'])
        throwsCode('ERR_INVALID_ARG_TYPE', () => {
          writer.destroy(foreign(none) as Error);
        });
    },
  },
  {
    name: 'S120 a timer of more than a day does no harm; without anything to do, runOnce() returns after its timeout',
    run({ loop: make }) {
      const loop = make();
      using _timer = loop.callLater(1e12, () => assert.fail('early'));
      const start = loop.now();
      assert.equal(loop.runOnce(15.5), 0);
      assert.ok(loop.now() - start >= 15.5);
      for (const wrong of [NaN, Infinity]) throwsCode('ERR_OUT_OF_RANGE', () => loop.callLater(wrong, () => undefined));
    },
  },
  {
    name: 'stop() ends run() at the end of the turn; called before run(), it leaves one turn that does not wait',
    async run({ loop: make, run }) {
      const loop = make();
      const said: string[] = [];
      loop.callSoon(() => {
        loop.stop();
        said.push('first');
      });
      loop.callSoon(() => said.push('second'));
      await run(loop);
      assert.deepEqual(said, ['first', 'second']);
      loop.stop();
      await run(loop);
      loop.callLater(5, () => loop.stop());
      await run(loop);
    },
  },
  {
    name: 'R5 run(), runOnce() and start() within a callback are refused, and the turn goes on',
    async run({ loop: make, until }) {
      const loop = make();
      let tried = 0;
      loop.callSoon(() => {
        throwsCode('ERR_BUSY', () => loop.run());
        throwsCode('ERR_BUSY', () => loop.runOnce(0));
        loop.start().catch((error: unknown) => assert.equal((error as NodeJS.ErrnoException).code, 'ERR_BUSY'));
        tried++;
      });
      await until(loop, 'all tried', () => tried === 1);
    },
  },
  {
    name: 'R6 a callback that throws: the rest of the batch runs, then the error is thrown; the loop can go on',
    async run({ loop: make, run, until }) {
      const loop = make();
      let called = 0;
      loop.callSoon(() => {
        throw new Error('first');
      });
      loop.callSoon(() => called++);
      await assert.rejects(run(loop), /^Error: first$/);
      assert.equal(called, 1);
      for (const text of ['one', 'two']) {
        loop.callSoon(() => {
          throw new Error(text);
        });
      }
      await assert.rejects(run(loop), (error: AggregateError) => {
        assert.deepEqual(
          error.errors.map(({ message }: Error) => message),
          ['one', 'two'],
        );
        return true;
      });
      loop.callSoon(() => called++);
      await until(loop, 'the next', () => called === 2);
    },
  },
  {
    name: 'R6 an async handler or callback that rejects: its own connection is closed, and onError is called',
    async run({ bench, loop: make, until }) {
      const errors: unknown[] = [];
      const loop = make((error) => errors.push(error));
      // A promise of another realm and a library's thenable; cast to a type that TypeScript accepts here.
      const rejected = (text: string): void => vm.runInNewContext(`Promise.reject('${text}')`) as undefined;
      const thenable = (text: string): void =>
        ({ then: (_: unknown, reject: (error: unknown) => void) => reject(text) }) as unknown as undefined;
      for (const name of ['open', 'data', 'end', 'close'] as const) {
        let called = false;
        const closings: (Error | null)[] = [];
        const handler: ConnectionHandler = {
          close: (_, error) => void closings.push(error),
          [name](_: Connection, error: Error | null = null) {
            called = true;
            if (name === 'close') closings.push(error);
            return name === 'end' ? thenable(name) : rejected(name);
          },
        };
        const listener = listen(loop, handler);
        const client = clientOf(bench, listener);
        client.send('x');
        if (name === 'end' || name === 'close') client.shutdown('write');
        await until(loop, name, () => called);
        await until(loop, `${name} is reported`, () => errors.includes(name) && closings.length === 1);
        if (name !== 'close') assert.equal(closings[0]?.cause, name);
        listener.close();
      }
      let calls = 0;
      const callback = (name: string) => (): void => {
        calls++;
        return rejected(name);
      };
      loop.callSoon(callback('callSoon'));
      loop.callLater(0, callback('callLater'));
      await until(loop, 'both are called', () => calls === 2);
      await until(loop, 'both are reported', () => errors.includes('callSoon') && errors.includes('callLater'));
    },
  },
  {
    name: 'R6 without onError, an async callback that rejects makes run() or start() fail',
    async run({ loop: make, run }) {
      const loop = make();
      loop.callSoon(() => {
        loop.stop();
        return Promise.reject(new Error('late')) as unknown as undefined;
      });
      await run(loop);
      await assert.rejects(run(loop), /^Error: late$/);
    },
  },
  {
    name: 'R6 with onError, errors go there one by one, and nothing stops',
    async run({ loop: make, until }) {
      const errors: unknown[] = [];
      const loop = make((error) => errors.push(error));
      for (const thrown of ['a string', new Error('an error')]) {
        loop.callSoon(() => {
          throw thrown as Error;
        });
      }
      await until(loop, 'both', () => errors.length === 2);
      assert.equal(errors[0], 'a string');
    },
  },
  {
    name: 'after close() every method throws ERR_CLOSED; close() and stop() do nothing',
    async run({ bench, loop: make }) {
      const loop = make();
      const { address } = listen(loop, {});
      loop.close();
      loop.close();
      loop.stop();
      for (const use of [
        () => loop.listen({}, {}),
        () => loop.connect(address, {}),
        () => loop.callSoon(() => undefined),
        () => loop.callLater(1, () => undefined),
        () => loop.onSignal('SIGINT', () => undefined),
        () => loop.run(),
        () => loop.runOnce(0),
      ]) {
        throwsCode('ERR_CLOSED', use);
      }
      await assert.rejects(loop.start(), { code: 'ERR_CLOSED' });
      throwsCode('ECONNREFUSED', () => bench.own(new Socket()).connect(address));
    },
  },
  {
    name: 'close() in a callback: the turn ends, every connection’s `close` is called, and run() returns',
    async run({ bench, loop: make, run }) {
      const loop = make();
      const { handler, log } = recorder({ data: () => loop.close() });
      const client = clientOf(bench, listen(loop, handler));
      client.send('x');
      await run(loop);
      assert.deepEqual(log, ['open', 'data', 'close']);
      throwsCode('ERR_CLOSED', () => loop.callSoon(() => undefined));
    },
  },
];

const streams: readonly Case<LoopContext>[] = [
  {
    name: 'listen and connect on one loop: both ends report their addresses, and written bytes arrive',
    async run({ loop: make, until }) {
      const loop = make();
      const server = recorder({ data: (connection, chunk) => connection.end(Buffer.concat([chunk, chunk])) });
      const listener = listen(loop, server.handler);
      const client = recorder({ open: (connection) => void connection.write('grüße') });
      const connection = loop.connect(listener.address, client.handler);
      assert.equal(connection.loop, loop);
      await until(loop, 'the answer', () => client.log.includes('close') && server.log.includes('close'));
      assert.equal(Buffer.from(client.bytes, 'latin1').toString('utf8'), 'grüßegrüße');
      assert.deepEqual(client.errors, [null]);
      assert.deepEqual(server.errors, [null]);
      assert.deepEqual(connection.remoteAddress, listener.address);
      assert.equal(connection.fd, -1);
      assert.equal(listener.connections, 0);
    },
  },
  {
    name: 'addresses of a connection are available from its `open` until after its `close`',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const seen: SocketAddress[] = [];
      const { handler, connections, log } = recorder({
        open: (connection) => seen.push(connection.localAddress, connection.remoteAddress),
      });
      const listener = listen(loop, handler);
      const client = clientOf(bench, listener);
      await until(loop, 'it opens', () => seen.length === 2);
      assert.deepEqual(seen, [listener.address, client.localAddress]);
      assert.deepEqual(client.remoteAddress, listener.address);
      client.close();
      await until(loop, 'it closes', () => log.includes('close'));
      assert.deepEqual([connections[0]?.localAddress, connections[0]?.remoteAddress], seen);
    },
  },
  {
    name: 'R15 S118 half-close: all sent bytes come back before the end of the stream',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const listener = listen(loop, echo);
      const reader = new Reader(clientOf(bench, listener));
      const text = 'half-close '.repeat(20_000);
      let sent = 0;
      await until(loop, 'the end', () => {
        if (sent < text.length) {
          sent += reader.client.send(text.slice(sent, sent + 50_000)) ?? 0;
          if (sent === text.length) reader.client.shutdown('write');
        }
        return reader.poll().ended;
      });
      assert.equal(reader.text.length, text.length);
      assert.ok(reader.text === text);
      await until(loop, 'it closes', () => listener.connections === 0);
    },
  },
  {
    name: 'S118 with an `end` handler the write side stays open until end()',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const { handler, log } = recorder({
        end: (connection) => void loop.callLater(5, () => connection.end('afterwards')),
      });
      const reader = new Reader(clientOf(bench, listen(loop, handler)));
      reader.client.shutdown('write');
      await until(loop, 'the end', () => reader.poll().ended);
      assert.equal(reader.text, 'afterwards');
      await until(loop, 'it closes', () => log.includes('close'));
      assert.deepEqual(log, ['open', 'end', 'close']);
    },
  },
  {
    name: 'S117 R14 end() flushes the buffer, then sends FIN; data still arrives; write() after it throws',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const large = Buffer.alloc(3_000_000, 'x');
      const { handler, log, connections } = recorder({
        open(connection) {
          connection.write(large);
          connection.end('!');
          throwsCode('ERR_CLOSED', () => connection.write('more'));
          connection.end();
        },
      });
      const reader = new Reader(clientOf(bench, listen(loop, handler)));
      await until(loop, 'the end', () => reader.poll().ended);
      assert.equal(reader.text.length, large.length + 1);
      assert.equal(log.includes('close'), false);
      reader.client.send('still heard');
      await until(loop, 'the data', () => log.includes('data'));
      reader.client.close();
      await until(loop, 'it closes', () => log.includes('close'));
      assert.equal(connections[0]?.write('x'), false);
      assert.deepEqual(log, ['open', 'data', 'close']);
    },
  },
  {
    name: 'R14 destroy() drops the buffer and closes at once; `close` is called once, with its error, in the same turn',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const why = new Error('enough');
      const { handler, log, errors, connections } = recorder({
        data(connection) {
          connection.write('never sent');
          connection.destroy(why);
          connection.destroy(new Error('too late'));
          assert.equal(connection.fd, -1);
          assert.equal(connection.writableLength, 0);
          assert.equal(connection.write('x'), false);
          connection.end();
          connection.pause();
          connection.resume();
        },
      });
      const reader = new Reader(clientOf(bench, listen(loop, handler)));
      reader.client.send('x');
      await until(loop, 'it closes', () => log.includes('close'));
      await until(loop, 'the client sees it', () => reader.poll().ended);
      assert.equal(reader.text, '');
      assert.deepEqual(log, ['open', 'data', 'close']);
      assert.deepEqual(errors, [why]);
      assert.equal(connections.length, 1);
    },
  },
  {
    name: 'S116 R12 R13 a slow reader: write() returns false, memory is bounded, `drain` is called, every byte arrives',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const total = 8_000_000;
      const highWaterMark = 100_000;
      const piece = Buffer.alloc(10_000);
      let pushed = 0;
      let most = 0;
      const push = (connection: Connection): void => {
        while (pushed < total) {
          piece.fill(pushed / piece.length);
          pushed += piece.length;
          const goesOn = connection.write(Buffer.from(piece));
          most = Math.max(most, connection.writableLength);
          assert.equal(goesOn, connection.writableLength < highWaterMark);
          if (!goesOn) return;
        }
        connection.end();
      };
      const { handler, log } = recorder({ open: push, drain: push });
      const client = clientOf(bench, listen(loop, handler, { highWaterMark }));
      let got = 0;
      await until(loop, 'all of it', () => {
        const bytes = client.recv(65_536);
        for (let i = 0; i < (bytes?.length ?? 0); i += 997)
          assert.equal(bytes?.[i], Math.floor((got + i) / piece.length) & 0xff);
        got += bytes?.length ?? 0;
        return bytes?.length === 0;
      });
      assert.equal(got, total);
      assert.ok(most <= highWaterMark + piece.length, `${most} bytes were buffered`);
      assert.ok(log.filter((entry) => entry === 'drain').length > 1);
    },
  },
  {
    name: 'R12 receive back-pressure: a peer that does not read its replies is not received from',
    async run({ bench, loop: make, until }) {
      const loop = make();
      let received = 0;
      let most = 0;
      const listener = listen(
        loop,
        {
          data(connection, chunk) {
            received += chunk.length;
            connection.write(chunk);
            most = Math.max(most, connection.writableLength);
          },
        },
        { highWaterMark: 65_536 },
      );
      const client = clientOf(bench, listener);
      const piece = Buffer.alloc(65_536, 'p');
      let sent = 0;
      let refused = 0;
      await until(loop, 'the kernel takes no more', () => {
        const took = client.send(piece);
        if (took === null) refused++;
        else refused = 0;
        sent += took ?? 0;
        return refused > 20;
      });
      assert.ok(received < sent, 'the server stops receiving');
      assert.ok(most <= 2 * 65_536, `${most} bytes were buffered`);
      let got = 0;
      await until(loop, 'all came back', () => {
        got += client.recv(1 << 20)?.length ?? 0;
        return got === sent;
      });
    },
  },
  {
    name: 'R12 two ends on loops, one of which sends more than all buffers hold before it reads: no deadlock',
    async run({ loop: make, until }) {
      const loop = make();
      const total = 15_000_000;
      let got = 0;
      const connection = loop.connect(listen(loop, echo).address, {
        open: (client) => void client.write(Buffer.alloc(total)),
        data: (_, chunk) => void (got += chunk.length),
      });
      await until(loop, 'all came back', () => got === total);
      connection.destroy();
    },
  },
  {
    name: 'a `close` handler that connects again at once: the turn ends, and timers run',
    async run({ bench, loop: make, until }) {
      const errors: unknown[] = [];
      const loop = make((error) => errors.push(error));
      const address = bench.unusedAddress();
      let connects = 0;
      let timer = false;
      const again: ConnectionHandler = {
        close() {
          connects++;
          if (!timer) loop.connect(address, again);
        },
      };
      loop.connect(address, again);
      loop.callLater(20, () => (timer = true));
      await until(loop, 'the timer', () => timer);
      assert.ok(connects > 0 || process.platform === 'win32', 'refused at least once');
      assert.deepEqual(errors, []);
    },
  },
  {
    name: 'R6 an error is reported also when its turn closes the loop, or a `close` handler throws it then',
    async run({ loop: make, run }) {
      const loop = make();
      loop.callSoon(() => {
        loop.close();
        throw new Error('reported');
      });
      await assert.rejects(run(loop), /reported/);
      const other = make();
      other.connect(listen(other, {}).address, {
        open: () => other.close(),
        close() {
          throw new Error('thrown by close');
        },
      });
      await assert.rejects(run(other), /thrown by close/);
    },
  },
  {
    name: 'pause() and resume(): no callback in between, no byte lost, the end of the stream waits too',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const { handler, log, connections } = recorder({
        open: (connection) => connection.pause(),
        end: (connection) => connection.end(),
      });
      const record = recorder();
      const client = clientOf(bench, listen(loop, handler));
      client.send('while paused');
      client.shutdown('write');
      await until(loop, 'it opens', () => log.length === 1);
      for (let i = 0; i < 5; i++) loop.runOnce(2);
      assert.deepEqual(log, ['open']);
      connections[0]?.resume();
      connections[0]?.pause();
      connections[0]?.resume();
      await until(loop, 'it closes', () => log.includes('close'));
      assert.deepEqual(log, ['open', 'data', 'end', 'close']);
      assert.equal(record.log.length, 0);
    },
  },
  {
    name: 'R3 a handler pauses, ends or destroys another connection whose data arrived in the same batch',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const all: Connection[] = [];
      const said: string[] = [];
      const listener = listen(loop, {
        open: (connection) => void all.push(connection),
        data(connection, chunk) {
          said.push(chunk.toString());
          for (const other of all) {
            if (other === connection) continue;
            if (chunk.toString() === 'pause') other.pause();
            else other.destroy();
          }
        },
        close: (connection) => void all.splice(all.indexOf(connection), 1),
      });
      const clients = [clientOf(bench, listener), clientOf(bench, listener)];
      await until(loop, 'both open', () => all.length === 2);
      for (const client of clients) client.send('pause');
      await until(loop, 'one of them speaks', () => said.length > 0);
      for (let i = 0; i < 5; i++) loop.runOnce(2);
      assert.deepEqual(said, ['pause'], 'the other one is paused');
      for (const connection of all) connection.resume();
      await until(loop, 'the other speaks', () => said.length === 2);
      for (const connection of all) connection.resume();
      for (const client of clients) client.send('destroy');
      await until(loop, 'one is destroyed', () => all.length === 1);
      for (let i = 0; i < 5; i++) loop.runOnce(2);
      assert.equal(
        said.filter((text) => text === 'destroy').length,
        1,
        'the pending data of the destroyed connection is dropped',
      );
    },
  },
  {
    name: 'R1 R2 does not deliver stale events after a descriptor number is reused within a batch',
    needs: ['numbers used again'],
    async run({ bench, loop: make, until }) {
      const loop = make();
      const { handler, log, connections } = recorder();
      const victim = clientOf(bench, listen(loop, handler));
      await until(loop, 'it opens', () => connections.length === 1);
      const server = recorder({ data: (connection, chunk) => void connection.write(chunk) });
      const { address } = listen(loop, server.handler);
      const heir = recorder({ open: (connection) => void connection.write('of the heir') });
      const number = connections[0]?.fd;
      // After the wait, and before its events are dispatched.
      loop.callSoon(() => {
        for (let lower = 0; lower < 8; lower++) bench.own(new Socket()); // occupies lower free numbers
        connections[0]?.destroy();
        assert.equal(loop.connect(address, heir.handler).fd, number);
      });
      victim.send('of the former owner');
      await until(loop, 'the echo', () => heir.bytes.length > 0);
      assert.equal(heir.bytes, 'of the heir');
      assert.deepEqual(log, ['open', 'close']);
    },
  },
  {
    name: 'a connection whose descriptor other code closed costs no later client, and ends with EBADF (stale registration)',
    needs: ['numbers used again', 'sockets closed by number'],
    async run({ bench, loop: make, until }) {
      const loop = make(() => undefined);
      const lost = recorder();
      clientOf(bench, listen(loop, lost.handler));
      await until(loop, 'it opens', () => lost.connections.length === 1);
      const server = recorder({ data: (connection, chunk) => void connection.write(chunk) });
      const { address } = listen(loop, server.handler);
      for (let lower = 0; lower < 8; lower++) bench.own(new Socket()); // occupies lower free numbers
      const readers = [0, 1, 2, 3].map(() => new Reader(bench.own(new Socket())));
      const number = lost.connections[0]?.fd as number;
      let areConnected = false;
      // Within a turn: between two runs, Node or this package could reuse the number.
      loop.callSoon(() => {
        areConnected = true;
        closeSync(number);
        for (const { client } of readers) {
          client.connect(address);
          client.blocking = false;
          client.send('x');
        }
      });
      await until(loop, 'all echoes', () => areConnected && readers.every((reader) => reader.poll().text === 'x'));
      assert.ok(server.connections.some(({ fd }) => fd === number));
      await until(loop, 'the error is reported', () => lost.errors.length === 1);
      assert.equal((lost.errors[0] as NodeJS.ErrnoException).code, 'EBADF');
      lost.connections[0]?.destroy(); // closes no descriptor of the others
      for (const { client } of readers) client.send('y');
      await until(loop, 'the next echoes', () => readers.every((reader) => reader.poll().text === 'xy'));
    },
  },
  {
    name: 'pause in each `data` and resume a moment later: bytes arrive in order, followed by the end',
    async run({ loop: make, until }) {
      const loop = make();
      const CLIENTS = 20;
      const bytes = Buffer.from(Array.from({ length: 1_000_000 }, (_, i) => (i * 7919) >> 8));
      const received = new Map<Connection, Buffer[]>();
      let ended = 0;
      const listener = listen(loop, {
        open: (connection) => void received.set(connection, []),
        data(connection, chunk) {
          received.get(connection)?.push(chunk);
          connection.pause();
          if (received.size % 2 === 0) loop.callSoon(() => connection.resume());
          else loop.callLater(0, () => connection.resume());
        },
        end(connection) {
          ended++;
          const all = Buffer.concat(received.get(connection) ?? []);
          assert.ok(all.equals(bytes), `${all.length} of ${bytes.length} bytes, or wrong bytes`);
          connection.end();
        },
      });
      for (let i = 0; i < CLIENTS; i++) loop.connect(listener.address, { open: (connection) => connection.end(bytes) });
      await until(loop, 'all ends', () => ended === CLIENTS);
    },
  },
  {
    name: 'S117 a queued piece whose memory is detached before it is sent: the connection is closed, and nothing is sent after the gap',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const { handler, connections, errors } = recorder();
      const client = clientOf(bench, listen(loop, handler));
      await until(loop, 'it opens', () => connections.length === 1);
      const connection = connections[0] as Connection;
      const pieces = Array.from({ length: 200 }, (_, i) => new Uint8Array(100_000).fill(i));
      for (const piece of pieces) connection.write(piece);
      await until(loop, 'some is sent', () => connection.writableLength < 20_000_000);
      structuredClone(pieces[170], { transfer: [pieces[170]?.buffer as ArrayBuffer] });
      let length = 0;
      let highest = 0;
      await until(loop, 'it closes', () => {
        for (let bytes = client.recv(1_000_000); bytes !== null && bytes.length > 0; bytes = client.recv(1_000_000)) {
          length += bytes.length;
          highest = Math.max(highest, ...[bytes[0] ?? 0, bytes.at(-1) ?? 0]);
        }
        return errors.length === 1;
      });
      assert.match(String(errors[0]?.message), /lost their memory/);
      assert.ok(length <= 17_000_000 && highest < 170, `${length} bytes, up to piece ${highest}`);
    },
  },
  {
    name: 'listener.close(), destroy() and stop() have taken effect when they return: the port, the end, the last bytes',
    async run({ bench, loop: make, until, run }) {
      const loop = make();
      const { handler, connections } = recorder();
      const listener = listen(loop, handler);
      const client = clientOf(bench, listener);
      await until(loop, 'it opens', () => connections.length === 1);
      loop.runOnce(0); // submits what was started
      listener.close();
      const { port } = listener.address as { readonly port: number };
      const say = (connection: Connection): void => {
        connection.write('last words');
        loop.stop();
      };
      const again = listen(loop, { open: say }, { port });
      connections[0]?.destroy();
      client.timeout = 5000;
      assert.equal(client.recv(10)?.length, 0, 'the end of the stream, without another turn');
      const other = clientOf(bench, again);
      await run(loop);
      other.timeout = 5000;
      assert.equal(other.recv(100)?.toString(), 'last words');
    },
  },
  {
    name: 'R6 a handler that throws costs its own connection: `close` gets the error, the others are served',
    async run({ bench, loop: make, until }) {
      const thrown: unknown[] = [];
      const loop = make((error) => thrown.push(error));
      for (const place of ['open', 'data', 'end', 'drain', 'close'] as const) {
        thrown.length = 0;
        const { handler, log, errors } = recorder({
          [place](connection: Connection) {
            if (place !== 'close' || log.includes('data')) throw new Error(`in ${place}`);
            connection.destroy();
          },
          ...(place === 'drain' ? { data: (connection) => void connection.write(Buffer.alloc(70_000)) } : {}),
        });
        const bad = clientOf(bench, listen(loop, handler));
        const good = new Reader(clientOf(bench, listen(loop, echo)));
        bad.send('x');
        good.client.send(place);
        if (place === 'end' || place === 'close') bad.shutdown('write');
        await until(loop, `${place} throws`, () => log.includes('close') && good.poll().text === place);
        assert.equal((thrown[0] as Error).message, `in ${place}`);
        assert.equal(thrown.length, 1);
        assert.equal(errors[0]?.message, place === 'close' ? undefined : `in ${place}`);
        assert.equal(log.filter((entry) => entry === 'close').length, 1);
        bad.close();
      }
    },
  },
  {
    name: 'R16 a reset: the handler gets ECONNRESET or EPIPE, also while it writes; the process goes on',
    needs: ['reset seen'],
    async run({ bench, loop: make, until }) {
      const loop = make();
      const { handler, errors, log } = recorder({
        open: (connection) => void connection.write(Buffer.alloc(10_000_000)),
      });
      const listener = listen(loop, handler);
      const client = clientOf(bench, listener);
      await until(loop, 'it opens', () => log.includes('open'));
      client.setOption('SO_LINGER', true);
      client.close();
      await until(loop, 'it closes', () => log.includes('close'));
      assert.match((errors[0] as NodeJS.ErrnoException).code ?? '', /^(ECONNRESET|EPIPE)$/);
      assert.equal(log.filter((entry) => entry === 'close').length, 1);
    },
  },
  {
    name: 'connect(): a refused one calls `close` once, with the reason, and never `open`; earlier writes are dropped',
    needs: ['errors left to the caller'],
    async run({ bench, loop: make, until }) {
      const loop = make();
      const { handler, errors, log } = recorder();
      const address = bench.unusedAddress();
      const connection = loop.connect(address, handler);
      connection.write('early');
      await until(loop, 'it fails', () => log.length > 0);
      assert.deepEqual(log, ['close']);
      const error = errors[0] as NodeJS.ErrnoException & { port?: number };
      assert.equal(error.code, 'ECONNREFUSED');
      assert.equal(error.syscall, 'connect');
      assert.equal(error.port, address.port);
      assert.deepEqual(connection.remoteAddress, address);
    },
  },
  {
    name: 'connect(): an immediate write() and end() are sent once it is connected',
    async run({ loop: make, until }) {
      const loop = make();
      const server = recorder();
      const listener = listen(loop, server.handler);
      const client = recorder();
      loop.connect(listener.address, client.handler).end('early');
      assert.deepEqual(client.log, []);
      await until(loop, 'both closed', () => client.log.includes('close') && server.log.includes('close'));
      assert.equal(server.bytes, 'early');
      assert.deepEqual(client.log, ['open', 'close']);
    },
  },
  {
    name: 'S114 many clients at once are all accepted; maxConnections keeps the others in the backlog',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const { handler, connections } = recorder({ data: (connection, chunk) => void connection.write(chunk) });
      const listener = listen(loop, handler, { maxConnections: 3, backlog: 100 });
      const readers = Array.from({ length: 10 }, () => new Reader(clientOf(bench, listener)));
      for (const { client } of readers) client.send('hello');
      await until(loop, 'three', () => connections.length === 3);
      for (let i = 0; i < 5; i++) loop.runOnce(2);
      assert.equal(connections.length, 3);
      assert.equal(listener.connections, 3);
      let open = 10;
      await until(loop, 'each in its turn', () => {
        assert.ok(listener.connections <= 3);
        for (const reader of readers) {
          if (reader.client.fd < 0 || reader.poll().text !== 'hello') continue;
          reader.client.close();
          open--;
        }
        return open === 0 && listener.connections === 0;
      });
      assert.equal(connections.length, 10);
    },
  },
  {
    name: 'R7 R9 a client that sends without pause starves no other: a quiet client of another listener is answered',
    async run({ bench, loop: make, until }) {
      const loop = make();
      let poured = 0;
      const hose = clientOf(bench, listen(loop, { data: (_, chunk) => void (poured += chunk.length) }));
      const quiet = new Reader(clientOf(bench, listen(loop, echo)));
      const piece = Buffer.alloc(1 << 20);
      let turnsWithoutAnswer = 0;
      let asked = 0;
      await until(loop, 'a hundred answers', () => {
        while (hose.send(piece) !== null);
        if (quiet.poll().text.length === asked) {
          quiet.client.send('?');
          asked++;
          turnsWithoutAnswer = 0;
        }
        assert.ok(turnsWithoutAnswer++ < 200, 'starved');
        return asked === 100;
      });
      assert.ok(poured > 1 << 20);
    },
  },
  {
    name: 'a Unix socket: by path; close() removes its file',
    needs: ['unix sockets'],
    async run({ bench, loop: make, until }) {
      const loop = make();
      const path = join(bench.folder(), 'socket');
      const listener = listen(loop, echo, { path });
      assert.deepEqual(listener.address, { path });
      const client = recorder({ open: (connection) => connection.end('through a file') });
      loop.connect({ path }, client.handler);
      await until(loop, 'the echo', () => client.log.includes('close'));
      assert.equal(client.bytes, 'through a file');
      listener.close();
      listener.close();
      assert.equal(existsSync(path), false);
    },
  },
  {
    name: 'a Unix listener removes its own file only, even after the working directory has changed',
    needs: ['unix sockets', 'chdir'],
    run({ bench, loop: make }) {
      const loop = make();
      const folder = bench.folder();
      const before = process.cwd();
      const path = join(folder, 'socket');
      try {
        process.chdir(folder);
        const relative = listen(loop, echo, { path: 'socket' });
        process.chdir(bench.folder());
        writeFileSync('socket', 'of somebody else');
        relative.close();
        assert.equal(existsSync('socket'), true);
        assert.equal(existsSync(path), false);
      } finally {
        process.chdir(before);
      }
      const removed = listen(loop, echo, { path });
      unlinkSync(path);
      const newer = listen(loop, echo, { path });
      removed.close();
      assert.equal(existsSync(path), true, 'a newer server has the path');
      rmSync(path);
      writeFileSync(path, 'of somebody else');
      newer.close();
      assert.equal(existsSync(path), true, 'a regular file has the path');
      rmSync(path);
      symlinkSync(folder, join(folder, 'link'));
      const linked = listen(loop, echo, { path: join(folder, 'link', 'socket') });
      linked.close();
      assert.equal(existsSync(path), false);
      const release = join(folder, 'release');
      mkdirSync(release);
      const current = join(folder, 'current');
      symlinkSync(release, current);
      const older = listen(loop, echo, { path: join(current, 'socket') });
      unlinkSync(current);
      symlinkSync(folder, current);
      writeFileSync(path, 'of somebody else');
      older.close();
      assert.equal(existsSync(path), true, 'the link leads to another folder');
      assert.equal(existsSync(join(release, 'socket')), false, 'the socket is in the folder that the link led to');
      rmSync(path);
      const gone = listen(loop, echo, { path: join(folder, 'link', 'socket') });
      rmSync(folder, { recursive: true });
      gone.close();
    },
  },
  {
    name: 'Unix paths of any bytes: listen, connect and what they report',
    needs: ['abstract names'],
    async run({ bench, loop: make, until }) {
      const loop = make();
      const folder = bench.folder();
      const names = [`${folder}/\xff\xfe`, `\0${process.pid}\0x`, `\0${process.pid}`.padEnd(108, '\0')];
      for (const name of names) {
        const path = Buffer.from(name, 'latin1');
        const peers: SocketAddress[] = [];
        const listener = listen(
          loop,
          { ...echo, open: ({ remoteAddress }) => void peers.push(remoteAddress) },
          { path },
        );
        const client = recorder({ open: (connection) => connection.end('through any name') });
        const connection = loop.connect(listener.address, client.handler);
        assert.deepEqual(connection.remoteAddress, listener.address);
        await until(loop, 'the echo', () => client.log.includes('close'));
        assert.equal(client.bytes, 'through any name');
        // A client bound to a name: its peer can connect to that address.
        const named = bench.own(new Socket({ family: 'unix', blocking: false }));
        named.bind({ path: Buffer.concat([Buffer.of(0), Buffer.from([process.pid & 0xff, 0, 0xff])]) });
        named.connect(listener.address);
        await until(loop, 'its address', () => peers.length === 2);
        assert.deepEqual(peers, [{ path: '' }, named.localAddress]);
        named.close();
        listener.close();
        assert.equal(existsSync(path.toString('latin1')) || (path[0] !== 0 && existsSync(path)), false);
      }
    },
  },
  {
    name: 'listen(): an address in use is EADDRINUSE, and no descriptor is left open',
    run({ loop: make }) {
      const loop = make();
      const { address } = listen(loop, echo);
      throwsCode('EADDRINUSE', () => listen(loop, echo, address as { host: string; port: number }));
      throwsCode('ERR_INVALID_ARG_VALUE', () => listen(loop, echo, { path: '/x', port: 1 }));
      throwsCode('ERR_OUT_OF_RANGE', () => listen(loop, echo, { port: 65_536 }));
      throwsCode('ERR_OUT_OF_RANGE', () => listen(loop, echo, { maxConnections: 0 }));
      throwsCode('ERR_OUT_OF_RANGE', () => listen(loop, echo, { highWaterMark: 0 }));
      throwsCode('ERR_INVALID_ARG_TYPE', () => listen(loop, { data: 'no function' } as unknown as ConnectionHandler));
    },
  },
  {
    name: 'the handler may keep its chunks: kept ones are not overwritten',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const kept: Buffer[] = [];
      let received = 0;
      const listener = listen(loop, {
        data(_, chunk) {
          kept.push(chunk);
          received += chunk.length;
        },
      });
      const clients = [clientOf(bench, listener), clientOf(bench, listener)];
      const sent = [0, 0];
      const counting = Buffer.from(Array.from({ length: 1 << 17 }, (_, i) => i & 0xff));
      const sizes = [1, 64, 5000, 20_000, 65_536, 300];
      let turn = 0;
      let total = 0;
      await until(loop, 'a few megabytes', () => {
        clients.forEach((client, i) => {
          const size = sizes[turn++ % sizes.length] ?? 1;
          const first = ((sent[i] ?? 0) + 128 * i) & 0xff;
          const took = client.send(counting.subarray(first, first + size)) ?? 0;
          sent[i] = (sent[i] ?? 0) + took;
          total += took;
        });
        return total > 3_000_000;
      });
      await until(loop, 'all of it', () => received === total);
      // Each chunk counts up; the first value identifies the client.
      for (const chunk of kept) {
        const first = chunk[0] ?? 0;
        assert.ok(chunk.equals(counting.subarray(first, first + chunk.length)), 'a kept chunk was overwritten');
      }
    },
  },
  {
    name: 'borrowed chunks: written ones arrive whole, also at a slow reader and from a paused connection',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const listener = listen(loop, { ...echo, borrowsChunks: true }, { highWaterMark: 1 << 20 });
      const text = Array.from({ length: 400_000 }, (_, i) => String.fromCharCode(33 + ((i * 7919) % 90))).join('');
      const readers = Array.from({ length: 3 }, () => new Reader(clientOf(bench, listener)));
      const sent = readers.map(() => 0);
      await until(loop, 'all echoes', () => {
        readers.forEach((reader, i) => {
          const at = sent[i] ?? 0;
          if (at < text.length) sent[i] = at + (reader.client.send(text.slice(at, at + 200_000)) ?? 0);
          else if (i < 2 || readers.slice(0, 2).every(({ text: got }) => got.length === text.length)) reader.poll();
        });
        return readers.every(({ text: got }) => got.length === text.length);
      });
      for (const reader of readers) assert.ok(reader.text === text);
    },
  },
];

export const loopCases: readonly Case<LoopContext>[] = [...callbacks, ...streams];
