/** The contract of every selector, over one mechanism: behaviours S1 to S70 and W1 to W12. */
import assert from 'node:assert/strict';
import { openSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BaseSelector, EVENT_READ, EVENT_WRITE, Socket, wakeup } from '../../src/index.js';
import { FD_SETSIZE, constants } from '../../src/syscalls.js';
import { startTrace } from '../../src/trace.js';
import { type Bench, Descriptor } from '../support/bench.js';
import { assertWaited, byData, rejectsCode, throwsCode, timed, untilReady } from '../support/expect.js';
import type { Case } from './case.js';

export interface SelectorContext {
  readonly bench: Bench;
  /** Makes a selector of the mechanism under test; it is closed at the end. */
  selector<D = unknown>(): BaseSelector<D>;
}

const BOTH = EVENT_READ | EVENT_WRITE;

const registering: readonly Case<SelectorContext>[] = [
  {
    name: 'S1 S13 register returns a key with its arguments; data is any value and optional',
    run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      const data = { any: 'thing' };
      const key = s.register(a, EVENT_READ, data);
      assert.equal(key.fileobj, a);
      assert.equal(key.fd, a.fileno());
      assert.equal(key.events, EVENT_READ);
      assert.equal(key.data, data);
      assert.equal(s.register(b, BOTH).data, undefined);
      assert.equal(s.getKey(a), key);
    },
  },
  {
    name: 'S2 S3 unknown event bits, or none, are refused, and nothing is registered',
    run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      for (const events of [999999, 0, 4, -1, 1.5, NaN])
        throwsCode('ERR_INVALID_ARG_VALUE', () => s.register(a, events));
      throwsCode('ERR_INVALID_ARG_TYPE', () => s.register(a, '1' as unknown as number));
      assert.equal(s.getMap().size, 0);
      s.register(a, EVENT_READ);
    },
  },
  {
    name: 'S4 S5 S6 file objects without a descriptor are refused: a negative number, a bad fileno(), a closed socket',
    run({ bench, selector }) {
      const s = selector();
      throwsCode('ERR_OUT_OF_RANGE', () => s.register(-10, EVENT_READ));
      const throwing = {
        fileno(): number {
          throw new Error('no');
        },
      };
      for (const object of [
        {},
        { fileno: () => 'one' },
        { fileno: () => -1 },
        { fileno: () => 1.5 },
        throwing,
        { fd: -1 },
      ]) {
        throwsCode('ERR_INVALID_ARG_VALUE', () => s.register(object as { fd: number }, EVENT_READ));
      }
      const [a] = bench.pair();
      a.close();
      assert.equal(a.fileno(), -1);
      throwsCode('ERR_INVALID_ARG_VALUE', () => s.register(a, EVENT_READ));
      assert.equal(s.getMap().size, 0);
    },
  },
  {
    name: 'S7 S8 a descriptor can be registered once, by whichever object',
    run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      const key = s.register(a, EVENT_READ, 'first');
      throwsCode('ERR_KEY_EXISTS', () => s.register(a, EVENT_READ));
      throwsCode('ERR_KEY_EXISTS', () => s.register(a.fd, EVENT_READ));
      throwsCode('ERR_KEY_EXISTS', () => s.register({ fd: a.fd }, BOTH));
      assert.equal(s.getKey(a), key);
    },
  },
  {
    name: 'S9 a duplicate of a registered descriptor has a key of its own; both are reported',
    run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      const copy = bench.own(b.dup());
      s.register(b, EVENT_READ, 'original');
      s.register(copy, EVENT_READ, 'duplicate');
      a.send('x');
      untilReady(s, { original: EVENT_READ, duplicate: EVENT_READ });
    },
  },
  {
    name: 'S10 W6 the kernel refuses a closed descriptor, and no key stays',
    run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      const { fd } = a;
      a.close();
      throwsCode(process.platform === 'win32' ? 'ENOTSOCK' : 'EBADF', () => s.register(fd, EVENT_READ));
      throwsCode('ERR_KEY_NOT_FOUND', () => s.getKey(fd));
      assert.equal(s.getMap().size, 0);
      assert.deepEqual(s.select(0), []);
    },
  },
  {
    name: 'S11 a regular file is refused with EPERM, and no key stays',
    needs: ['regular files refused'],
    run({ bench, selector }) {
      const s = selector();
      const file = bench.regularFile();
      throwsCode('EPERM', () => s.register(file, EVENT_READ));
      assert.equal(s.getMap().size, 0);
    },
  },
  {
    name: 'S11 a regular file is always ready',
    needs: ['regular files ready'],
    run({ bench, selector }) {
      const s = selector();
      s.register(bench.regularFile(), BOTH, 'file');
      assert.deepEqual(byData(s.select(0)), { file: BOTH });
    },
  },
  {
    name: 'S12 keys never change: modify makes a new one',
    run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      const old = s.register(a, EVENT_READ, 'old');
      const key = s.modify(a, EVENT_WRITE, 'new');
      assert.deepEqual([old.events, old.data], [EVENT_READ, 'old']);
      assert.deepEqual([key.events, key.data], [EVENT_WRITE, 'new']);
      assert.throws(() => Object.assign(key, { data: 'other' }), TypeError);
    },
  },
  {
    name: 'S14 listening sockets can be watched: a client makes them readable',
    run({ bench, selector }) {
      const s = selector();
      const listener = bench.listener();
      s.register(listener, EVENT_READ, 'listener');
      assert.deepEqual(s.select(0), []);
      const client = bench.own(new Socket());
      client.connect(listener.localAddress);
      untilReady(s, { listener: EVENT_READ });
      bench.own(listener.accept() as Socket);
      assert.deepEqual(s.select(0), []);
    },
  },
];

const changing: readonly Case<SelectorContext>[] = [
  {
    name: 'S15 S16 unregister returns the key, once, by object or by number',
    run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      const keys = [s.register(a, EVENT_READ), s.register(b.fd, EVENT_READ)];
      assert.equal(s.unregister(a.fd), keys[0]);
      assert.equal(s.unregister(b), keys[1]);
      throwsCode('ERR_KEY_NOT_FOUND', () => s.unregister(a));
      throwsCode('ERR_KEY_NOT_FOUND', () => s.unregister(b.fd));
      throwsCode('ERR_KEY_NOT_FOUND', () => s.unregister(12345));
    },
  },
  {
    name: 'S17 unregister by number after the descriptor was closed',
    run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      const keys = [s.register(a.fd, EVENT_READ), s.register(b.fd, EVENT_WRITE)];
      a.close();
      b.close();
      assert.equal(s.unregister(keys[0]?.fd as number), keys[0]);
      assert.equal(s.unregister(keys[1]?.fd as number), keys[1]);
      assert.equal(s.getMap().size, 0);
    },
  },
  {
    name: 'S18 unregister after the number was given to another file',
    run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      const key = s.register(a, EVENT_READ);
      a.close();
      const other = reopenAs(bench, key.fd);
      assert.equal(other.fd, key.fd);
      assert.equal(s.unregister(key.fd), key);
      assert.equal(s.getMap().size, 0);
      s.register(other, EVENT_WRITE, 'other');
      untilReady(s, { other: EVENT_WRITE });
    },
  },
  {
    name: 'S19 unregister by object after it was closed',
    run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      s.register(a, EVENT_READ, 'a');
      const key = s.register(b, EVENT_READ, 'b');
      b.close();
      assert.equal(s.unregister(b), key);
      assert.deepEqual(
        [...s.getMap().values()].map(({ data }) => data),
        ['a'],
      );
    },
  },
  {
    name: 'S20 modify changes the watched events; its key is the one that getKey returns',
    run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      s.register(a, EVENT_READ, 'a');
      assert.deepEqual(s.select(0), []);
      const key = s.modify(a, EVENT_WRITE, 'a');
      assert.equal(s.getKey(a), key);
      assert.deepEqual(byData(s.select(0)), { a: EVENT_WRITE });
      s.modify(a, EVENT_READ, 'a');
      assert.deepEqual(s.select(0), []);
    },
  },
  {
    name: 'S21 S22 modify of the data alone makes no system call; without a change it returns the same key',
    run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      const key = s.register(a, EVENT_READ, 'old');
      assert.equal(s.modify(a, EVENT_READ, 'old'), key);
      // The kernel would refuse: the descriptor is closed.
      const { fd } = a;
      a.close();
      assert.equal(s.modify(fd, EVENT_READ, 'new').data, 'new');
      assert.equal(s.getKey(fd).data, 'new');
    },
  },
  {
    name: 'S23 modify of an unregistered file object',
    run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      throwsCode('ERR_KEY_NOT_FOUND', () => s.modify(a, EVENT_READ));
      throwsCode('ERR_KEY_NOT_FOUND', () => s.modify(999999, EVENT_READ));
    },
  },
  {
    name: 'S24 a modify that the kernel refuses changes nothing',
    needs: ['closed descriptors forgotten'],
    run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      const key = s.register(a.fd, EVENT_READ, 'kept');
      a.close();
      assert.throws(() => s.modify(key.fd, BOTH, 'other'));
      assert.equal(s.getKey(key.fd), key);
      assert.equal(s.getMap().size, 1);
    },
  },
  {
    name: 'W1 W2 modify checks the events first: a wrong mask leaves the key as it was',
    run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      const key = s.register(a, EVENT_WRITE, 'a');
      for (const events of [0, 999, -1, NaN]) throwsCode('ERR_INVALID_ARG_VALUE', () => s.modify(a, events));
      assert.equal(s.getKey(a), key);
      assert.deepEqual(byData(s.select(0)), { a: EVENT_WRITE });
    },
  },
];

const mapping: readonly Case<SelectorContext>[] = [
  {
    name: 'S25 S26 S27 getMap is a live view: descriptors with their keys, looked up by any file object',
    run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      const key = s.register(a, EVENT_READ, 'a');
      const map = s.getMap();
      assert.equal(map.size, 1);
      const second = s.register(b, EVENT_READ);
      assert.equal(map.size, 2);
      assert.deepEqual([...map.keys()], [a.fd, b.fd]);
      assert.deepEqual([...map.values()], [key, second]);
      assert.deepEqual(
        [...map],
        [
          [a.fd, key],
          [b.fd, second],
        ],
      );
      const seen: unknown[] = [];
      map.forEach((value, fd) => seen.push([fd, value]));
      assert.deepEqual(seen, [...map.entries()]);
      assert.equal(map.get(a), key);
      assert.equal(map.get(a.fd), key);
      assert.ok(map.has(a) && map.has(a.fd) && !map.has(999999));
    },
  },
  {
    name: 'S28 S29 the view is read-only; an unknown file object gives undefined, or the given default',
    run({ selector }) {
      const map = selector().getMap();
      assert.ok(!('set' in map) && !('delete' in map) && !('clear' in map));
      assert.equal(map.get(999999), undefined);
      const get = map.get.bind(map) as (fd: number, missing: string) => unknown;
      assert.equal(get(999999, 'nobody'), 'nobody');
    },
  },
  {
    name: 'S30 S31 S32 W3 after close() every method fails with ERR_CLOSED, the view is empty, and close() does nothing',
    async run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      s.register(a, EVENT_READ);
      throwsCode('ERR_KEY_NOT_FOUND', () => s.getKey(999999));
      const map = s.getMap();
      const handle = s.wakeupHandle;
      s.close();
      s.close();
      assert.equal(map.size, 0);
      assert.equal(s.getMap().get(a), undefined);
      throwsCode('ERR_CLOSED', () => s.getKey(a));
      throwsCode('ERR_CLOSED', () => s.register(a, EVENT_READ));
      throwsCode('ERR_CLOSED', () => s.modify(a, EVENT_READ));
      throwsCode('ERR_CLOSED', () => s.unregister(a));
      throwsCode('ERR_CLOSED', () => s.select(0));
      throwsCode('ERR_CLOSED', () => s.wakeup());
      await rejectsCode('ERR_CLOSED', s.selectAsync());
      for await (const _ of s) assert.fail('a closed selector yields no batch');
      wakeup(handle); // no error: a wake-up may race with close()
      assert.ok(a.fd >= 0, 'the file objects stay open');
    },
  },
  {
    name: 'S33 `using` closes the selector',
    run({ bench, selector }) {
      const [a] = bench.pair();
      const s = selector();
      {
        using scoped = s;
        scoped.register(a, EVENT_READ);
      }
      throwsCode('ERR_CLOSED', () => s.getKey(a));
    },
  },
  {
    name: 'S34 the multiplexer has a descriptor of its own, close-on-exec',
    needs: ['own descriptor', 'own descriptor watchable'],
    run({ bench, selector }) {
      const s = selector();
      const { fd } = s;
      assert.ok(fd !== undefined && fd >= 0);
      // It can be polled: readable when one of its descriptors is ready.
      const outer = selector();
      const [a] = bench.pair();
      outer.register(fd, EVENT_READ, 'inner');
      assert.deepEqual(outer.select(0), []);
      s.register(a, EVENT_WRITE);
      untilReady(outer, { inner: EVENT_READ });
      s.close();
      assert.equal(s.fd, -1);
    },
  },
];

const selecting: readonly Case<SelectorContext>[] = [
  {
    name: 'S35 select returns [key, events], with events among those asked for',
    run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      const [forRead, forWrite] = [s.register(a, EVENT_READ), s.register(b, EVENT_WRITE)];
      assert.deepEqual(s.select(), [[forWrite, EVENT_WRITE]]);
      b.send('x');
      const ready = s.select(1000);
      assert.ok(ready.some(([key]) => key === forRead || key === forWrite));
      for (const [key, events] of ready) assert.ok(events > 0 && (events & ~key.events) === 0);
    },
  },
  {
    name: 'S36 S37 W10 both directions are seen in one call, in one entry',
    run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.tcpPair();
      const key = s.register(b, BOTH);
      a.send('x');
      const deadline = performance.now() + 5000;
      let ready = s.select(1000);
      while (ready[0]?.[1] !== BOTH && performance.now() < deadline) ready = s.select(1000);
      assert.deepEqual(ready, [[key, BOTH]]);
    },
  },
  {
    name: 'S38 S40 a timeout of 0 or less does not wait; an empty selector returns an empty array',
    run({ bench, selector }) {
      const s = selector();
      for (const timeout of [0, -1, -0.001, -1e9, -Infinity]) {
        const { value, ms } = timed(() => s.select(timeout));
        assert.deepEqual(value, []);
        assert.ok(ms < 5000, `${ms} ms`);
      }
      const [a] = bench.pair();
      s.register(a, EVENT_WRITE, 'a');
      assert.deepEqual(byData(s.select(-1)), { a: EVENT_WRITE });
    },
  },
  {
    name: 'S39 without a timeout it waits forever, also with nothing registered: until a wakeup()',
    async run({ selector }) {
      for (const timeout of [undefined, null, Infinity]) {
        const s = selector();
        let done = false;
        const waiting = s.selectAsync(timeout === undefined ? {} : { timeout }).then((ready) => {
          done = true;
          return ready;
        });
        await sleep(60);
        assert.equal(done, false);
        s.wakeup();
        assert.deepEqual(await waiting, []);
        // The same call, blocking; the wake-up preceded it.
        s.wakeup();
        assert.deepEqual(s.select(timeout), []);
      }
    },
  },
  {
    name: 'S41 S42 an empty selector waits for its full timeout',
    run({ selector }) {
      const s = selector();
      const { value, ms } = timed(() => s.select(80));
      assert.deepEqual(value, []);
      assertWaited(ms, 80);
    },
  },
  {
    name: 'S43 S44 a wait is never shorter than its timeout, and a fraction does not spin',
    run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      s.register(a, EVENT_READ);
      for (const timeout of [0.1, 0.5, 1, 1.5, 2.001, 9.999, 10, 30]) {
        const { value, ms } = timed(() => s.select(timeout));
        assert.deepEqual(value, []);
        assertWaited(ms, timeout);
      }
      // Not 0 either: a loop with 0.1 ms left would spin (python/asyncio#106).
      const start = performance.now();
      let turns = 0;
      while (performance.now() - start < 20) {
        s.select(0.1);
        turns++;
      }
      assert.ok(turns <= 200, `${turns} turns of 0.1 ms in 20 ms`);
    },
  },
  {
    name: 'S45 S46 S47 NaN and other types are refused; Infinity and huge timeouts wait',
    async run({ selector }) {
      const s = selector();
      throwsCode('ERR_OUT_OF_RANGE', () => s.select(NaN));
      await rejectsCode('ERR_OUT_OF_RANGE', s.selectAsync({ timeout: NaN }));
      for (const timeout of ['1', {}, [], true, 1n, Symbol('t')]) {
        throwsCode('ERR_INVALID_ARG_TYPE', () => s.select(timeout as number));
      }
      for (const timeout of [Infinity, 1e10, 2 ** 31, 2 ** 53, 1e300, Number.MAX_VALUE]) {
        let done = false;
        const waiting = s.selectAsync({ timeout }).then(() => (done = true));
        await sleep(20);
        assert.equal(done, false, `a wait of ${timeout} ms ended early`);
        s.wakeup();
        await waiting;
        s.wakeup();
        assert.deepEqual(s.select(timeout), []);
      }
    },
  },
  {
    name: 'S51 descriptors above FD_SETSIZE',
    needs: ['any number'],
    run({ bench, selector }) {
      const s = selector();
      const high = openAbove(bench, 1024);
      s.register(high, EVENT_WRITE, 'high');
      assert.deepEqual(byData(s.select(1000)), { high: EVENT_WRITE });
    },
  },
  {
    name: 'S52 a descriptor above FD_SETSIZE is refused, and nothing is written beyond the set',
    needs: ['limited numbers'],
    async run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      s.register(a, EVENT_WRITE, 'low');
      const high = openAbove(bench, 1024);
      throwsCode('ERR_OUT_OF_RANGE', () => s.register(high, EVENT_READ));
      assert.equal(s.getMap().size, 1);
      assert.deepEqual(byData(await s.selectAsync()), { low: EVENT_WRITE });
    },
  },
  {
    name: 'S53 more sockets than an fd_set holds are refused; those that fit are watched',
    needs: ['limited count'],
    run({ bench, selector }) {
      const s = selector();
      const socket = () => bench.own(new Socket({ type: 'dgram', blocking: false }));
      for (let i = 0; i < FD_SETSIZE - 2; i++) s.register(socket(), EVENT_WRITE, i);
      throwsCode('ERR_OUT_OF_RANGE', () => s.register(socket(), EVENT_WRITE));
      assert.equal(s.getMap().size, 512);
      assert.equal(s.select(1000).length, 512);
    },
  },
  {
    name: 'S55 W5 unregistered during a wait: not reported; registered during a wait: reported by that wait',
    async run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      const [c] = bench.pair();
      s.register(a, EVENT_READ, 'gone');
      const waiting = s.selectAsync({ timeout: 5000 });
      await sleep(30);
      s.unregister(a);
      b.send('x');
      s.register(c, EVENT_WRITE, 'come');
      assert.deepEqual(byData(await waiting), { come: EVENT_WRITE });
    },
  },
  {
    name: 'W5 modified during a wait: that wait uses the new events',
    async run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      s.register(a, EVENT_READ, 'a');
      const start = performance.now();
      const waiting = s.selectAsync({ timeout: 30_000 });
      await sleep(30);
      s.modify(a, EVENT_WRITE, 'a');
      assert.deepEqual(byData(await waiting), { a: EVENT_WRITE });
      assert.ok(performance.now() - start < 20_000);
    },
  },
  {
    name: 'S56 the returned array belongs to the caller: unregistering during the iteration',
    run({ bench, selector }) {
      const s = selector();
      for (let i = 0; i < 5; i++) s.register(bench.pair()[0], EVENT_WRITE, i);
      const ready = s.select(0);
      assert.equal(ready.length, 5);
      let seen = 0;
      for (const [key] of ready) {
        s.unregister(key.fileobj);
        seen++;
      }
      assert.equal(seen, 5);
      assert.equal(s.getMap().size, 0);
      assert.deepEqual(s.select(0), []);
    },
  },
  {
    name: 'S35 S56 changes that a caller makes to an array, or a pair in it, are not reported again',
    run({ bench, selector }) {
      const s = selector<string>();
      const [a, b] = bench.pair();
      const keys = [s.register(a, EVENT_WRITE, 'a'), s.register(b, EVENT_WRITE, 'b')] as const;
      const spoils: readonly ((pair: unknown[]) => unknown)[] = [
        () => undefined,
        (pair) => (pair[0] = keys[0]),
        (pair) => (pair[1] = BOTH),
        (pair) => (pair.length = 0),
        (pair) => pair.push('mine'),
        (pair) => Object.freeze(pair),
      ];
      for (const spoil of spoils) {
        const ready = s.select(0);
        for (const pair of ready) spoil(pair as unknown as unknown[]);
        ready.length = 0;
        const events = s.select(0);
        assert.deepEqual(byData(events), { a: EVENT_WRITE, b: EVENT_WRITE });
        assert.ok(events.every((pair) => [...pair].length === 2));
      }
      const changed = s.modify(b, BOTH, 'c');
      b.send('x');
      a.send('y');
      const pair = s.select(0).find(([key]) => key.fd === b.fd);
      assert.deepEqual([...(pair ?? [])], [changed, BOTH]);
    },
  },
  {
    name: 'S57 twelve pairs pass a message: the writer is ready, then only its reader, then neither',
    run({ bench, selector }) {
      const s = selector<string>();
      const readers = new Map<string, Socket>();
      const writers = new Map<string, Socket>();
      for (let i = 0; i < 12; i++) {
        const [r, w] = bench.pair();
        s.register(r, EVENT_READ, `r${i}`);
        s.register(w, EVENT_WRITE, `w${i}`);
        readers.set(`r${i}`, r);
        writers.set(`w${i}`, w);
      }
      const received: string[] = [];
      while (writers.size > 0) {
        const ready = byData(s.select(1000));
        assert.deepEqual(Object.keys(ready).sort(), [...writers.keys()].sort());
        const [name, writer] = [...writers][0] as [string, Socket];
        writer.send(`message of ${name}`);
        s.unregister(writer);
        writers.delete(name);
        const expected = {
          ...Object.fromEntries([...writers.keys()].map((w) => [w, EVENT_WRITE])),
          [`r${name.slice(1)}`]: EVENT_READ,
        };
        untilReady(s, expected);
        const reader = readers.get(`r${name.slice(1)}`) as Socket;
        received.push(String(reader.recv(100)));
        assert.equal(reader.recv(100), null);
      }
      assert.equal(received.length, 12);
      assert.deepEqual(s.select(0), []);
    },
  },
];

const readiness: readonly Case<SelectorContext>[] = [
  {
    name: 'S58 S59 a closed peer: ready in every requested direction',
    run({ bench, selector }) {
      for (const events of [BOTH, EVENT_READ, EVENT_WRITE]) {
        const s = selector();
        const [a, b] = bench.pair();
        s.register(a, events, 'a');
        b.close();
        untilReady(s, { a: events });
      }
    },
  },
  {
    name: 'S60 a pipe: with its writer closed, readable and at its end; with its reader closed, writable and EPIPE',
    needs: ['pipes'],
    run({ bench, selector }) {
      const s = selector();
      const [read, write] = bench.pipe();
      s.register(read, EVENT_READ, 'read');
      assert.deepEqual(s.select(0), []);
      write.close();
      untilReady(s, { read: EVENT_READ });
      const [read2, write2] = bench.pipe();
      s.unregister(read);
      s.register(write2, EVENT_WRITE, 'write');
      read2.close();
      untilReady(s, { write: EVENT_WRITE });
    },
  },
  {
    name: 'S61 half-close: readable and at its end, while writing still works',
    run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.tcpPair();
      s.register(a, EVENT_READ, 'a');
      s.register(b, EVENT_READ, 'b');
      b.shutdown('write');
      untilReady(s, { a: EVENT_READ });
      assert.equal(a.recv(10)?.length, 0);
      assert.equal(a.send('still'), 5);
      s.unregister(a);
      untilReady(s, { b: EVENT_READ });
      assert.equal(String(b.recv(10)), 'still');
    },
  },
  {
    name: 'S62 reset: both directions, and recv fails with ECONNRESET',
    needs: ['reset seen', 'errors left to the caller'],
    run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.tcpPair();
      s.register(a, BOTH, 'a');
      b.setOption('SO_LINGER', 0).close();
      untilReady(s, { a: BOTH });
      throwsCode('ECONNRESET', () => a.recv(10));
    },
  },
  {
    name: 'S54 S63 a refused connect: writable, and SO_ERROR is ECONNREFUSED',
    needs: ['errors left to the caller'],
    run({ bench, selector }) {
      const s = selector();
      const a = bench.own(new Socket({ blocking: false }));
      const address = bench.unusedAddress();
      // Windows retries for two seconds; Linux fails at once.
      assert.equal(a.connect(address), false);
      s.register(a, EVENT_WRITE, 'a');
      untilReady(s, { a: EVENT_WRITE });
      assert.equal(a.error()?.code, 'ECONNREFUSED');
    },
  },
  {
    name: 'S63 SO_ERROR can be read once',
    needs: ['SO_ERROR cleared', 'errors left to the caller'],
    run({ bench, selector }) {
      const s = selector();
      const a = bench.own(new Socket({ blocking: false }));
      a.connect(bench.unusedAddress());
      s.register(a, EVENT_WRITE, 'a');
      untilReady(s, { a: EVENT_WRITE });
      assert.equal(a.error()?.code, 'ECONNREFUSED');
      assert.equal(a.error(), null);
    },
  },
  {
    name: 'S64 a connect in progress: false, then writable without an error',
    run({ bench, selector }) {
      const s = selector();
      const listener = bench.listener();
      const a = bench.own(new Socket({ blocking: false }));
      const connected = a.connect(listener.localAddress);
      assert.equal(connected, false);
      s.register(a, EVENT_WRITE, 'a');
      untilReady(s, { a: EVENT_WRITE });
      assert.equal(a.error(), null);
      assert.deepEqual(a.remoteAddress, listener.localAddress);
    },
  },
  {
    name: 'S65 an unconnected socket is ready in both directions (a hang-up)',
    needs: ['hang-up before connect'],
    run({ bench, selector }) {
      const s = selector();
      s.register(bench.own(new Socket({ blocking: false })), BOTH, 'a');
      assert.deepEqual(byData(s.select(1000)), { a: BOTH });
    },
  },
  {
    name: 'S66 an out-of-band byte does not make a socket readable',
    run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.tcpPair();
      s.register(b, EVENT_READ, 'b');
      a.send('!', 0, 1, constants.MSG_OOB);
      assert.deepEqual(s.select(100), []);
      a.send('x');
      untilReady(s, { b: EVENT_READ });
    },
  },
  {
    name: 'S67 one ready connection and two accepts: the first gets it, the second gets null',
    run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      const copy = bench.own(b.dup());
      s.register(b, EVENT_READ, 'b');
      s.register(copy, EVENT_READ, 'copy');
      a.send('x');
      untilReady(s, { b: EVENT_READ, copy: EVENT_READ });
      assert.equal(String(b.recv(10)), 'x');
      assert.equal(copy.recv(10), null);
      assert.deepEqual(s.select(0), []);
    },
  },
  {
    name: 'what was read or accepted between two waits is not reported, and what is left is',
    async run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair({}); // blocking: a report without bytes would block its reader
      const [c, d] = bench.pair();
      const listener = bench.listener({});
      s.register(b, EVENT_READ, 'b');
      s.register(d, EVENT_READ, 'd');
      s.register(listener, EVENT_READ, 'listener');
      const send = (): void => {
        assert.deepEqual(s.select(0), []); // AFD has a poll of each from here on
        a.send('xy');
        const client = bench.own(new Socket());
        client.connect(listener.localAddress);
        bench.own(listener.accept() as Socket);
        assert.equal(String(b.recv(1)), 'x');
      };
      send();
      assert.equal(String(b.recv(1)), 'y');
      const { value, ms } = timed(() => s.select(50));
      assert.deepEqual(value, []);
      assertWaited(ms, 50);
      send();
      assert.equal(String(b.recv(1)), 'y');
      assert.deepEqual(await s.selectAsync({ timeout: 50 }), []);
      send();
      c.send('z');
      untilReady(s, { b: EVENT_READ, d: EVENT_READ });
    },
  },
  {
    name: 'S68 closed with unread data: readable, the data first, then the end',
    run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.tcpPair();
      s.register(a, EVENT_READ, 'a');
      b.send('last words');
      b.close();
      untilReady(s, { a: EVENT_READ });
      const deadline = performance.now() + 5000;
      let text = '';
      for (let ended = false; !ended && performance.now() < deadline;) {
        s.select(100);
        const part = a.recv(4);
        ended = part?.length === 0;
        text += String(part ?? '');
      }
      assert.equal(text, 'last words');
    },
  },
];

const edgeCases: readonly Case<SelectorContext>[] = [
  {
    name: 'what is not watched any more ends no wait: neither events taken away by modify, nor a descriptor unregistered',
    run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      const [c] = bench.pair();
      s.register(a, BOTH, 'a');
      s.register(b, EVENT_WRITE, 'b');
      s.register(c, BOTH, 'c');
      untilReady(s, { a: EVENT_WRITE, b: EVENT_WRITE, c: EVENT_WRITE });
      s.modify(a, EVENT_READ, 'a');
      s.modify(b, EVENT_READ, 'b');
      s.unregister(c);
      using trace = startTrace();
      const { value, ms } = timed(() => s.select(250));
      assert.deepEqual(value, []);
      assertWaited(ms, 250);
      // A wait that spins makes thousands. Some calls are due: AFD re-arms its polls, and in a worker a wait is cut into slices.
      const calls = trace.records();
      assert.ok(calls.length <= 40, `${calls.length} system calls in 250 ms: ${calls[0]?.name}`);
      a.send('x');
      untilReady(s, { b: EVENT_READ });
    },
  },
  {
    name: 'W4 close() ends a pending wait: it rejects with ERR_CLOSED',
    async run({ bench, selector }) {
      const s = selector();
      s.register(bench.pair()[0], EVENT_READ);
      const start = performance.now();
      const waiting = s.selectAsync({ timeout: 30_000 });
      setTimeout(() => s.close(), 20);
      await rejectsCode('ERR_CLOSED', waiting);
      assert.ok(performance.now() - start < 20_000);
    },
  },
  {
    name: 'W7 a registered descriptor that other code closed: its key alone, ready for all its events',
    needs: ['closed descriptors reported'],
    async run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      const [c, d] = bench.pair();
      s.register(a, BOTH, 'closed');
      s.register(b, EVENT_READ, 'quiet');
      s.register(c, EVENT_READ, 'fine');
      a.close();
      b.close();
      s.unregister(b);
      assert.deepEqual(byData(s.select(1000)), { closed: BOTH });
      assert.deepEqual(byData(await s.selectAsync()), { closed: BOTH });
      d.send('x');
      untilReady(s, { closed: BOTH, fine: EVENT_READ });
      s.unregister(a);
      untilReady(s, { fine: EVENT_READ });
    },
  },
  {
    name: 'W7 a registered descriptor that other code closed: the kernel forgets it, and the others go on',
    needs: ['closed descriptors forgotten'],
    run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      const [c, d] = bench.pair();
      s.register(a, BOTH, 'closed');
      s.register(c, EVENT_READ, 'fine');
      a.close();
      assert.deepEqual(s.select(50), []);
      d.send('x');
      untilReady(s, { fine: EVENT_READ });
      s.unregister(a);
    },
  },
  {
    name: 'W7 a registered descriptor that other code closed: its key for all its events, or nothing; the others go on',
    needs: ['closed descriptors kept'],
    async run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      const [c, d] = bench.pair();
      const { fd } = a;
      s.register(c, EVENT_READ, 'fine');
      assert.deepEqual(await s.selectAsync({ timeout: 5 }), []); // its thread opens what it needs now, not under the closed number
      s.register(a, BOTH, 'closed');
      a.close();
      const { closed, ...others } = byData(s.select(50));
      assert.ok([undefined, BOTH].includes(closed));
      assert.deepEqual(others, {});
      assert.equal(byData(await s.selectAsync({ timeout: 50 })).closed, closed);
      d.send('x');
      untilReady(s, { ...(closed && { closed }), fine: EVENT_READ });
      assert.equal(s.unregister(fd).data, 'closed');
      untilReady(s, { fine: EVENT_READ });
      assert.equal(String(c.recv(1)), 'x');
      assert.deepEqual(s.select(0), []);
    },
  },
  {
    name: 'W8 closed while a duplicate is open, and the number reused: stale events reach no other key, and select does not spin',
    needs: ['closing ends watching'],
    async run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      const { fd } = a;
      const living = bench.own(a.dup());
      s.register(a, EVENT_READ, 'old');
      a.close();
      s.unregister(a);
      const other = reopenAs(bench, fd);
      s.register(other, EVENT_READ, 'new');
      b.send('for the duplicate');
      const cpu = process.cpuUsage();
      const { value, ms } = timed(() => s.select(150));
      assert.deepEqual(value, [], 'no event of another descriptor');
      assertWaited(ms, 150);
      const used = process.cpuUsage(cpu);
      assert.ok((used.user + used.system) / 1000 < 120, `${(used.user + used.system) / 1000} ms of CPU in 150`);
      assert.deepEqual(await s.selectAsync({ timeout: 50 }), []);
      assert.equal(String(living.recv(100)), 'for the duplicate');
      s.modify(other, EVENT_WRITE, 'new');
      untilReady(s, { new: EVENT_WRITE });
    },
  },
  {
    name: 'W12 wakeup is sticky, counts once, and ends one wait, blocking or not',
    async run({ bench, selector }) {
      const s = selector();
      s.register(bench.pair()[0], EVENT_READ, 'a');
      for (let i = 0; i < 1000; i++) s.wakeup();
      const first = timed(() => s.select(30_000));
      assert.deepEqual(first.value, []);
      assert.ok(first.ms < 20_000);
      assertWaited(timed(() => s.select(30)).ms, 30);
      const waiting = s.selectAsync({ timeout: 30_000 });
      await sleep(20);
      wakeup(s.wakeupHandle);
      wakeup(s.wakeupHandle);
      const start = performance.now();
      assert.deepEqual(await waiting, []);
      assert.ok(performance.now() - start < 20_000);
      assertWaited(timed(() => s.select(30)).ms, 30);
    },
  },
];

const asynchronous: readonly Case<SelectorContext>[] = [
  {
    name: 'W5 W7 unregistered and closed while a wait begins: that wait, and the next, go on',
    async run({ bench, selector }) {
      for (let i = 0; i < 40; i++) {
        const s = selector();
        const [gone, a] = [bench.pair()[0], bench.pair()[0]];
        s.register(gone, EVENT_READ, 'gone');
        const waiting = s.selectAsync({ timeout: 5000 });
        // The wait may be at any point of its start by now.
        if (i % 4 > 0) await new Promise((resolve) => setImmediate(resolve));
        if (i % 4 > 1) await new Promise((resolve) => setImmediate(resolve));
        s.unregister(gone);
        gone.close();
        s.register(a, EVENT_WRITE, 'a');
        assert.deepEqual(byData(await waiting), { a: EVENT_WRITE });
        assert.deepEqual(byData(await s.selectAsync({ timeout: 5000 })), { a: EVENT_WRITE });
        s.close();
      }
    },
  },
  {
    name: 'W8 closed without unregister, its number reused: no stale event for the key, also after the set was rebuilt',
    needs: ['closed descriptors forgotten', 'numbers used again'],
    run({ bench, selector }) {
      const s = selector();
      const [gone] = bench.pair();
      const [ghost, ghostPeer] = bench.pair();
      const { fd } = gone;
      s.register(gone, EVENT_READ, 'gone');
      s.register(ghost, EVENT_READ, 'ghost');
      gone.close();
      const others: [Socket, Socket][] = [];
      while (!others.flat().some((socket) => socket.fd === fd)) others.push(bench.pair());
      for (const pair of others) for (const socket of pair) socket.send('for closed descriptors');
      assert.deepEqual(s.select(0), []);
      // A duplicate is still open, so the set reports a file that no key refers to.
      bench.own(ghost.dup());
      s.unregister(ghost);
      const number = ghost.fd;
      ghost.close();
      assert.equal(s.getMap().has(number), false);
      ghostPeer.send('boo');
      for (let i = 0; i < 5; i++) assert.deepEqual(s.select(5), []);
    },
  },
  {
    name: 'W12 a wakeup meant for selectAsync is not lost to a select(0) in between',
    async run({ selector }) {
      const s = selector();
      const waiting = s.selectAsync({ timeout: 30_000 });
      await sleep(20);
      s.wakeup();
      s.select(0);
      const start = performance.now();
      assert.deepEqual(await waiting, []);
      assert.ok(performance.now() - start < 20_000);
    },
  },
  {
    name: 'S51 S52 selectAsync in a process with more than FD_SETSIZE open descriptors',
    needs: ['regular files'],
    async run({ bench, selector }) {
      const s = selector();
      const [a] = bench.pair();
      s.register(a, EVENT_READ, 'a');
      const path = join(bench.folder(), 'file');
      for (let i = 0; i < 1100; i++) bench.own(new Descriptor(openSync(path, 'a')));
      assert.deepEqual(await s.selectAsync({ timeout: 20 }), []);
      s.modify(a, EVENT_WRITE, 'a');
      assert.deepEqual(byData(await s.selectAsync({ timeout: 5000 })), { a: EVENT_WRITE });
    },
  },
  {
    name: 'selectAsync leaves Node’s loop running: timers and net servers are served meanwhile',
    async run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      s.register(a, EVENT_READ, 'a');
      const server = createServer((socket) => socket.end('node'));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      bench.atEnd(() => server.close());
      const waiting = s.selectAsync();
      const { port } = server.address() as { port: number };
      assert.equal(await fetchText(port), 'node');
      for (let ticks = 0; ticks < 3; ticks++) await sleep(5);
      b.send('x');
      assert.deepEqual(byData(await waiting), { a: EVENT_READ });
    },
  },
  {
    name: 'an always ready descriptor does not starve timers in for await',
    async run({ bench, selector }) {
      const s = selector();
      s.register(bench.pair()[0], EVENT_WRITE, 'a');
      let batches = 0;
      // Closes after a few batches; without timers, the loop would go on.
      const timer = setInterval(() => batches > 1 && s.close(), 10);
      for await (const ready of s) {
        assert.deepEqual(byData(ready), { a: EVENT_WRITE });
        if (++batches > 1_000_000) break;
      }
      clearInterval(timer);
      assert.ok(batches < 1_000_000, `${batches} batches`);
    },
  },
  {
    name: 'for await yields batches until the selector is closed; break leaves it usable',
    async run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      s.register(a, EVENT_READ, 'a');
      const texts: string[] = [];
      b.send('1');
      for await (const ready of s) {
        for (const _ of ready) texts.push(String(a.recv(10)));
        if (texts.length === 3) break;
        b.send(String(texts.length + 1));
      }
      assert.deepEqual(texts, ['1', '2', '3']);
      assert.deepEqual(s.select(0), []);
      setTimeout(() => s.close(), 20);
      for await (const _ of s) assert.fail('nothing is ready');
    },
  },
  {
    name: 'AbortSignal: fired before, during, after; the wait rejects once and no event is lost',
    async run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      s.register(a, EVENT_READ, 'a');
      await rejectsCode('ABORT_ERR', s.selectAsync({ signal: AbortSignal.abort() }));
      for (const delay of [0, 1, 5]) {
        const controller = new AbortController();
        const waiting = s.selectAsync({ signal: controller.signal });
        setTimeout(() => controller.abort(), delay);
        await assert.rejects(waiting, { name: 'AbortError', code: 'ABORT_ERR' });
      }
      const controller = new AbortController();
      b.send('x');
      assert.deepEqual(byData(await s.selectAsync({ signal: controller.signal, timeout: 5000 })), { a: EVENT_READ });
      controller.abort();
      assert.deepEqual(byData(await s.selectAsync({ timeout: 5000 })), { a: EVENT_READ });
    },
  },
  {
    name: 'an AbortSignal of another realm or of a polyfill ends a wait',
    async run({ selector }) {
      const s = selector();
      const abort = new AbortController();
      // A native signal behind an object with the same methods that is no instance of AbortSignal.
      const signalOf = ({ signal }: AbortController, aborted = signal.aborted) => ({
        aborted,
        reason: 'enough',
        addEventListener: signal.addEventListener.bind(signal),
        removeEventListener: signal.removeEventListener.bind(signal),
      });
      const waiting = s.selectAsync({ signal: signalOf(abort) as unknown as AbortSignal });
      setImmediate(() => abort.abort());
      await assert.rejects(waiting, { name: 'AbortError', code: 'ABORT_ERR', cause: 'enough' });
      await rejectsCode('ABORT_ERR', s.selectAsync({ signal: signalOf(abort) as unknown as AbortSignal }));
      await rejectsCode('ERR_INVALID_ARG_TYPE', s.selectAsync({ signal: { aborted: true } as AbortSignal }));
    },
  },
  {
    name: 'one wait at a time: a second one rejects with ERR_BUSY; select(0) in between works',
    async run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      s.register(a, EVENT_READ, 'a');
      const waiting = s.selectAsync({ timeout: 5000 });
      await rejectsCode('ERR_BUSY', s.selectAsync());
      await sleep(20);
      assert.deepEqual(s.select(0), []);
      b.send('x');
      assert.deepEqual(byData(await waiting), { a: EVENT_READ });
    },
  },
  {
    name: 'selectAsync waits for its full timeout, and events that a blocking select took meanwhile are not reported again',
    async run({ bench, selector }) {
      const s = selector();
      const [a, b] = bench.pair();
      s.register(a, EVENT_READ, 'a');
      for (const timeout of [0, 0.5, 20]) {
        const start = performance.now();
        assert.deepEqual(await s.selectAsync({ timeout }), []);
        assertWaited(performance.now() - start, timeout);
      }
      const waiting = s.selectAsync({ timeout: 150 });
      await sleep(30);
      b.send('x');
      untilReady(s, { a: EVENT_READ });
      assert.equal(String(a.recv(10)), 'x');
      assert.deepEqual(await waiting, []);
    },
  },
];

export const selectorCases: readonly Case<SelectorContext>[] = [
  ...registering,
  ...changing,
  ...mapping,
  ...selecting,
  ...readiness,
  ...edgeCases,
  ...asynchronous,
];

/** Opens a socket with exactly this number: the kernel uses the lowest free one. */
function reopenAs(bench: Bench, fd: number): Socket {
  for (let i = 0; i < 100; i++) {
    const socket = bench.own(new Socket({ type: 'dgram', blocking: false }));
    if (socket.fd === fd) return socket;
  }
  throw new Error(`the number ${fd} was not reused`);
}

/** A socket whose descriptor is at least `least`. */
function openAbove(bench: Bench, least: number): Socket {
  for (;;) {
    const socket = bench.own(new Socket({ type: 'dgram', blocking: false }));
    if (socket.fd >= least) return socket;
  }
}

async function fetchText(port: number): Promise<string> {
  const { connect } = await import('node:net');
  let text = '';
  for await (const chunk of connect(port, '127.0.0.1')) text += String(chunk);
  return text;
}
