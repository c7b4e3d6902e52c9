/** What only the emulation has: its selector, and I/O of its own after the kernel reports readiness. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import {
  BaseProactor,
  DefaultSelector,
  EVENT_READ,
  EVENT_WRITE,
  EmulatedProactor,
  Socket,
  createSelector,
} from '../src/index.js';
import { native } from '../src/native.js';
import { lacksOf } from './contract/capabilities.js';
import { Bench } from './support/bench.js';
import { failsWith, finish, resultOf } from './support/completion.js';
import { throwsCode } from './support/expect.js';
import { programText } from './support/program.js';
import { readinessMechanisms } from './support/mechanisms.js';

const mechanisms = readinessMechanisms.flatMap(({ mechanism, available }) => (available ? [mechanism] : []));
const isWindows = process.platform === 'win32';

it('the default selector', () => {
  using proactor = new EmulatedProactor();
  using selector = new DefaultSelector();
  expect(proactor.mechanism).toBe(`emulated:${selector.mechanism}`);
  expect(EmulatedProactor.isAvailable).toBe(true);
});

it('BaseProactor is abstract, and available nowhere', () => {
  throwsCode('ERR_ILLEGAL_CONSTRUCTOR', () => Reflect.construct(BaseProactor, []) as unknown);
  expect(BaseProactor.isAvailable).toBe(false);
});

describe.each(mechanisms)('emulated:%s', (mechanism) => {
  const lacks = lacksOf(mechanism);
  /** A proactor and its selector. */
  const start = (bench: Bench) => {
    const selector = createSelector(mechanism);
    return { selector, proactor: bench.own(new EmulatedProactor({ selector })) };
  };

  it('owns its selector: wakes by its channel, and closes it', () => {
    using bench = new Bench();
    const { selector, proactor } = start(bench);
    expect(proactor.wakeupHandle).toBe(selector.wakeupHandle);
    proactor.close();
    expect(selector.closed).toBe(true);
    throwsCode('ERR_CLOSED', () => new EmulatedProactor({ selector }));
  });

  it('registers a descriptor only while an operation needs it', () => {
    using bench = new Bench();
    const { selector, proactor } = start(bench);
    const [a, b] = bench.tcpPair();
    const events = () => [...selector.getMap().values()].map(({ events }) => events);
    expect(events()).toEqual([]);
    const receiving = proactor.recv(b, 10);
    expect(events()).toEqual([EVENT_READ]);
    const sending = proactor.send(b, 'x');
    expect(events()).toEqual([EVENT_READ | EVENT_WRITE]);
    finish(proactor, sending);
    expect(events()).toEqual([EVENT_READ]);
    receiving.cancel();
    expect(events()).toEqual([]);
    proactor.recv(b, 10);
    proactor.recv(b, 10);
    proactor.recv(a, 10);
    b.close();
    expect([...selector.getMap().keys()]).toEqual([a.fd]);
    a.close();
    expect(events()).toEqual([]);
    expect(proactor.wait(0)).toHaveLength(4);
  });

  it('receives nothing before a wait: a cancelled recv leaves the bytes in the socket', () => {
    using bench = new Bench();
    const { proactor } = start(bench);
    const [a, b] = bench.pair();
    a.send('here');
    const receiving = proactor.recv(b, 10);
    receiving.cancel();
    failsWith('ECANCELED', proactor, receiving);
    expect(b.recv(10)?.toString()).toBe('here');
  });

  it('a descriptor that the caller has registered: an error of the operation, and the key is unchanged', () => {
    using bench = new Bench();
    const { selector, proactor } = start(bench);
    const [a, b] = bench.pair();
    const key = selector.register(b, EVENT_READ, 'the caller’s');
    failsWith('ERR_KEY_EXISTS', proactor, proactor.recv(b, 10));
    failsWith('ERR_KEY_EXISTS', proactor, proactor.send(b, 'x'));
    expect(selector.getKey(b)).toBe(key);
    a.send('x'); // always ready, without an operation
    expect(proactor.wait(20)).toEqual([]);
    selector.unregister(b);
    expect(resultOf(proactor, proactor.recv(b, 10)).toString()).toBe('x');
  });

  it('a selector that the caller closes: waits throw, and close() ends pending operations', () => {
    using bench = new Bench();
    const { selector, proactor } = start(bench);
    const [a] = bench.pair();
    const receiving = proactor.recv(a, 1);
    selector.close();
    throwsCode('ERR_CLOSED', () => proactor.wait(0));
    const late = proactor.recv(a, 1);
    proactor.close();
    expect([receiving.error?.code, late.pending, proactor.pending]).toEqual(['ECANCELED', false, 0]);
  });

  it('a descriptor that the caller unregisters from its selector can be cancelled', () => {
    using bench = new Bench();
    const { selector, proactor } = start(bench);
    const [a] = bench.pair();
    const receiving = proactor.recv(a, 1);
    selector.unregister(a);
    receiving.cancel();
    failsWith('ECANCELED', proactor, receiving);
  });

  const byNumber = it.skipIf(isWindows);
  byNumber('a socket closed by its number: told by select and poll, and to be cancelled on all', () => {
    using bench = new Bench();
    const { selector, proactor } = start(bench);
    const [a, b] = Socket.pair({ blocking: false });
    bench.own(b);
    const receiving = proactor.recv(a, 10);
    const other = proactor.recv(b, 10);
    closeSync(a.fd);
    if (lacks['closed descriptors reported'] === undefined) failsWith('EBADF', proactor, receiving);
    else expect(receiving.pending).toBe(true);
    receiving.cancel();
    finish(proactor, receiving, other);
    a.detach();
    expect(other.result?.length).toBe(0);
    expect(selector.getMap().size).toBe(0);
  });

  byNumber(
    'a number that is another Socket’s by now: the old one’s operations are EBADF, the new one’s are its own',
    () => {
      using bench = new Bench();
      const { proactor } = start(bench);
      const [a, b] = Socket.pair({ blocking: false });
      bench.own(b);
      const old = [proactor.recv(a, 10), proactor.recv(a, 10)];
      closeSync(a.fd);
      const [c, d] = bench.pair();
      const [again, peer] = c.fd === a.fd ? [c, d] : [d, c];
      expect(again.fd).toBe(a.fd);
      const receiving = proactor.recv(again, 10);
      peer.send('new');
      expect(resultOf(proactor, receiving).toString()).toBe('new');
      for (const one of old) failsWith('EBADF', proactor, one);
      a.detach();
    },
  );

  byNumber('a registration that nobody can name any more: the set is built anew, and waits go on', async () => {
    using bench = new Bench();
    const { proactor } = start(bench);
    const [a, b] = Socket.pair({ blocking: false });
    bench.own(b);
    const [c, d] = bench.pair();
    const copy = bench.own(a.dup());
    const stale = proactor.recv(a, 10);
    const receiving = proactor.recv(d, 10);
    closeSync(a.fd);
    stale.cancel();
    a.detach();
    b.send('for the copy');
    const waits = proactor.waitAsync();
    expect(await waits).toEqual([stale]);
    const next = proactor.waitAsync();
    await sleep(10);
    c.send('x');
    expect(await next).toEqual([receiving]);
    expect(copy.recv(100)?.toString()).toBe('for the copy');
  });

  it.skipIf(lacks['limited numbers'] !== undefined)('a number beyond fd_set: an error of the operation', () => {
    using bench = new Bench();
    const { proactor } = start(bench);
    let high = bench.own(new Socket({ type: 'dgram', blocking: false }));
    while (high.fd < 1024) high = bench.own(high.dup());
    failsWith('ERR_OUT_OF_RANGE', proactor, proactor.recv(high, 10));
    failsWith('ERR_OUT_OF_RANGE', proactor, proactor.send(high, 'x'));
    const [a, b] = bench.pair();
    if (b.fd < 1024) finish(proactor, proactor.send(a, 'x'), proactor.recv(b, 1));
  });

  it.skipIf(isWindows)('devices that are always ready, and a directory', () => {
    using bench = new Bench();
    const { proactor } = start(bench);
    const open = (path: string, flags: string) => {
      const fd = openSync(path, flags);
      bench.atEnd(() => {
        closeSync(fd);
      });
      return fd;
    };
    expect(resultOf(proactor, proactor.read(open('/dev/zero', 'r'), 3, 5))).toEqual(Buffer.alloc(3));
    expect(resultOf(proactor, proactor.read(open('/dev/null', 'r'), 3, 0))).toHaveLength(0);
    expect(resultOf(proactor, proactor.write(open('/dev/null', 'w'), Buffer.from('gone'), 0))).toBe(4);
    failsWith('EISDIR', proactor, proactor.read(open('/', 'r'), 3, 0));
    failsWith('EBADF', proactor, proactor.write(open('/dev/zero', 'r'), Buffer.from('x'), 0));
  });

  it.skipIf(isWindows)('a blocking pipe takes what fits, blocks no thread, and stays blocking', () => {
    using bench = new Bench();
    const { proactor } = start(bench);
    const path = join(bench.folder(), 'fifo');
    execFileSync('mkfifo', [path]);
    const open = (flags: number) => {
      const fd = openSync(path, flags);
      bench.atEnd(() => {
        closeSync(fd);
      });
      return fd;
    };
    const output = open(constants.O_RDONLY | constants.O_NONBLOCK);
    const input = open(constants.O_WRONLY);
    expect(native.setNonBlocking(output, false)).toBe(0);
    const reading = proactor.read(output, 10, 0);
    const large = Buffer.alloc(1 << 20, 'x');
    const written = resultOf(proactor, proactor.write(input, large, 0));
    expect(written).toBeGreaterThan(0);
    expect(resultOf(proactor, reading)).toHaveLength(10);
    const full = proactor.write(input, large, 0);
    expect(proactor.wait(0)).toEqual([]);
    full.cancel();
    failsWith('ECANCELED', proactor, full);
    let left = written - 10;
    while (left > 0) left -= resultOf(proactor, proactor.read(output, 1 << 20, 0)).length;
    expect([native.isNonBlocking(input), native.isNonBlocking(output)]).toEqual([0, 0]);
  });

  it.skipIf(isWindows)('read and write of a Socket, as read(2) and write(2)', () => {
    using bench = new Bench();
    const { proactor } = start(bench);
    const [a, b] = Socket.pair();
    bench.own(a);
    bench.own(b);
    const reading = proactor.read(b, 10, 0);
    expect(resultOf(proactor, proactor.write(a, Buffer.from('x'), 0))).toBe(1);
    expect(resultOf(proactor, reading).toString()).toBe('x');
  });

  it('for a loop: begin() calls its function, attach() calls back when an operation completes', async () => {
    using bench = new Bench();
    const { proactor } = start(bench);
    const [a, b] = bench.pair();
    const received: (string | undefined)[] = [];
    let turns = 0;
    const attachment = proactor.attach(() => {
      turns++;
      proactor.turn(0);
    });
    proactor.begin({ kind: 'recv', fd: b.fd, size: 10 }, ({ data }) => received.push(data?.toString()));
    await sleep(5);
    const users = proactor.recv(a, 10);
    a.send('to the loop');
    while (received.length === 0) await sleep(1);
    expect(received).toEqual(['to the lo'.padEnd(10, 'o')]);
    b.send('to the caller');
    while (users.pending) await sleep(1);
    expect(proactor.pending).toBe(1); // completed, not yet collected
    expect(proactor.wait(0)).toEqual([users]);
    expect(proactor.pending).toBe(0);
    expect(proactor.wait(0)).toEqual([]);
    expect(turns).toBeGreaterThan(0);
    attachment.close();
  });

  it('in a worker thread, on blocking sockets', async () => {
    using bench = new Bench();
    const worker = new Worker(
      programText(`
        const { parentPort, workerData } = require('node:worker_threads');
        const proactor = new selectors.EmulatedProactor({ selector: selectors.createSelector(workerData) });
        const [a, b] = selectors.Socket.pair();
        let text = '';
        for (let i = 0; i < 20; i++) {
          const receiving = proactor.recv(b, 10);
          proactor.send(a, String(i % 10));
          while (proactor.pending > 0) proactor.wait();
          text += receiving.result.toString();
        }
        const large = proactor.send(a, Buffer.alloc(8 << 20));
        proactor.wait(10000);
        parentPort.postMessage([text, large.pending, a.blocking]);
        proactor.close();
      `),
      { eval: true, workerData: mechanism },
    );
    bench.atEnd(() => void worker.terminate());
    // Listen first: a worker's last message and its exit may arrive in one turn.
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    const answer = await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    expect(answer).toEqual(['01234567890123456789', false, true]);
    expect(await exited).toBe(0);
  });

  it('leaves nothing behind in a worker that is terminated during a wait', async () => {
    using bench = new Bench();
    const worker = new Worker(
      programText(`
        const { parentPort, workerData } = require('node:worker_threads');
        const proactor = new selectors.EmulatedProactor({ selector: selectors.createSelector(workerData) });
        const [a] = selectors.Socket.pair();
        proactor.recv(a, 10);
        parentPort.postMessage('ready');
        proactor.wait();
      `),
      { eval: true, workerData: mechanism },
    );
    bench.atEnd(() => void worker.terminate());
    await new Promise((resolve) => worker.once('message', resolve));
    assert.equal(typeof (await worker.terminate()), 'number');
  });
});
