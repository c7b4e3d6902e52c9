/** AFD beyond the contract suites: the calls that a wait makes, what is left after close(), polls that fail, other threads. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AfdSelector, EVENT_READ, EVENT_WRITE, Reactor, Socket } from '../src/index.js';
import { afdCalls } from '../src/native.js';
import { Multiplexer } from '../src/syscalls/multiplexer.js';
import { injectFaults, startTrace } from '../src/trace.js';
import { formatRecord } from '../src/trace/record.js';
import { Bench } from './support/bench.js';
import { throwsCode } from './support/expect.js';
import { answerOf, startProgram } from './support/program.js';

const isHere = AfdSelector.isAvailable;
const ways = join(process.env.SELECTORS_NATIVE_PREBUILD ?? '', 'windows_ways.node');

const sockets = (bench: Bench, count: number): Socket[] =>
  Array.from({ length: count }, () => {
    const socket = bench.own(new Socket({ type: 'dgram', blocking: false }).bind({ host: '127.0.0.1', port: 0 }));
    socket.connect(socket.localAddress); // a datagram sent on it makes it readable
    return socket;
  });

/** The calls of a wait in the trace, with the names of the sockets instead of their numbers. */
function callsOf(run: () => void, names: ReadonlyMap<number, string>): string[] {
  using trace = startTrace();
  run();
  trace.stop();
  const relevant = /^(DeviceIoControl|CancelIoEx|GetQueued|WSAPoll)/;
  return trace
    .records()
    .map(formatRecord)
    .filter((line) => relevant.test(line))
    .map((line) => {
      const name = /^\w+/.exec(line)?.[0] ?? '';
      const polled = Array.from(line.matchAll(/\{socket=(\d+), events=([\w|]+)/g), ([, socket, events = '']) =>
        [names.get(Number(socket)) ?? 'other', events.replaceAll('AFD_POLL_', '')].join(' '),
      );
      return [name, ...polled].join(': ');
    });
}

describe.skipIf(!isHere)(`AFD${isHere ? '' : ' — not here: npm run test:windows runs it'}`, () => {
  const READ = 'RECEIVE|DISCONNECT|ABORT|LOCAL_CLOSE|ACCEPT|CONNECT_FAIL';
  const WRITE = 'SEND|ABORT|LOCAL_CLOSE|CONNECT_FAIL';

  it('a wait polls the new sockets and those that the last wait reported, and no others', () => {
    using bench = new Bench();
    const [ready, quiet] = sockets(bench, 2) as [Socket, Socket];
    const names = new Map([
      [ready.fd, 'ready'],
      [quiet.fd, 'quiet'],
    ]);
    const selector = bench.own(new AfdSelector());
    selector.select(0); // polls the wake channel
    selector.register(ready, EVENT_READ);
    selector.register(quiet, EVENT_READ);
    ready.send('x');
    const taken = 'GetQueuedCompletionStatusEx: ready RECEIVE';
    const wait = () => expect(selector.select(5000)).toHaveLength(1);
    expect(callsOf(wait, names)).toEqual([`DeviceIoControl: ready ${READ}`, `DeviceIoControl: quiet ${READ}`, taken]);
    expect(callsOf(wait, names)).toEqual([`DeviceIoControl: ready ${READ}`, taken]);
    ready.recv(10);
    const none = () => expect(selector.select(0)).toEqual([]);
    expect(callsOf(none, names)).toEqual([`DeviceIoControl: ready ${READ}`, 'GetQueuedCompletionStatusEx']);
    expect(callsOf(none, names)).toEqual(['GetQueuedCompletionStatusEx']);
  });

  it('one WSAPoll checks the completions that were queued before the wait, unless a poll of this wait follows them', () => {
    using bench = new Bench();
    const [one, other, taken] = sockets(bench, 3) as [Socket, Socket, Socket];
    const names = new Map([
      [one.fd, 'one'],
      [other.fd, 'other'],
      [taken.fd, 'taken'],
    ]);
    const selector = bench.own(new AfdSelector<string>());
    for (const socket of [one, other, taken]) selector.register(socket, EVENT_READ, names.get(socket.fd));
    expect(selector.select(0)).toEqual([]);
    for (const socket of [one, other, taken]) socket.send('x'); // all polls complete
    taken.recv(10);
    const seen = () => {
      const ready = selector.select(5000).map(([{ data }]) => data);
      expect(ready.sort()).toEqual(['one', 'other']);
    };
    expect(callsOf(seen, names).map((call) => call.split(':')[0])).toEqual(['GetQueuedCompletionStatusEx', 'WSAPoll']);
    const calls = callsOf(seen, names).map((call) => call.split(':')[0]);
    expect(calls).toEqual([...new Array<string>(3).fill('DeviceIoControl'), 'GetQueuedCompletionStatusEx']);
  });

  it('more queued completions than one call returns: those of sockets that were read meanwhile hide no others', () => {
    using bench = new Bench();
    const set = new (afdCalls as NonNullable<typeof afdCalls>).AfdSet();
    set.open();
    const multiplexer = new Multiplexer('afd');
    multiplexer.watch(set.handle(), new Int32Array(0), 2);
    const all = sockets(bench, 9);
    all.forEach((socket, i) => set.add(socket.fd, 1, i + 1));
    expect(multiplexer.wait(0)).toBe(0);
    for (const socket of all) socket.send('x');
    for (const socket of all.slice(0, 5)) socket.recv(10);
    const seen = new Set<number>();
    for (let wait = 0; wait < 3; wait++) {
      const count = multiplexer.wait(5000);
      expect(count).toBeGreaterThan(0);
      for (let i = 0; i < count; i++) seen.add(multiplexer.fd(i));
    }
    expect(seen).toEqual(new Set(all.slice(5).map(({ fd }) => fd)));
    set.close(5000);
  });

  it('modify cancels a pending poll and starts another, in the next wait; modified back, nothing is done', () => {
    using bench = new Bench();
    const [socket] = sockets(bench, 1) as [Socket];
    const names = new Map([[socket.fd, 'it']]);
    const selector = bench.own(new AfdSelector());
    selector.register(socket, EVENT_READ);
    expect(selector.select(0)).toEqual([]);
    const backAndForth = () => {
      selector.modify(socket, EVENT_READ | EVENT_WRITE);
      selector.modify(socket, EVENT_READ);
      expect(selector.select(0)).toEqual([]);
    };
    expect(callsOf(backAndForth, names)).toEqual(['GetQueuedCompletionStatusEx']);
    const change = () => {
      selector.modify(socket, EVENT_WRITE);
      expect(selector.select(5000)).toHaveLength(1);
    };
    const calls = callsOf(change, names);
    expect(calls.slice(0, 2)).toEqual(['CancelIoEx', `DeviceIoControl: it ${WRITE}`]);
    expect(calls.slice(2).join()).toContain('it SEND');
  });

  it('a completion that is queued when its socket is modified or unregistered is stale: nothing is reported for it', () => {
    using bench = new Bench();
    const [one, other] = sockets(bench, 2) as [Socket, Socket];
    const selector = bench.own(new AfdSelector<string>());
    selector.register(one, EVENT_READ, 'one');
    selector.register(other, EVENT_READ, 'other');
    expect(selector.select(0)).toEqual([]);
    for (const socket of [one, other]) socket.send('x'); // both polls complete
    selector.modify(one, EVENT_WRITE, 'one');
    selector.unregister(other);
    expect(selector.select(5000).map(([{ data }, events]) => [data, events])).toEqual([['one', EVENT_WRITE]]);
    selector.register(other, EVENT_WRITE, 'again');
    const seen = new Map<unknown, number>();
    for (let i = 0; i < 5; i++) for (const [{ data }, events] of selector.select(20)) seen.set(data, events);
    expect([...seen]).toEqual([
      ['one', EVENT_WRITE],
      ['again', EVENT_WRITE],
    ]);
  });

  it('more ready sockets than one call returns: the next call begins with the others', () => {
    using bench = new Bench();
    const selector = bench.own(new AfdSelector<number>());
    const all = sockets(bench, 700);
    all.forEach((socket, i) => selector.register(socket, EVENT_WRITE, i));
    const first = selector.select(5000).map(([{ data }]) => data);
    const second = selector.select(5000).map(([{ data }]) => data);
    expect(first.length).toBeLessThanOrEqual(512);
    expect(new Set([...first, ...second.slice(0, 700 - first.length)]).size).toBe(700);
  });

  it('a poll that cannot be started fails the wait, and no socket is lost', () => {
    using bench = new Bench();
    const selector = bench.own(new AfdSelector<number>());
    const all = sockets(bench, 10);
    all.forEach((socket, i) => selector.register(socket, EVENT_WRITE, i));
    {
      using faults = injectFaults('DeviceIoControl:ENOMEM@every4');
      for (let i = 0; i < 3; i++) throwsCode('ENOMEM', () => selector.select(0));
      expect(faults.counts()[0]?.injected).toBe(3);
    }
    const seen = new Set<number>();
    while (seen.size < 10) for (const [{ data }] of selector.select(5000)) seen.add(data);
  });

  it('a poll that cannot be cancelled is stale all the same', () => {
    using bench = new Bench();
    const selector = bench.own(new AfdSelector<string>());
    const [socket, other] = sockets(bench, 2) as [Socket, Socket];
    selector.register(socket, EVENT_READ, 'gone');
    selector.select(0);
    {
      using _ = injectFaults('CancelIoEx:ENOMEM');
      selector.unregister(socket);
    }
    socket.send('x');
    selector.register(other, EVENT_WRITE, 'here');
    for (let i = 0; i < 3; i++) expect(selector.select(5000).map(([{ data }]) => data)).toEqual(['here']);
  });

  it('a closed socket is forgotten whether its poll is pending or not; the key stays until it is unregistered', () => {
    using bench = new Bench();
    const selector = bench.own(new AfdSelector());
    const [polled, reported, unpolled] = sockets(bench, 3) as [Socket, Socket, Socket];
    selector.register(polled, EVENT_READ);
    selector.register(reported, EVENT_READ);
    reported.send('x');
    expect(selector.select(5000)).toHaveLength(1);
    selector.register(unpolled, EVENT_READ);
    for (const socket of [polled, reported, unpolled]) socket.close();
    for (let i = 0; i < 3; i++) expect(selector.select(10)).toEqual([]);
    expect(selector.getMap().size).toBe(3);
    for (const socket of [polled, reported, unpolled]) selector.unregister(socket);
  });

  it('close() leaves no pending poll and no handle, whatever the sockets are doing', () => {
    using bench = new Bench();
    const set = new (afdCalls as NonNullable<typeof afdCalls>).AfdSet();
    expect([set.open(), set.pending(), set.handles()]).toEqual([0, 0, 2]);
    const all = sockets(bench, 100);
    // As a selector drives its own, which cannot be looked into.
    const multiplexer = new Multiplexer('afd');
    expect(multiplexer.watch(set.handle(), new Int32Array(0), 128)).toBe(0);
    all.forEach((socket, i) => expect(set.add(socket.fd, i % 2 === 0 ? 1 : 3, i + 1)).toBe(0));
    expect(multiplexer.wait(0)).toBe(50);
    for (const socket of all.slice(0, 20)) socket.send('x');
    for (const socket of all.slice(0, 10)) set.change(socket.fd, 2);
    for (const socket of all.slice(10, 15)) set.remove(socket.fd);
    for (const socket of all.slice(90)) socket.close();
    // Ten that were changed, five that were sent to, and the writable ones of the other 70.
    expect(multiplexer.wait(0)).toBe(50);
    expect(set.pending()).toBeGreaterThan(30);
    expect(set.handles()).toBeGreaterThanOrEqual(4);
    expect(set.close(5000)).toBe(0);
    expect([set.pending(), set.handles()]).toEqual([0, 0]);
    expect(multiplexer.wait(0)).toBeLessThan(0);
  });

  it.skipIf(!existsSync(ways))(
    'the process has as many handles as before, also after a worker with pending polls',
    async () => {
      using bench = new Bench();
      const body = `
      const { openHandles } = require(${JSON.stringify(ways)});
      const { AfdSelector, EVENT_READ, Reactor, Socket } = selectors;
      const { Worker } = require('node:worker_threads');
      const use = async () => {
        const all = Array.from({ length: 200 }, () => new Socket({ type: 'dgram' }).bind({ host: '127.0.0.1', port: 0 }));
        const selectors = Array.from({ length: 5 }, () => new AfdSelector());
        for (const selector of selectors) for (const socket of all) selector.register(socket, EVENT_READ);
        const waits = selectors.map((selector, i) => (i < 3 ? void selector.select(0) : selector.selectAsync()));
        await new Promise((resolve) => setTimeout(resolve, 20));
        for (const selector of selectors) selector.close();
        await Promise.allSettled(waits);
        const raw = new syscalls.Afd();
        for (const socket of all) raw.poll(socket, syscalls.AFD_POLL_RECEIVE);
        raw.close();
        for (const socket of all) socket.close();
      };
      const inWorker = async () => {
        const text = ${JSON.stringify(`
          const selectors = require(INDEX);
          const all = Array.from({ length: 50 }, () => new selectors.Socket({ type: 'dgram' }).bind({ host: '127.0.0.1', port: 0 }));
          const selector = new selectors.AfdSelector();
          for (const socket of all) selector.register(socket, selectors.EVENT_READ);
          require('node:worker_threads').parentPort.postMessage(selector.select(0).length);
          for (;;) selector.select();
        `)}.replace('INDEX', JSON.stringify(require.resolve(${JSON.stringify(join(import.meta.dirname, '../dist/index.js'))})));
        const worker = new Worker(text, { eval: true });
        await new Promise((resolve) => worker.once('message', resolve));
        await worker.terminate();
      };
      (async () => {
        // What Node and Wine open once, they have opened by then.
        for (let i = 0; i < 2; i++) { await use(); await inWorker(); }
        const before = openHandles();
        for (let i = 0; i < 5; i++) { await use(); await inWorker(); }
        const deadline = performance.now() + 30_000;
        let after = openHandles();
        while (after > before && performance.now() < deadline) {
          await new Promise((resolve) => setTimeout(resolve, 50));
          after = openHandles();
        }
        console.log(JSON.stringify({ before, more: Math.max(0, after - before) }));
        process.exit();
      })();
    `;
      const answer = (await answerOf(bench.own(startProgram(body)).ended)) as { before: number; more: number };
      expect(answer.before).toBeGreaterThan(20);
      expect(answer.more).toBe(0);
    },
  );

  it('inside Node’s loop: connections are served, and a quiet loop makes no turn', async () => {
    using bench = new Bench();
    const loop = bench.own(new Reactor({ selector: new AfdSelector() }));
    const listener = loop.listen({ port: 0 }, { data: (connection, chunk) => void connection.write(chunk) });
    const started = loop.start();
    const client = bench.own(new Socket({ blocking: false }));
    const answers = bench.own(new AfdSelector());
    client.connect(listener.address);
    answers.register(client, EVENT_WRITE);
    await answers.selectAsync();
    answers.modify(client, EVENT_READ);
    for (let i = 0; i < 50; i++) {
      client.send(`message ${i}`);
      await answers.selectAsync();
      expect(String(client.recv(100))).toBe(`message ${i}`);
    }
    loop.stop();
    await started;
  });
});
