/** The contract that a reactor adds to a loop's: readiness of any descriptor. */
import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { EVENT_READ, EVENT_WRITE, Reactor, Socket, wakeup } from '../../src/index.js';
import type { Bench } from '../support/bench.js';
import { throwsCode } from '../support/expect.js';
import type { Case } from './case.js';
import { type LoopContext, Reader, clientOf, echo } from './loop.js';

export interface ReactorContext extends LoopContext {
  loop(onError?: (error: unknown) => void): Reactor;
}

/** The same socket under a number above select's limit. */
function above(bench: Bench, socket: Socket): Socket {
  for (;;) {
    const copy = bench.own(socket.dup());
    if (copy.fd >= 1024) return copy;
  }
}

export const reactorCases: readonly Case<ReactorContext>[] = [
  {
    name: 'addReader and addWriter are level-triggered: called while the descriptor is ready, until removed',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const [a, b] = bench.pair();
      let reads = 0;
      let writes = 0;
      loop.addReader(b, () => reads++);
      loop.addWriter(b, () => writes++);
      await until(loop, 'it is writable', () => writes > 2);
      assert.equal(reads, 0);
      assert.equal(loop.removeWriter(b), true);
      const before = writes;
      a.send('x');
      await until(loop, 'it is readable, again and again', () => reads > 2);
      assert.equal(writes, before);
      assert.equal(b.recv(10)?.toString(), 'x');
      assert.equal(loop.removeReader(b), true);
      assert.equal(loop.selector.getMap().size, 0);
    },
  },
  {
    name: 'S111 a second addReader replaces the callback; the writer stays',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const [a, b] = bench.pair();
      const said = new Set<string>();
      loop.addWriter(b, () => said.add('writer'));
      loop.addReader(b, () => said.add('old'));
      loop.addReader(b, () => said.add('new'));
      assert.equal(loop.selector.getKey(b).events, EVENT_READ | EVENT_WRITE);
      a.send('x');
      await until(loop, 'both', () => said.size === 2);
      assert.deepEqual([...said].sort(), ['new', 'writer']);
    },
  },
  {
    name: 'S112 removeReader with a writer left is a modify, else an unregister; false for an unknown or closed descriptor',
    run({ bench, loop: make }) {
      const loop = make();
      const [a, b] = bench.pair();
      assert.equal(loop.removeReader(a), false);
      assert.equal(loop.removeWriter(a), false);
      loop.addReader(a, () => undefined);
      assert.equal(loop.removeWriter(a), false);
      loop.addWriter(a, () => undefined);
      assert.equal(loop.removeReader(a), true);
      assert.equal(loop.removeReader(a), false);
      assert.equal(loop.selector.getKey(a).events, EVENT_WRITE);
      a.close();
      assert.equal(loop.removeWriter(a), true, 'identified by the object that was registered');
      assert.equal(loop.selector.getMap().size, 0);
      assert.equal(loop.removeWriter(a), false);
      throwsCode('ERR_INVALID_ARG_TYPE', () => loop.addReader(b, undefined as unknown as () => void));
      assert.equal(loop.selector.getMap().size, 0);
    },
  },
  {
    name: 'S113 the reader runs before the writer of the same descriptor; one that is removed meanwhile does not run',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const [a, b] = bench.pair();
      const said: string[] = [];
      a.send('x');
      loop.addWriter(b, () => said.push('writer'));
      loop.addReader(b, () => {
        said.push('reader');
        loop.removeWriter(b);
      });
      await until(loop, 'the reader', () => said.length > 0);
      assert.equal(said[0], 'reader');
      assert.equal(said.includes('writer'), false);
    },
  },
  {
    name: 'R3 R4 a callback removed within a batch does not run in it; an added one runs in the next batch at the earliest',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const pairs = Array.from({ length: 8 }, () => bench.pair());
      const called = new Set<number>();
      const turns = new Map<number, number>();
      let turn = 0;
      pairs.forEach(([a, b], i) => {
        a.send('x');
        loop.addReader(b, () => {
          called.add(i);
          turns.set(i, turn);
          pairs.forEach(([, other], k) => {
            loop.removeReader(other);
            // Added again during the batch that reported it ready.
            if (k === (i + 1) % 8) loop.addReader(other, () => turns.set(100 + k, turn));
          });
        });
      });
      loop.runOnce(1000);
      assert.equal(called.size, 1, 'the first callback of the batch removes all others');
      assert.equal(turns.size, 1, 'callbacks that it added are not called in that batch');
      turn = 1;
      await until(loop, 'the added one', () => turns.size === 2);
      assert.equal([...turns.values()].at(-1), 1);
    },
  },
  {
    name: 'S122 addReader and addWriter refuse the descriptor of a connection or listener, also while it is paused',
    async run({ bench, loop: make, until }) {
      const loop = make();
      let fd = -1;
      const listener = loop.listen(
        {},
        {
          open(connection) {
            ({ fd } = connection);
            connection.pause();
          },
        },
      );
      const client = clientOf(bench, listener);
      client.send('x');
      await until(loop, 'it opens', () => fd >= 0);
      const listening = [...loop.selector.getMap().keys()];
      assert.equal(listening.length, 1);
      for (const number of [fd, listening[0] as number]) {
        throwsCode('ERR_KEY_EXISTS', () => loop.addReader(number, () => undefined));
        throwsCode('ERR_KEY_EXISTS', () => loop.addWriter(number, () => undefined));
        assert.equal(loop.removeReader(number), false);
      }
    },
  },
  {
    name: 'R13 write interest is registered only while output is queued: an idle connection causes no turn',
    async run({ bench, loop: make, until }) {
      const loop = make();
      let big = false;
      const listener = loop.listen(
        {},
        { data: (connection) => void connection.write(big ? Buffer.alloc(10_000_000) : 'small') },
      );
      const client = clientOf(bench, listener);
      client.send('x');
      let got = 0;
      await until(loop, 'the answer', () => (got += client.recv(100)?.length ?? 0) === 5);
      const key = () => [...loop.selector.getMap().values()].at(-1);
      assert.equal(key()?.events, EVENT_READ);
      assert.equal(loop.runOnce(20), 0);
      big = true;
      client.send('x');
      await until(loop, 'write interest', () => ((key()?.events ?? 0) & EVENT_WRITE) !== 0);
      got = 0;
      await until(loop, 'all of it', () => (got += client.recv(1 << 20)?.length ?? 0) === 10_000_000);
      await until(loop, 'read interest alone', () => key()?.events === EVENT_READ);
    },
  },
  {
    name: 'R20 wakeup() of the selector ends a wait of the loop; many count as one, and none is an event',
    async run({ loop: make, until }) {
      const loop = make();
      for (let i = 0; i < 100; i++) wakeup(loop.selector.wakeupHandle);
      const start = loop.now();
      assert.equal(loop.runOnce(30_000), 0);
      assert.ok(loop.now() - start < 20_000);
      assert.equal(loop.runOnce(10), 0);
      let called = false;
      loop.callLater(5, () => (called = true));
      await until(loop, 'the timer', () => called);
    },
  },
  {
    name: 'R5 select() of the loop’s own selector within a callback loses no event',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const [a, b] = bench.pair();
      const [c, d] = bench.pair();
      const said: string[] = [];
      for (const [name, socket] of [
        ['b', b],
        ['d', d],
      ] as const) {
        loop.addReader(socket, () => {
          assert.ok(loop.selector.select(0).length > 0);
          said.push(`${name} ${socket.recv(10)?.toString()}`);
        });
      }
      a.send('1');
      c.send('2');
      await until(loop, 'both', () => said.length === 2);
      assert.deepEqual(said.sort(), ['b 1', 'd 2']);
    },
  },
  {
    name: 'R5 many new registrations and a select() within a data handler: each connection gets its own bytes',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const got: string[] = [];
      const listener = loop.listen(
        {},
        {
          data(connection, chunk) {
            got.push(chunk.toString());
            // More than the initial capacity of a wait: its records are reallocated.
            for (let i = 0; i < 50; i++) {
              const [reader] = bench.pair();
              loop.addReader(reader, () => undefined);
            }
            loop.selector.select(0);
            connection.write(chunk);
          },
          end: () => got.push('the end'),
        },
      );
      const clients = Array.from({ length: 3 }, () => clientOf(bench, listener));
      await until(loop, 'all are accepted', () => listener.connections === 3);
      clients.forEach((client, i) => client.send(`message ${i}${'!'.repeat(i)}`));
      await until(loop, 'all of them', () => got.length >= 3);
      assert.deepEqual(got.sort(), ['message 0', 'message 1!', 'message 2!!']);
    },
  },
  {
    name: 'R5 events of a select() within a handler are not mixed with those of the turn',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const said: string[] = [];
      const [connection, client] = bench.pair();
      const [writable] = bench.pair();
      const others = Array.from({ length: 3 }, () => bench.pair());
      // The turn reports the connection and the writable socket; this wait overwrites them with three others.
      loop.adopt(connection, {
        data() {
          said.push('data');
          for (const [, peer] of others) peer.send('x');
          loop.selector.select(0);
        },
      });
      for (const [reader] of others) loop.addReader(reader, () => said.push(`other ${reader.recv(10)?.toString()}`));
      loop.addReader(writable, () => said.push('readable, though nothing was sent'));
      loop.runOnce(0);
      loop.addWriter(writable, () => {
        said.push('writable');
        loop.removeWriter(writable);
      });
      client.send('go');
      await until(loop, 'all of them', () => said.length >= 5);
      assert.deepEqual(said.sort(), ['data', 'other x', 'other x', 'other x', 'writable']);
    },
  },
  {
    name: 'a second loop on a selector takes nothing from the first one',
    async run({ bench, loop: make, until }) {
      const first = make();
      first.runOnce(0);
      new Reactor({ selector: first.selector });
      const [a, b] = bench.pair();
      let received = '';
      first.addReader(b, () => (received += b.recv(10)?.toString() ?? ''));
      a.send('hello');
      await until(first, 'what was sent', () => received === 'hello');
    },
  },
  {
    name: 'R6 a handler that detaches the memory of its chunk costs no other connection a message',
    async run({ bench, loop: make, until }) {
      const errors: unknown[] = [];
      const loop = make((error) => errors.push(error));
      const got: string[] = [];
      let isFirst = true;
      const listener = loop.listen(
        {},
        {
          data(_, chunk) {
            if (!isFirst) return void got.push(chunk.toString());
            isFirst = false;
            structuredClone(chunk.buffer, { transfer: [chunk.buffer as ArrayBuffer] });
          },
        },
      );
      const clients = Array.from({ length: 3 }, () => clientOf(bench, listener));
      await until(loop, 'all are accepted', () => listener.connections === 3);
      for (const client of clients) client.send('one');
      await until(loop, 'those of the others', () => got.length === 2);
      // Node 20 copies it; later versions refuse.
      for (const error of errors) assert.equal((error as Error).name, 'DataCloneError');
      assert.equal(listener.connections, 3 - errors.length);
    },
  },
  ...(['reader', 'writer', 'both', 'key', 'listener'] as const).map((stale): Case<ReactorContext> => ({
    name: `a stale ${stale} of a closed descriptor costs no client, and is reported once`,
    needs: ['numbers used again', 'sockets closed by number', 'closing ends watching'],
    async run({ bench, loop: make, until }) {
      const errors: unknown[] = [];
      let calls = 0;
      const loop = make((error) => errors.push(error));
      const listener = loop.listen({}, echo);
      const readers = [0, 1, 2].map(() => new Reader(bench.own(new Socket())));
      for (let lower = 0; lower < 8; lower++) bench.own(new Socket()); // occupies free numbers below those of the pair
      const old = stale === 'listener' ? loop.listen({}, echo) : undefined;
      const [a, b] = bench.pair();
      const dup = bench.own(a.dup()); // keeps the old file open
      if (stale === 'reader' || stale === 'both') loop.addReader(a, () => calls++);
      if (stale === 'writer' || stale === 'both') loop.addWriter(a, () => calls++);
      if (stale === 'key') loop.selector.register(a, EVENT_READ, 'a key');
      const ofListener = [...loop.selector.getMap().values()].find(({ data }) => data === old && old !== undefined);
      let areConnected = false;
      // Within a turn: between two runs, Node or this package could reuse the number.
      loop.callSoon(() => {
        areConnected = true;
        if (ofListener !== undefined) closeSync(ofListener.fd);
        else a.close();
        for (const { client } of readers) {
          client.connect(listener.address);
          client.blocking = false;
          client.send('x');
        }
      });
      await until(loop, 'all echoes', () => areConnected && readers.every((reader) => reader.poll().text === 'x'));
      const before = calls;
      b.send('z'); // to the old file
      for (const { client } of readers) client.send('y');
      await until(loop, 'the next echoes', () => readers.every((reader) => reader.poll().text === 'xy'));
      assert.equal(calls, before);
      const codes = errors.map((error) => (error as NodeJS.ErrnoException).code);
      assert.deepEqual(
        codes.filter((code) => code === 'ERR_STALE_KEY'),
        ['ERR_STALE_KEY'],
      );
      dup.close();
    },
  })),
  {
    name: 'addReader() and adopt() replace a stale reader of the same number',
    needs: ['numbers used again', 'closing ends watching'],
    async run({ bench, loop: make, until }) {
      const errors: unknown[] = [];
      const loop = make((error) => errors.push(error));
      const [a] = bench.pair();
      loop.addReader(a, () => undefined);
      const { fd } = a;
      a.close();
      const [c, d] = bench.pair();
      const [mine, peer] = c.fd === fd ? [c, d] : [d, c];
      assert.equal(mine.fd, fd);
      let received = '';
      loop.addReader(mine, () => (received += mine.recv(10)?.toString() ?? ''));
      peer.send('x');
      await until(loop, 'it is read', () => received === 'x');
      mine.close();
      const [e, f] = bench.pair();
      const [given, other] = e.fd === fd ? [e, f] : [f, e];
      assert.equal(given.fd, fd);
      loop.adopt(given, { data: (_, chunk) => void (received += chunk.toString()) });
      other.send('y');
      await until(loop, 'it is served', () => received === 'xy');
      assert.equal(errors.length, 2);
    },
  },
  {
    name: 'addReader() replaces a stale key that was registered on the loop’s own selector',
    needs: ['numbers used again'],
    async run({ bench, loop: make, until }) {
      const errors: unknown[] = [];
      const loop = make((error) => errors.push(error));
      const [a] = bench.pair();
      loop.selector.register(a, EVENT_READ, 'not the loop’s');
      const { fd } = a;
      a.close();
      const [c, d] = bench.pair();
      const [mine, peer] = c.fd === fd ? [c, d] : [d, c];
      assert.equal(mine.fd, fd);
      let received = '';
      loop.addReader(mine, () => (received += mine.recv(10)?.toString() ?? ''));
      peer.send('x');
      await until(loop, 'it is read', () => received === 'x');
      assert.deepEqual(
        errors.map((error) => (error as NodeJS.ErrnoException).code),
        ['ERR_STALE_KEY'],
      );
    },
  },
  {
    name: 'a key that other code registers on the loop’s selector is an error, not a silent spin',
    async run({ bench, loop: make, until }) {
      const errors: unknown[] = [];
      const loop = make((error) => errors.push(error));
      const [a, b] = bench.pair();
      loop.selector.register(b, EVENT_READ, 'not the loop’s');
      a.send('x');
      await until(loop, 'an error', () => errors.length > 0);
      assert.equal((errors[0] as NodeJS.ErrnoException).code, 'ERR_KEY_EXISTS');
      loop.selector.unregister(b);
    },
  },
  {
    name: 'a listener whose client is accepted by another process first: no error, no event, and the next client is accepted',
    run({ bench, loop: make }) {
      const loop = make();
      const socket = bench.listener();
      const other = bench.own(socket.dup());
      let opened = 0;
      const listener = loop.listen({ socket }, { open: () => opened++ });
      for (let i = 0; i < 3; i++) {
        clientOf(bench, listener);
        let taken: Socket | null = null;
        // After the wait has reported the listener, and before the loop accepts.
        loop.callSoon(() => (taken = other.accept()));
        while (loop.runOnce(1000) === 0);
        if (taken === null) throw new Error('there was no connection to accept');
        (taken as Socket).close();
      }
      assert.equal(loop.runOnce(0), 0);
      assert.equal(opened, 0);
      clientOf(bench, listener);
      while (loop.runOnce(1000) === 0);
      assert.equal(opened, 1);
    },
  },
  {
    name: 'adopt() and listen({socket}) refuse a descriptor that is already watched, and it stays watched',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const [a, b] = bench.pair({});
      const listener = bench.listener({});
      let received = 0;
      loop.addReader(b, () => (received += b.recv(10)?.length ?? 0));
      loop.addReader(listener, () => (received += listener.accept() === null ? 0 : 1));
      throwsCode('ERR_KEY_EXISTS', () => loop.adopt(b, {}));
      throwsCode('ERR_KEY_EXISTS', () => loop.listen({ socket: listener }, {}));
      assert.deepEqual([b.blocking, listener.blocking], [true, true]);
      a.send('x');
      clientOf(bench, { address: listener.localAddress });
      await until(loop, 'both', () => received === 2);
      loop.removeReader(b);
      loop.adopt(b, { data: () => received++ });
      a.send('x');
      await until(loop, 'the data', () => received === 3);
    },
  },
  {
    name: 'S52 R32 adopt() and listen({socket}) above FD_SETSIZE: refused by select alone, and the caller still owns the socket',
    needs: ['limited numbers'],
    run({ bench, loop: make }) {
      const loop = make();
      const listener = bench.listener({});
      const low = clientOf(bench, { address: listener.localAddress });
      low.blocking = true;
      const high = [above(bench, low), above(bench, listener)] as const;
      throwsCode('ERR_OUT_OF_RANGE', () => loop.adopt(high[0], {}));
      throwsCode('ERR_OUT_OF_RANGE', () => loop.listen({ socket: high[1] }, {}));
      for (const socket of high) assert.deepEqual([socket.blocking, socket.fd >= 1024], [true, true]);
      assert.equal(loop.selector.getMap().size, 0);
      loop.adopt(low, {});
    },
  },
  {
    name: 'R2 W8 a closed file with an open duplicate: no stale event reaches the number’s next owner',
    needs: ['numbers used again', 'closed descriptors forgotten', 'closing ends watching'],
    async run({ bench, loop: make, until }) {
      const loop = make();
      const [a, b] = bench.pair();
      bench.own(b.dup());
      loop.addReader(b, () => assert.fail('its descriptor is closed'));
      const { fd } = b;
      b.close();
      // The old file has no number any more, so it cannot be removed from the kernel's set.
      assert.equal(loop.removeReader(fd), true);
      const [c, d] = bench.pair();
      const heir = c.fd === fd ? c : d;
      assert.equal(heir.fd, fd);
      let calls = 0;
      loop.addReader(heir, () => {
        calls++;
        assert.equal(heir.recv(100)?.toString(), 'for the heir');
      });
      a.send('for nobody');
      for (let i = 0; i < 5; i++) loop.runOnce(2);
      assert.equal(calls, 0);
      (heir === c ? d : c).send('for the heir');
      await until(loop, 'the new owner is called back', () => calls === 1);
    },
  },
  {
    name: 'W7 a watched descriptor that other code has closed disturbs no other',
    async run({ bench, loop: make, until }) {
      const loop = make();
      const [a, b] = bench.pair();
      const [c, d] = bench.pair();
      let received = 0;
      loop.addReader(a, () => loop.removeReader(a));
      loop.addReader(d, () => (received += d.recv(10)?.length ?? 0));
      a.close();
      c.send('x');
      await until(loop, 'the other', () => received === 1);
      loop.removeReader(a);
      b.close();
    },
  },
];
