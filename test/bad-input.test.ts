/** Invalid input of every kind: a typed error, no changed state, no leaked descriptor, no crash. */
import assert from 'node:assert/strict';
import { types } from 'node:util';
import { describe, expect, it } from 'vitest';
import * as index from '../src/index.js';
import { BaseLoop } from '../src/loops/base-loop.js';
import * as syscalls from '../src/syscalls.js';
import { attacks, carryOut } from './support/bad-input.js';
import { itAttacksInAProcess } from './support/bad-input-cases.js';
import { badSignal, detached, throwingProxy } from './support/bad-values.js';
import { Bench } from './support/bench.js';
import { rejectsCode, throwsCode } from './support/expect.js';
import { readinessMechanisms } from './support/mechanisms.js';
import { isSlowHere } from './support/servers.js';

const api = { index, syscalls };
const { EVENT_READ, EVENT_WRITE, Socket, createSelector } = index;
const mechanisms = readinessMechanisms.flatMap(({ mechanism, available }) => (available ? [mechanism] : []));
const has = (mechanism: string) => mechanisms.some((one) => one === mechanism);

/** For an object that only claims to be an AbortSignal, Node 20 and 22 throw; Node 24 treats it as one that never aborts. */
function isListenedTo(signal: AbortSignal): boolean {
  try {
    EventTarget.prototype.addEventListener.call(signal, 'abort', () => undefined);
    return true;
  } catch {
    return false;
  }
}

/** Own properties; of a loop also the inherited ones, because its base classes are not exported. */
function propertiesOf(prototype: object): PropertyDescriptorMap {
  const own = Object.getOwnPropertyDescriptors(prototype);
  const parent = Object.getPrototypeOf(prototype) as object;
  const isLoop = prototype instanceof BaseLoop || prototype === BaseLoop.prototype;
  return isLoop && parent !== Object.prototype ? { ...propertiesOf(parent), ...own } : own;
}

/** On a slow build (sanitizers), the calls are made only once: in the separate process below. */
const once = isSlowHere ? ' (skipped here: too slow; the process below makes all calls)' : '';

describe('each argument, each wrong value', () => {
  for (const attack of attacks(api)) {
    it.skipIf(isSlowHere)(`${attack.name}${once}`, async () => {
      const { faults, strikes } = await carryOut(api, attack);
      expect(strikes).toBeGreaterThan(100);
      expect(faults).toEqual([]);
    });
  }

  if (isSlowHere) itAttacksInAProcess();

  it('covers every public name', () => {
    const names = attacks(api).map(({ name }) => name);
    const isAttacked = (what: string) => names.some((name) => name.includes(what));
    const missing: string[] = [];
    // Methods without arguments, and those that close the object, are tested in the contract suites.
    const exempt = ['constructor', 'close', 'detach', 'toString'];
    for (const [name, value] of Object.entries({ ...index, ...syscalls })) {
      if (typeof value !== 'function') continue;
      if (!/^[A-Z]/.test(name)) {
        if (!isAttacked(name)) missing.push(name);
        continue;
      }
      const isSelector = value.prototype instanceof index.BaseSelector || value === index.BaseSelector;
      const isProactor = value.prototype instanceof index.BaseProactor || value === index.BaseProactor;
      const mechanism = isSelector ? 'poll' : isProactor ? 'emulated:poll' : name;
      // Not callable on a system that lacks the mechanism.
      if (!isSelector && ['Epoll', 'Kqueue', 'Afd', 'Devpoll'].includes(name) && !has(name.toLowerCase())) continue;
      if (name === 'Iocp' && process.platform !== 'win32') continue;
      if (name === 'IoUring' && !index.IoUringProactor.isAvailable) continue;
      const lacking = process.platform === 'win32' ? ['sendFds', 'recvFds'] : ['share', 'fromShare'];
      const methods = Object.entries(propertiesOf(value.prototype as object))
        .filter(
          ([method, { value: body, set }]) =>
            (typeof body === 'function' || set !== undefined) && ![...exempt, ...lacking].includes(method),
        )
        .map(([method]) => method);
      const statics = Object.entries(Object.getOwnPropertyDescriptors(value))

        .filter(([method, { value: body }]) => typeof body === 'function' && !lacking.includes(method))
        .map(([method]) => method);
      if (isSelector && value !== index.BaseSelector) continue; // BaseSelector has all methods
      if (isProactor && value !== index.BaseProactor) continue;
      for (const method of methods)
        if (!isAttacked(`${mechanism} ${method}`)) missing.push(`${name}.prototype.${method}`);
      for (const method of statics) if (!isAttacked(`${name}.${method}`)) missing.push(`${name}.${method}`);
    }
    // Only a loop creates these.
    const made = {
      'emulated:poll': ['cancel'],
      Connection: ['write', 'end', 'pause', 'resume', 'destroy'],
      Listener: ['close'],
      Timer: ['cancel'],
    };
    for (const [name, methods] of Object.entries(made))
      for (const method of methods) if (!isAttacked(`${name} ${method}`)) missing.push(`${name}.prototype.${method}`);
    // Protected or @internal: only this package passes their arguments.
    const ofLoops = [
      ...['wake', 'hasWork', 'wait', 'dispatch', 'settle', 'attach', 'closeAll', 'nextDue', 'closeMechanism'],
      ...['assertOpen', 'assertGoingOn', 'report', 'warn', 'guarded', 'kick', 'send', 'isBorrowed', 'startConnecting'],
      ...['watchChanged', 'watchConnection', 'forgetConnection', 'watchListener', 'forgetListener'],
      ...['isConnection', 'hasConnection', 'notConnected', 'welcome', 'discard', 'admit', 'beforeBlocking'],
      ...['isStale', 'dropStale', 'claim'],
    ];
    const inner = {
      BaseProactor: [
        ...['flushCancels', 'pollFd', 'fileOf', 'completeSoon', 'startTimer', 'interestChanged', 'assertOpen'],
        ...['begin', 'turn', 'whenDone', 'takeCallbacks', 'nextDue', 'attach', 'streams', 'openStreams', 'collectTurn'],
        ...['admit', 'dropStale'],
      ],
      Reactor: ofLoops,
      ProactorLoop: ofLoops,
    };
    const known = Object.entries(inner).flatMap(([name, methods]) => methods.map((one) => `${name}.prototype.${one}`));
    expect(missing.filter((name) => !known.includes(name))).toEqual([]);
  });
});

/** A file object whose fileno() has a side effect. */
const fileobj = (fd: number, act: () => void) => ({
  fileno(): number {
    act();
    return fd;
  },
});

describe('the caller’s code runs in between', () => {
  for (const mechanism of mechanisms) {
    it(`${mechanism}: fileno() closes the selector`, () => {
      using bench = new Bench();
      const [a, b] = bench.pair();
      for (const method of ['register', 'modify', 'unregister', 'getKey'] as const) {
        const selector = bench.own(createSelector(mechanism));
        selector.register(b, EVENT_WRITE);
        const closing = fileobj(method === 'register' ? a.fd : b.fd, () => {
          selector.close();
        });
        assert.throws(
          () => selector[method](closing, EVENT_READ),
          (error: NodeJS.ErrnoException) => {
            assert.match(String(error.code), /^ERR_(CLOSED|KEY_NOT_FOUND)$/);
            return true;
          },
        );
        assert.equal(selector.getMap().size, 0);
        assert.ok(selector.closed);
      }
    });

    it(`${mechanism}: fileno() registers, modifies and unregisters the same descriptor`, () => {
      using bench = new Bench();
      const [a] = bench.pair();
      const selector = bench.own(createSelector(mechanism));
      throwsCode('ERR_KEY_EXISTS', () =>
        selector.register(
          fileobj(a.fd, () => selector.register(a, EVENT_READ)),
          EVENT_WRITE,
        ),
      );
      assert.equal(selector.getKey(a).events, EVENT_READ);
      throwsCode('ERR_KEY_NOT_FOUND', () =>
        selector.modify(
          fileobj(a.fd, () => selector.unregister(a)),
          EVENT_WRITE,
        ),
      );
      assert.equal(selector.getMap().size, 0);
      throwsCode('ERR_KEY_NOT_FOUND', () => selector.unregister(fileobj(a.fd, () => undefined)));
      selector.register(a, EVENT_WRITE);
      assert.equal(selector.select(1000).length, 1);
    });

    it(`${mechanism}: fileno() closes the descriptor that it returns`, () => {
      using bench = new Bench();
      const [a] = bench.pair();
      const selector = bench.own(createSelector(mechanism));
      const { fd } = a;
      throwsCode(process.platform === 'win32' ? 'ENOTSOCK' : 'EBADF', () =>
        selector.register(
          fileobj(fd, () => {
            a.close();
          }),
          EVENT_READ,
        ),
      );
      assert.equal(selector.getMap().size, 0);
    });

    it(`${mechanism}: a signal whose addEventListener throws leaves no wait pending`, async () => {
      using bench = new Bench();
      const [a] = bench.pair();
      const selector = bench.own(createSelector(mechanism));
      selector.register(a, EVENT_WRITE);
      const waiting = selector.selectAsync({ signal: badSignal() });
      if (isListenedTo(badSignal())) assert.equal((await waiting).length, 1);
      else await rejectsCode('ERR_INVALID_ARG_VALUE', waiting);
      assert.equal((await selector.selectAsync({ timeout: 1000 })).length, 1);
      // A real AbortSignal with replaced methods is still accepted.
      const controller = new AbortController();
      const refuse = () => {
        throw new Error('replaced');
      };
      Object.defineProperties(controller.signal, {
        addEventListener: { value: refuse },
        removeEventListener: { value: refuse },
      });
      assert.equal((await selector.selectAsync({ signal: controller.signal, timeout: 1000 })).length, 1);
      selector.unregister(a);
      const pending = selector.selectAsync({ signal: controller.signal });
      controller.abort();
      await rejectsCode('ABORT_ERR', pending);
    });

    it(`${mechanism}: a signal whose getters start another wait, or close the selector, or throw`, async () => {
      using bench = new Bench();
      const selector = bench.own(createSelector(mechanism));
      const signalOf = (name: string, get: () => unknown) =>
        Object.defineProperty(new AbortController().signal, name, { get, configurable: true });
      let first: Promise<unknown> | undefined;
      const starting = signalOf('aborted', () => {
        first ??= selector.selectAsync({ timeout: 20 });
        return false;
      });
      await rejectsCode('ERR_BUSY', selector.selectAsync({ signal: starting }));
      assert.deepEqual(await first, []);
      const controller = new AbortController();
      Object.defineProperty(controller.signal, 'reason', {
        get() {
          throw new Error('no reason');
        },
      });
      const pending = selector.selectAsync({ signal: controller.signal });
      controller.abort();
      await rejectsCode('ABORT_ERR', pending);
      const closing = signalOf('aborted', () => {
        selector.close();
        return false;
      });
      await rejectsCode('ERR_CLOSED', selector.selectAsync({ signal: closing }));
    });

    it(`${mechanism}: options whose getters close the selector`, async () => {
      using bench = new Bench();
      const selector = bench.own(createSelector(mechanism));
      await rejectsCode(
        'ERR_CLOSED',
        selector.selectAsync({
          get timeout() {
            selector.close();
            return 0;
          },
        }),
      );
    });
  }

  it('Poll: fileno() closes the object', () => {
    using bench = new Bench();
    const [a] = bench.pair();
    const poll = bench.own(new syscalls.Poll());
    throwsCode('ERR_CLOSED', () => {
      poll.register(
        fileobj(a.fd, () => {
          poll.close();
        }),
      );
    });
  });

  it.skipIf(!has('epoll'))('Epoll: fileno() closes the object, and its number becomes another file', () => {
    using bench = new Bench();
    const [a] = bench.pair();
    const epoll = bench.own(new syscalls.Epoll());
    const { fd } = epoll;
    const other: index.Socket[] = [];
    throwsCode('ERR_CLOSED', () => {
      epoll.add(
        fileobj(a.fd, () => {
          epoll.close();
          while (!other.some((socket) => socket.fd === fd)) other.push(bench.own(new Socket()));
        }),
        syscalls.EPOLLIN,
      );
    });
  });

  it.skipIf(!has('kqueue'))('Kqueue: the iterator of the changes closes the object', () => {
    using bench = new Bench();
    const kqueue = bench.own(new syscalls.Kqueue());
    throwsCode('ERR_CLOSED', () =>
      kqueue.control(
        (function* () {
          kqueue.close();
          yield syscalls.kevent(0);
        })(),
        0,
        0,
      ),
    );
  });

  it('S74 select: fileno() empties the lists and closes their members', () => {
    using bench = new Bench();
    const [a, b] = bench.pair();
    const list: index.FileObject[] = [];
    list.push(
      fileobj(a.fd, () => (list.length = 0)),
      fileobj(b.fd, () => list.push(a)),
    );
    assert.equal(syscalls.select([], list, [], 1000).write.length, 2);
    const closing = [
      fileobj(a.fd, () => {
        a.close();
      }),
      b,
    ];
    throwsCode(process.platform === 'win32' ? 'ENOTSOCK' : 'EBADF', () => syscalls.select([], closing, [], 1000));
  });

  it('Socket: getters of an address close the socket, or detach the bytes', () => {
    using bench = new Bench();
    const address = (act: () => void) => ({
      port: 9,
      get host() {
        act();
        return '127.0.0.1';
      },
    });
    for (const method of ['bind', 'connect'] as const) {
      const socket = bench.own(new Socket({ blocking: false }));
      assert.throws(
        () =>
          socket[method](
            address(() => {
              socket.close();
            }),
          ),
        { code: 'ERR_CLOSED' },
      );
    }
    const socket = bench.own(new Socket({ type: 'dgram', blocking: false }));
    throwsCode('ERR_CLOSED', () =>
      socket.sendTo(
        'x',
        address(() => {
          socket.close();
        }),
      ),
    );
    const sender = bench.own(new Socket({ type: 'dgram', blocking: false }));
    const bytes = new Uint8Array(8);
    throwsCode('ERR_INVALID_ARG_VALUE', () =>
      sender.sendTo(
        bytes,
        address(() => detached(bytes)),
      ),
    );
  });

  it.skipIf(process.platform === 'win32')('Socket: a file object passed to it closes the socket', () => {
    using bench = new Bench();
    const [a, b] = bench.pair();
    throwsCode('ERR_CLOSED', () =>
      a.sendFds([
        fileobj(b.fd, () => {
          a.close();
        }),
      ]),
    );
  });
});

/** A connection of the loop, and the socket of its peer. */
function connectionOf(bench: Bench, loop: index.Reactor, handler: index.ConnectionHandler = {}) {
  const opened: index.Connection[] = [];
  const listener = loop.listen({}, { ...handler, open: (connection) => opened.push(connection) });
  const peer = bench.own(new Socket());
  peer.connect(listener.address);
  peer.blocking = false;
  for (let turn = 0; opened.length === 0 && turn < 10; turn++) loop.runOnce(1000);
  return { connection: opened[0] as index.Connection, peer, listener };
}

/** Everything that the peer receives until the connection has sent all its bytes. */
function receiveAll(loop: index.Reactor, connection: index.Connection, peer: index.Socket, length: number): Buffer {
  const chunks: Buffer[] = [];
  const deadline = performance.now() + 5000;
  while (Buffer.concat(chunks).length < length || connection.writableLength > 0) {
    assert.ok(performance.now() < deadline, `${Buffer.concat(chunks).length} of ${length} bytes`);
    loop.runOnce(1);
    for (let chunk; (chunk = peer.recv(1 << 20)) !== null;) {
      assert.ok(chunk.length > 0, 'it was closed');
      chunks.push(chunk);
    }
  }
  return Buffer.concat(chunks);
}

describe('a loop, and the caller’s code in between', () => {
  const loopOf = (bench: Bench, options: index.ReactorOptions = {}) => bench.own(new index.Reactor(options));

  it('a getter, or a fileno(), closes the loop', () => {
    using bench = new Bench();
    const [a] = bench.pair();
    const listener = bench.listener();
    /** An object that closes the loop when this field is read. */
    const closing = (loop: index.Reactor, name: string, value: unknown, others: object = {}): never =>
      Object.defineProperty({ ...others }, name, {
        get() {
          loop.close();
          return value;
        },
      }) as never;
    const address = { host: '127.0.0.1', port: 9 };
    const file = (loop: index.Reactor) =>
      fileobj(a.fd, () => {
        loop.close();
      });
    const calls: ((loop: index.Reactor) => unknown)[] = [
      (loop) => loop.listen(closing(loop, 'port', 0), {}),
      (loop) => loop.listen({}, closing(loop, 'data', undefined)),
      (loop) => loop.listen({}, closing(loop, 'borrowsChunks', true)),
      (loop) => loop.listen(closing(loop, 'socket', listener), {}),
      (loop) => loop.listen({ socket: listener }, closing(loop, 'data', undefined)),
      (loop) => loop.adopt(a, closing(loop, 'data', undefined)),
      (loop) => loop.adopt(a, {}, closing(loop, 'highWaterMark', 1)),
      (loop) => loop.connect(closing(loop, 'host', '127.0.0.1', { port: 9 }), {}),
      (loop) => loop.connect(address, closing(loop, 'open', undefined)),
      (loop) => {
        loop.addReader(file(loop), () => undefined);
      },
      (loop) => {
        loop.addWriter(file(loop), () => undefined);
      },
      (loop) => loop.removeReader(file(loop)) || loop.callSoon(() => undefined),
      (loop) => loop.removeWriter(file(loop)) || loop.callSoon(() => undefined),
    ];
    for (const call of calls) {
      const loop = loopOf(bench);
      throwsCode('ERR_CLOSED', () => call(loop));
      assert.ok(loop.closed);
    }
    assert.ok(a.fd >= 0 && listener.fd >= 0);
  });

  it('a getter closes, detaches or replaces the socket that the loop is given', () => {
    using bench = new Bench();
    const doing = (act: () => void): never =>
      Object.defineProperty({}, 'data', {
        get() {
          act();
        },
      }) as never;
    for (const end of ['close', 'detach'] as const) {
      const loop = loopOf(bench);
      const [a] = bench.pair();
      const listener = bench.listener();
      const ends = (socket: index.Socket) =>
        doing(() => {
          if (end === 'close') return socket.close();
          bench.own(Socket.fromFd(socket.detach())); // the descriptor stays open, under another owner
        });
      throwsCode('ERR_CLOSED', () => loop.adopt(a, ends(a)));
      throwsCode('ERR_CLOSED', () => loop.listen({ socket: listener }, ends(listener)));
      assert.equal(loop.selector.getMap().size, 0);
    }
    const loop = loopOf(bench);
    const [a] = bench.pair();
    throwsCode('ERR_CLOSED', () =>
      loop.adopt(
        a,
        doing(() => loop.adopt(a, {})),
      ),
    );
    assert.equal(loop.selector.getMap().size, 1);
  });

  it('fileno() adds and removes a watch of the same descriptor', () => {
    using bench = new Bench();
    const [a] = bench.pair();
    const loop = loopOf(bench);
    const called: string[] = [];
    let times = 0;
    loop.addWriter(
      fileobj(a.fd, () => {
        if (times++ === 0) loop.addWriter(a, () => called.push('inner'));
      }),
      () => called.push('outer'),
    );
    assert.equal(loop.runOnce(1000), 1);
    assert.deepEqual(called, ['outer']);
    const removing = fileobj(a.fd, () => {
      loop.removeWriter(a);
    });
    assert.equal(loop.removeWriter(removing), false);
    loop.addWriter(removing, () => called.push('again'));
    assert.equal(loop.runOnce(1000), 1);
    assert.deepEqual(called, ['outer', 'again']);
  });

  it('bytes with false lengths are sent by their real length', () => {
    using bench = new Bench();
    const loop = loopOf(bench);
    const refuse = (): never => {
      throw new Error('thrown by the caller');
    };
    class Hostile extends Uint8Array {
      static get [Symbol.species](): never {
        return refuse();
      }
    }
    const property =
      (name: string, get: () => unknown) =>
      (length: number): Uint8Array =>
        Object.defineProperty(new Uint8Array(length).fill(length % 251), name, { get });
    const kinds = [
      property('length', () => 1e9),
      property('length', () => 0),
      property('length', refuse),
      property('byteLength', refuse),
      property('byteOffset', () => 1),
      property('buffer', refuse),
      property('buffer', () => undefined),
      property('subarray', refuse),
      property('constructor', refuse),
      (length: number) => new Hostile(length).fill(length % 251),
    ];
    const { connection, peer } = connectionOf(bench, loop);
    for (const bytes of kinds) {
      // Copied; sent without a copy; more than the kernel accepts at once.
      const sizes = [4, 5000, 3_000_000];
      for (const size of sizes) connection.write(bytes(size));
      const total = sizes.reduce((sum, size) => sum + size);
      assert.equal(connection.writableLength, total);
      const got = receiveAll(loop, connection, peer, total);
      assert.ok(got.equals(Buffer.concat(sizes.map((size) => Buffer.alloc(size, size % 251)))));
    }
    // While connecting: queued separately.
    const server = bench.listener();
    const connecting = loop.connect(server.localAddress, {});
    for (const bytes of kinds) connecting.write(bytes(4));
    connecting.write('end');
    let accepted: index.Socket | null = null;
    for (let turn = 0; accepted === null && turn < 100; turn++) {
      loop.runOnce(10);
      accepted = server.accept();
    }
    const other = bench.own(accepted as index.Socket);
    other.blocking = false;
    const got = receiveAll(loop, connecting, other, 4 * kinds.length + 3);
    assert.ok(got.equals(Buffer.concat([Buffer.alloc(4 * kinds.length, 4), Buffer.from('end')])));
  });

  it('memory detached before it is sent costs its own connection', () => {
    using bench = new Bench();
    const loop = loopOf(bench);
    for (const waits of [false, true]) {
      const closed: unknown[] = [];
      const { connection, peer } = connectionOf(bench, loop, { close: (_, error) => closed.push(error) });
      const other = connectionOf(bench, loop);
      if (waits) {
        connection.write(new Uint8Array(8_000_000)); // more than the kernel accepts
        loop.runOnce(0);
        assert.ok(connection.writableLength > 0);
      }
      const lost = new Uint8Array(100_000);
      connection.write('before');
      connection.write(lost);
      connection.write('after');
      detached(lost);
      other.connection.write('other');
      for (let turn = 0; closed.length === 0 && turn < 2000; turn++) {
        loop.runOnce(1);
        try {
          for (let chunk; (chunk = peer.recv(1 << 20)) !== null && chunk.length > 0;)
            assert.ok(!chunk.includes('after'), 'bytes after the detached chunk must not be sent');
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
        }
      }
      assert.equal((closed[0] as NodeJS.ErrnoException | undefined)?.code, 'ERR_INVALID_ARG_VALUE');
      assert.deepEqual([connection.fd, connection.writableLength], [-1, 0]);
      assert.equal(receiveAll(loop, other.connection, other.peer, 5).toString(), 'other');
    }
  });

  it('a handler whose getters throw later costs its own connection', () => {
    using bench = new Bench();
    const errors: unknown[] = [];
    const loop = loopOf(bench, { onError: (error) => errors.push(error) });
    for (const name of ['open', 'data', 'drain', 'end', 'close', 'borrowsChunks'] as const) {
      let times = 0;
      const handler = Object.defineProperty({}, name, {
        get() {
          if (times++ > 0) throw new Error(name);
          return name === 'borrowsChunks' ? true : () => undefined;
        },
      }) as index.ConnectionHandler;
      const listener = loop.listen({ highWaterMark: 1 }, handler);
      const connection = loop.connect(listener.address, {
        data: (_, chunk) => {
          if (chunk.length > 0) connection.end();
        },
      });
      connection.write('x');
      for (let turn = 0; turn < 5; turn++) loop.runOnce(10);
      connection.end();
      for (let turn = 0; connection.fd >= 0 && turn < 10; turn++) loop.runOnce(50);
      if (name === 'drain') {
        // Only the writer sees the error.
        assert.equal(errors.length, 0);
        continue;
      }
      assert.deepEqual(
        errors.splice(0).map((error) => (error as Error).message),
        name === 'borrowsChunks' ? [] : [name],
      );
      listener.close();
    }
  });

  it('an onError that throws ends the turn, and the loop can go on', () => {
    using bench = new Bench();
    const loop = loopOf(bench, {
      onError: (error) => {
        throw error as Error;
      },
    });
    loop.callSoon(() => {
      throw new Error('mine');
    });
    assert.throws(() => loop.runOnce(0), { message: 'mine' });
    let calls = 0;
    loop.callSoon(() => calls++);
    loop.runOnce(0);
    assert.equal(calls, 1);
  });

  it('other code closes the loop’s selector, or unregisters from it: close() still releases everything', () => {
    using bench = new Bench();
    for (const act of ['close', 'unregister'] as const) {
      const loop = loopOf(bench);
      const { listener, connection, peer } = connectionOf(bench, loop);
      const { address } = listener;
      const listening = [...loop.selector.getMap().keys()].filter((fd) => fd !== connection.fd);
      if (act === 'close') loop.selector.close();
      else for (const fd of [...listening, connection.fd]) loop.selector.unregister(fd);
      if (act === 'close') throwsCode('ERR_CLOSED', () => loop.runOnce(0));
      else listener.close();
      loop.close();
      assert.equal(peer.recv(1)?.length, 0);
      throwsCode('ECONNREFUSED', () => bench.own(new Socket()).connect(address));
    }
  });

  it('run(), runOnce() and start() within a turn: ERR_BUSY', async () => {
    using bench = new Bench();
    const loop = loopOf(bench);
    const within: Promise<void>[] = [];
    loop.callSoon(() => {
      throwsCode('ERR_BUSY', () => {
        loop.run();
      });
      throwsCode('ERR_BUSY', () => loop.runOnce(0));
      within.push(rejectsCode('ERR_BUSY', loop.start()));
    });
    assert.equal(loop.runOnce(0), 1);
    await Promise.all(within);
    assert.equal(within.length, 1);
  });
});

describe('closed objects', () => {
  it('a loop stays closed, and so do its connections, listeners and timers', async () => {
    using bench = new Bench();
    const junk = throwingProxy({}) as never;
    const loop = bench.own(new index.Reactor());
    const { connection, listener } = connectionOf(bench, loop);
    const timer = loop.callLater(0, () => assert.fail('it is called'));
    const ended = loop.onSignal('SIGHUP', () => undefined);
    loop.close();
    const methods = ['listen', 'connect', 'callSoon', 'callLater', 'onSignal', 'run', 'runOnce'] as const;
    const watching = ['addReader', 'removeReader', 'addWriter', 'removeWriter'] as const;
    for (const name of [...methods, ...watching]) {
      throwsCode('ERR_CLOSED', () => (loop[name] as (...args: unknown[]) => unknown)(junk, junk));
    }
    await rejectsCode('ERR_CLOSED', (loop.start as (value: unknown) => Promise<void>)(junk));
    assert.ok(loop.now() > 0);
    loop.stop();
    loop.close();
    loop[Symbol.dispose]();
    listener.close();
    timer.cancel();
    ended[Symbol.dispose]();
    assert.deepEqual([loop.closed, connection.fd, connection.writableLength, listener.connections], [true, -1, 0, 0]);
    assert.equal(connection.write('x'), false);
    throwsCode('ERR_INVALID_ARG_TYPE', () => connection.write(junk));
    throwsCode('ERR_INVALID_ARG_TYPE', () => {
      connection.end(junk);
    });
    throwsCode('ERR_INVALID_ARG_VALUE', () => {
      connection.destroy(junk);
    });
    throwsCode('ERR_CLOSED', () => connection.localAddress);
    connection.end('x');
    connection.end();
    connection.pause();
    connection.resume();
    connection.destroy();
    assert.equal(connection.writableLength, 0);
  });

  it('every method of a closed object throws ERR_CLOSED, also for wrong arguments, and close() does nothing', () => {
    using bench = new Bench();
    const junk = throwingProxy({}) as never;
    for (const mechanism of mechanisms) {
      const selector = bench.own(createSelector(mechanism));
      selector.close();
      for (const method of ['register', 'modify', 'unregister', 'getKey', 'wakeup'] as const) {
        throwsCode('ERR_CLOSED', () => (selector[method] as (...args: unknown[]) => unknown)(junk, junk));
      }
      throwsCode('ERR_CLOSED', () => selector.select(junk));
      assert.equal(selector.getMap().size, 0);
      selector.close();
    }
    const socket = bench.own(new Socket());
    socket.close();
    const calls = Object.getOwnPropertyNames(Socket.prototype).filter(
      (name) =>
        !['constructor', 'close', 'fileno', 'fd', 'family', 'type', 'blocking', 'timeout', 'closed'].includes(name),
    );
    assert.ok(calls.length > 15);
    for (const name of calls) {
      throwsCode('ERR_CLOSED', () => {
        const { get, value } = Object.getOwnPropertyDescriptor(Socket.prototype, name) ?? {};
        return get === undefined
          ? Reflect.apply(value as () => unknown, socket, [junk, junk, junk])
          : (Reflect.apply(get, socket, []) as unknown);
      });
    }
    for (const name of ['blocking', 'timeout', 'inheritable'] as const) {
      throwsCode('ERR_CLOSED', () => {
        socket[name] = junk;
      });
    }
    socket.close();
  });
});

describe('a method called on another object', () => {
  it('throws an Error', async () => {
    using bench = new Bench();
    const loop = bench.own(new index.Reactor());
    const { connection, listener } = connectionOf(bench, loop);
    const made = [connection, listener, loop.callLater(0, () => undefined)];
    const classes = [
      ...[index.SelectSelector, index.PollSelector, Socket, syscalls.Poll, syscalls.Epoll, syscalls.Kqueue],
      ...[index.Reactor, Object.getPrototypeOf(index.Reactor) as typeof index.Reactor],
      ...made.map((one) => ({ prototype: Object.getPrototypeOf(one) as object })),
    ];
    const targets = [undefined, null, 1, 'x', {}, Object.create(Socket.prototype), throwingProxy({}), () => 1];
    let calls = 0;
    for (const { prototype } of classes) {
      for (const [name, { value, get, set }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
        if (name === 'constructor') continue;
        for (const target of targets) {
          for (const body of [value, get, set] as unknown[]) {
            if (typeof body !== 'function') continue;
            calls++;
            try {
              const returned: unknown = Reflect.apply(body, target, []);
              const result: unknown = types.isPromise(returned) ? await returned : returned;
              // A few methods do not use `this`.
              assert.ok(
                result === undefined || typeof result !== 'number' || ['fd', 'now'].includes(name),
                `${name} answered ${String(result)}`,
              );
            } catch (error) {
              assert.ok(error instanceof Error, name);
            }
          }
        }
      }
    }
    assert.ok(calls > 300, String(calls));
  });
});
