/**
 * Calls each public function and method with each wrong value for each parameter; the other arguments are valid. No runtime import of the
 * package: test/bad-input.test.ts gives it the sources, and a child process the built package.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { types } from 'node:util';
import type {
  BaseProactor,
  BaseSelector,
  Connection,
  EventLoop,
  Operation,
  ProactorLoop,
  Reactor,
  Socket,
} from '../../src/index.js';
import { type Api, type BadValue, badValues, isLiveBytes } from './bad-values.js';
import { temporaryFolder } from './folders.js';

/** One parameter of a call. */
interface Place {
  readonly name: string;
  readonly good: () => unknown;
  /** Whether a call with this value may succeed. */
  readonly accepts: (value: unknown) => boolean;
  /** Whether to skip the value: it would query DNS, or create a file. */
  readonly leaveOut?: (value: unknown) => boolean;
}

interface Target {
  readonly places: readonly Place[];
  call(...args: readonly unknown[]): unknown;
  /** Members are compared before and after each call. */
  state?(): readonly unknown[];
  /** Undoes a call that succeeded. */
  undo?(): void;
  /** Throws if the object no longer works. */
  usable?(): void;
}

export interface Attack {
  readonly name: string;
  /** @param own objects closed after the attack */
  prepare(own: <T extends { close(): void }>(closable: T) => T): Target;
}

// ----------------------------------------------------------------------------------------------- valid values of a parameter

const HIGHEST_FD = process.platform === 'win32' ? 0xffff_ffff : 0x7fff_ffff;
const INT_MAX = 0x7fff_ffff;

type Accepts = Place['accepts'];
const never: Accepts = () => false;
const always: Accepts = () => true;
const isObject: Accepts = (value) => typeof value === 'object' && value !== null;
const whole =
  (least: number, most: number): Accepts =>
  (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
const optional =
  (accepts: Accepts): Accepts =>
  (value) =>
    value === undefined || accepts(value);
const isTimeout: Accepts = (value) =>
  value === undefined || value === null || (typeof value === 'number' && !Number.isNaN(value));
const isNotNegative: Accepts = (value) => isTimeout(value) && !((value as number) < 0);
const isBoolean: Accepts = (value) => typeof value === 'boolean';
const isBytesOrString: Accepts = (value) => typeof value === 'string' || isLiveBytes(value);
/** A list of file objects: without any, or a typed array (of descriptor 0, as there are here). */
const isList: Accepts = (value) => {
  if (!isObject(value) || types.isProxy(value)) return false;
  try {
    const members = [...(value as Iterable<unknown>)];
    return members.length === 0 || (types.isTypedArray(value) && members.every((member) => member === 0));
  } catch {
    return false;
  }
};

const place = (name: string, good: () => unknown, accepts: Accepts, leaveOut?: Place['leaveOut']): Place => ({
  name,
  good,
  accepts,
  ...(leaveOut && { leaveOut }),
});

// --------------------------------------------------------------------------------------------------------------- the attacks

const SELECTORS = {
  select: 'SelectSelector',
  poll: 'PollSelector',
  epoll: 'EpollSelector',
  kqueue: 'KqueueSelector',
  afd: 'AfdSelector',
  devpoll: 'DevpollSelector',
} as const;

function selectorAttacks({ index }: Api): Attack[] {
  const { EVENT_READ, EVENT_WRITE, availableMechanisms, createSelector, Socket } = index;
  const attacks: Attack[] = [];
  for (const { mechanism, kind, available } of availableMechanisms()) {
    if (!available || kind !== 'readiness') continue;
    /** A selector with one key, which is ready for writing. */
    const attack = (
      name: string,
      make: (selector: BaseSelector, registered: Socket, other: Socket) => Pick<Target, 'places' | 'call'>,
    ) => {
      attacks.push({
        name: `${mechanism} ${name}`,
        prepare(own) {
          const selector = own(createSelector(mechanism));
          const [registered, other] = Socket.pair({ blocking: false }).map(own) as [Socket, Socket];
          const key = selector.register(registered, EVENT_WRITE, 'data');
          return {
            ...make(selector, registered, other),
            state: () => [selector.getMap().size, ...selector.getMap().values(), selector.closed, selector.mechanism],
            undo() {
              for (const { fd } of [...selector.getMap().values()]) selector.unregister(fd);
              Object.assign(key, {});
              selector.register(registered, EVENT_WRITE, 'data');
            },
            usable() {
              selector.wakeup();
              selector.select(0);
              const ready = selector.select(1000).map(([{ fileobj }, events]) => [fileobj, events]);
              if (ready.length !== 1 || ready[0]?.[0] !== registered || ready[0][1] !== EVENT_WRITE) {
                throw new Error(`the selector returns ${ready.length} ready keys`);
              }
            },
          };
        },
      });
    };
    const events = (good: number) =>
      place(
        'events',
        () => good,
        (value) => value === 1 || value === 2 || value === 3,
      );
    const data = place('data', () => 'other', always);
    attack('register', (s, _, other) => ({
      places: [place('fileobj', () => other, never), events(EVENT_READ), data],
      call: (...args) => s.register(...(args as Parameters<typeof s.register>)),
    }));
    attack('modify', (s, registered) => ({
      places: [place('fileobj', () => registered, never), events(EVENT_READ), data],
      call: (...args) => s.modify(...(args as Parameters<typeof s.modify>)),
    }));
    attack('unregister', (s, registered) => ({
      places: [place('fileobj', () => registered, never)],
      call: (fileobj) => s.unregister(fileobj as number),
    }));
    attack('getKey', (s, registered) => ({
      places: [place('fileobj', () => registered, never)],
      call: (fileobj) => s.getKey(fileobj as number),
    }));
    attack('getMap().get', (s, registered) => ({
      places: [place('fileobj', () => registered, whole(0, HIGHEST_FD)), place('missing', () => 1, always)],
      call: (...args) => s.getMap().get(...(args as [number])),
    }));
    attack('getMap().has', (s, registered) => ({
      places: [place('fileobj', () => registered, whole(0, HIGHEST_FD))],
      call: (fileobj) => s.getMap().has(fileobj as number),
    }));
    attack('getMap().forEach', (s) => ({
      places: [
        place(
          'callback',
          () => () => undefined,
          (value) => typeof value === 'function',
          (value) => typeof value === 'function',
        ),
        place('thisArg', () => 1, always),
      ],
      call: (...args) => {
        s.getMap().forEach(...(args as [() => void]));
      },
    }));
    attack('select', (s) => ({
      places: [place('timeout', () => 0, isTimeout)],
      call(timeout) {
        s.wakeup(); // the wait ends at once, whatever its timeout
        return s.select(timeout as number);
      },
    }));
    attack('selectAsync', (s) => ({
      places: [
        place(
          'options',
          () => ({ timeout: 0 }),
          (value) => optional(isObject)(value),
        ),
      ],
      call(options) {
        s.wakeup();
        return s.selectAsync(options as object);
      },
    }));
    attack('selectAsync({timeout})', (s) => ({
      places: [place('timeout', () => 0, isTimeout)],
      call(timeout) {
        s.wakeup();
        return s.selectAsync({ timeout: timeout as number });
      },
    }));
    attack('selectAsync({signal})', (s) => ({
      places: [
        place(
          'signal',
          () => undefined,
          (value) => value === undefined || value instanceof AbortSignal,
        ),
      ],
      call(signal) {
        s.wakeup();
        return s.selectAsync({ signal: signal as AbortSignal });
      },
    }));
    attack('wakeup', (s) => ({
      places: [place('nothing', () => undefined, always)],
      call: (value) => (s.wakeup as (v: unknown) => void)(value),
    }));
    attack('[Symbol.asyncIterator]().next', (s) => ({
      places: [place('nothing', () => undefined, always)],
      async call(value) {
        s.wakeup();
        const iterator = s[Symbol.asyncIterator]() as AsyncGenerator<unknown, void, unknown>;
        await iterator.next(value);
        await iterator.return();
      },
    }));
    attacks.push({
      name: `${mechanism} constructor`,
      prepare: () => ({
        places: [place('nothing', () => undefined, always)],
        call: (value) => Reflect.construct(index[SELECTORS[mechanism as keyof typeof SELECTORS]], [value]) as unknown,
      }),
    });
  }
  return attacks;
}

function socketAttacks({ index }: Api): Attack[] {
  const { Socket } = index;
  const attacks: Attack[] = [];
  const isNotFalsy: Accepts = (value) => value !== undefined && value !== null;
  const constructing = (
    name: string,
    make: (options: object) => unknown,
    options: Record<string, [unknown, Accepts]>,
  ) => {
    attacks.push({
      name,
      prepare: () => ({
        places: [place('options', () => ({ blocking: false }), optional(isObject))],
        call: (value) => make(value as object),
      }),
    });
    for (const [field, [good, accepts]] of Object.entries(options)) {
      attacks.push({
        name: `${name}.${field}`,
        prepare: () => ({
          // null and undefined select the default.
          places: [
            place(
              field,
              () => good,
              (value) => !isNotFalsy(value) || accepts(value),
            ),
          ],
          call: (value) => make({ [field]: value }),
        }),
      });
    }
  };
  // Numeric options are passed to the kernel: any that it accepts is valid.
  const fields: Record<string, [unknown, Accepts]> = {
    family: ['ipv4', whole(0, 0xffff)],
    type: ['stream', whole(0, INT_MAX)],
    protocol: [0, whole(0, INT_MAX)],
    blocking: [true, isBoolean],
  };
  constructing('new Socket', (options) => new Socket(options), fields);
  constructing('Socket.pair', (options) => Socket.pair(options), fields);
  attacks.push({
    name: 'Socket.fromFd',
    prepare(own) {
      const socket = own(new Socket());
      return {
        places: [
          place('fd', () => 'a good one', never),
          place('options', () => ({ blocking: false }), optional(isObject)),
        ],
        call(fd, options) {
          if (fd !== 'a good one') return Socket.fromFd(fd as number, options as object);
          const copy = socket.dup().detach();
          try {
            return Socket.fromFd(copy, options as object);
          } catch (error) {
            Socket.fromFd(copy).close(); // fromFd() failed: the caller still owns the descriptor
            throw error;
          }
        },
      };
    },
  });
  attacks.push({
    name: 'Socket.fromFd({blocking})',
    prepare(own) {
      const socket = own(new Socket());
      return {
        places: [place('blocking', () => true, optional(isBoolean))],
        call(blocking) {
          const fd = socket.dup().detach();
          try {
            return Socket.fromFd(fd, { blocking: blocking as boolean });
          } catch (error) {
            Socket.fromFd(fd).close(); // fromFd() failed: the caller still owns the descriptor
            throw error;
          }
        },
      };
    },
  });
  attacks.push({
    name: 'Socket.fromShare',
    prepare: () => ({
      places: [place('shared', () => new Uint8Array(1), never)],
      call: (shared) => Socket.fromShare(shared as Uint8Array),
    }),
  });

  /** A non-blocking connected pair of stream sockets, with data to receive. */
  const attack = (
    name: string,
    make: (a: Socket, b: Socket) => Pick<Target, 'places' | 'call' | 'undo'>,
    type: 'stream' | 'dgram' = 'stream',
  ) => {
    attacks.push({
      name: `Socket ${name}`,
      prepare(own) {
        const pair = () => Socket.pair(process.platform === 'win32' ? { blocking: false } : { blocking: false, type });
        const [a, b] = pair().map(own) as [Socket, Socket];
        const drain = () => {
          for (const socket of [a, b]) while ((socket.recv(65_536)?.length ?? 0) > 0);
        };
        const target = make(a, b);
        return {
          ...target,
          call(...args) {
            b.send('something to receive');
            return target.call(...args);
          },
          state: () => [a.fd, a.fileno(), a.blocking, a.timeout, a.family, a.type, a.inheritable, b.fd, b.blocking],
          undo() {
            target.undo?.();
          },
          usable() {
            drain();
            if (a.send('probe') !== 5) throw new Error('the socket does not send');
            const deadline = performance.now() + 2000;
            let got: Buffer | null = null;
            while (got === null && performance.now() < deadline) got = b.recv(10);
            if (got?.toString() !== 'probe') throw new Error(`the peer received ${String(got)}`);
          },
        };
      },
    });
  };
  const setter = (name: 'blocking' | 'timeout' | 'inheritable', good: unknown, accepts: Accepts) => {
    attack(`${name} =`, (a) => {
      const before: unknown = a[name];
      return {
        places: [place('value', () => good, accepts)],
        call(value) {
          (a as unknown as Record<string, unknown>)[name] = value;
        },
        undo() {
          (a as unknown as Record<string, unknown>)[name] = before;
        },
      };
    });
  };
  setter('blocking', false, isBoolean);
  setter('inheritable', false, isBoolean);
  setter('timeout', 0, (value) => value === null || (typeof value === 'number' && value >= 0));

  const size = place('size', () => 100, whole(0, INT_MAX));
  const flags = place('flags', () => 0, optional(whole(-0x8000_0000, INT_MAX)));
  const part = [place('offset', () => 0, optional(whole(0, 4))), place('length', () => 1, optional(whole(0, 4)))];
  attack('recv', (a) => ({ places: [size, flags], call: (...args) => a.recv(...(args as [number, number])) }));
  attack('recvInto', (a) => ({
    places: [place('buffer', () => Buffer.alloc(4), isLiveBytes), ...part],
    call: (buffer, offset, length) => a.recvInto(buffer as Uint8Array, offset as number, length as number),
  }));
  attack('recvInto(buffer)', (a) => ({
    places: [place('buffer', () => Buffer.alloc(4), isLiveBytes)],
    call: (buffer) => a.recvInto(buffer as Uint8Array),
  }));
  attack('send', (a) => ({
    places: [place('data', () => 'data', isBytesOrString), ...part],
    call: (...args) => a.send(...(args as ['', number])),
  }));
  attack('send(data)', (a) => ({
    places: [place('data', () => 'data', isBytesOrString)],
    call: (data) => a.send(data as string),
  }));
  attack('sendAll', (a) => ({
    // A hundred thousand characters may exceed the kernel's buffers while the peer does not receive.
    places: [
      place(
        'data',
        () => 'data',
        isBytesOrString,
        (value) => typeof value === 'string' && value.length > 10_000,
      ),
    ],
    call: (data) => {
      a.sendAll(data as string);
    },
  }));
  attack('recvFrom', (a) => ({ places: [size], call: (most) => a.recvFrom(most as number) }));
  attack('shutdown', (a) => ({ places: [place('how', () => 'x', never)], call: (how) => a.shutdown(how as 'read') }));
  attack('listen', (a) => ({
    places: [place('backlog', () => 1, optional(whole(-INT_MAX, INT_MAX)))],
    call: (backlog) => {
      a.listen(backlog as number);
    },
  }));
  attack('setOption(name, value)', (a) => ({
    places: [
      // A number is a level, and not every level has an option 1.
      place(
        'name',
        () => 'SO_KEEPALIVE',
        (value) => typeof value === 'number',
      ),
      place(
        'value',
        () => true,
        (value) => isBoolean(value) || whole(-0x8000_0000, INT_MAX)(value),
      ),
    ],
    call: (...args) => {
      a.setOption(...(args as ['SO_KEEPALIVE', boolean]));
    },
    undo: () => a.setOption('SO_KEEPALIVE', false),
  }));
  attack('setOption(SO_LINGER)', (a) => ({
    places: [
      place(
        'value',
        () => false,
        (value) => isBoolean(value) || whole(-1, 0xffff)(value),
      ),
    ],
    call: (value) => {
      a.setOption('SO_LINGER', value as number);
    },
    undo: () => a.setOption('SO_LINGER', false),
  }));
  attack('setOption(level, option, value)', (a) => ({
    places: [
      place('level', () => 0x7f_0000, never),
      place('option', () => 0x7f_0000, never),
      place('value', () => 1, never),
    ],
    call: (...args) => {
      a.setOption(...(args as [number, number, number]));
    },
  }));
  attack('getOption(name)', (a) => ({
    places: [place('name', () => 'SO_KEEPALIVE', never)],
    call: (name) => a.getOption(name as 'SO_KEEPALIVE'),
  }));
  attack('getOption(level, option, length)', (a) => ({
    places: [
      place('level', () => 0x7f_0000, never),
      place('option', () => 0x7f_0000, never),
      place('length', () => 4, never),
    ],
    call: (...args) => a.getOption(...(args as [number, number, number])),
  }));
  attack('share', (a) => ({
    places: [place('pid', () => 0, whole(1, 0xffff_ffff))],
    call: (pid) => a.share(pid as number),
  }));
  for (const name of ['accept', 'error', 'dup', 'fileno'] as const) {
    attack(name, (a) => ({
      places: [place('nothing', () => undefined, always)],
      call: (value) => (a[name] as (v: unknown) => unknown)(value),
    }));
  }
  if (process.platform !== 'win32') {
    attack('sendFds', (a, b) => ({
      places: [place('fds', () => [b], isList), place('data', () => undefined, optional(isLiveBytes))],
      call: (...args) => a.sendFds(...(args as [[]])),
    }));
    attack('sendFds([fd])', (a) => ({
      places: [place('fd', () => 0, never)],
      call: (fd) => a.sendFds([fd as number]),
    }));
    attack('recvFds', (a) => ({
      places: [place('maxFds', () => 1, whole(0, 253)), place('size', () => 1, optional(whole(0, INT_MAX)))],
      call: (...args) => a.recvFds(...(args as [number])),
    }));
  }

  /** Host names are resolved; '' and '1' are valid addresses. */
  const isName = (value: unknown) => typeof value === 'string' && !value.includes('\0');
  const isSockaddr: Accepts = isLiveBytes;
  const addressed = (method: 'bind' | 'connect' | 'sendTo', type: 'stream' | 'dgram') => {
    const shapes: readonly [string, (value: unknown) => unknown, Accepts, ((value: unknown) => boolean)?][] = [
      ['address', (value) => value, never],
      ['{host}', (host) => ({ host, port: 9 }), never, isName],
      ['{port}', (port) => ({ host: '127.0.0.1', port }), whole(0, 65_535)],
      ['{path}', (path) => ({ path }), never],
      ['{raw}', (raw) => ({ raw }), isSockaddr],
    ];
    for (const [shape, wrap, accepts, leaveOut] of shapes) {
      attacks.push({
        name: `Socket ${method}(${shape})`,
        prepare(own) {
          const socket = own(new Socket({ type, blocking: false }));
          return {
            places: [place(shape, () => ({ host: '127.0.0.1', port: 0 }), accepts, leaveOut)],
            call: (value) =>
              method === 'sendTo'
                ? socket.sendTo('x', wrap(value) as { path: string })
                : socket[method](wrap(value) as { path: string }),
            state: () => [socket.fd, socket.blocking, socket.family],
            usable() {
              socket.getOption('SO_REUSEADDR');
            },
          };
        },
      });
    }
  };
  addressed('bind', 'stream');
  addressed('connect', 'stream');
  addressed('sendTo', 'dgram');
  attacks.push({
    name: 'Socket sendTo(data)',
    prepare(own) {
      const receiver = own(new Socket({ type: 'dgram', blocking: false }).bind({ host: '127.0.0.1', port: 0 }));
      const socket = own(new Socket({ type: 'dgram', blocking: false }));
      return {
        places: [place('data', () => 'x', isBytesOrString)],
        call: (data) => socket.sendTo(data as string, receiver.localAddress),
        usable() {
          while (receiver.recvFrom(65_536) !== null);
        },
      };
    },
  });
  return attacks;
}

function syscallAttacks({ index, syscalls }: Api): Attack[] {
  const { Socket, availableMechanisms } = index;
  const { Poll, Epoll, Kqueue, Devpoll, POLLIN, POLLOUT, EPOLLOUT, EV_ADD, EVFILT_WRITE } = syscalls;
  const isAvailable = (name: string) =>
    availableMechanisms().some(({ mechanism, available }) => mechanism === name && available);
  const attacks: Attack[] = [];
  const pair = (own: (socket: Socket) => Socket) => Socket.pair({ blocking: false }).map(own) as [Socket, Socket];

  for (const index of [0, 1, 2]) {
    attacks.push({
      name: `select list ${index}`,
      prepare(own) {
        const [a] = pair(own);
        const lists = (list: unknown) =>
          [[], [a.fd], []].map((good, i) => (i === index ? list : good)) as [number[], number[], number[]];
        return {
          // The valid arguments include a writable socket, so that no call waits for its timeout.
          places: [place('list', () => (index === 1 ? [a.fd] : []), isList), place('timeout', () => 0, isNotNegative)],
          call: (list, timeout) => syscalls.select(...lists(list), timeout as number),
        };
      },
    });
    attacks.push({
      name: `select member of list ${index}`,
      prepare: () => ({
        places: [place('fd', () => 0x7fff, never)],
        call: (fd) =>
          syscalls.select(...([0, 1, 2].map((i) => (i === index ? [fd] : [])) as [number[], number[], number[]]), 0),
      }),
    });
  }

  const poll = (
    name: string,
    make: (poll: InstanceType<typeof Poll>, a: Socket, b: Socket) => Pick<Target, 'places' | 'call' | 'undo'>,
  ) => {
    attacks.push({
      name: `Poll ${name}`,
      prepare(own) {
        const object = own(new Poll());
        const [a, b] = pair(own);
        object.register(a.fd, POLLOUT);
        return {
          ...make(object, a, b),
          state: () => [object.closed],
          usable() {
            const rows = object.poll(1000);
            if (rows.length !== 1 || rows[0]?.fd !== a.fd || rows[0].events !== POLLOUT)
              throw new Error(`poll() returns ${JSON.stringify(rows)}`);
          },
        };
      },
    });
  };
  const USHRT_MAX = 0xffff;
  const pollEvents = place('events', () => POLLIN, optional(whole(0, USHRT_MAX)));
  poll('register', (p, _, b) => {
    let last: unknown;
    return {
      places: [place('fd', () => b.fd, whole(0, HIGHEST_FD)), pollEvents],
      call: (...args) => {
        last = args[0];
        p.register(...(args as [number]));
      },
      undo() {
        p.unregister(last as number);
      },
    };
  });
  poll('modify', (p, a) => ({
    places: [place('fd', () => a.fd, never), place('events', () => POLLOUT, whole(0, USHRT_MAX))],
    call: (...args) => {
      p.modify(...(args as [number, number]));
    },
    undo: () => {
      p.modify(a.fd, POLLOUT);
    },
  }));
  poll('unregister', (p, a) => ({
    places: [place('fd', () => a.fd, never)],
    call: (fd) => {
      p.unregister(fd as number);
    },
  }));
  poll('poll', (p) => ({
    places: [
      place(
        'timeout',
        () => 0,
        (value) => isTimeout(value) && !((value as number) > INT_MAX),
      ),
    ],
    call: (timeout) => p.poll(timeout as number),
  }));

  // Each constructor takes no arguments and makes an independent object.
  for (const [name, Class] of Object.entries({ Poll, Epoll, Kqueue, Devpoll })) {
    attacks.push({
      name: `new ${name}`,
      prepare: () => ({
        places: [
          place(
            'nothing',
            () => undefined,
            (value) => name === 'Poll' || value === undefined || value === null || whole(0, HIGHEST_FD)(value),
          ),
        ],
        call: (value) => {
          const made = Reflect.construct(Class, [value]) as { close(): void };
          try {
            made.close();
          } catch {
            // not an open descriptor
          }
        },
      }),
    });
  }
  for (const [name, Class] of Object.entries({ Epoll, Kqueue, Devpoll })) {
    attacks.push({
      name: `${name}.fromFd`,
      prepare: () => ({
        places: [place('fd', () => -1, whole(0, HIGHEST_FD))],
        call: (fd) => {
          const made = Class.fromFd(fd as number);
          try {
            made.close();
          } catch {
            // not an open descriptor
          }
        },
      }),
    });
  }

  if (isAvailable('epoll')) {
    const epoll = (
      name: string,
      make: (epoll: InstanceType<typeof Epoll>, a: Socket, b: Socket) => Pick<Target, 'places' | 'call' | 'undo'>,
    ) => {
      attacks.push({
        name: `Epoll ${name}`,
        prepare(own) {
          const object = own(new Epoll());
          const [a, b] = pair(own);
          object.add(a.fd, EPOLLOUT, 7);
          return {
            ...make(object, a, b),
            state: () => [object.fd, object.closed, object.fileno()],
            usable() {
              const rows = object.wait(-1, 1000);
              if (rows.length !== 1 || rows[0]?.data !== 7 || rows[0].events !== EPOLLOUT)
                throw new Error(`wait() returns ${JSON.stringify(rows)}`);
            },
          };
        },
      });
    };
    // The kernel validates bits that epoll does not define.
    const events = place('events', () => EPOLLOUT, whole(-0x8000_0000, 0xffff_ffff));
    const data = place('data', () => 7, optional(whole(0, Number.MAX_SAFE_INTEGER)));
    epoll('add', (e, _, b) => ({
      places: [place('fd', () => b.fd, never), events, data],
      call: (...args) => {
        e.add(...(args as [number, number]));
      },
      undo: () => {
        e.delete(b.fd);
      },
    }));
    epoll('modify', (e, a) => ({
      places: [place('fd', () => a.fd, never), events, data],
      call: (...args) => {
        e.modify(...(args as [number, number]));
      },
      undo: () => {
        e.modify(a.fd, EPOLLOUT, 7);
      },
    }));
    epoll('delete', (e, a) => ({
      places: [place('fd', () => a.fd, never)],
      call: (fd) => {
        e.delete(fd as number);
      },
    }));
    epoll('wait', (e) => ({
      places: [
        place(
          'maxEvents',
          () => 1,
          (value) => value === undefined || value === -1 || whole(1, INT_MAX)(value),
        ),
        place('timeout', () => 0, isTimeout),
      ],
      call: (...args) => e.wait(...(args as [number])),
    }));
  }
  if (isAvailable('kqueue')) {
    const kqueue = (
      name: string,
      make: (kqueue: InstanceType<typeof Kqueue>, b: Socket) => Pick<Target, 'places' | 'call'>,
    ) => {
      attacks.push({
        name: `Kqueue ${name}`,
        prepare(own) {
          const object = own(new Kqueue());
          const [a, b] = pair(own);
          const change = { ident: a.fd, filter: EVFILT_WRITE, flags: EV_ADD, udata: 7 };
          object.control([change], 0, 0);
          return {
            ...make(object, b),
            state: () => [object.fd, object.closed, object.fileno()],
            usable() {
              const rows = object.control([], 10, 1000);
              if (!rows.some(({ udata }) => udata === 7)) throw new Error(`control() returns ${JSON.stringify(rows)}`);
            },
          };
        },
      });
    };
    kqueue('control', (k) => ({
      places: [
        place('changes', () => [], isList),
        place('maxEvents', () => 1, whole(0, 1 << 20)),
        place('timeout', () => 0, isNotNegative),
      ],
      call: (...args) => k.control(...(args as [[], number, number])),
    }));
    for (const field of ['ident', 'filter', 'flags', 'fflags', 'data', 'udata']) {
      kqueue(`control({${field}})`, (k, b) => ({
        // The kernel validates the numbers of a filter.
        places: [
          place(
            field,
            () => 0,
            (value) =>
              (field === 'fflags' || field === 'data' || field === 'udata' ? value === undefined : false) ||
              Number.isInteger(value),
          ),
        ],
        call: (value) => k.control([{ ident: b.fd, filter: EVFILT_WRITE, flags: EV_ADD, [field]: value }], 0, 0),
      }));
    }
    kqueue('control([change])', (k) => ({
      places: [place('change', () => ({}), never)],
      call: (change) => k.control([change as never], 0, 0),
    }));
  }
  if (isAvailable('afd')) attacks.push(...afdAttacks({ index, syscalls }));
  if (isAvailable('devpoll')) {
    const devpoll = (
      name: string,
      make: (devpoll: InstanceType<typeof Devpoll>, a: Socket, b: Socket) => Pick<Target, 'places' | 'call' | 'undo'>,
    ) => {
      attacks.push({
        name: `Devpoll ${name}`,
        prepare(own) {
          const object = own(new Devpoll());
          const [a, b] = pair(own);
          object.register(a.fd, POLLOUT);
          return {
            ...make(object, a, b),
            state: () => [object.fd, object.closed, object.fileno(), object.eventsOf(a.fd)],
            usable() {
              const rows = object.poll(1000);
              if (!rows.some(({ fd, events }) => fd === a.fd && events === POLLOUT))
                throw new Error(`poll() returns ${JSON.stringify(rows)}`);
            },
          };
        },
      });
    };
    const written = (name: string, fallback: boolean) =>
      place(name, () => POLLIN, fallback ? optional(whole(0, USHRT_MAX)) : whole(0, USHRT_MAX));
    const descriptor = (fd: () => number) => place('fd', fd, whole(0, HIGHEST_FD));
    devpoll('write', (d) => ({ places: [place('entries', () => [], isList)], call: (list) => d.write(list as []) }));
    devpoll('write([entry])', (d) => ({
      places: [place('entry', () => ({}), never)],
      call: (entry) => d.write([entry as never]),
    }));
    devpoll('write([{events}])', (d, _, b) => ({
      places: [written('events', false)],
      call: (events) => d.write([{ fd: b.fd, events: events as number }]),
      undo: () => d.unregister(b.fd),
    }));
    for (const method of ['register', 'modify'] as const) {
      let last: unknown;
      devpoll(method, (d, _, b) => ({
        places: [descriptor(() => b.fd), written('events', method === 'register')],
        call: (...args) => {
          last = args[0];
          d[method](...(args as [number, number]));
        },
        undo: () => d.unregister(last as number),
      }));
    }
    devpoll('unregister', (d, _, b) => ({
      places: [descriptor(() => b.fd)],
      call: (fd) => d.unregister(fd as number),
    }));
    devpoll('eventsOf', (d, a) => ({ places: [descriptor(() => a.fd)], call: (fd) => d.eventsOf(fd as number) }));
    devpoll('poll', (d) => ({
      places: [
        place(
          'timeout',
          () => 0,
          (value) => isTimeout(value) && !((value as number) > INT_MAX),
        ),
        // The kernel refuses more than the process may open.
        place(
          'maxEvents',
          () => 1,
          (value) => value === undefined || value === -1 || whole(1, 1 << 20)(value),
        ),
      ],
      call: (...args) => d.poll(...(args as [number, number])),
    }));
  }
  attacks.push({
    name: 'new Iocp',
    prepare: () => ({
      places: [place('concurrency', () => 0, optional(whole(0, INT_MAX)))],
      call: (value) => new syscalls.Iocp(value as number),
    }),
  });
  if (isAvailable('iocp')) attacks.push(...iocpAttacks({ index, syscalls }));
  attacks.push({
    name: 'kevent',
    prepare: () => ({
      // The constructor builds a record; control() validates it.
      places: ['ident', 'filter', 'flags', 'fflags', 'data', 'udata'].map((field) => place(field, () => 0, always)),
      call: (...args) => syscalls.kevent(...(args as [number])),
    }),
  });
  return attacks;
}

function functionAttacks({ index }: Api): Attack[] {
  return [
    {
      name: 'fileno',
      prepare: () => ({
        places: [place('fileobj', () => 0, whole(0, HIGHEST_FD))],
        call: (value) => index.fileno(value as number),
      }),
    },
    {
      name: 'wakeup',
      prepare(own) {
        const selector = own(new index.DefaultSelector());
        return {
          places: [place('wakeupHandle', () => selector.wakeupHandle, never)],
          call: (handle) => {
            index.wakeup(handle as number);
          },
          usable() {
            selector.wakeup();
            selector.select(1000);
          },
        };
      },
    },
    {
      name: 'createSelector',
      prepare: () => ({
        places: [
          place(
            'mechanism',
            () => 'poll',
            (value) => value === undefined,
          ),
        ],
        call: (value) => index.createSelector(value as 'poll'),
      }),
    },
    {
      name: 'availableMechanisms',
      prepare: () => ({
        places: [place('nothing', () => undefined, always)],
        call: (value) => (index.availableMechanisms as (value: unknown) => unknown)(value),
      }),
    },
    {
      name: 'new BaseSelector',
      prepare: () => ({
        places: [place('nothing', () => undefined, never)],
        call: (value) => Reflect.construct(index.BaseSelector, [value]) as unknown,
      }),
    },
  ];
}

/** Receives what callbacks throw; such an error is not a fault of the package. */
const ignore = (): void => undefined;
const isFunction: Accepts = (value) => typeof value === 'function';
const CALLBACKS = ['open', 'data', 'drain', 'end', 'close'] as const;

const callback = place('callback', () => ignore, isFunction);
const nothing = place('nothing', () => undefined, always);

type Own = Parameters<Attack['prepare']>[0];

/** A socket for a loop to adopt: a new one after each call that adopted it. A call that fails must leave the socket unchanged. */
function giving(own: Own, make: () => Socket, accepts: Accepts): Place & { orLeft<T>(call: () => T): T } {
  let given: Socket | undefined;
  return {
    name: 'socket',
    good: () => (given !== undefined && given.fd >= 0 ? given : (given = own(make()))),
    accepts,
    orLeft(call) {
      const fd = given?.fd;
      try {
        return call();
      } catch (error) {
        if (given?.fd !== fd || given?.blocking === false)
          throw new Error('the call changed the socket', { cause: error });
        throw error;
      }
    },
  };
}

/** The methods that all loops have, on a loop that `begin` sets up. */
function attacksOnLoop<L extends EventLoop>(
  kind: string,
  { Socket: SocketClass }: Api['index'],
  create: () => L,
  begin: (loop: L, own: Own) => Pick<Target, 'state' | 'usable'>,
): Attack[] {
  const attacks: Attack[] = [];
  const attack = (name: string, make: (loop: EventLoop, own: Own) => Pick<Target, 'places' | 'call' | 'undo'>) => {
    attacks.push({
      name: `${kind} ${name}`,
      prepare(own) {
        const loop = own(create());
        return { ...make(loop, own), ...begin(loop, own) };
      },
    });
  };

  attack('listen', (loop) => ({
    places: [place('options', () => ({}), isObject), place('handler', () => ({}), isObject)],
    call: (...args) => loop.listen(...(args as [object, object])),
  }));
  const MAKES_A_FILE = (value: unknown) => typeof value === 'string' && /^[^\0]+$/.test(value) && value.length < 100;
  const options: Record<string, [unknown, Accepts, Place['leaveOut']?]> = {
    host: ['127.0.0.1', never, (value) => typeof value === 'string' && !value.includes('\0')],
    port: [0, whole(0, 0xffff)],
    // All bytes are zero here: names in the abstract namespace.
    path: [undefined, (value) => value === '' || value === '\0' || isLiveBytes(value), MAKES_A_FILE],
    backlog: [1, whole(-INT_MAX, INT_MAX)],
    reusePort: [false, isBoolean],
    maxConnections: [1, (value) => value === Infinity || whole(1, INT_MAX)(value)],
    highWaterMark: [1, whole(1, INT_MAX)],
  };
  for (const [field, [good, accepts, leaveOut]] of Object.entries(options)) {
    attack(`listen({${field}})`, (loop) => ({
      places: [place(field, () => good, optional(accepts), leaveOut)],
      call: (value) => loop.listen({ [field]: value }, {}),
    }));
  }
  for (const field of [...CALLBACKS, 'borrowsChunks']) {
    const parameter = place(field, () => undefined, optional(field === 'borrowsChunks' ? isBoolean : isFunction));
    attack(`listen(handler.${field})`, (loop) => ({
      places: [parameter],
      call: (value) => loop.listen({}, { [field]: value }),
    }));
    attack(`connect(handler.${field})`, (loop) => ({
      places: [parameter],
      call(value) {
        loop.connect({ host: '127.0.0.1', port: 9 }, { [field]: value }).destroy();
      },
    }));
  }
  attack('listen({socket})', (loop, own) => {
    const make = (): Socket => new SocketClass().bind({ host: '127.0.0.1', port: 0 }).listen();
    const socket = giving(own, make, optional(never));
    return {
      places: [socket],
      call(value) {
        socket.orLeft(() => loop.listen({ socket: value as Socket }, {})).close();
      },
    };
  });
  const adopting: readonly [string, readonly Place[], (value: unknown) => readonly [unknown, unknown?]][] = [
    ['', [place('handler', () => ({}), isObject)], (handler) => [handler]],
    ['(options)', [place('options', () => ({}), optional(isObject))], (options) => [{}, options]],
    [
      '({highWaterMark})',
      [place('highWaterMark', () => 1, optional(whole(1, INT_MAX)))],
      (highWaterMark) => [{}, { highWaterMark }],
    ],
    ...[...CALLBACKS, 'borrowsChunks'].map(
      (field) =>
        [
          `(handler.${field})`,
          [place(field, () => undefined, optional(field === 'borrowsChunks' ? isBoolean : isFunction))],
          (value: unknown) => [{ [field]: value }],
        ] as [string, Place[], (value: unknown) => [unknown]],
    ),
  ];
  for (const [what, places, args] of adopting) {
    attack(`adopt${what}`, (loop, own) => {
      let ends: [Socket, Socket] | undefined;
      const make = (): Socket => {
        ends?.[1].close();
        ends = SocketClass.pair();
        own(ends[1]);
        return ends[0];
      };
      const socket = giving(own, make, never);
      return {
        places: [socket, ...places],
        call(given, value) {
          const [handler, options] = args(value);
          socket.orLeft(() => loop.adopt(given as Socket, handler as object, options as object)).destroy();
        },
      };
    });
  }
  const shapes: readonly [string, (value: unknown) => unknown, Accepts, Place['leaveOut']?][] = [
    ['address', (value) => value, never],
    ['{host}', (host) => ({ host, port: 9 }), never, (value) => typeof value === 'string' && !value.includes('\0')],
    ['{port}', (port) => ({ host: '127.0.0.1', port }), whole(0, 0xffff)],
    // Without a listener, `close` receives the error.
    ['{path}', (path) => ({ path }), isBytesOrString],
    ['{raw}', (raw) => ({ raw }), isLiveBytes],
  ];
  for (const [shape, wrap, accepts, leaveOut] of shapes) {
    attack(`connect(${shape})`, (loop) => ({
      places: [place(shape, () => undefined, accepts, leaveOut)],
      call(value) {
        loop.connect(wrap(value) as { path: string }, {}).destroy();
      },
    }));
  }
  attack('connect(handler)', (loop) => ({
    places: [place('handler', () => ({}), isObject)],
    call(handler) {
      loop.connect({ host: '127.0.0.1', port: 9 }, handler as object).destroy();
    },
  }));
  attack('callSoon', (loop) => ({
    places: [callback],
    call: (value) => {
      loop.callSoon(value as () => void);
    },
  }));
  const ms = place(
    'ms',
    () => 0,
    (value) => typeof value === 'number' && value <= Number.MAX_SAFE_INTEGER,
  );
  attack('callLater', (loop) => ({
    places: [ms, callback],
    call: (...args) => {
      loop.callLater(...(args as [number, () => void])).cancel();
    },
  }));
  attack('callLater, called back', (loop) => ({
    places: [callback],
    call: (value) => void loop.callLater(0, value as () => void),
  }));
  attack('now', (loop) => ({ places: [nothing], call: (value) => (loop.now as (v: unknown) => number)(value) }));
  attack('onSignal', (loop) => ({
    places: [place('signal', () => 'SIGHUP', never), callback],
    call: (...args) => {
      loop.onSignal(...(args as ['SIGHUP', () => void]))[Symbol.dispose]();
    },
  }));
  // After stop() a turn does not wait.
  for (const name of ['run', 'runOnce', 'start'] as const) {
    attack(name, (loop) => ({
      places: [name === 'runOnce' ? place('timeout', () => 0, isTimeout) : nothing],
      async call(value) {
        loop.stop();
        await (loop[name] as (v: unknown) => unknown)(value);
        // Node's loop closes handles by the end of its turn.
        if (name === 'start') for (let turn = 0; turn < 2; turn++) await setImmediate();
      },
    }));
  }
  attack('stop', (loop) => ({
    places: [nothing],
    call: (value) => {
      (loop.stop as (v: unknown) => void)(value);
    },
  }));
  attack('close', () => ({
    places: [nothing],
    call: (value) => {
      const made = create();
      (made.close as (v: unknown) => void)(value);
    },
  }));
  attack('callLater().cancel: Timer cancel', (loop) => ({
    places: [nothing],
    call: (value) => {
      (loop.callLater(0, ignore).cancel as (v: unknown) => void)(value);
    },
  }));
  attack('listen().close: Listener close', (loop) => ({
    places: [nothing],
    call: (value) => {
      (loop.listen({}, {}).close as (v: unknown) => void)(value);
    },
  }));
  return attacks;
}

function reactorAttacks({ index }: Api): Attack[] {
  const { BaseSelector, Reactor, Socket } = index;
  const attacks: Attack[] = [];
  const constructing = (name: string, parameter: Place, options: (value: unknown) => unknown) => {
    attacks.push({
      name,
      prepare: () => ({ places: [parameter], call: (value) => new Reactor(options(value) as object) }),
    });
  };
  constructing(
    'new Reactor',
    place('options', () => ({}), optional(isObject)),
    (value) => value,
  );
  constructing(
    'new Reactor({selector})',
    place(
      'selector',
      () => undefined,
      optional((value) => value instanceof BaseSelector),
    ),
    (selector) => ({ selector }),
  );
  constructing(
    'new Reactor({onError})',
    place('onError', () => ignore, optional(isFunction)),
    (onError) => ({ onError }),
  );

  attacks.push(
    ...attacksOnLoop(
      'Reactor',
      index,
      () => new Reactor({ onError: ignore }),
      (loop, own) => {
        const [registered] = Socket.pair({ blocking: false }).map(own) as [Socket];
        let written = 0;
        loop.addWriter(registered, () => written++);
        return watching(loop, () => written);
      },
    ),
  );
  /** A loop that watches one writable socket. */
  const attack = (
    name: string,
    make: (
      loop: Reactor,
      registered: Socket,
      other: Socket,
      watch: () => void,
    ) => Pick<Target, 'places' | 'call' | 'undo'>,
  ) => {
    attacks.push({
      name: `Reactor ${name}`,
      prepare(own) {
        const loop = own(new Reactor({ onError: ignore }));
        const [registered, other] = Socket.pair({ blocking: false }).map(own) as [Socket, Socket];
        let written = 0;
        const watch = () => {
          loop.addWriter(registered, () => written++);
        };
        watch();
        return {
          ...make(loop, registered, other, watch),
          ...watching(loop, () => written),
        };
      },
    });
  };
  for (const name of ['Reader', 'Writer'] as const) {
    attack(`add${name}`, (loop, _, other) => ({
      places: [place('fileobj', () => other, never), callback],
      call: (...args) => {
        loop[`add${name}`](...(args as [Socket, () => void]));
      },
      undo: () => loop[`remove${name}`](other),
    }));
    attack(`add${name}, called back`, (loop, _, other) => ({
      places: [callback],
      call: (value) => {
        loop[`add${name}`](other, value as () => void);
        loop.runOnce(0);
      },
      undo: () => loop[`remove${name}`](other),
    }));
    attack(`remove${name}`, (loop, registered, _, watch) => ({
      // An object without a descriptor was never watched.
      places: [
        place(
          'fileobj',
          () => registered,
          (value) => isObject(value) || isFunction(value) || whole(0, HIGHEST_FD)(value),
        ),
      ],
      call: (fileobj) => loop[`remove${name}`](fileobj as number),
      undo: watch,
    }));
  }
  return attacks;
}

/** A reactor that watches one writable socket. */
function watching(loop: Reactor, written: () => number): Pick<Target, 'state' | 'usable'> {
  return {
    state: () => [loop.closed, loop.mechanism, ...loop.selector.getMap().values()],
    usable() {
      loop.runOnce(0);
      const before = written();
      let soon = 0;
      loop.callSoon(() => soon++);
      const handled = loop.runOnce(0);
      if (soon !== 1 || written() !== before + 1) throw new Error(`a turn handled ${handled}`);
    },
  };
}

function proactorLoopAttacks({ index }: Api): Attack[] {
  const { BaseProactor, ProactorLoop } = index;
  const begin = (loop: ProactorLoop): Pick<Target, 'state' | 'usable'> => {
    // A background wait opens these descriptors once and keeps them.
    loop.proactor.attach(ignore).close();
    return {
      state: () => [loop.closed, loop.mechanism, loop.proactor, loop.proactor.pending],
      usable() {
        let [soon, done] = [0, 0];
        loop.callSoon(() => soon++);
        loop.whenDone(loop.proactor.timeout(0), () => done++);
        const deadline = performance.now() + 2000;
        while (done === 0 && performance.now() < deadline) loop.runOnce(10);
        if (soon !== 1 || done !== 1) throw new Error(`a turn called ${soon} and ${done} callbacks`);
      },
    };
  };
  const create = () => new ProactorLoop({ onError: ignore });
  const attacks = attacksOnLoop('ProactorLoop', index, create, begin);
  const constructing = (name: string, parameter: Place, options: (value: unknown) => unknown) => {
    attacks.push({
      name,
      prepare: () => ({ places: [parameter], call: (value) => new ProactorLoop(options(value) as object) }),
    });
  };
  constructing(
    'new ProactorLoop',
    place('options', () => ({}), optional(isObject)),
    (value) => value,
  );
  constructing(
    'new ProactorLoop({proactor})',
    place(
      'proactor',
      () => undefined,
      optional((value) => value instanceof BaseProactor),
    ),
    (proactor) => ({ proactor }),
  );
  constructing(
    'new ProactorLoop({onError})',
    place('onError', () => ignore, optional(isFunction)),
    (onError) => ({ onError }),
  );
  attacks.push({
    name: 'ProactorLoop whenDone',
    prepare(own) {
      const loop = own(create());
      const operation = loop.proactor.timeout(1e9);
      return {
        ...begin(loop),
        places: [place('operation', () => operation, never), callback],
        call: (...args) => {
          loop.whenDone(...(args as [Operation, () => void]));
        },
      };
    },
  });
  return attacks;
}

/** A connection of a loop, and its peer's socket. */
function connectionAttacks({ index }: Api, kind: 'Reactor' | 'ProactorLoop'): Attack[] {
  const { Socket } = index;
  const attacks: Attack[] = [];
  const attack = (
    name: keyof Connection,
    parameter: Place,
    again: boolean,
    undo?: (connection: Connection) => void,
  ) => {
    attacks.push({
      name: `Connection ${name}, of a ${kind}`,
      prepare(own) {
        const loop: EventLoop = own(new index[kind]());
        let connection: Connection | undefined;
        let received = 0;
        const listener = loop.listen(
          {},
          { open: (opened) => (connection = opened), data: (_, chunk) => (received += chunk.length) },
        );
        let peer: Socket | undefined;
        const accept = (): void => {
          connection?.destroy();
          connection = undefined;
          peer?.close();
          peer = own(new Socket());
          peer.connect(listener.address);
          peer.blocking = false;
          for (let turn = 0; connection === undefined && turn < 10; turn++) loop.runOnce(1000);
        };
        accept();
        const both = () => [connection, peer] as unknown as [Connection, Socket];
        return {
          places: [parameter],
          call: (value) => (both()[0][name] as (v: unknown) => unknown)(value),
          state: () => [both()[0].fd, both()[0].writableLength, listener.address, listener.connections],
          undo() {
            undo?.(both()[0]);
            if (again) accept();
          },
          usable() {
            const [one, other] = both();
            one.write('probe');
            const before = received;
            other.send('x');
            let text = '';
            const deadline = performance.now() + 2000;
            while (!(text.endsWith('probe') && one.writableLength === 0 && received > before)) {
              loop.runOnce(0);
              text += other.recv(1 << 20)?.toString('latin1') ?? '';
              if (performance.now() > deadline) throw new Error(`the peer received ${text.length} bytes`);
            }
          },
        };
      },
    });
  };
  attack(
    'write',
    place('bytes', () => 'data', isBytesOrString),
    false,
  );
  attack(
    'end',
    place('bytes', () => 'data', optional(isBytesOrString)),
    true,
  );
  attack('pause', nothing, false, (connection) => {
    connection.resume();
  });
  attack('resume', nothing, false);
  attack(
    'destroy',
    place(
      'error',
      () => new Error('mine'),
      (value) => value === undefined,
    ),
    true,
  );
  return attacks;
}

function afdAttacks({ index, syscalls }: Api): Attack[] {
  const attacks: Attack[] = [];
  type Port = InstanceType<typeof syscalls.Afd>;
  /** A port with one poll that does not complete. */
  const attack = (name: string, make: (afd: Port, socket: Socket) => Pick<Target, 'places' | 'call'>) => {
    attacks.push({
      name: `Afd ${name}`,
      prepare(own) {
        const [socket] = index.Socket.pair({ blocking: false }).map(own) as [Socket, Socket];
        const afd = own(new syscalls.Afd());
        const pending = afd.poll(socket, syscalls.AFD_POLL_RECEIVE);
        return {
          ...make(afd, socket),
          state: () => [afd.closed],
          usable() {
            while (afd.getQueuedCompletionStatus(64, 0).length > 0);
            const poll = afd.poll(socket, syscalls.AFD_POLL_SEND);
            const [completion] = afd.getQueuedCompletionStatus(1, 1000);
            if (completion?.poll !== poll || poll <= pending)
              throw new Error(`it returns ${JSON.stringify(completion)}`);
          },
        };
      },
    });
  };
  attack('poll', (afd, socket) => ({
    places: [
      place('socket', () => socket, never),
      place('events', () => syscalls.AFD_POLL_SEND, whole(0, 0xffff_ffff)),
    ],
    call: (...args) => afd.poll(...(args as [Socket, number])),
  }));
  attack('cancel', (afd) => ({
    places: [place('poll', () => 999, whole(1, Number.MAX_SAFE_INTEGER))],
    call: (poll) => afd.cancel(poll as number),
  }));
  attack('getQueuedCompletionStatus', (afd, socket) => ({
    places: [place('maxEntries', () => 1, optional(whole(1, INT_MAX))), place('timeout', () => 0, isTimeout)],
    call(...args) {
      afd.poll(socket, syscalls.AFD_POLL_SEND); // so that no wait lasts until its timeout
      return afd.getQueuedCompletionStatus(...(args as [number]));
    },
  }));
  return attacks;
}

function iocpAttacks({ index, syscalls }: Api): Attack[] {
  const { Socket } = index;
  const attacks: Attack[] = [];
  type Port = InstanceType<typeof syscalls.Iocp>;
  /** A port with one associated socket, one socket that is not associated, and a pending receive. */
  const attack = (name: string, make: (port: Port, ours: Socket, other: Socket) => Pick<Target, 'places' | 'call'>) => {
    attacks.push({
      name: `Iocp ${name}`,
      prepare(own) {
        const [ours, other] = Socket.pair({ blocking: false }).map(own) as [Socket, Socket];
        const port = own(new syscalls.Iocp());
        port.associate(ours, 1);
        return {
          ...make(port, ours, other),
          state: () => [port.closed],
          undo: () => port.cancelIoEx(ours),
          usable() {
            while (port.getQueuedCompletionStatus(64, 0).length > 0);
            while ((other.recv(65_536)?.length ?? 0) > 0);
            port.post(5, 6);
            const [packet] = port.getQueuedCompletionStatus(1, 1000);
            if (packet?.key !== 5) throw new Error(`the port returns ${JSON.stringify(packet)}`);
          },
        };
      },
    });
  };
  const label = (name: string) => place(name, () => 0, whole(0, Number.MAX_SAFE_INTEGER));
  const socket = (good: Socket) => place('socket', () => good, never);
  const buffer = place('buffer', () => new Uint8Array(4), isLiveBytes);
  const address = place('address', () => ({ host: '127.0.0.1', port: 9 }), never);
  const file = place('file', () => 999_999, never);
  attack('associate', (p) => ({
    places: [file, label('key')],
    call: (...args) => {
      p.associate(...(args as [number, number]));
    },
  }));
  attack('post', (p) => ({
    places: [label('key'), place('bytes', () => 0, optional(whole(0, 0xffff_ffff)))],
    call: (...args) => {
      p.post(...(args as [number]));
    },
  }));
  attack('acceptEx', (p, ours, other) => ({
    places: [socket(ours), socket(other)],
    call: (...args) => p.acceptEx(...(args as [Socket, Socket])),
  }));
  attack('connectEx', (p, ours) => ({
    places: [socket(ours), address],
    call: (...args) => p.connectEx(...(args as Parameters<Port['connectEx']>)),
  }));
  for (const method of ['wsaRecv', 'wsaRecvFrom', 'wsaSend'] as const) {
    attack(method, (p, ours) => ({
      places: [socket(ours), buffer],
      call: (...args) => void p[method](...(args as [Socket, Uint8Array])),
    }));
  }
  attack('wsaSendTo', (p, ours) => ({
    places: [socket(ours), buffer, address],
    call: (...args) => p.wsaSendTo(...(args as Parameters<Port['wsaSendTo']>)),
  }));
  attack('openFile', (p) => ({
    places: [file, place('access', () => 'read', optional(never))],
    call: (...args) => p.openFile(...(args as [number])),
  }));
  attack('closeFile', (p) => ({
    places: [file],
    call: (handle) => {
      p.closeFile(handle as number);
    },
  }));
  for (const method of ['readFile', 'writeFile'] as const) {
    attack(method, (p, ours) => ({
      places: [socket(ours), buffer, label('position')],
      call: (...args) => void p[method](...(args as [Socket, Uint8Array, number])),
    }));
  }
  attack('cancelIoEx', (p, ours) => ({
    // false for anything that is not pending on it.
    places: [
      place('socket', () => ours, whole(0, HIGHEST_FD)),
      place('operation', () => 1, optional(whole(1, Number.MAX_SAFE_INTEGER))),
    ],
    call: (...args) => p.cancelIoEx(...(args as [Socket, number])),
  }));
  attack('getQueuedCompletionStatus', (p) => ({
    places: [place('maxEntries', () => 1, optional(whole(1, INT_MAX))), place('timeout', () => 0, isTimeout)],
    call(...args) {
      p.post(1); // so that no wait lasts until its timeout
      return p.getQueuedCompletionStatus(...(args as [number]));
    },
  }));
  return attacks;
}

const PROACTORS: Readonly<Record<string, string>> = { io_uring: 'IoUringProactor', iocp: 'IocpProactor' };

/** undefined: there is no class. */
function makerOf({ index }: Api, mechanism: string): (() => BaseProactor) | undefined {
  const [kind, selector] = mechanism.split(':');
  if (kind === 'emulated') return () => new index.EmulatedProactor({ selector: index.createSelector(selector) });
  const Proactor = (index as Readonly<Record<string, unknown>>)[PROACTORS[mechanism] ?? ''];
  return Proactor === undefined ? undefined : () => new (Proactor as new () => BaseProactor)();
}

function proactorAttacks(api: Api): Attack[] {
  const { index } = api;
  const rows = index.availableMechanisms().filter(({ kind, available }) => available && kind === 'completion');
  const attacks = rows.flatMap(({ mechanism }) => {
    const make = makerOf(api, mechanism);
    return make === undefined ? [] : attacksOn(api, mechanism, make);
  });
  const constructing = (name: string, parameter: Place, options: (value: unknown) => unknown) => {
    attacks.push({
      name,
      prepare: () => ({ places: [parameter], call: (value) => new index.EmulatedProactor(options(value) as object) }),
    });
  };
  constructing(
    'new EmulatedProactor',
    place('options', () => ({}), optional(isObject)),
    (value) => value,
  );
  constructing(
    'new EmulatedProactor({selector})',
    place(
      'selector',
      () => undefined,
      optional((value) => value instanceof index.BaseSelector),
    ),
    (selector) => ({ selector }),
  );
  for (const [name, accepts] of [
    ['new IoUringProactor', optional(isObject)],
    ['new IoUringProactor({entries})', optional(whole(1, 4096))],
  ] as const) {
    const isField = name.endsWith('})');
    attacks.push({
      name,
      prepare: () => ({
        places: [place('value', () => undefined, accepts)],
        call: (value) => new index.IoUringProactor((isField ? { entries: value } : value) as object),
      }),
    });
  }
  attacks.push(
    {
      name: 'new DefaultProactor',
      prepare: () => ({
        places: [place('value', () => undefined, optional(isObject))],
        call: (value) => Reflect.construct(index.DefaultProactor, [value]) as unknown,
      }),
    },
    {
      name: 'createProactor',
      prepare: () => ({
        places: [
          place(
            'mechanism',
            () => 'emulated:poll',
            (value) => value === undefined,
          ),
        ],
        call: (value) => index.createProactor(value as string),
      }),
    },
  );
  for (const [name, accepts] of [
    ['new IocpProactor', optional(isObject)],
    ['new IocpProactor({concurrency})', optional(whole(0, INT_MAX))],
  ] as const) {
    const isField = name.endsWith('})');
    attacks.push({
      name,
      prepare: () => ({
        places: [place('value', () => undefined, accepts)],
        call: (value) => new index.IocpProactor((isField ? { concurrency: value } : value) as object),
      }),
    });
  }
  attacks.push({
    name: 'new BaseProactor',
    prepare: () => ({
      places: [place('nothing', () => undefined, never)],
      call: (value) => Reflect.construct(index.BaseProactor, [value]) as unknown,
    }),
  });
  return attacks;
}

/** What an operation may be started on. */
interface OperationTargets {
  readonly connected: Socket;
  readonly listener: Socket;
  readonly datagrams: Socket;
}

function attacksOn({ index }: Api, mechanism: string, make: () => BaseProactor): Attack[] {
  const { Socket } = index;
  const attacks: Attack[] = [];
  const attack = (
    name: string,
    describe: (p: BaseProactor, ground: OperationTargets) => Pick<Target, 'places' | 'call'>,
  ) => {
    attacks.push({
      name: `${mechanism} ${name}`,
      prepare(own) {
        const proactor = own(make());
        const [connected, peer] = Socket.pair({ blocking: false }).map(own) as [Socket, Socket];
        const listener = own(new Socket()).bind({ host: '127.0.0.1', port: 0 }).listen();
        const datagrams = own(new Socket({ type: 'dgram' })).bind({ host: '127.0.0.1', port: 0 });
        const receiving = proactor.recv(peer, 10);
        let begun: Operation | undefined;
        const { places, call } = describe(proactor, { connected, listener, datagrams });
        const finish = () => {
          begun?.cancel();
          while (begun?.pending === true) proactor.wait(1000);
          begun = undefined;
        };
        return {
          places,
          call(...args) {
            const result: unknown = call(...args);
            if (typeof result === 'object' && result !== null && 'kind' in result) begun = result as Operation;
            return begun === undefined ? result : undefined;
          },
          state: () => [proactor.pending, proactor.closed, proactor.mechanism, receiving.pending],
          undo: finish,
          usable() {
            finish();
            proactor.wakeup();
            proactor.wait(1000);
            const due = proactor.timeout(0);
            const [only, ...others] = proactor.wait(1000);
            if (only !== due || others.length > 0) throw new Error('the proactor returns another operation');
          },
        };
      },
    });
  };
  const data = place('data', () => 'data', always);
  const socket = (good: Socket) => place('socket', () => good, never);
  const size = place('size', () => 10, whole(0, 0x7fff_f000));
  const position = place('position', () => 0, whole(0, Number.MAX_SAFE_INTEGER));
  const file = place('file', () => 999_999, whole(0, HIGHEST_FD));
  const bytes = place('bytes', () => 'x', isBytesOrString);
  const address = (listener: Socket) => place('address', () => listener.localAddress, never);

  attack('accept', (p, { listener }) => ({
    places: [socket(listener), data],
    call: (...args) => p.accept(...(args as [Socket])),
  }));
  attack('connect', (p, { listener, datagrams }) => ({
    places: [socket(datagrams), address(listener), data],
    call: (...args) => p.connect(...(args as Parameters<typeof p.connect>)),
  }));
  attack('recv', (p, { connected }) => ({
    places: [socket(connected), size, data],
    call: (...args) => p.recv(...(args as [Socket, number])),
  }));
  attack('recvInto', (p, { connected }) => ({
    places: [socket(connected), place('buffer', () => new Uint8Array(4), isLiveBytes), data],
    call: (...args) => p.recvInto(...(args as [Socket, Uint8Array])),
  }));
  attack('recvFrom', (p, { datagrams }) => ({
    places: [socket(datagrams), size, data],
    call: (...args) => p.recvFrom(...(args as [Socket, number])),
  }));
  // Sent to an address without a receiver, so that no other operation of `usable`'s proactor completes.
  attack('send', (p, { listener }) => ({
    places: [socket(listener), bytes, data],
    call: (...args) => p.send(...(args as [Socket, string])),
  }));
  attack('sendTo', (p, { datagrams, listener }) => ({
    places: [socket(datagrams), bytes, address(listener), data],
    call: (...args) => p.sendTo(...(args as Parameters<typeof p.sendTo>)),
  }));
  attack('read', (p) => ({
    places: [file, size, position, data],
    call: (...args) => p.read(...(args as [number, number, number])),
  }));
  attack('write', (p) => ({
    places: [file, place('bytes', () => new Uint8Array(4), isLiveBytes), position, data],
    call: (...args) => p.write(...(args as [number, Uint8Array, number])),
  }));
  const isDuration: Accepts = (value) => typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
  attack('timeout', (p) => ({
    places: [place('ms', () => 1, isDuration), data],
    call: (...args) => p.timeout(...(args as [number])),
  }));
  const nothing = place('nothing', () => undefined, always);
  attack('cancel', (p) => {
    const operation = p.timeout(1e9);
    return { places: [nothing], call: (value) => (operation.cancel as (v: unknown) => void).call(operation, value) };
  });
  attack('wakeup', (p) => ({ places: [nothing], call: (value) => (p.wakeup as (v: unknown) => void).call(p, value) }));
  attack('wait', (p) => ({
    places: [place('timeout', () => 0, isTimeout)],
    call(timeout) {
      p.wakeup(); // the wait ends at once, whatever its timeout
      return p.wait(timeout as number);
    },
  }));
  const waitAsync = (name: string, parameter: Place, options: (value: unknown) => unknown) => {
    attack(name, (p) => ({
      places: [parameter],
      call(value) {
        p.wakeup();
        return p.waitAsync(options(value) as object);
      },
    }));
  };
  waitAsync(
    'waitAsync',
    place('options', () => ({ timeout: 0 }), optional(isObject)),
    (value) => value,
  );
  waitAsync(
    'waitAsync({timeout})',
    place('timeout', () => 0, isTimeout),
    (timeout) => ({ timeout }),
  );
  const isSignal: Accepts = (value) => value === undefined || value instanceof AbortSignal;
  waitAsync(
    'waitAsync({signal})',
    place('signal', () => undefined, isSignal),
    (signal) => ({ signal }),
  );
  return attacks;
}

function ringAttacks({ index, syscalls }: Api): Attack[] {
  const { Socket, availableMechanisms } = index;
  const { IoUring } = syscalls;
  const attacks: Attack[] = [
    {
      name: 'new IoUring',
      prepare: () => ({
        places: [place('entries', () => 1, optional(whole(1, 32_768)))],
        call: (value) => new IoUring(value as number),
      }),
    },
  ];
  if (!availableMechanisms().some(({ mechanism, available }) => mechanism === 'io_uring' && available)) return attacks;
  const [ENTRIES, NUMBER, CANCEL, NOP] = [8, 7, 8, 9];
  type Ring = InstanceType<typeof IoUring>;
  const attack = (name: string, make: (ring: Ring, a: Socket, b: Socket) => Pick<Target, 'places' | 'call'>) => {
    attacks.push({
      name: `IoUring ${name}`,
      prepare(own) {
        const ring = own(new IoUring(ENTRIES));
        const [a, b] = Socket.pair({ blocking: false }).map(own) as [Socket, Socket];
        return {
          ...make(ring, a, b),
          state: () => [ring.fd, ring.closed, ring.sqEntries, ring.cqEntries, ring.features],
          usable() {
            // Cancels pending operations of that number; ENOENT when there are none left.
            for (let is = true; is;) {
              ring.prepCancel(NUMBER, CANCEL);
              ring.enter(1, 1000);
              is = !ring.completions().some(({ userData, res }) => userData === CANCEL && res === -2);
            }
            ring.prepNop(NOP);
            ring.enter(1, 1000);
            const found = ring.completions();
            if (!found.some(({ userData, res }) => userData === NOP && res === 0))
              throw new Error(`the ring returns ${JSON.stringify(found)}`);
          },
        };
      },
    });
  };
  const userData = place('userData', () => NUMBER, whole(0, Number.MAX_SAFE_INTEGER));
  const file = (good: Socket) => place('fd', () => good, whole(0, HIGHEST_FD));
  const buffer = place('buffer', () => new Uint8Array(4), isLiveBytes);
  const flags = place('flags', () => 0, whole(-0x8000_0000, INT_MAX));
  const position = place('position', () => -1, whole(-1, Number.MAX_SAFE_INTEGER));
  const isDuration: Accepts = (value) => typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER;

  attack('supports', (r) => ({
    places: [place('opcode', () => 0, whole(0, 255))],
    call: (opcode) => r.supports(opcode as number),
  }));
  const preparing = (name: keyof Ring & `prep${string}`, places: (a: Socket) => readonly Place[]) => {
    attack(name, (r, a) => ({
      places: places(a),
      call: (...args) => {
        (r[name] as (...values: readonly unknown[]) => void)(...args);
      },
    }));
  };
  preparing('prepNop', () => [userData]);
  preparing('prepAccept', (a) => [file(a), place('flags', () => 0, whole(0, INT_MAX)), userData]);
  preparing('prepConnect', (a) => [file(a), place('address', () => ({ path: '' }), never), userData]);
  preparing('prepRecv', (a) => [file(a), buffer, flags, userData]);
  preparing('prepSend', (a) => [file(a), buffer, flags, userData]);
  preparing('prepRead', (a) => [file(a), buffer, position, userData]);
  preparing('prepWrite', (a) => [file(a), buffer, position, userData]);
  preparing('prepPollAdd', (a) => [file(a), place('events', () => 1, whole(0, 0xffff)), userData]);
  preparing('prepTimeout', () => [place('ms', () => 1, isDuration), userData]);
  preparing('prepCancel', () => [place('target', () => NUMBER, whole(0, Number.MAX_SAFE_INTEGER)), userData]);
  attack('enter', (r) => ({
    places: [place('minComplete', () => 1, optional(whole(0, 0xffff_ffff))), place('timeout', () => 0, isNotNegative)],
    call(...args) {
      for (let i = 0; i < r.cqEntries; i++) r.prepNop(1); // the wait ends at once, whatever its timeout
      return r.enter(...(args as [number, number]));
    },
  }));
  attack('completions', (r) => ({
    places: [place('max', () => 10, optional(whole(0, 0xffff_ffff)))],
    call(max) {
      r.prepNop(1);
      r.enter();
      return r.completions(max as number);
    },
  }));
  return attacks;
}

function sharedFileAttacks({ syscalls }: Api): Attack[] {
  const { SharedFile } = syscalls;
  const attacks: Attack[] = [];
  type Own = Parameters<Attack['prepare']>[0];
  const pathOf = (own: Own): string => join(own(temporaryFolder()).path, 'shared');
  attacks.push({
    name: 'new SharedFile',
    prepare(own) {
      const path = pathOf(own);
      return {
        places: [
          // These would create files in the working directory.
          place(
            'path',
            () => path,
            never,
            (value) => ['x', '1', '\ud800'].includes(value as string),
          ),
          place('size', () => 100, whole(1, 2 ** 30)),
        ],
        call: (...args) => new SharedFile(...(args as [string, number])),
      };
    },
  });
  const attack = (name: string, make: (file: InstanceType<typeof SharedFile>) => Pick<Target, 'call' | 'undo'>) => {
    attacks.push({
      name: `SharedFile ${name}`,
      prepare(own) {
        const file = own(new SharedFile(pathOf(own), 100));
        return {
          places: [place('nothing', () => undefined, always)],
          ...make(file),
          state: () => [file.closed, file.memory, file.memory.byteLength],
          usable() {
            if (!file.tryLock()) throw new Error('the lock is lost');
            file.unlock();
          },
        };
      },
    });
  };
  for (const name of ['lock', 'tryLock'] as const)
    attack(name, (file) => ({
      call: (value) => (file[name] as (value: unknown) => unknown).call(file, value),
      undo: () => file.unlock(),
    }));
  attack('unlock', (file) => ({
    call(value) {
      file.lock();
      (file.unlock as (value: unknown) => void).call(file, value);
    },
  }));
  return attacks;
}

export function attacks(api: Api): Attack[] {
  return [
    ...functionAttacks(api),
    ...selectorAttacks(api),
    ...socketAttacks(api),
    ...syscallAttacks(api),
    ...sharedFileAttacks(api),
    ...reactorAttacks(api),
    ...proactorLoopAttacks(api),
    ...connectionAttacks(api, 'Reactor'),
    ...connectionAttacks(api, 'ProactorLoop'),
    ...ringAttacks(api),
    ...proactorAttacks(api),
  ];
}

// ------------------------------------------------------------------------------------------------------- running the attacks

/** The number of open files. */
const openCount = () => (process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0);

/** libkqueue closes the internals of a kqueue later, in its own thread. */
const closesLater = (api: Api) => process.platform === 'linux' && api.syscalls.EVFILT_READ !== 0;

/** Descriptors of the kinds that this package opens; Node and the test runner open and close other kinds at any time. */
function descriptors(): Set<string> {
  if (process.platform !== 'linux') return new Set();
  const open = new Set<string>();
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      const what = readlinkSync(`/proc/self/fd/${name}`);
      if (/^(socket:|anon_inode:\[(eventfd|eventpoll)\])/.test(what)) open.add(`${name} ${what}`);
    } catch {
      // The descriptor that read the folder; it is closed by now.
    }
  }
  return open;
}

/** What is wrong with an error; undefined if nothing is. */
export function faultOf(error: unknown): string | undefined {
  if (!types.isNativeError(error)) return `threw a value that is not an Error: ${typeof error}`;
  const { code, message } = error as NodeJS.ErrnoException;
  if (typeof code !== 'string' || !/^(ERR_[A-Z_]+|E[A-Z0-9_]+|ABORT_ERR|UNKNOWN)$/.test(code)) {
    return `threw an error without a code: ${error.stack ?? message}`;
  }
  if (message.startsWith('native argument')) return `was not checked before the addon did: ${message}`;
  return undefined;
}

function release(result: unknown): void {
  for (const made of Array.isArray(result) ? (result as unknown[]) : [result]) {
    const close = (made as { close?: unknown } | null | undefined)?.close;
    if (typeof close === 'function') close.call(made);
  }
}

async function strike(
  name: string,
  target: Target,
  at: number,
  { name: valueName, value }: BadValue,
  known: ReadonlySet<string> | null,
): Promise<string[]> {
  const parameter = target.places[at];
  if (parameter === undefined || parameter.leaveOut?.(value) === true) return [];
  const faults: string[] = [];
  const complain = (what: string) => faults.push(`${name}, ${parameter.name} = ${valueName}: ${what}`);
  const args = target.places.map(({ good }, index) => (index === at ? value : good()));
  const [state, open] = [target.state?.() ?? [], known === null ? Infinity : openCount()];
  let failed = false;
  try {
    const result: unknown = target.call(...args);
    const settled: unknown = types.isPromise(result) ? await result : result;
    if (!parameter.accepts(value)) complain('was accepted');
    release(settled);
    target.undo?.();
  } catch (error) {
    failed = true;
    const fault = faultOf(error);
    if (fault !== undefined) complain(fault);
  }
  const after = target.state?.() ?? [];
  const same = failed
    ? state.length === after.length && state.every((part, i) => Object.is(part, after[i]))
    : state.length === after.length;
  if (!same) complain('left another state behind');
  try {
    target.usable?.();
  } catch (error) {
    complain(`it no longer works afterwards: ${(error as Error).message}`);
  }
  if (openCount() > open) {
    // Node and the test runner may have opened files meanwhile: only new descriptors of our kinds count.
    for (const what of descriptors()) if (known?.has(what) === false) complain(`left a descriptor open: ${what}`);
  }
  return faults;
}

/** @returns a description of each fault; empty if there is none. */
export async function carryOut(api: Api, attack: Attack): Promise<{ faults: string[]; strikes: number }> {
  const owned: { close(): void }[] = [];
  const target = attack.prepare((closable) => {
    owned.push(closable);
    return closable;
  });
  const faults: string[] = [];
  let strikes = 0;
  const known = closesLater(api) ? null : descriptors();
  try {
    for (const at of target.places.keys()) {
      for (const bad of badValues(api)) {
        faults.push(...(await strike(attack.name, target, at, bad, known)));
        strikes++;
      }
    }
  } finally {
    for (const closable of owned.reverse()) closable.close();
  }
  return { faults, strikes };
}
