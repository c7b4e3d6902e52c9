/** Wrong input of every kind: typed errors, nothing changed, nothing left open, and never a crash. */
import assert from 'node:assert/strict';
import { describe, expect, it } from 'vitest';
import * as index from '../src/index.js';
import * as syscalls from '../src/syscalls.js';
import { attacks, carryOut } from './support/bad-input.js';
import { badSignal, detached, throwingProxy } from './support/bad-values.js';
import { Bench } from './support/bench.js';
import { rejectsCode, throwsCode } from './support/expect.js';
import { answerOf, runScript } from './support/program.js';

const api = { index, syscalls };
const { EVENT_READ, EVENT_WRITE, Socket, availableMechanisms, createSelector } = index;
const mechanisms = availableMechanisms().flatMap(({ mechanism, available }) => (available ? [mechanism] : []));
const has = (mechanism: string) => mechanisms.some((one) => one === mechanism);

describe('each argument, each wrong value', () => {
  for (const attack of attacks(api)) {
    it(attack.name, async () => {
      const { faults, strikes } = await carryOut(api, attack);
      expect(strikes).toBeGreaterThan(100);
      expect(faults).toEqual([]);
    });
  }

  it('once more in a process of its own, the garbage collector at work: it does not crash', async () => {
    using bench = new Bench();
    const outcome = runScript(
      bench,
      ['bad-input.ts', 'bad-values.ts'],
      `const { attacks, carryOut } = require('./bad-input.js');
       (async () => {
         const faults = [];
         let strikes = 0;
         for (const attack of attacks({ index: selectors, syscalls })) {
           const result = await carryOut({ index: selectors, syscalls }, attack);
           faults.push(...result.faults);
           strikes += result.strikes;
           gc();
         }
         console.log(JSON.stringify({ faults, strikes }));
       })();`,
      ['--expose-gc'],
    );
    const { faults, strikes } = (await answerOf(outcome)) as { faults: string[]; strikes: number };
    expect(faults).toEqual([]);
    expect(strikes).toBeGreaterThan(5000);
  });

  it('no public name is left out', () => {
    const names = attacks(api).map(({ name }) => name);
    const isAttacked = (what: string) => names.some((name) => name.includes(what));
    const missing: string[] = [];
    // What takes no argument, and what ends the object, have tests of their own in the contract suites.
    const exempt = ['constructor', 'close', 'detach', 'toString'];
    for (const [name, value] of Object.entries({ ...index, ...syscalls })) {
      if (typeof value !== 'function') continue;
      if (!/^[A-Z]/.test(name)) {
        if (!isAttacked(name)) missing.push(name);
        continue;
      }
      const isSelector = value.prototype instanceof index.BaseSelector || value === index.BaseSelector;
      const mechanism = isSelector ? 'poll' : name;
      // On a system without it, nothing of it can be called.
      if (!isSelector && ['Epoll', 'Kqueue'].includes(name) && !has(name.toLowerCase())) continue;
      const lacking = process.platform === 'win32' ? ['sendFds', 'recvFds'] : ['share', 'fromShare'];
      const methods = Object.entries(Object.getOwnPropertyDescriptors(value.prototype as object))
        .filter(
          ([method, { value: body, set }]) =>
            (typeof body === 'function' || set !== undefined) && ![...exempt, ...lacking].includes(method),
        )
        .map(([method]) => method);
      const statics = Object.entries(Object.getOwnPropertyDescriptors(value))

        .filter(([method, { value: body }]) => typeof body === 'function' && !lacking.includes(method))
        .map(([method]) => method);
      if (isSelector && value !== index.BaseSelector) continue; // the base has them all
      for (const method of methods)
        if (!isAttacked(`${mechanism} ${method}`)) missing.push(`${name}.prototype.${method}`);
      for (const method of statics) if (!isAttacked(`${name}.${method}`)) missing.push(`${name}.${method}`);
    }
    // Protected, or @internal: their arguments come from this package.
    const inner = ['BaseSelector.prototype.orClose', 'BaseSelector.prototype.interestChanged', 'Poll.prototype.wait'];
    expect(missing.filter((name) => !inner.includes(name))).toEqual([]);
  });
});

/** A file object that does something when it is asked for its descriptor. */
const fileobj = (fd: number, act: () => void) => ({
  fileno(): number {
    act();
    return fd;
  },
});

describe("a caller's own code runs in between", () => {
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

    it(`${mechanism}: fileno() closes the very descriptor that it names`, () => {
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

    it(`${mechanism}: a signal that throws when it is listened to leaves no wait behind`, async () => {
      using bench = new Bench();
      const [a] = bench.pair();
      const selector = bench.own(createSelector(mechanism));
      selector.register(a, EVENT_WRITE);
      await rejectsCode('ERR_INVALID_ARG_VALUE', selector.selectAsync({ signal: badSignal() }));
      assert.equal((await selector.selectAsync({ timeout: 1000 })).length, 1);
      // A real one whose methods somebody has replaced is still a signal.
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

  it('S74 select: fileno() empties the lists and closes what is in them', () => {
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

  it('Socket: getters of an address close the socket, or take the bytes away', () => {
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

  it.skipIf(process.platform === 'win32')('Socket: a file object handed over closes the socket', () => {
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

describe('what is closed', () => {
  it('stays closed: each method throws ERR_CLOSED, also for wrong arguments, and close() does nothing', () => {
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

describe('a method on what is not its object', () => {
  it('throws an Error', () => {
    const classes = [index.SelectSelector, index.PollSelector, Socket, syscalls.Poll, syscalls.Epoll, syscalls.Kqueue];
    const targets = [undefined, null, 1, 'x', {}, Object.create(Socket.prototype), throwingProxy({}), () => 1];
    let calls = 0;
    for (const { prototype } of classes) {
      for (const [name, { value, get, set }] of Object.entries(Object.getOwnPropertyDescriptors(prototype as object))) {
        if (name === 'constructor') continue;
        for (const target of targets) {
          for (const body of [value, get, set] as unknown[]) {
            if (typeof body !== 'function') continue;
            calls++;
            try {
              const result: unknown = Reflect.apply(body, target, []);
              // A few ask nothing of their object.
              assert.ok(
                result === undefined || typeof result !== 'number' || name === 'fd',
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
