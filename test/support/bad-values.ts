/** Every kind of wrong value that a caller can pass. No runtime import of the package: children get it as a parameter. */
import { types } from 'node:util';
import { createServer, Socket as NetSocket } from 'node:net';
import type * as Index from '../../src/index.js';
import type * as Syscalls from '../../src/syscalls.js';

export interface Api {
  readonly index: typeof Index;
  readonly syscalls: typeof Syscalls;
}

export interface BadValue {
  readonly name: string;
  readonly value: unknown;
}

const refuse = (): never => {
  throw new Error('thrown by the caller');
};

/** Every trap throws. */
export function throwingProxy(target: object): object {
  const traps = Object.getOwnPropertyNames(Reflect).filter(
    (name) => typeof Reflect[name as keyof typeof Reflect] === 'function',
  );
  return new Proxy(target, Object.fromEntries(traps.map((trap) => [trap, refuse])));
}

function withGetters(...names: readonly string[]): object {
  const object = {};
  for (const name of names) Object.defineProperty(object, name, { get: refuse, enumerable: true });
  return object;
}

/** Its memory is detached. */
export function detached<T extends { readonly buffer: ArrayBufferLike }>(view: T): T {
  structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
  return view;
}

/** The error that the caller throws is itself hostile. */
function hostileError(): Error {
  return Object.defineProperty(new Error('hostile'), 'code', { get: refuse });
}

function lying(view: Uint8Array, property: string, get: () => unknown): Uint8Array {
  return Object.defineProperty(view, property, { get });
}

export function isLiveBytes(value: unknown): boolean {
  if (!types.isUint8Array(value)) return false;
  try {
    Reflect.construct(Uint8Array, [
      Reflect.get(Object.getPrototypeOf(Uint8Array.prototype) as object, 'buffer', value),
    ]);
    return true;
  } catch {
    return false;
  }
}

/** New values at each call: using some of them breaks them. */
export function badValues({ index, syscalls }: Api): BadValue[] {
  const list: BadValue[] = [];
  const add = (name: string, value: unknown) => list.push({ name, value });

  for (const value of [undefined, null, true, false]) add(String(value), value);
  for (const value of ['', 'x', '1', '\0', 'x\0y', '\ud800', 'x'.repeat(100_000)])
    add(`string ${JSON.stringify(value.slice(0, 10))}`, value);
  for (const value of [
    NaN,
    Infinity,
    -Infinity,
    -1,
    -0.5,
    1.5,
    999_999,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32,
    2 ** 53,
    1e308,
    -1e308,
    -(2 ** 31),
    5e-324,
  ]) {
    add(String(value), value);
  }
  add('1n', 1n);
  add('2n ** 64n', 2n ** 64n);
  add('symbol', Symbol('bad'));
  add('Symbol.iterator', Symbol.iterator);
  add('function', () => 1);
  add('throwing function', refuse);
  add('class', class {});
  add('[]', []);
  add('[null]', [null]);
  add("['x']", ['x']);
  add('[NaN]', [NaN]);
  add('sparse array', new Array(3));
  add('{}', {});
  add('object without prototype', Object.create(null));
  add('Date', new Date(0));
  add('Map', new Map());
  add('RegExp', /x/);
  add('new Number(1)', new Number(1));
  add('new String("x")', new String('x'));
  add('valueOf', { valueOf: () => 1, toString: () => '1' });
  add('throwing valueOf', { valueOf: refuse, toString: refuse, [Symbol.toPrimitive]: refuse });
  add('promise', Promise.resolve(1));

  // Bytes
  add('Uint8Array(0)', new Uint8Array(0));
  add('detached Uint8Array', detached(new Uint8Array(8)));
  add('detached Buffer', detached(Buffer.from(new ArrayBuffer(8))));
  add('detached Uint8Array(0)', detached(new Uint8Array(0)));
  add('shared Uint8Array', new Uint8Array(new SharedArrayBuffer(8)));
  add('shared Uint8Array(0)', new Uint8Array(new SharedArrayBuffer(0)));
  add('Int32Array', new Int32Array(2));
  add('detached Int32Array', detached(new Int32Array(2)));
  add('Float64Array', new Float64Array(6));
  add('BigInt64Array', new BigInt64Array(1));
  add('DataView', new DataView(new ArrayBuffer(8)));
  add('ArrayBuffer', new ArrayBuffer(8));
  add('SharedArrayBuffer', new SharedArrayBuffer(8));
  add('Uint8Array of a getter "length" that throws', lying(new Uint8Array(4), 'length', refuse));
  add(
    'Uint8Array that says length 1e9',
    lying(new Uint8Array(4), 'length', () => 1e9),
  );
  add(
    'Uint8Array that says length NaN',
    lying(new Uint8Array(4), 'length', () => NaN),
  );
  add('Uint8Array of a getter "buffer" that throws', lying(new Uint8Array(4), 'buffer', refuse));
  add(
    'Uint8Array without a buffer',
    lying(new Uint8Array(4), 'buffer', () => undefined),
  );
  add('object of Uint8Array.prototype', Object.create(Uint8Array.prototype));

  // Objects that throw when they are accessed
  add('throwing proxy', throwingProxy({}));
  add('throwing proxy of an array', throwingProxy([1]));
  add(
    'throwing proxy of a function',
    throwingProxy(() => 1),
  );
  add('throwing proxy of a Uint8Array', throwingProxy(new Uint8Array(4)));
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  add('revoked proxy', revoked.proxy);
  add(
    'getters that throw',
    withGetters('fd', 'fileno', 'timeout', 'signal', 'family', 'blocking', 'host', 'path', 'raw', 'length', 'ident'),
  );
  add('getter "fd" that throws', withGetters('fd'));
  add('getter "_handle" that throws', withGetters('_handle'));
  const hostile = Object.defineProperty({}, 'fd', {
    get(): never {
      throw hostileError();
    },
  });
  add(
    'getter that throws a hostile error',
    Object.defineProperties(
      hostile,
      Object.fromEntries(
        ['timeout', 'family', 'host', 'blocking', 'ident'].map((name) => [
          name,
          { get: () => Reflect.get(hostile, 'fd') as unknown },
        ]),
      ),
    ),
  );
  add('getter that throws undefined', {
    get timeout(): never {
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- callers may throw anything
      throw undefined;
    },
    get fd(): never {
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- callers may throw anything
      throw undefined;
    },
  });

  // File objects without a descriptor
  add('fileno() that throws', { fileno: refuse });
  for (const answer of ['x', NaN, -1, 1.5, 2 ** 32, 1e308, null, undefined, {}, 3n, Symbol('fd')]) {
    add(`fileno() of ${String(answer)}`, { fileno: () => answer });
    add(`fd of ${String(answer)}`, { fd: answer });
  }
  add('_handle without fd', { _handle: {} });
  add('_handle of -1', { _handle: { fd: -1 } });
  add('net.Socket without a handle', new NetSocket());
  add('net.Server without a handle', createServer());

  // Iterables that misbehave
  add('iterator that throws', { [Symbol.iterator]: refuse });
  add('iterator that is none', { [Symbol.iterator]: () => 5 });
  add('iterator without next', { [Symbol.iterator]: () => ({}) });
  add('iterator of nonsense', { [Symbol.iterator]: () => ({ next: () => 5 }) });
  add('next() that throws', { [Symbol.iterator]: () => ({ next: refuse }) });
  add('Symbol.iterator that is no function', { [Symbol.iterator]: 1 });
  add('length that lies', { length: 1e9 });

  // Closed objects
  const socket = new index.Socket();
  socket.close();
  add('closed Socket', socket);
  const selector = new index.DefaultSelector();
  selector.close();
  add('closed selector', selector);
  const poll = new syscalls.Poll();
  poll.close();
  add('closed Poll', poll);
  if (syscalls.EPOLLIN !== 0) {
    const epoll = new syscalls.Epoll();
    epoll.close();
    add('closed Epoll', epoll);
  }

  // Objects that are not AbortSignals
  add('object of AbortSignal.prototype', Object.create(AbortSignal.prototype));
  add('signal whose addEventListener throws', badSignal());
  return list;
}

/** Looks like an AbortSignal, and throws from addEventListener. */
export function badSignal(): AbortSignal {
  return Object.create(AbortSignal.prototype, {
    aborted: { value: false },
    addEventListener: { value: refuse },
    removeEventListener: { value: refuse },
  }) as AbortSignal;
}
