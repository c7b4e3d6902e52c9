/** The contract of the system calls: behaviours S71 to S97, one table per mechanism. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { constants as constantsOfFiles, openSync, readSync, writeSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { type FileObject, Socket } from '../../src/index.js';
import {
  AFD_POLL_ABORT,
  AFD_POLL_ACCEPT,
  AFD_POLL_CONNECT_FAIL,
  AFD_POLL_DISCONNECT,
  AFD_POLL_LOCAL_CLOSE,
  AFD_POLL_RECEIVE,
  AFD_POLL_RECEIVE_EXPEDITED,
  AFD_POLL_SEND,
  Afd,
  Devpoll,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  EPOLLRDHUP,
  EVFILT_EXCEPT,
  EVFILT_READ,
  EVFILT_TIMER,
  EVFILT_USER,
  EVFILT_WRITE,
  EV_ADD,
  EV_CLEAR,
  EV_DELETE,
  EV_EOF,
  EV_ERROR,
  EV_ONESHOT,
  EV_RECEIPT,
  Epoll,
  type Kevent,
  Kqueue,
  NOTE_OOB,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  POLLPRI,
  POLLREMOVE,
  Poll,
  constants,
  kevent,
  select,
} from '../../src/syscalls.js';
import { type Bench, Descriptor } from '../support/bench.js';
import { assertWaited, throwsCode, timed } from '../support/expect.js';
import type { Case } from './case.js';

export interface RawContext {
  readonly bench: Bench;
}

const { MSG_OOB = 1 } = constants;

/** The error of a closed descriptor: on Windows every descriptor is a socket. */
const CLOSED = process.platform === 'win32' ? 'ENOTSOCK' : 'EBADF';

/** Makes a descriptor readable, and waits until the kernel reports it. */
function sendTo(reader: Socket, writer: Socket, text: string): void {
  writer.send(text);
  assert.deepEqual(select([reader], [], [], 5000).read, [reader]);
}

const selectCases: readonly Case<RawContext>[] = [
  {
    name: 'S71 a descriptor that is twice in a list is reported twice, and in each list where it is ready',
    run({ bench }) {
      const [a] = bench.pair();
      const ready = select([a], [a, a], [], 1000);
      assert.deepEqual(ready, { read: [], write: [a, a], except: [] });
      assert.deepEqual(select([], [a.fd, a], [], 1000).write, [a.fd, a], 'the objects that were passed in');
    },
  },
  {
    name: 'S72 three new lists; the given ones are not changed',
    run({ bench }) {
      const [a, b] = bench.pair();
      const lists: [Socket[], Socket[], Socket[]] = [[a, b], [a, b], [a]];
      const ready = select(...lists, 1000);
      assert.equal(new Set([ready.read, ready.write, ready.except, ...lists]).size, 6);
      assert.deepEqual(lists, [[a, b], [a, b], [a]]);
      const none = select([], [], [], 0);
      assert.equal(new Set([none.read, none.write, none.except]).size, 3);
    },
  },
  {
    name: 'S73 a negative timeout is refused, as are NaN and other types',
    run() {
      for (const timeout of [-1, -1e-100, -Infinity, NaN])
        throwsCode('ERR_OUT_OF_RANGE', () => select([], [], [], timeout));
      throwsCode('ERR_INVALID_ARG_TYPE', () => select([], [], [], '1' as unknown as number));
      assertWaited(timed(() => select([], [], [], 30)).ms, 30);
    },
  },
  {
    name: 'S74 a fileno() that changes the lists during the iteration',
    run({ bench }) {
      const [a, b] = bench.pair();
      const list: FileObject[] = [];
      const emptying = {
        fileno(): number {
          list.length = 0;
          for (let i = 0; i < 1000; i++) list.push(b);
          return a.fd;
        },
      };
      list.push(emptying, b);
      assert.deepEqual(select([], list, [], 1000).write, [emptying, b]);
    },
  },
  {
    name: 'S75 a closed descriptor fails the call',
    run({ bench }) {
      const [a, b] = bench.pair();
      const { fd } = a;
      a.close();
      throwsCode(CLOSED, () => select([b.fd], [fd], [], 1000));
    },
  },
  {
    name: 'W11 an out-of-band byte is an exceptional condition',
    run({ bench }) {
      const [client, server] = bench.tcpPair();
      client.send('!', 0, 1, MSG_OOB);
      assert.deepEqual(select([server], [], [server], 5000), { read: [], write: [], except: [server] });
    },
  },
];

/** The events of poll, as letters: POLLIN is two bits on Windows, and poll reports one of them. */
function pollEventsOf(poll: Poll, timeout?: number | null): [fd: number, events: string][] {
  const letters = [
    ['r', POLLIN],
    ['w', POLLOUT],
    ['n', POLLNVAL],
  ] as const;
  return poll
    .poll(timeout)
    .map(({ fd, events }) => [fd, letters.map(([letter, bit]) => (events & bit ? letter : '')).join('')]);
}

const pollCases: readonly Case<RawContext>[] = [
  {
    name: 'S76 default mask: POLLIN, POLLPRI and POLLOUT',
    needs: ['POLLPRI'],
    run({ bench }) {
      const [client, server] = bench.tcpPair();
      const poll = bench.own(new Poll());
      poll.register(server);
      sendTo(server, client, 'x');
      client.send('!', 0, 1, MSG_OOB);
      assert.deepEqual(select([], [], [server], 5000).except, [server]);
      assert.deepEqual(poll.poll(1000), [{ fd: server.fd, events: POLLIN | POLLPRI | POLLOUT }]);
    },
  },
  {
    name: 'S76 default mask: POLLIN and POLLOUT, where POLLPRI is refused',
    needs: ['no POLLPRI'],
    run({ bench }) {
      const [client, server] = bench.tcpPair();
      const poll = bench.own(new Poll());
      poll.register(server);
      sendTo(server, client, 'x');
      assert.deepEqual(pollEventsOf(poll, 1000), [[server.fd, 'rw']]);
    },
  },
  {
    name: 'S77 registering again replaces the mask',
    run({ bench }) {
      const [a, b] = bench.pair();
      const poll = bench.own(new Poll());
      poll.register(a, POLLIN | POLLOUT);
      poll.register(a, POLLIN);
      assert.deepEqual(poll.poll(0), []);
      sendTo(a, b, 'x');
      assert.deepEqual(pollEventsOf(poll, 1000), [[a.fd, 'r']]);
      poll.modify(a, POLLOUT);
      assert.deepEqual(pollEventsOf(poll, 1000), [[a.fd, 'w']]);
    },
  },
  {
    name: 'S78 a closed descriptor is reported as POLLNVAL, each time',
    run({ bench }) {
      const [a] = bench.pair();
      const poll = bench.own(new Poll());
      poll.register(a, POLLIN);
      const { fd } = a;
      a.close();
      for (let i = 0; i < 3; i++) assert.deepEqual(poll.poll(1000), [{ fd, events: POLLNVAL }]);
      poll.unregister(fd);
      assert.deepEqual(poll.poll(0), []);
    },
  },
  {
    name: 'S79 unregistering or modifying a descriptor that is not registered',
    run({ bench }) {
      const [a] = bench.pair();
      const poll = bench.own(new Poll());
      throwsCode('ERR_KEY_NOT_FOUND', () => poll.unregister(a));
      throwsCode('ENOENT', () => poll.modify(a, POLLIN));
      poll.register(a);
      poll.unregister(a.fd);
      throwsCode('ERR_KEY_NOT_FOUND', () => poll.unregister(a));
    },
  },
  {
    name: 'unregistering keeps the others, wherever they are in the array',
    run({ bench }) {
      const poll = bench.own(new Poll());
      const sockets = Array.from({ length: 20 }, () => bench.pair()).flat();
      for (const socket of sockets) poll.register(socket, POLLOUT);
      const reported = () => new Set(poll.poll(1000).map(({ fd }) => fd));
      const left = new Set(sockets.map(({ fd }) => fd));
      for (const at of [0, 39, 17, 1, 38, 20]) {
        const { fd } = sockets[at] as Socket;
        poll.unregister(fd);
        left.delete(fd);
        assert.deepEqual(reported(), left);
      }
    },
  },
  {
    name: 'S80 a negative timeout and no timeout wait forever',
    run({ bench }) {
      const [a, b] = bench.pair();
      for (const timeout of [-1, -1000, -1e-100, -Infinity, null, undefined]) {
        const poll = bench.own(new Poll());
        poll.register(a, POLLIN);
        // There is no wake-up: poll returns because a descriptor is ready already.
        b.send('x');
        assert.deepEqual(pollEventsOf(poll, timeout), [[a.fd, 'r']]);
      }
    },
  },
  {
    name: 'S81 masks above USHRT_MAX and timeouts above INT_MAX are refused, and change nothing',
    run({ bench }) {
      const [a] = bench.pair();
      const poll = bench.own(new Poll());
      for (const mask of [-1, 0x1_0000, 2 ** 32, 2 ** 64, 0.5, NaN]) {
        throwsCode('ERR_OUT_OF_RANGE', () => poll.register(a, mask));
        throwsCode('ERR_OUT_OF_RANGE', () => poll.modify(a, mask));
      }
      poll.register(a, POLLOUT);
      for (const timeout of [2 ** 31, 2 ** 63, Infinity, NaN]) throwsCode('ERR_OUT_OF_RANGE', () => poll.poll(timeout));
      throwsCode('ERR_OUT_OF_RANGE', () => poll.modify(a, 0x1_0000));
      assert.deepEqual(poll.poll(2 ** 31 - 1), [{ fd: a.fd, events: POLLOUT }]);
    },
  },
  {
    name: 'W11 hang-ups and errors are reported without being asked for',
    run({ bench }) {
      const [a, b] = bench.pair();
      const poll = bench.own(new Poll());
      poll.register(a, 0);
      assert.deepEqual(poll.poll(0), []);
      b.close();
      const [row] = poll.poll(5000);
      assert.equal(row?.fd, a.fd);
      assert.notEqual((row?.events ?? 0) & (POLLHUP | POLLERR), 0);
    },
  },
  {
    name: 'S93 after close() every method fails with ERR_CLOSED, and close() does nothing',
    run({ bench }) {
      const [a] = bench.pair();
      const poll = new Poll();
      poll.register(a);
      poll.close();
      poll.close();
      assert.equal(poll.closed, true);
      for (const call of [
        () => poll.register(a),
        () => poll.modify(a, 1),
        () => poll.unregister(a),
        () => poll.poll(0),
      ]) {
        throwsCode('ERR_CLOSED', call);
      }
      {
        using other = new Poll();
        other.register(a);
      }
    },
  },
];

const fdsOf = (events: readonly { readonly data: number }[]) => events.map(({ data }) => data).sort((x, y) => x - y);

const manyCases: readonly Case<RawContext>[] = [
  {
    name: 'more than OPEN_MAX descriptors, 10,240, are refused with EINVAL, whatever RLIMIT_NOFILE is (XNU, poll_nocancel)',
    needs: ['poll of OPEN_MAX'],
    run({ bench }) {
      const poll = bench.own(new Poll());
      for (let i = 0; i < 1000; i++) poll.register(100_000 + i, POLLIN);
      assert.equal(poll.poll(0).length, 1000); // POLLNVAL: they are not open
      for (let i = 1000; i < 10_241; i++) poll.register(100_000 + i, POLLIN);
      throwsCode('EINVAL', () => poll.poll(0));
    },
  },
];

const epollCases: readonly Case<RawContext>[] = [
  {
    name: 'add, modify, delete: level-triggered, with the descriptor as data',
    run({ bench }) {
      const [a, b] = bench.pair();
      const epoll = bench.own(new Epoll());
      epoll.add(a, EPOLLIN | EPOLLOUT);
      assert.deepEqual(epoll.wait(-1, 1000), [{ data: a.fd, events: EPOLLOUT }]);
      b.send('x');
      assert.deepEqual(epoll.wait(-1, 1000), [{ data: a.fd, events: EPOLLIN | EPOLLOUT }]);
      assert.deepEqual(
        epoll.wait(-1, 1000),
        [{ data: a.fd, events: EPOLLIN | EPOLLOUT }],
        'reported as long as it is ready',
      );
      epoll.modify(a, EPOLLIN);
      assert.deepEqual(epoll.wait(-1, 1000), [{ data: a.fd, events: EPOLLIN }]);
      epoll.delete(a);
      assert.deepEqual(epoll.wait(-1, 0), []);
    },
  },
  {
    name: 'data: integers up to 2^53 - 1 come back unchanged',
    run({ bench }) {
      const [a] = bench.pair();
      const epoll = bench.own(new Epoll());
      epoll.add(a, EPOLLOUT, 0);
      for (const data of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 52 + 3, 2 ** 53 - 1]) {
        epoll.modify(a, EPOLLOUT, data);
        assert.deepEqual(epoll.wait(1, 1000), [{ data, events: EPOLLOUT }]);
      }
      for (const data of [-1, 2 ** 53, 0.5, NaN]) throwsCode('ERR_OUT_OF_RANGE', () => epoll.modify(a, EPOLLOUT, data));
    },
  },
  {
    name: 'S83 adding twice is EEXIST, an unknown descriptor ENOENT, the epoll itself EINVAL',
    run({ bench }) {
      const [a] = bench.pair();
      const epoll = bench.own(new Epoll());
      throwsCode('ENOENT', () => epoll.modify(a, EPOLLIN));
      throwsCode('ENOENT', () => epoll.delete(a));
      epoll.add(a, EPOLLIN);
      throwsCode('EEXIST', () => epoll.add(a, EPOLLIN));
      throwsCode('EINVAL', () => epoll.add(epoll, EPOLLIN));
      throwsCode('EPERM', () => epoll.add(bench.regularFile(), EPOLLIN));
    },
  },
  {
    name: 'S84 deleting a closed descriptor is EBADF, and is not ignored',
    run({ bench }) {
      const [a] = bench.pair();
      const epoll = bench.own(new Epoll());
      epoll.add(a, EPOLLIN);
      const { fd } = a;
      a.close();
      throwsCode('EBADF', () => epoll.delete(fd));
    },
  },
  {
    name: 'S85 maxEvents: at most that many, and the others in the next calls',
    run({ bench }) {
      const epoll = bench.own(new Epoll());
      for (const most of [0, -2, 1.5, NaN, 2 ** 31]) throwsCode('ERR_OUT_OF_RANGE', () => epoll.wait(most, 0));
      const sockets = [...bench.pair(), ...bench.pair(), ...bench.pair()];
      for (const socket of sockets) epoll.add(socket, EPOLLOUT);
      const all = sockets.map(({ fd }) => fd).sort((x, y) => x - y);
      assert.deepEqual(fdsOf(epoll.wait(-1, 0)), all);
      const turns = [epoll.wait(2, 0), epoll.wait(2, 0), epoll.wait(2, 0)];
      assert.deepEqual(
        turns.map(({ length }) => length),
        [2, 2, 2],
      );
      assert.deepEqual(fdsOf(turns.flat()), all);
      assert.deepEqual(fdsOf(epoll.wait(2 ** 31 - 1, 0)), all);
    },
  },
  {
    name: 'S80 a negative timeout and no timeout wait forever; a fraction is rounded up',
    run({ bench }) {
      const [a] = bench.pair();
      const epoll = bench.own(new Epoll());
      assertWaited(timed(() => epoll.wait(1, 20.1)).ms, 20.1);
      epoll.add(a, EPOLLOUT);
      for (const timeout of [-1, -1e-100, null, undefined]) assert.equal(epoll.wait(1, timeout).length, 1);
    },
  },
  {
    name: 'S87 W11 EPOLLET: once per arrival, whether it is read or not',
    run({ bench }) {
      const [a, b] = bench.pair();
      const epoll = bench.own(new Epoll());
      epoll.add(a, EPOLLIN | EPOLLET);
      b.send('x');
      assert.equal(epoll.wait(1, 1000).length, 1);
      assert.equal(epoll.wait(1, 0).length, 0, 'reported already');
      b.send('y');
      assert.equal(epoll.wait(1, 1000).length, 1, 'new data');
    },
  },
  {
    name: 'S88 W11 EPOLLONESHOT: one event, until it is modified',
    run({ bench }) {
      const [a] = bench.pair();
      const epoll = bench.own(new Epoll());
      epoll.add(a, EPOLLOUT | EPOLLONESHOT);
      assert.equal(epoll.wait(1, 1000).length, 1);
      assert.equal(epoll.wait(1, 0).length, 0);
      epoll.modify(a, EPOLLOUT | EPOLLONESHOT);
      assert.equal(epoll.wait(1, 1000).length, 1);
    },
  },
  {
    name: 'S89 W11 EPOLLEXCLUSIVE cannot be modified: EINVAL',
    run({ bench }) {
      const listener = bench.listener();
      const epoll = bench.own(new Epoll());
      epoll.add(listener, EPOLLIN | EPOLLEXCLUSIVE);
      throwsCode('EINVAL', () => epoll.modify(listener, EPOLLIN));
    },
  },
  {
    name: 'S90 W11 EPOLLRDHUP is reported where it is asked for; EPOLLHUP when both sides have finished',
    run({ bench }) {
      const [asked, its] = bench.tcpPair();
      const [unasked, others] = bench.tcpPair();
      const epoll = bench.own(new Epoll());
      epoll.add(asked, EPOLLIN | EPOLLRDHUP, 1);
      epoll.add(unasked, EPOLLIN, 2);
      its.shutdown('write');
      others.shutdown('write');
      const seen = () => Object.fromEntries(epoll.wait(-1, 1000).map(({ data, events }) => [data, events]));
      while (Object.keys(seen()).length < 2);
      assert.deepEqual(seen(), { 1: EPOLLIN | EPOLLRDHUP, 2: EPOLLIN });
      asked.shutdown('write');
      epoll.delete(unasked);
      while (((seen()[1] ?? 0) & EPOLLHUP) === 0);
      assert.deepEqual(seen(), { 1: EPOLLIN | EPOLLRDHUP | EPOLLHUP });
    },
  },
  {
    name: 'S91 an epoll in an epoll is readable when one of its descriptors is ready',
    run({ bench }) {
      const [a, b] = bench.pair();
      const inner = bench.own(new Epoll());
      const outer = bench.own(new Epoll());
      inner.add(a, EPOLLIN);
      outer.add(inner, EPOLLIN);
      assert.deepEqual(outer.wait(1, 0), []);
      b.send('x');
      assert.deepEqual(outer.wait(1, 1000), [{ data: inner.fd, events: EPOLLIN }]);
    },
  },
  {
    name: 'S92 fromFd shares the set; after one object closes the descriptor, the other gets EBADF',
    run({ bench }) {
      const [a] = bench.pair();
      const first = new Epoll();
      const second = Epoll.fromFd(first.fd);
      first.add(a, EPOLLOUT);
      assert.deepEqual(second.wait(1, 1000), [{ data: a.fd, events: EPOLLOUT }]);
      first.close();
      throwsCode('EBADF', () => second.wait(1, 0));
      throwsCode('EBADF', () => second.close());
      assert.equal(second.closed, true);
    },
  },
  {
    name: 'S93 after close(): closed, every call fails with ERR_CLOSED, a second close() does nothing',
    run({ bench }) {
      const [a] = bench.pair();
      const epoll = new Epoll();
      assert.ok(epoll.fileno() >= 0);
      assert.equal(epoll.closed, false);
      epoll.close();
      epoll.close();
      assert.deepEqual([epoll.closed, epoll.fd], [true, -1]);
      const calls = [
        () => epoll.fileno(),
        () => epoll.add(a, EPOLLIN),
        () => epoll.modify(a, EPOLLIN),
        () => epoll.delete(a),
        () => epoll.wait(1, 0),
      ];
      for (const call of calls) throwsCode('ERR_CLOSED', call);
    },
  },
];

/** Waits until the events are as expected: the network takes time. */
function untilEvents(
  kqueue: Kqueue,
  isExpected: (events: readonly Required<Kevent>[]) => boolean,
): readonly Required<Kevent>[] {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const events = kqueue.control([], 4, 100);
    if (isExpected(events)) return events;
    assert.ok(performance.now() < deadline, `the last events: ${JSON.stringify(events)}`);
  }
}

const kqueueCases: readonly Case<RawContext>[] = [
  {
    name: 'S94 kevent(): its fields and their defaults, the full range of flags and fflags, equal by fields',
    run() {
      assert.deepEqual(kevent(3), { ident: 3, filter: EVFILT_READ, flags: EV_ADD, fflags: 0, data: 0, udata: 0 });
      assert.deepEqual(kevent(3, EVFILT_WRITE, 0xffff, 0xffff_ffff, -1, 2 ** 53 - 1), {
        ident: 3,
        filter: EVFILT_WRITE,
        flags: 0xffff,
        fflags: 0xffff_ffff,
        data: -1,
        udata: 2 ** 53 - 1,
      });
    },
  },
  {
    name: 'S95 control takes any iterable, once; maxEvents 0 makes the changes and returns at once',
    run({ bench }) {
      const [a, b] = bench.pair();
      const kqueue = bench.own(new Kqueue());
      let times = 0;
      const changes = {
        *[Symbol.iterator]() {
          times++;
          yield kevent(a.fd, EVFILT_WRITE);
          yield kevent(b.fd, EVFILT_WRITE);
        },
      };
      assert.deepEqual(timed(() => kqueue.control(changes, 0)).value, []);
      assert.equal(times, 1);
      assert.deepEqual(
        kqueue
          .control([], 4, 1000)
          .map(({ ident }) => ident)
          .sort(),
        [a.fd, b.fd].sort(),
      );
      assert.equal(kqueue.control([], 1, 1000).length, 1);
      kqueue.control([kevent(a.fd, EVFILT_WRITE, EV_DELETE), kevent(b.fd, EVFILT_WRITE, EV_DELETE)], 0);
      assert.deepEqual(kqueue.control([], 4, 0), []);
    },
  },
  {
    name: 'S96 data: the number of bytes to read',
    run({ bench }) {
      const [client, server] = bench.tcpPair();
      const kqueue = bench.own(new Kqueue());
      kqueue.control([kevent(server.fd, EVFILT_READ, EV_ADD, 0, 0, 77)], 0);
      assert.deepEqual(kqueue.control([], 4, 0), []);
      sendTo(server, client, 'twelve bytes');
      const [event] = kqueue.control([], 4, 1000);
      assert.deepEqual([event?.ident, event?.filter, event?.data, event?.udata], [server.fd, EVFILT_READ, 12, 77]);
    },
  },
  {
    name: 'S70 a regular file: the bytes to its end, and none at the end',
    run({ bench }) {
      const kqueue = bench.own(new Kqueue());
      const file = bench.regularFile();
      kqueue.control([kevent(file.fd)], 0);
      const [event] = kqueue.control([], 1, 1000);
      assert.deepEqual([event?.ident, event?.data], [file.fd, 'contents'.length]);
    },
  },
  {
    name: 'EV_CLEAR: once per arrival; EV_ONESHOT: once',
    run({ bench }) {
      const [a, b] = bench.pair();
      const kqueue = bench.own(new Kqueue());
      kqueue.control([kevent(a.fd, EVFILT_READ, EV_ADD | EV_CLEAR)], 0);
      b.send('x');
      assert.equal(kqueue.control([], 4, 1000).length, 1);
      assert.equal(kqueue.control([], 4, 0).length, 0);
      b.send('y');
      assert.equal(kqueue.control([], 4, 1000).length, 1);
      kqueue.control([kevent(b.fd, EVFILT_WRITE, EV_ADD | EV_ONESHOT)], 0);
      assert.equal(kqueue.control([], 4, 1000).length, 1);
      assert.equal(kqueue.control([], 4, 0).length, 0);
    },
  },
  {
    name: 'EVFILT_TIMER fires; its data is the number of expirations',
    run({ bench }) {
      const kqueue = bench.own(new Kqueue());
      const { value, ms } = timed(() => {
        kqueue.control([kevent(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 30)], 0);
        return kqueue.control([], 1, 5000);
      });
      assert.deepEqual(
        value.map(({ ident, filter, data }) => [ident, filter, data]),
        [[1, EVFILT_TIMER, 1]],
      );
      assertWaited(ms, 28);
    },
  },
  {
    name: 'EVFILT_USER: an event triggered by the program',
    run({ bench }) {
      const kqueue = bench.own(new Kqueue());
      const NOTE_TRIGGER = 0x0100_0000;
      kqueue.control([kevent(7, EVFILT_USER, EV_ADD | EV_CLEAR)], 0);
      assert.deepEqual(kqueue.control([], 1, 0), []);
      kqueue.control([kevent(7, EVFILT_USER, 0, NOTE_TRIGGER)], 0);
      assert.deepEqual(
        kqueue.control([], 1, 1000).map(({ ident }) => ident),
        [7],
      );
    },
  },
  {
    name: 'a change that fails: an event with EV_ERROR where there is room, else it is thrown',
    run({ bench }) {
      const [a] = bench.pair();
      const kqueue = bench.own(new Kqueue());
      throwsCode('ENOENT', () => kqueue.control([kevent(a.fd, EVFILT_READ, EV_DELETE)], 0));
      const [event] = kqueue.control([kevent(a.fd, EVFILT_READ, EV_DELETE | EV_RECEIPT)], 1, 1000);
      assert.equal((event?.flags ?? 0) & EV_ERROR, EV_ERROR);
      assert.notEqual(event?.data, 0);
    },
  },
  {
    name: 'EV_EOF with data left: the bytes are still counted; without data it stays (filt_soread in XNU and FreeBSD)',
    needs: ['kqueue of a kernel'],
    run({ bench }) {
      const [client, server] = bench.tcpPair();
      const kqueue = bench.own(new Kqueue());
      kqueue.control([kevent(server.fd, EVFILT_READ, EV_ADD)], 0);
      client.send('last words');
      client.close();
      const [last] = untilEvents(kqueue, ([event]) => ((event?.flags ?? 0) & EV_EOF) !== 0);
      assert.deepEqual([last?.ident, last?.filter, last?.data], [server.fd, EVFILT_READ, 'last words'.length]);
      assert.equal(String(server.recv(4)), 'last');
      assert.equal(kqueue.control([], 1, 1000)[0]?.data, ' words'.length);
      assert.equal(String(server.recv(100)), ' words');
      for (let i = 0; i < 2; i++) {
        const [event] = kqueue.control([], 1, 1000);
        assert.deepEqual([event?.data, (event?.flags ?? 0) & EV_EOF], [0, EV_EOF]);
      }
      assert.equal(server.recv(100)?.length, 0);
    },
  },
  {
    name: 'EV_EOF of EVFILT_WRITE: the peer has closed, and the writer is ready',
    needs: ['kqueue of a kernel'],
    run({ bench }) {
      const [a, b] = bench.pair();
      const kqueue = bench.own(new Kqueue());
      kqueue.control([kevent(a.fd, EVFILT_WRITE)], 0);
      b.close();
      const [event] = untilEvents(kqueue, ([one]) => ((one?.flags ?? 0) & EV_EOF) !== 0);
      assert.deepEqual([event?.ident, event?.filter], [a.fd, EVFILT_WRITE]);
    },
  },
  {
    name: 'EV_RECEIPT: one event per change, in their order, with EV_ERROR and 0 or the error; no event of a filter, and no wait',
    needs: ['kqueue of a kernel'],
    run({ bench }) {
      const [a, b] = bench.pair();
      const kqueue = bench.own(new Kqueue());
      kqueue.control([kevent(a.fd, EVFILT_WRITE)], 0); // is ready
      const { errno } = os.constants;
      const changes = [
        kevent(b.fd, EVFILT_READ, EV_ADD | EV_RECEIPT),
        kevent(b.fd, EVFILT_WRITE, EV_DELETE | EV_RECEIPT),
        kevent(a.fd, EVFILT_WRITE, EV_ADD | EV_RECEIPT, 0, 0, 5),
      ];
      const rows = kqueue.control(changes, 10, 30_000);
      assert.deepEqual(
        rows.map(({ ident, flags, data }) => [ident, flags & EV_ERROR, data]),
        [
          [b.fd, EV_ERROR, 0],
          [b.fd, EV_ERROR, errno.ENOENT],
          [a.fd, EV_ERROR, 0],
        ],
      );
      assert.deepEqual(
        kqueue.control([], 10, 1000).map(({ ident, udata }) => [ident, udata]),
        [[a.fd, 5]],
      );
    },
  },
  {
    name: 'EVFILT_EXCEPT with NOTE_OOB: an out-of-band byte; EVFILT_READ does not report it (kqueue(2), macOS)',
    needs: ['kqueue of macOS'],
    run({ bench }) {
      const [client, server] = bench.tcpPair();
      const kqueue = bench.own(new Kqueue());
      const reading = bench.own(new Kqueue());
      kqueue.control([kevent(server.fd, EVFILT_EXCEPT, EV_ADD, NOTE_OOB)], 0);
      reading.control([kevent(server.fd)], 0);
      assert.deepEqual(kqueue.control([], 1, 0), []);
      client.send('!', 0, 1, MSG_OOB);
      const [event] = untilEvents(kqueue, ([one]) => ((one?.fflags ?? 0) & NOTE_OOB) !== 0);
      assert.deepEqual([event?.ident, event?.filter], [server.fd, EVFILT_EXCEPT]);
      assert.deepEqual(reading.control([], 1, 50), []);
      assert.equal(String(server.recv(1, MSG_OOB)), '!');
    },
  },
  {
    name: 'S69 a device that does not count its bytes, as /dev/null and /dev/tty, is refused with EINVAL; select watches it',
    needs: ['kqueue of macOS'],
    run({ bench }) {
      const kqueue = bench.own(new Kqueue());
      for (const path of ['/dev/null', '/dev/tty']) {
        let file: Descriptor;
        try {
          file = bench.own(new Descriptor(openSync(path, 'r')));
        } catch {
          continue; // no terminal
        }
        throwsCode('EINVAL', () => kqueue.control([kevent(file.fd)], 0));
        if (path === '/dev/null') assert.deepEqual(select([file], [], [], 1000).read, [file]);
      }
    },
  },
  {
    name: 'S69 a named FIFO: its bytes are reported, and its end is not; select reports that',
    needs: ['kqueue of macOS'],
    run({ bench }) {
      const path = join(bench.folder(), 'fifo');
      execFileSync('mkfifo', [path]);
      const reader = bench.own(new Descriptor(openSync(path, constantsOfFiles.O_RDONLY | constantsOfFiles.O_NONBLOCK)));
      const writer = new Descriptor(openSync(path, constantsOfFiles.O_WRONLY | constantsOfFiles.O_NONBLOCK));
      const kqueue = bench.own(new Kqueue());
      kqueue.control([kevent(reader.fd)], 0);
      writeSync(writer.fd, 'four');
      assert.equal(kqueue.control([], 1, 1000)[0]?.data, 4);
      assert.equal(readSync(reader.fd, Buffer.alloc(10)), 4);
      writer.close();
      assert.deepEqual(kqueue.control([], 1, 200), []);
      assert.deepEqual(select([reader], [], [], 1000).read, [reader]);
      assert.equal(readSync(reader.fd, Buffer.alloc(10)), 0);
    },
  },
  {
    name: 'S93 after close(): closed, every call fails with ERR_CLOSED, a second close() does nothing',
    run() {
      const kqueue = new Kqueue();
      assert.ok(kqueue.fileno() >= 0);
      kqueue.close();
      kqueue.close();
      assert.deepEqual([kqueue.closed, kqueue.fd], [true, -1]);
      throwsCode('ERR_CLOSED', () => kqueue.fileno());
      throwsCode('ERR_CLOSED', () => kqueue.control([], 0));
    },
  },
];

/** What AFD can report of a connected socket. */
const AFD_ALL =
  AFD_POLL_RECEIVE | AFD_POLL_RECEIVE_EXPEDITED | AFD_POLL_DISCONNECT | AFD_POLL_ABORT | AFD_POLL_LOCAL_CLOSE;

const afdCases: readonly Case<RawContext>[] = [
  {
    name: 'a poll completes once: with data, or at once if the data is there already',
    run({ bench }) {
      const [client, server] = bench.tcpPair();
      const afd = bench.own(new Afd());
      const first = afd.poll(server, AFD_POLL_RECEIVE);
      assert.equal(afd.pending, 1);
      assert.deepEqual(afd.getQueuedCompletionStatus(4, 20), []);
      sendTo(server, client, 'x');
      assert.deepEqual(afd.getQueuedCompletionStatus(4, 5000), [
        { poll: first, events: AFD_POLL_RECEIVE, error: null },
      ]);
      assert.deepEqual(afd.getQueuedCompletionStatus(4, 20), [], 'one-shot');
      const second = afd.poll(server, AFD_POLL_RECEIVE | AFD_POLL_SEND);
      assert.deepEqual(afd.getQueuedCompletionStatus(4, 5000), [
        { poll: second, events: AFD_POLL_RECEIVE | AFD_POLL_SEND, error: null },
      ]);
      assert.ok(second > first);
      assert.equal(afd.pending, 0);
    },
  },
  {
    name: 'several sockets, several polls of one socket: each has its own completion',
    run({ bench }) {
      const afd = bench.own(new Afd());
      const pairs = Array.from({ length: 40 }, () => bench.tcpPair());
      const polls = pairs.flatMap(([, server]) => [
        afd.poll(server, AFD_POLL_RECEIVE),
        afd.poll(server, AFD_POLL_RECEIVE),
      ]);
      assert.equal(afd.pending, 80);
      assert.equal(afd.handles, 4, 'the port, and a device per 32 polls');
      for (const [client, server] of pairs) sendTo(server, client, 'x');
      const seen: number[] = [];
      while (seen.length < polls.length) {
        const completions = afd.getQueuedCompletionStatus(7, 5000);
        assert.ok(completions.length > 0 && completions.length <= 7);
        for (const { poll, events } of completions) {
          assert.equal(events, AFD_POLL_RECEIVE);
          seen.push(poll);
        }
      }
      assert.deepEqual(
        seen.sort((one, other) => one - other),
        polls,
      );
    },
  },
  {
    name: 'accept, half-close, a closed peer, a failed connect, a local close',
    run({ bench }) {
      const afd = bench.own(new Afd());
      const completion = (events: number) => {
        const [completed] = afd.getQueuedCompletionStatus(1, 30_000);
        assert.equal(completed?.error, null);
        assert.notEqual((completed?.events ?? 0) & events, 0, `events ${completed?.events}, not ${events}`);
      };
      const listener = bench.listener();
      afd.poll(listener, AFD_POLL_ACCEPT);
      bench.own(new Socket()).connect(listener.localAddress);
      completion(AFD_POLL_ACCEPT);
      const [client, server] = bench.tcpPair();
      afd.poll(server, AFD_ALL);
      client.shutdown('write');
      completion(AFD_POLL_DISCONNECT);
      server.send('still open');
      const connecting = bench.own(new Socket({ blocking: false }));
      connecting.connect(bench.unusedAddress());
      afd.poll(connecting, AFD_POLL_SEND | AFD_POLL_CONNECT_FAIL);
      completion(AFD_POLL_CONNECT_FAIL);
      const [one] = bench.tcpPair();
      afd.poll(one, AFD_ALL);
      one.close();
      completion(AFD_POLL_LOCAL_CLOSE);
    },
  },
  {
    name: 'out-of-band data does not complete a poll for AFD_POLL_RECEIVE',
    run({ bench }) {
      const afd = bench.own(new Afd());
      const [client, server] = bench.tcpPair();
      const poll = afd.poll(server, AFD_POLL_RECEIVE);
      client.send('!', MSG_OOB);
      assert.deepEqual(afd.getQueuedCompletionStatus(1, 50), []);
      sendTo(server, client, 'x');
      assert.deepEqual(afd.getQueuedCompletionStatus(1, 5000), [{ poll, events: AFD_POLL_RECEIVE, error: null }]);
    },
  },
  {
    name: 'cancel: its completion has ECANCELED; what is not pending cannot be cancelled',
    run({ bench }) {
      const afd = bench.own(new Afd());
      const [, server] = bench.tcpPair();
      const poll = afd.poll(server, AFD_POLL_RECEIVE);
      assert.equal(afd.cancel(poll), true);
      const [completion] = afd.getQueuedCompletionStatus(4, 5000);
      assert.deepEqual([completion?.poll, completion?.events, completion?.error?.code], [poll, 0, 'ECANCELED']);
      assert.equal(afd.cancel(poll), false);
      assert.equal(afd.cancel(999_999), false);
    },
  },
  {
    name: 'a closed socket and what is no socket are refused, and nothing is pending',
    run({ bench }) {
      const afd = bench.own(new Afd());
      const [a] = bench.tcpPair();
      const { fd } = a;
      a.close();
      for (const number of [fd, 999_999]) {
        // WSAIoctl refuses it on Windows; under Wine 8 only the poll does.
        assert.throws(
          () => afd.poll(number, AFD_POLL_RECEIVE),
          ({ code }: NodeJS.ErrnoException) => code === 'ENOTSOCK' || code === 'EBADF',
        );
      }
      assert.equal(afd.pending, 0);
    },
  },
  {
    name: 'close() cancels the pending polls: no poll and no handle is left, and every call fails with ERR_CLOSED',
    run({ bench }) {
      const afd = new Afd();
      const pairs = Array.from({ length: 50 }, () => bench.tcpPair());
      for (const [client, server] of pairs) for (const socket of [client, server]) afd.poll(socket, AFD_POLL_RECEIVE);
      assert.deepEqual([afd.pending, afd.handles, afd.closed], [100, 5, false]);
      afd.close();
      afd.close();
      assert.deepEqual([afd.pending, afd.handles, afd.closed], [0, 0, true]);
      const [socket] = bench.tcpPair();
      for (const call of [
        () => afd.poll(socket, AFD_POLL_RECEIVE),
        () => afd.cancel(1),
        () => afd.getQueuedCompletionStatus(1, 0),
      ])
        throwsCode('ERR_CLOSED', call);
    },
  },
];

const devpollCases: readonly Case<RawContext>[] = [
  {
    name: 'default mask: POLLIN, POLLPRI and POLLOUT; one row per descriptor, with all its events',
    run({ bench }) {
      const [client, server] = bench.tcpPair();
      const devpoll = bench.own(new Devpoll());
      devpoll.register(server);
      sendTo(server, client, 'x');
      client.send('!', 0, 1, MSG_OOB);
      assert.deepEqual(select([], [], [server], 5000).except, [server]);
      assert.deepEqual(devpoll.poll(1000), [{ fd: server.fd, events: POLLIN | POLLPRI | POLLOUT }]);
      assert.equal(devpoll.eventsOf(server), POLLIN | POLLPRI | POLLOUT);
    },
  },
  {
    name: 'registering again adds events to the former ones; modify() replaces them, and adds a descriptor that is not in the set',
    run({ bench }) {
      const [a, b] = bench.pair();
      const devpoll = bench.own(new Devpoll());
      devpoll.register(a, POLLIN);
      devpoll.register(a, POLLOUT);
      sendTo(a, b, 'x');
      assert.deepEqual(devpoll.poll(1000), [{ fd: a.fd, events: POLLIN | POLLOUT }]);
      devpoll.modify(a, POLLIN);
      assert.equal(devpoll.eventsOf(a), POLLIN);
      assert.deepEqual(devpoll.poll(1000), [{ fd: a.fd, events: POLLIN }]);
      devpoll.modify(b, POLLOUT);
      assert.equal(devpoll.eventsOf(b), POLLOUT);
    },
  },
  {
    name: 'write(): entries in their order, several of one descriptor; POLLREMOVE removes it, and only as its only event',
    run({ bench }) {
      const [a, b] = bench.pair();
      const devpoll = bench.own(new Devpoll());
      devpoll.write([
        { fd: a, events: POLLIN },
        { fd: a.fd, events: POLLOUT },
        { fd: b, events: POLLOUT },
        { fd: a, events: POLLREMOVE },
        { fd: a, events: POLLIN },
      ]);
      assert.deepEqual([devpoll.eventsOf(a), devpoll.eventsOf(b)], [POLLIN, POLLOUT]);
      assert.deepEqual(devpoll.poll(1000), [{ fd: b.fd, events: POLLOUT }]);
      devpoll.write([]);
      devpoll.write(new Set([{ fd: b, events: POLLREMOVE | POLLIN }]));
      assert.notEqual(devpoll.eventsOf(b), undefined);
      devpoll.write([{ fd: b, events: POLLREMOVE }]);
      assert.equal(devpoll.eventsOf(b), undefined);
      assert.deepEqual(devpoll.poll(0), []);
    },
  },
  {
    name: 'S79 unregistering a descriptor that is not in the set does nothing',
    run({ bench }) {
      const [a] = bench.pair();
      const devpoll = bench.own(new Devpoll());
      devpoll.unregister(a);
      devpoll.register(a, POLLOUT);
      devpoll.unregister(a.fd);
      devpoll.unregister(a);
      assert.deepEqual(devpoll.poll(0), []);
      assert.equal(devpoll.eventsOf(a), undefined);
    },
  },
  {
    name: 'a set watches the number: its new file, after the descriptor was closed and the number used again',
    needs: ['numbers used again'],
    run({ bench }) {
      const [a] = bench.pair();
      const devpoll = bench.own(new Devpoll());
      devpoll.register(a, POLLOUT);
      const { fd } = a;
      a.close();
      for (const { events } of devpoll.poll(0)) assert.equal(events, POLLNVAL);
      const others: Socket[] = [];
      while (!others.some((socket) => socket.fd === fd)) others.push(...bench.pair());
      assert.deepEqual(devpoll.poll(1000), [{ fd, events: POLLOUT }]);
      devpoll.unregister(fd);
      assert.deepEqual(devpoll.poll(0), []);
    },
  },
  {
    name: 'write() accepts a closed descriptor, and the set does not have it',
    run({ bench }) {
      const [a] = bench.pair();
      const devpoll = bench.own(new Devpoll());
      const { fd } = a;
      a.close();
      devpoll.register(fd, POLLIN);
      assert.equal(devpoll.eventsOf(fd), undefined);
    },
  },
  {
    name: 'S83 S85 maxEvents: the next call begins with the others, so that each descriptor has its turn',
    run({ bench }) {
      const devpoll = bench.own(new Devpoll());
      const sockets = Array.from({ length: 5 }, () => bench.pair()).flat();
      devpoll.write(sockets.map((fd) => ({ fd, events: POLLOUT })));
      const seen = Array.from({ length: 4 }, () => devpoll.poll(1000, 3).map(({ fd }) => fd));
      assert.deepEqual(
        seen.map(({ length }) => length),
        [3, 3, 3, 3],
      );
      assert.equal(new Set(seen.flat()).size, sockets.length);
      assert.equal(devpoll.poll(1000).length, sockets.length);
      for (const max of [0, -2, 1.5, 2 ** 20 + 1]) throwsCode('ERR_OUT_OF_RANGE', () => devpoll.poll(0, max));
    },
  },
  {
    name: 'S80 timeouts: negative and null wait, 0 does not, and none ends early',
    run({ bench }) {
      const [a, b] = bench.pair();
      const devpoll = bench.own(new Devpoll());
      devpoll.register(a, POLLIN);
      assert.deepEqual(devpoll.poll(0), []);
      assertWaited(timed(() => devpoll.poll(30)).ms, 30);
      assertWaited(timed(() => devpoll.poll(0.5)).ms, 0.5);
      b.send('x');
      for (const timeout of [-1, null, undefined])
        assert.deepEqual(devpoll.poll(timeout), [{ fd: a.fd, events: POLLIN }]);
    },
  },
  {
    name: 'POLLHUP and POLLERR are reported, though not asked for',
    run({ bench }) {
      const [a, b] = bench.pair();
      const devpoll = bench.own(new Devpoll());
      devpoll.register(a, POLLIN);
      b.close();
      const [row] = devpoll.poll(1000);
      assert.equal((row?.events ?? 0) & POLLHUP, POLLHUP);
    },
  },
  {
    name: 'poll(2) of a set reports POLLERR',
    run({ bench }) {
      const devpoll = bench.own(new Devpoll());
      const poll = bench.own(new Poll());
      poll.register(devpoll, POLLIN);
      assert.deepEqual(poll.poll(1000), [{ fd: devpoll.fd, events: POLLERR }]);
    },
  },
  {
    name: 'S93 after close(): closed, every call fails with ERR_CLOSED, a second close() does nothing',
    run({ bench }) {
      const [a] = bench.pair();
      const devpoll = new Devpoll();
      assert.ok(devpoll.fileno() >= 0);
      devpoll.close();
      devpoll.close();
      assert.deepEqual([devpoll.closed, devpoll.fd], [true, -1]);
      const calls = [
        () => devpoll.fileno(),
        () => devpoll.write([]),
        () => devpoll.register(a),
        () => devpoll.modify(a, POLLIN),
        () => devpoll.unregister(a),
        () => devpoll.eventsOf(a),
        () => devpoll.poll(0),
      ];
      for (const call of calls) throwsCode('ERR_CLOSED', call);
    },
  },
];

export const rawCases = {
  select: selectCases,
  poll: [...pollCases, ...manyCases],
  epoll: epollCases,
  kqueue: kqueueCases,
  afd: afdCases,
  devpoll: devpollCases,
} as const;
