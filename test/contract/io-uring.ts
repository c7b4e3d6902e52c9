/**
 * io_uring(7) through the class IoUring, and the streams of a loop over it: behaviours U1 to U34, as far as JavaScript
 * can reach them. Not offered: links (U12, U13), bundles (U18), zero copy (U31) and cancelling by descriptor.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { ProactorLoop } from '../../src/index.js';
import { type Connection, type EventLoop, Socket } from '../../src/index.js';
import type { NativeIoUring } from '../../src/addon.js';
import { ioUringCalls, native } from '../../src/native.js';
import { type Cqe, IoUring, POLLIN, constants as network, select } from '../../src/syscalls.js';
import type { Bench } from '../support/bench.js';
import { pattern } from '../support/completion.js';
import { assertWaited, throwsCode, timed } from '../support/expect.js';
import { gc } from '../support/gc.js';
import { programText, runProgram } from '../support/program.js';
import type { Case } from './case.js';

export interface RingContext {
  readonly bench: Bench;
  /** Makes a ring; it is closed at the end. */
  ring(entries?: number): IoUring;
}

export interface RingLoopContext {
  readonly bench: Bench;
  /** Makes a loop over io_uring; it is closed at the end. */
  loop(onError?: (error: unknown) => void): ProactorLoop;
}

const { ECANCELED, ECONNREFUSED, EBADF, EINVAL, ENOENT, ENOBUFS, ETIME, EALREADY } = constants.errno;
const [OP_NOP, OP_RECV, OP_NONE] = [0, 27, 255];
const FEAT_NODROP = 2;
const F_MORE = 2;
const MAX_WAIT = 10_000;

/** Calls enter() until `count` completions have arrived. @returns the completions, in order */
function collect(ring: IoUring, count: number): Cqe[] {
  const all: Cqe[] = [];
  const deadline = performance.now() + MAX_WAIT;
  while (all.length < count) {
    assert.ok(performance.now() < deadline, `${all.length} of ${count} completions`);
    ring.enter(1, 100);
    all.push(...ring.completions());
  }
  assert.equal(all.length, count, 'no more completions than submissions');
  return all;
}

/** The result of each number, whatever the order of completion. */
function results(ring: IoUring, count: number): Record<number, number> {
  const all = collect(ring, count);
  const byNumber = Object.fromEntries(all.map(({ userData, res }) => [userData, res]));
  assert.equal(Object.keys(byNumber).length, count, 'none completes twice');
  return byNumber;
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Prepares one operation of each kind that stays pending until cancelled, numbered from 1. @returns how many */
function prepareEachKind(bench: Bench, ring: IoUring): number {
  const [a, b] = bench.tcpPair();
  const [output] = bench.pipe();
  ring.prepRecv(a, new Uint8Array(10), 0, 1);
  ring.prepAccept(bench.listener(), 0, 2);
  ring.prepPollAdd(b, POLLIN, 3);
  ring.prepTimeout(1e9, 4);
  ring.prepRead(output, new Uint8Array(10), -1, 5);
  return 5;
}

const queues: readonly Case<RingContext>[] = [
  {
    name: 'U1 entries are rounded up to a power of two, with twice as many completions; 0 and more than 32768 are EINVAL',
    run({ ring }) {
      for (const [asked, entries] of [
        [1, 1],
        [2, 2],
        [3, 4],
        [5, 8],
        [257, 512],
        [32_768, 32_768],
      ] as const) {
        const { sqEntries, cqEntries } = ring(asked);
        assert.deepEqual([sqEntries, cqEntries], [entries, 2 * entries]);
      }
      assert.equal(ring().sqEntries, 256);
      for (const entries of [0, 32_769, 2 ** 32 - 1]) throwsCode('EINVAL', () => ring(entries));
    },
  },
  {
    name: 'features and opcodes are the kernel’s; completions are never dropped (NODROP)',
    run({ ring }) {
      const one = ring(1);
      assert.notEqual(one.features & FEAT_NODROP, 0);
      assert.ok(one.features >= 0);
      assert.deepEqual([one.supports(OP_NOP), one.supports(OP_RECV), one.supports(OP_NONE)], [true, true, false]);
    },
  },
  {
    name: 'U2 a full queue is submitted: none of a hundred operations is dropped on a queue of four',
    run({ ring }) {
      const four = ring(4);
      for (let i = 0; i < 4; i++) four.prepNop(i);
      assert.deepEqual(four.completions(), [], 'nothing is submitted yet');
      for (let i = 4; i < 100; i++) four.prepNop(i);
      assert.ok(four.enter() <= 4, 'the others are submitted already');
      assert.deepEqual(
        collect(four, 100).map(({ userData }) => userData),
        range(100),
      );
    },
  },
  ...[20, 5000].map((count) => ({
    name: `U3 ${count} completions on a queue of eight: the kernel keeps the overflow, and all come in order`,
    run({ ring }: RingContext) {
      const four = ring(4);
      for (let i = 0; i < count; i++) four.prepNop(i);
      four.enter();
      const all = collect(four, count);
      assert.deepEqual(
        all.map(({ userData }) => userData),
        range(count),
      );
      assert.ok(all.every(({ res }) => res === 0));
      assert.deepEqual(four.completions(), []);
    },
  })),
  {
    name: 'U3 more receives complete at once than the queue holds: each is reported, with its bytes',
    run({ bench, ring }) {
      const two = ring(2);
      const pairs = range(50).map(() => bench.pair());
      const buffers = pairs.map(([, b], i) => {
        const buffer = Buffer.alloc(4);
        two.prepRecv(b, buffer, 0, i);
        return buffer;
      });
      two.enter();
      for (const [i, [a]] of pairs.entries()) a.send(String(i).padStart(4, '0'));
      const byNumber = results(two, 50);
      for (const i of range(50)) assert.equal(byNumber[i], 4);
      assert.deepEqual(
        buffers.map((buffer) => Number(buffer.toString())),
        range(50),
      );
    },
  },
  {
    name: 'enter() returns how many entries it submitted, and waits for the given number of completions, at most its timeout',
    run({ ring }) {
      const eight = ring(8);
      for (let i = 0; i < 3; i++) eight.prepNop(i);
      assert.equal(eight.enter(3, null), 3);
      assert.equal(eight.enter(3, null), 0, 'the completions are in the queue already');
      assert.equal(eight.completions(2).length, 2);
      assert.equal(eight.completions(0).length, 0);
      assert.equal(eight.completions().length, 1);
      for (const ms of [0, 0.5, 30]) assertWaited(timed(() => eight.enter(1, ms)).ms, ms);
      eight.prepTimeout(20, 7);
      eight.prepTimeout(60, 8);
      const { ms } = timed(() => eight.enter(2, 5000));
      assertWaited(ms, 60);
      assert.deepEqual(
        eight.completions().map(({ userData, res }) => [userData, res]),
        [7, 8].map((number) => [number, -ETIME]),
      );
      assertWaited(timed(() => eight.enter(2 ** 32 - 1, 20)).ms, 20);
    },
  },
  {
    name: 'enter(): may wait for more completions than the queue holds; returns when the queue is full',
    run({ ring }) {
      const two = ring(2);
      for (let i = 0; i < 50; i++) two.prepNop(i);
      two.enter(1000, 5000);
      assert.equal(collect(two, 50).length, 50);
    },
  },
  {
    name: 'user_data from 0 to 2^53 - 1 comes back unchanged, also when several are equal',
    run({ ring }) {
      const one = ring();
      const numbers = [0, 1, 7, 7, 2 ** 31, 2 ** 32, 2 ** 52 + 3, 2 ** 53 - 1];
      for (const number of numbers) one.prepNop(number);
      assert.deepEqual(
        collect(one, numbers.length).map(({ userData }) => userData),
        numbers,
      );
    },
  },
  {
    name: 'MSG_TRUNC: res is the kernel’s answer; the buffer has the received bytes and no other memory',
    run({ bench, ring }) {
      const { MSG_TRUNC = 0, MSG_PEEK = 0 } = network;
      const one = ring();
      const around = Buffer.alloc(12, '#');
      const target = around.subarray(4, 8);
      const datagrams = bench.own(new Socket({ type: 'dgram' })).bind({ host: '127.0.0.1', port: 0 });
      bench.own(new Socket({ type: 'dgram' })).sendTo('x'.repeat(34), datagrams.localAddress);
      one.prepRecv(datagrams, target, MSG_TRUNC, 1);
      assert.equal(collect(one, 1)[0]?.res, 34);
      assert.equal(around.toString(), '####xxxx####');
      const [a, b] = bench.tcpPair();
      a.send('0123456789');
      for (const flags of [MSG_PEEK | MSG_TRUNC, MSG_TRUNC]) {
        target.fill('y');
        one.prepRecv(b, target, flags, 2);
        assert.equal(collect(one, 1)[0]?.res, 4);
        assert.equal(around.toString(), '####\0\0\0\0####', 'TCP discards them');
      }
      for (const size of [4096, 1 << 20]) {
        const all = Buffer.alloc(size, 'y');
        if (size > 4096) a.send('456789');
        one.prepRecv(b, all, MSG_TRUNC, 3);
        assert.equal(collect(one, 1)[0]?.res, 6);
        assert.deepEqual(all.subarray(0, 6), Buffer.alloc(6));
      }
    },
  },
  {
    name: 'the ring’s own descriptor is readable when there are completions, as select reports',
    run({ bench, ring }) {
      const one = ring();
      const [a, b] = bench.pair();
      one.prepRecv(b, new Uint8Array(4), 0, 1);
      one.enter();
      assert.deepEqual(select([one], [], [], 0).read, []);
      a.send('x');
      assert.deepEqual(select([one], [], [], 5000).read, [one]);
      assert.deepEqual(results(one, 1), { 1: 1 });
    },
  },
];

const operations: readonly Case<RingContext>[] = [
  {
    name: 'accept, connect, send, recv: results, and a connection that is close-on-exec',
    run({ bench, ring }) {
      const one = ring();
      const listener = bench.listener();
      const client = bench.own(new Socket());
      one.prepAccept(listener, 0, 1);
      one.prepConnect(client, listener.localAddress, 2);
      const { 1: fd, 2: connected } = results(one, 2);
      assert.equal(connected, 0);
      const server = bench.own(Socket.fromFd(fd as number));
      assert.equal(server.inheritable, false);
      assert.deepEqual(server.remoteAddress, client.localAddress);
      const buffer = Buffer.alloc(8, '.');
      one.prepSend(client, Buffer.from('hello'), 0, 3);
      one.prepRecv(server, buffer.subarray(1, 7), 0, 4);
      assert.deepEqual(results(one, 2), { 3: 5, 4: 5 });
      assert.equal(buffer.toString(), '.hello..');
    },
  },
  {
    name: 'read and write of a file at positions, and of a file without positions',
    run({ bench, ring }) {
      const one = ring();
      const file = bench.regularFile();
      one.prepWrite(file, Buffer.from('XY'), 3, 1);
      assert.deepEqual(results(one, 1), { 1: 2 });
      const buffer = Buffer.alloc(20);
      one.prepRead(file, buffer, 1, 2);
      assert.deepEqual(results(one, 1), { 2: 7 });
      assert.equal(buffer.toString('latin1', 0, 7), 'onXYnts');
      one.prepRead(file, buffer, 2 ** 40, 3);
      assert.deepEqual(results(one, 1), { 3: 0 });
      const [output, input] = bench.pipe();
      one.prepRead(output, buffer, -1, 4);
      one.prepWrite(input, Buffer.from('piped'), -1, 5);
      assert.deepEqual(results(one, 2), { 4: 5, 5: 5 });
      assert.equal(buffer.toString('latin1', 0, 5), 'piped');
    },
  },
  {
    name: 'U5 a descriptor closed under its recv: no completion and no end for the peer, until the recv is cancelled',
    run({ bench, ring }) {
      const one = ring();
      const [a, b] = bench.tcpPair();
      const fd = b.detach();
      one.prepRecv(fd, new Uint8Array(4), 0, 1);
      one.enter();
      closeSync(fd);
      one.enter(1, 50);
      assert.deepEqual(one.completions(), []);
      assert.equal(a.recv(1), null, 'the file is still open');
      one.prepCancel(1, 2);
      assert.deepEqual(results(one, 2), { 1: -ECANCELED, 2: 0 });
      assert.deepEqual(select([a], [], [], 5000).read, [a]);
      assert.equal(a.recv(1)?.length, 0);
    },
  },
  {
    name: 'U6 shutdown() completes a pending recv with 0',
    run({ bench, ring }) {
      const one = ring();
      for (const [, b] of [bench.pair(), bench.tcpPair()]) {
        one.prepRecv(b, new Uint8Array(4), 0, 1);
        one.enter();
        b.shutdown('both');
        assert.deepEqual(results(one, 1), { 1: 0 });
      }
    },
  },
  {
    name: 'U7 each kind can be cancelled: the target completes with ECANCELED, the cancel with 0',
    run({ bench, ring }) {
      const one = ring();
      const count = prepareEachKind(bench, one);
      one.enter();
      for (let i = 1; i <= count; i++) one.prepCancel(i, 100 + i);
      const byNumber = results(one, 2 * count);
      for (let i = 1; i <= count; i++) assert.deepEqual([byNumber[i], byNumber[100 + i]], [-ECANCELED, 0], String(i));
    },
  },
  {
    name: 'U7 cancels an operation that was never submitted',
    run({ bench, ring }) {
      const one = ring();
      const count = prepareEachKind(bench, one);
      for (let i = 1; i <= count; i++) one.prepCancel(i, 100 + i);
      const byNumber = results(one, 2 * count);
      for (let i = 1; i <= count; i++) assert.deepEqual([byNumber[i], byNumber[100 + i]], [-ECANCELED, 0], String(i));
    },
  },
  {
    name: 'U8 cancelling an unknown or completed operation is ENOENT',
    run({ ring }) {
      const one = ring();
      one.prepCancel(12_345, 1);
      assert.deepEqual(results(one, 1), { 1: -ENOENT });
      one.prepNop(5);
      one.enter(1, 1000);
      one.prepCancel(5, 6);
      assert.deepEqual(results(one, 2), { 5: 0, 6: -ENOENT }, 'completed, but not collected yet');
      one.prepCancel(5, 7);
      assert.deepEqual(results(one, 1), { 7: -ENOENT });
    },
  },
  {
    name: 'U9 several operations with the same user_data: each cancel ends one of them',
    run({ bench, ring }) {
      const one = ring();
      const [, b] = bench.pair();
      for (let i = 0; i < 3; i++) one.prepRecv(b, new Uint8Array(4), 0, 9);
      one.enter();
      for (let left = 3; left > 0; left--) {
        one.prepCancel(9, 100 + left);
        const byNumber = results(one, 2);
        assert.deepEqual(byNumber, { 9: -ECANCELED, [100 + left]: 0 });
      }
      one.prepCancel(9, 1);
      assert.deepEqual(results(one, 1), { 1: -ENOENT });
    },
  },
  {
    name: 'U10 U32 the ring owns its memory until completion: sent bytes may change, receive buffers may be detached',
    async run({ bench, ring }) {
      const one = ring();
      const [a, b] = bench.pair();
      const bytes = Buffer.from('as it was');
      one.prepSend(a, bytes, 0, 1);
      bytes.fill(0);
      assert.deepEqual(results(one, 1), { 1: 9 });
      assert.equal(b.recv(100)?.toString(), 'as it was');
      // Buffers that are dropped, transferred and shrunk while the kernel uses them.
      const resizable = Reflect.construct(ArrayBuffer, [64, { maxByteLength: 64 }]) as ArrayBuffer & {
        resize?(size: number): void;
      };
      const shrinking = new Uint8Array(resizable);
      const taken = new Uint8Array(64);
      one.prepRecv(b, new Uint8Array(64), 0, 2);
      one.prepRecv(b, taken, 0, 3);
      one.prepRecv(b, shrinking, 0, 4);
      one.enter();
      structuredClone(taken.buffer, { transfer: [taken.buffer] });
      resizable.resize?.(2);
      gc();
      await new Promise(setImmediate);
      gc();
      for (let i = 0; i < 3; i++) {
        a.send('x'.repeat(64));
        assert.equal(collect(one, 1)[0]?.res, 64);
      }
      assert.ok(shrinking.length <= 64);
    },
  },
  {
    name: 'U32 a connect’s address may change after it is prepared',
    run({ bench, ring }) {
      const one = ring();
      const listener = bench.listener();
      const { port } = listener.localAddress as { port: number };
      const raw = Buffer.alloc(16);
      raw.writeUInt8(2, process.arch === 's390x' ? 1 : 0);
      raw.writeUInt16BE(port, 2);
      raw.set([127, 0, 0, 1], 4);
      const client = bench.own(new Socket());
      one.prepConnect(client, { raw }, 1);
      raw.fill(0);
      assert.deepEqual(results(one, 1), { 1: 0 });
      assert.deepEqual(client.remoteAddress, listener.localAddress);
    },
  },
  {
    name: 'U11 the bytes of a cancelled recv are delivered or still in the socket: none is lost',
    run({ bench, ring }) {
      const one = ring();
      const [a, b] = bench.pair();
      const tally = { received: 0, canceled: 0 };
      for (let i = 0; i < 300; i++) {
        const text = String(i).padStart(6, '0');
        const buffer = Buffer.alloc(6);
        if (i % 3 === 0) a.send(text);
        one.prepRecv(b, buffer, 0, 1);
        if (i % 3 === 1) {
          one.enter();
          a.send(text);
        }
        one.prepCancel(1, 2);
        if (i % 3 === 2) {
          one.enter();
          a.send(text);
        }
        const { 1: res, 2: cancel } = results(one, 2);
        assert.ok([0, -ENOENT, -EALREADY].includes(cancel as number), String(cancel));
        if (res === 6) assert.equal(buffer.toString(), text);
        else {
          assert.equal(res, -ECANCELED);
          assert.equal(b.recv(100)?.toString(), text);
        }
        tally[res === 6 ? 'received' : 'canceled']++;
      }
      assert.ok(tally.received > 50 && tally.canceled > 50, JSON.stringify(tally));
    },
  },
  {
    name: 'U20 the end of a stream is 0, each time',
    run({ bench, ring }) {
      const one = ring();
      for (const [a, b] of [bench.pair(), bench.tcpPair()]) {
        one.prepRecv(b, new Uint8Array(4), 0, 1);
        a.shutdown('write');
        const [{ res, flags } = { res: 1, flags: F_MORE }] = collect(one, 1);
        assert.deepEqual([res, flags & F_MORE], [0, 0]);
      }
    },
  },
  {
    name: 'U25 errors of the kernel come with the completion and are never thrown',
    run({ bench, ring }) {
      const one = ring();
      one.prepConnect(bench.own(new Socket()), bench.unusedAddress(), 1);
      one.prepRecv(999_999, new Uint8Array(1), 0, 2);
      one.prepAccept(bench.own(new Socket()), 0, 3);
      one.prepRead(999_999, new Uint8Array(1), 0, 4);
      one.prepNop(5);
      const byNumber = results(one, 5);
      assert.deepEqual(byNumber, { 1: -ECONNREFUSED, 2: -EBADF, 3: -EINVAL, 4: -EBADF, 5: 0 });
    },
  },
  {
    name: 'U34 a short send succeeds; the caller sends the rest from there',
    run({ bench, ring }) {
      const one = ring();
      const [a, b] = bench.tcpPair();
      const bytes = pattern(8 << 20);
      const received: Buffer[] = [];
      let [sent, count, shorts] = [0, 0, 0];
      one.prepSend(a, bytes, 0, 1);
      while (count < bytes.length) {
        one.enter(1, 1);
        for (const { res } of one.completions()) {
          assert.ok(res > 0 && sent + res <= bytes.length, String(res));
          sent += res;
          if (sent === bytes.length) continue;
          shorts++;
          one.prepSend(a, bytes.subarray(sent), 0, 1);
        }
        for (let part; (part = b.recv(1 << 20)) !== null;) {
          received.push(part);
          count += part.length;
        }
      }
      assert.ok(shorts > 0);
      assert.ok(Buffer.concat(received).equals(bytes));
    },
  },
];

const lives: readonly Case<RingContext>[] = [
  {
    name: 'U27 close() with a recv in flight: later bytes stay in the socket',
    run({ bench, ring }) {
      const one = ring();
      const [a, b] = bench.pair();
      one.prepRecv(b, new Uint8Array(16), 0, 1);
      one.enter();
      one.close();
      a.send('late');
      assert.equal(b.recv(16)?.toString(), 'late');
    },
  },
  {
    name: 'U27 close() with each kind in flight, submitted or not, and with uncollected completions, leaves no descriptor open',
    run({ bench, ring }) {
      for (const submits of [true, false]) {
        const one = ring(4);
        prepareEachKind(bench, one);
        const listener = bench.listener();
        one.prepAccept(listener, 0, 6);
        if (submits) one.enter();
        const client = bench.own(new Socket());
        client.connect(listener.localAddress);
        if (submits) one.enter(1, 5000);
        const { ms } = timed(() => one.close());
        assert.ok(ms < 4500, String(ms)); // close() gives up after 5000 ms
        // The connection was accepted and discarded, or is still in the backlog.
        listener.close();
        client.timeout = 5000;
        recvOrReset(client);
      }
    },
  },
  {
    name: 'close() twice; every method fails with ERR_CLOSED, also for wrong arguments; [Symbol.dispose]',
    run({ ring }) {
      const one = ring();
      one.close();
      one.close();
      assert.deepEqual([one.closed, one.fd], [true, -1]);
      const junk = new Proxy({}, { get: () => assert.fail('an argument was accessed') }) as never;
      for (const name of Object.getOwnPropertyNames(IoUring.prototype)) {
        const method: unknown = Object.getOwnPropertyDescriptor(IoUring.prototype, name)?.value;
        if (typeof method !== 'function' || ['constructor', 'close'].includes(name)) continue;
        throwsCode('ERR_CLOSED', () => Reflect.apply(method, one, [junk, junk, junk, junk]) as unknown);
      }
      {
        using other = new IoUring(1);
        other.prepNop(1);
      }
    },
  },
  {
    name: 'a fileno() of the caller that closes the ring, or enters it',
    run({ bench, ring }) {
      const [, b] = bench.pair();
      const calls: readonly ((one: IoUring, file: { fileno(): number }) => void)[] = [
        (one, file) => one.prepRecv(file, new Uint8Array(1), 0, 1),
        (one, file) => one.prepSend(file, new Uint8Array(1), 0, 1),
        (one, file) => one.prepRead(file, new Uint8Array(1), 0, 1),
        (one, file) => one.prepWrite(file, new Uint8Array(1), 0, 1),
        (one, file) => one.prepAccept(file, 0, 1),
        (one, file) => one.prepPollAdd(file, 1, 1),
        (one, file) => one.prepConnect(file, { host: '127.0.0.1', port: 9 }, 1),
      ];
      for (const call of calls) {
        const one = ring();
        throwsCode('ERR_CLOSED', () =>
          call(one, {
            fileno() {
              one.close();
              return b.fd;
            },
          }),
        );
      }
      const one = ring(1);
      one.prepPollAdd(
        {
          fileno() {
            one.prepNop(1);
            one.prepNop(2);
            one.enter(2, 1000);
            return b.fd;
          },
        },
        POLLIN,
        3,
      );
      assert.deepEqual(
        one.completions().map(({ userData }) => userData),
        [1, 2],
      );
    },
  },
  {
    name: 'U26 a ring belongs to its thread: workers have their own, and the object cannot be sent to another thread',
    async run({ ring }) {
      const one = ring();
      const clone = structuredClone(one) as unknown;
      assert.equal(clone instanceof IoUring, false);
      throwsCode('ERR_INVALID_ARG_TYPE', () => {
        try {
          IoUring.prototype.prepNop.call(clone as IoUring, 1);
        } catch (error) {
          // A private member that does not exist.
          assert.ok(error instanceof TypeError);
          throw Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' });
        }
      });
      const workers = range(4).map(
        () =>
          new Worker(
            programText(`
              const { parentPort } = require('node:worker_threads');
              const ring = new syscalls.IoUring(8);
              let sum = 0;
              for (let round = 0; round < 200; round++) {
                for (let i = 0; i < 10; i++) ring.prepNop(round * 10 + i);
                while (ring.enter(1, 0) > 0);
                for (const { userData } of ring.completions()) sum += userData;
              }
              const [a, b] = selectors.Socket.pair();
              ring.prepRecv(b, new Uint8Array(10), 0, 1);
              ring.enter();
              parentPort.postMessage(sum);
            `),
            { eval: true },
          ),
      );
      one.prepTimeout(10, 1);
      const answers = workers.map(async (worker) => {
        const exited = once(worker, 'exit');
        const [sum] = (await once(worker, 'message')) as [number];
        assert.deepEqual(await exited, [0], 'with a recv in flight');
        return sum;
      });
      assert.deepEqual(
        await Promise.all(answers),
        range(4).map(() => (1999 * 2000) / 2),
      );
      assert.deepEqual(results(one, 1), { 1: -ETIME });
    },
  },
  {
    name: 'U30 a child process does not inherit the ring',
    run({ ring }) {
      const { fd } = ring();
      const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
      assert.notEqual(parseInt(flags ?? '0', 8) & 0o2000000, 0, 'close-on-exec');
      assert.doesNotMatch(execFileSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' }), /io_uring/);
    },
  },
  {
    name: 'U33 a signal during a wait: nothing is lost, and the timeout is unchanged',
    async run() {
      // In its own process: tests may run in workers, which receive no signals.
      const { stdout, stderr, code } = await runProgram(`
        const { spawn } = require('node:child_process');
        const { once } = require('node:events');
        let delivered = 0;
        process.on('SIGUSR2', () => delivered++);
        const signals = () =>
          once(spawn('sh', ['-c', 'for i in 1 2 3 4 5; do sleep 0.03; kill -USR2 ' + process.pid + '; done']), 'exit');
        const timed = (call) => { const start = performance.now(); call(); return performance.now() - start; };
        const inTime = (ms, atLeast) => ms >= atLeast && ms < atLeast + 20_000;
        (async () => {
          const ring = new syscalls.IoUring();
          const [a, b] = selectors.Socket.pair();
          let over = signals();
          console.log(inTime(timed(() => ring.enter(1, 400)), 400));
          await over;
          ring.prepRecv(b, new Uint8Array(4), 0, 1);
          const start = performance.now();
          ring.prepTimeout(300, 2);
          ring.enter();
          over = signals();
          a.send('x');
          ring.enter(2, null);
          console.log(inTime(performance.now() - start, 300));
          console.log(ring.completions().map(({ userData, res }) => userData + ' ' + res).join());
          await over;
          console.log(delivered > 0);
        })();`);
      assert.deepEqual([stdout, code], [`true\ntrue\n1 1,2 ${-ETIME}\ntrue\n`, 0], stderr);
    },
  },
];

/** Reads until the peer's close, which may be a reset. */
function recvOrReset(socket: Socket): void {
  try {
    assert.equal(socket.recv(1)?.length, 0);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ECONNRESET');
  }
}

export const ringCases: readonly Case<RingContext>[] = [...queues, ...operations, ...lives];

// ------------------------------------------------------------------------------------------- the streams of the addon

/** One record of a turn. */
interface TurnRecord {
  readonly fd: number;
  readonly what: number;
  readonly result: number;
  readonly text: string;
}

/** A ring with a few small buffers, and turns of it. */
class NativeStreams {
  readonly ring: NativeIoUring;
  readonly numbers = ioUringCalls?.streamNumbers as NonNullable<typeof ioUringCalls>['streamNumbers'];
  readonly #memory: Buffer;
  readonly #size: number;

  constructor(bench: Bench, count: number, size: number) {
    assert.ok(ioUringCalls);
    this.ring = new ioUringCalls.IoUring();
    assert.equal(this.ring.open(8, 64), 0);
    bench.atEnd(() => assert.equal(this.ring.close(5000), 0));
    const memory = this.ring.openStreams(count, size);
    assert.ok(memory instanceof ArrayBuffer);
    this.#memory = Buffer.from(memory);
    this.#size = size;
  }

  turn(timeout = 5000): TurnRecord[] {
    const { RECORD } = this.numbers;
    const out = new Int32Array(64 * RECORD);
    const count = this.ring.turn(timeout, out, 64, new Uint8Array(0), 0, 1 << 30);
    assert.ok(count >= 0, String(count));
    return range(count).map((record) => {
      const [fd = 0, , what = 0, result = 0, place = 0] = out.subarray(record * RECORD, (record + 1) * RECORD);
      const start = (-1 - place) * this.#size;
      return { fd, what, result, text: result > 0 ? this.#memory.toString('latin1', start, start + result) : '' };
    });
  }
}

const streams: readonly Case<RingContext>[] = [
  {
    name: 'U14 U15 U21 more messages than buffers: those that fit, then a last ENOBUFS; nothing is lost after a refill',
    run({ bench }) {
      const s = new NativeStreams(bench, 2, 4);
      const { RECEIVED, LAST } = s.numbers;
      const [a, b] = bench.pair();
      a.send('aaaabbbbcccc');
      assert.equal(s.ring.receiveStream(b.fd, 1, true), 0);
      const first = s.turn();
      assert.deepEqual(
        first.map(({ result, text, what }) => [result, text, what]),
        [
          [4, 'aaaa', RECEIVED],
          [4, 'bbbb', RECEIVED],
          [-ENOBUFS, '', RECEIVED | LAST],
        ],
      );
      assert.deepEqual(s.turn(0), [], 'the receive is no longer armed');
      assert.equal(s.ring.receiveStream(b.fd, 2, true), 0);
      assert.deepEqual(
        s.turn().map(({ result, text }) => [result, text]),
        [[4, 'cccc']],
      );
      a.shutdown('write');
      const end = s.turn();
      assert.deepEqual([end[0]?.result, end[0]?.what], [0, RECEIVED | LAST], 'U20');
    },
  },
  {
    name: 'U16 armed on an empty ring of buffers: ENOBUFS at once, without data',
    run({ bench }) {
      const s = new NativeStreams(bench, 1, 4);
      const [a, b] = bench.pair();
      const [, d] = bench.pair();
      a.send('xxxx');
      s.ring.receiveStream(b.fd, 1, true);
      assert.equal(s.turn()[0]?.text, 'xxxx');
      s.ring.receiveStream(d.fd, 1, true);
      s.ring.enter(0, 0); // before the next turn returns the buffer
      assert.deepEqual(
        s.turn().map(({ fd, result }) => [fd, result]),
        [[d.fd, -ENOBUFS]],
      );
      s.ring.receiveStream(d.fd, 2, true);
      assert.deepEqual(s.turn(20), [], 'a buffer is free again');
    },
  },
  {
    name: 'U11 U21 a receive cancelled after data arrived: the data is delivered, and its buffer returned',
    run({ bench }) {
      const s = new NativeStreams(bench, 1, 4);
      const { RECEIVED } = s.numbers;
      const [a, b] = bench.pair();
      for (let round = 1; round < 50; round++) {
        s.ring.receiveStream(b.fd, round, true);
        s.ring.enter(0, 0);
        if (round % 2 === 0) a.send('data');
        s.ring.cancelStream(RECEIVED, b.fd, round);
        const records = s.turn().filter(({ result }) => result !== -ECANCELED && result !== -ENOBUFS);
        const text = records.map((one) => one.text).join('') + (b.recv(10)?.toString() ?? '');
        assert.equal(text, round % 2 === 0 ? 'data' : '');
      }
    },
  },
  {
    name: 'U22 a listener closed by its number goes on accepting until the accept is cancelled',
    run({ bench }) {
      const s = new NativeStreams(bench, 1, 4);
      const { ACCEPTED, LAST } = s.numbers;
      const listener = bench.listener();
      const address = listener.localAddress;
      const fd = listener.detach();
      s.ring.acceptStream(fd, 1, true, true);
      s.ring.enter(0, 0);
      const connect = () => bench.own(new Socket()).connect(address);
      const accepted = (records: readonly TurnRecord[]) => {
        assert.deepEqual(
          records.map(({ what, result }) => [what, result >= 0]),
          [[ACCEPTED, true]],
        );
        new native.Descriptor(records[0]?.result as number).close();
      };
      connect();
      accepted(s.turn());
      closeSync(fd);
      connect();
      accepted(s.turn());
      s.ring.cancelStream(ACCEPTED, fd, 1);
      assert.deepEqual(
        s.turn().map(({ what, result }) => [what, result]),
        [[ACCEPTED | LAST, -ECANCELED]],
      );
      throwsCode('ECONNREFUSED', connect);
    },
  },
];

export const nativeStreamCases = streams;

// ------------------------------------------------------------------------------------------------------- a loop's streams

/** Turns until the condition holds. */
function until(loop: EventLoop, what: string, condition: () => boolean): void {
  const deadline = performance.now() + 30_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `waited in vain: ${what}`);
    loop.runOnce(50);
  }
}

/** The CPU time that an idle loop uses in this time, ms. */
function idle(loop: EventLoop, ms: number): { readonly turns: number; readonly busy: number } {
  const before = process.cpuUsage();
  let turns = 0;
  for (const end = performance.now() + ms; performance.now() < end; turns++)
    loop.runOnce(Math.max(0.1, end - performance.now()));
  const { user, system } = process.cpuUsage(before);
  return { turns, busy: (user + system) / 1000 };
}

export const ringLoopCases: readonly Case<RingLoopContext>[] = [
  ...(
    [
      [700, 100, false],
      [400, 65_536, false],
      [400, 65_536, true],
      [300, 200_000, true],
    ] as const
  ).map(([count, size, borrowsChunks]) => ({
    name: `U15 U16 U17 U21 ${count} connections receive ${size} bytes each at once, ${borrowsChunks ? 'borrowed' : 'kept'}: nothing is lost, and the loop does not spin`,
    run({ bench, loop }: RingLoopContext) {
      const one = loop();
      const received = new Map<Connection, Buffer[]>();
      const handler = {
        borrowsChunks,
        open: (connection: Connection) => received.set(connection, []),
        data: (connection: Connection, chunk: Buffer) =>
          void received.get(connection)?.push(borrowsChunks ? Buffer.from(chunk) : chunk),
      };
      const listener = one.listen({ backlog: 1024 }, handler);
      const clients = range(count).map(() => {
        const client = bench.own(new Socket());
        client.setOption('SO_SNDBUF', 1 << 20);
        client.connect(listener.address);
        client.blocking = false;
        return client;
      });
      until(one, 'all are accepted', () => received.size === count);
      const bytes = pattern(size);
      const sent = clients.map(() => 0);
      const total = (): number => [...received.values()].flat().reduce((sum, { length }) => sum + length, 0);
      const push = (): boolean => {
        for (const [i, client] of clients.entries()) {
          if (sent[i] === size) continue;
          sent[i] = (sent[i] as number) + (client.send(bytes, sent[i]) ?? 0);
        }
        return sent.every((one) => one === size);
      };
      push();
      let turns = 0;
      until(one, `${total()} of ${count * size} bytes`, () => {
        turns++;
        return push() && total() === count * size;
      });
      for (const chunks of received.values()) assert.ok(Buffer.concat(chunks).equals(bytes));
      assert.ok(turns < 5000, `${turns} turns`);
      const { turns: idleTurns, busy } = idle(one, 300);
      assert.ok(idleTurns < 20, `${idleTurns} turns while idle`);
      assert.ok(busy < 150, `${busy} ms of 300 of CPU time while idle`);
      // It still serves every client.
      for (const client of clients) client.send('!');
      until(one, 'the last bytes', () => total() === count * (size + 1));
    },
  })),
  {
    name: 'U22 a listener closed under its accept: no connection opens later, and new clients are refused',
    run({ bench, loop }) {
      for (const within of [true, false]) {
        const one = loop();
        let opened = 0;
        const listener = one.listen(
          {},
          {
            open() {
              opened++;
              if (within && opened === 3) listener.close();
            },
          },
        );
        const { address } = listener;
        const clients = range(10).map(() => {
          const client = bench.own(new Socket());
          client.connect(address);
          return client;
        });
        until(one, 'three are open', () => opened >= 3);
        if (!within) listener.close();
        throwsCode('ECONNREFUSED', () => bench.own(new Socket()).connect(address));
        // The port is free immediately.
        const { port } = address as { port: number };
        one.listen({ port }, {}).close();
        const before = opened;
        for (let turn = 0; turn < 10; turn++) one.runOnce(5);
        assert.equal(opened, before);
        if (within) assert.equal(opened, 3);
        for (const client of clients.slice(opened)) {
          client.timeout = 5000;
          recvOrReset(client);
        }
        one.close();
      }
    },
  },
  ...[
    { host: '127.0.0.1', family: 'ipv4' as const },
    { host: '::1', family: 'ipv6' as const },
  ].map(({ host, family }) => ({
    name: `U23 ${family}: each of many connections accepted at once has its own address, also after a reset`,
    run({ bench, loop }: RingLoopContext) {
      const one = loop();
      const seen = new Set<string>();
      const listener = one.listen(
        { host },
        { open: ({ remoteAddress }) => void seen.add(JSON.stringify(remoteAddress)) },
      );
      const expected = new Set<string>();
      for (let i = 0; i < 40; i++) {
        const client = bench.own(new Socket({ family }));
        client.connect(listener.address);
        expected.add(JSON.stringify(client.localAddress));
        if (i % 2 === 0) continue;
        client.setOption('SO_LINGER', 0);
        client.close();
      }
      until(one, 'all are opened', () => seen.size === 40);
      assert.deepEqual(seen, expected);
    },
  })),
  {
    name: 'U11 U14 paused and resumed in every turn while data arrives: no byte is lost or delivered twice',
    run({ bench, loop }) {
      const one = loop();
      let opened: Connection | undefined;
      const chunks: Buffer[] = [];
      const listener = one.listen(
        {},
        {
          open: (connection) => (opened = connection),
          data(connection, chunk) {
            chunks.push(chunk);
            connection.pause();
            one.callSoon(() => {
              connection.resume();
              connection.pause();
              connection.resume();
            });
          },
        },
      );
      const client = bench.own(new Socket());
      client.connect(listener.address);
      client.blocking = false;
      until(one, 'it is open', () => opened !== undefined);
      const bytes = pattern(2 << 20);
      let sent = 0;
      until(one, 'all is received', () => {
        sent += client.send(bytes, sent, Math.min(10_000, bytes.length - sent)) ?? 0;
        return chunks.reduce((sum, { length }) => sum + length, 0) === bytes.length;
      });
      assert.ok(Buffer.concat(chunks).equals(bytes));
    },
  },
];
