/**
 * The addon itself, called directly with wrong values. TypeScript lets none of them through; a mistake there must still be an error,
 * not a crash and not a byte written outside of the memory that was given. Runs in a child process: no runtime import of the package.
 */
import { types } from 'node:util';
import { type Api, badValues } from './bad-values.js';

export type Addon = Readonly<Record<string, unknown>>;
type Callable = (...args: readonly unknown[]) => unknown;
type Class = new (...args: readonly unknown[]) => Record<string, Callable>;

/** What an argument must be; anything else must throw. */
const kinds = {
  fd: (value: unknown) =>
    isWhole(
      value,
      process.platform === 'win32' ? 0 : -0x8000_0000,
      process.platform === 'win32' ? 0xffff_ffff : 0x7fff_ffff,
    ),
  int: (value: unknown) => isWhole(value, -0x8000_0000, 0x7fff_ffff),
  size: (value: unknown) => isWhole(value, 0, 0xffff_ffff),
  time: (value: unknown) => typeof value === 'number' && !Number.isNaN(value),
  flag: (value: unknown) => typeof value === 'boolean',
  text: (value: unknown) => typeof value === 'string',
  bytes: (value: unknown) => types.isUint8Array(value),
  ints: (value: unknown) => types.isInt32Array(value),
  doubles: (value: unknown) => types.isFloat64Array(value),
  function: (value: unknown) => typeof value === 'function',
} as const;
type Kind = keyof typeof kinds;

function isWhole(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
}

const GUARD = 64;
const CANARY = 0xa5;
const guarded = new Set<{ readonly buffer: ArrayBuffer; readonly start: number; readonly end: number }>();

/** A view with untouched memory before and after it. */
function within<T>(
  Type: { new (buffer: ArrayBuffer, offset: number, length: number): T; readonly BYTES_PER_ELEMENT: number },
  length: number,
  fill: (view: T) => void = () => undefined,
): T {
  const bytes = length * Type.BYTES_PER_ELEMENT;
  const buffer = new ArrayBuffer(bytes + 2 * GUARD);
  new Uint8Array(buffer).fill(CANARY);
  new Uint8Array(buffer, GUARD, bytes).fill(0);
  const view = new Type(buffer, GUARD, length);
  fill(view);
  guarded.add({ buffer, start: GUARD, end: GUARD + bytes });
  return view;
}

function guardsHold(): boolean {
  let hold = true;
  for (const { buffer, start, end } of guarded) {
    const all = new Uint8Array(buffer);
    hold &&=
      all.subarray(0, start).every((byte) => byte === CANARY) && all.subarray(end).every((byte) => byte === CANARY);
  }
  guarded.clear();
  return hold;
}

type Parameter = readonly [kind: Kind, good: () => unknown];

export function attackAddon(native: Addon, api: Api): { faults: string[]; strikes: number; functions: string[] } {
  const faults: string[] = [];
  let strikes = 0;
  const { Socket } = api.index;
  let [a, b] = Socket.pair({ blocking: false });
  const fd: Parameter = ['fd', () => a.fd];
  const number = (kind: Kind, value: number): Parameter => [kind, () => value];
  const ints = (...values: readonly number[]): Parameter => [
    'ints',
    () => within(Int32Array, values.length, (view) => view.set(values)),
  ];
  const bytes = (length: number): Parameter => ['bytes', () => within(Uint8Array, length)];
  const doubles = (...values: readonly number[]): Parameter => [
    'doubles',
    () => within(Float64Array, values.length, (view) => view.set(values)),
  ];
  const flag: Parameter = ['flag', () => true];
  const path: Parameter = ['text', () => '/tmp/x'];
  const sets = api.syscalls.EPOLLIN === 0 ? undefined : new api.syscalls.Epoll();
  sets?.add(a.fd, api.syscalls.EPOLLOUT);
  const kqueue = native.kevent === undefined ? undefined : new api.syscalls.Kqueue();
  kqueue?.control([api.syscalls.kevent(a.fd, api.syscalls.EVFILT_WRITE)], 0, 0);
  const wakeup = new (native.Wakeup as Class)();
  wakeup.open?.();

  // The socket is ready to be written, so that no timeout is waited for.
  const signatures: Readonly<Record<string, readonly Parameter[]>> = {
    wakeup: [['size', () => wakeup.handle?.()]],
    select: [
      ints(),
      number('size', 0),
      ints(a.fd),
      number('size', 1),
      ints(),
      number('size', 0),
      ints(0, 0),
      number('time', 0),
    ],
    poll: [ints(a.fd, api.syscalls.POLLOUT), number('size', 1), ints(0, 0), number('time', 0)],
    epoll_create1: [],
    epoll_ctl: [['fd', () => sets?.fd], number('int', 3), fd, number('int', 4), number('int', 0), number('int', 0)],
    epoll_wait: [['fd', () => sets?.fd], ints(0, 0, 0, 0, 0, 0), number('size', 2), number('time', 0)],
    kqueue: [],
    kevent: [
      ['fd', () => kqueue?.fd],
      doubles(1e6, -1, 2, 0, 0, 0),
      number('size', 0),
      doubles(0, 0, 0, 0, 0, 0),
      number('size', 1),
      number('time', 0),
    ],
    resolve: [['text', () => '127.0.0.1'], number('size', 80), number('int', 0)],
    encodeUnix: [path],
    decode: [bytes(16)],
    socket: [number('int', 1), number('int', 1), number('int', 0)],
    socketpair: [number('int', 1), number('int', 1), number('int', 0), ints(0, 0)],
    bind: [fd, bytes(16)],
    listen: [fd, number('int', 1)],
    accept: [fd, flag],
    connect: [fd, bytes(16)],
    recv: [fd, bytes(8), number('size', 2), number('size', 4), number('int', 0)],
    send: [fd, bytes(8), number('size', 2), number('size', 4), number('int', 0)],
    recvfrom: [fd, bytes(8), number('int', 0), bytes(16), ints(0)],
    sendto: [fd, bytes(8), number('int', 0), bytes(16)],
    shutdown: [number('fd', 999_999), number('int', 0)],
    getsockname: [fd, bytes(16)],
    getpeername: [fd, bytes(16)],
    setsockopt: [fd, number('int', 1), number('int', 2), bytes(4)],
    getsockopt: [fd, number('int', 1), number('int', 2), bytes(4)],
    setLinger: [fd, number('int', -1)],
    getLinger: [fd, ints(0)],
    isOpen: [fd],
    duplicate: [fd],
    isNonBlocking: [fd],
    setNonBlocking: [fd, flag],
    isInheritable: [fd],
    setInheritable: [fd, flag],
    sendFds: [fd, bytes(4), ints(b.fd), number('size', 1)],
    recvFds: [fd, bytes(8), ints(0, 0), ints(0, 0)],
    WSADuplicateSocket: [fd, number('size', process.pid), bytes(1024)],
    WSASocket: [bytes(1024)],
  };
  /** What a call that succeeded opened. */
  const opens: Readonly<Record<string, (result: number, args: readonly unknown[]) => readonly number[]>> = {
    socket: (result) => [result],
    epoll_create1: (result) => [result],
    kqueue: (result) => [result],
    accept: (result) => [result],
    duplicate: (result) => [result],
    WSASocket: (result) => [result],
    socketpair: (_, args) => [...(args[3] as Int32Array)].slice(0, 2),
    recvFds: (_, args) => [...(args[2] as Int32Array)].slice(0, (args[3] as Int32Array)[0]),
  };

  const complain = (what: string) => faults.push(what);
  const strike = (what: string, call: () => unknown, mustThrow: boolean, args: readonly unknown[] = [], name = '') => {
    strikes++;
    try {
      const result = call();
      if (mustThrow) complain(`${what}: was accepted`);
      if (typeof result === 'number' && result >= 0 && name in opens) {
        for (const made of opens[name]?.(result, args) ?? []) new (native.Descriptor as Class)(made).close?.();
      }
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof RangeError)) complain(`${what}: threw ${String(error)}`);
    }
    if (!guardsHold()) complain(`${what}: wrote outside of the memory it was given`);
    try {
      while ((b.recv(65_536)?.length ?? 0) > 0);
      b.send('x'); // so that there is something to receive
    } catch (error) {
      complain(`${what}: broke the socket (${String(error)})`);
      [a, b] = Socket.pair({ blocking: false });
    }
  };

  const functions = Object.keys(native).filter(
    (name) => typeof native[name] === 'function' && !/^[A-Z](?!SA)/.test(name),
  );
  for (const name of functions) {
    const parameters = signatures[name];
    if (parameters === undefined) {
      complain(`${name}: has no row here`);
      continue;
    }
    const call = native[name] as Callable;
    const good = () => parameters.map(([, make]) => make());
    for (const [at, [kind]] of parameters.entries()) {
      for (const { name: valueName, value } of badValues(api)) {
        // Names are looked up in the network.
        if (name === 'resolve' && kind === 'text' && typeof value === 'string') continue;
        const args = good();
        args[at] = value;
        strike(
          `${name}, argument ${at} (${kind}) = ${valueName}`,
          () => call(...args),
          !kinds[kind](value),
          args,
          name,
        );
      }
      const few = good().slice(0, at);
      strike(`${name} with ${at} arguments`, () => call(...few), true, few, name);
    }
    for (const { name: valueName, value } of badValues(api)) {
      const all = parameters.map(() => value);
      if (name === 'resolve') continue;
      strike(
        `${name}, all ${valueName}`,
        () => call(...all),
        parameters.some(([kind]) => !kinds[kind](value)),
        all,
        name,
      );
      const args = good();
      strike(`${name} on ${valueName}`, () => Reflect.apply(call, value, args), false, args, name);
    }
    const many = [...good(), ...badValues(api).map(({ value }) => value)];
    strike(`${name} with ${many.length} arguments`, () => call(...many), false, many, name);
    strike(`new ${name}`, () => Reflect.construct(call, good()) as unknown, false, [], '');
    // Sizes that say more than there is, and views of all lengths.
    for (const [at, [kind]] of parameters.entries()) {
      if (kind === 'size' && !['wakeup', 'resolve', 'WSADuplicateSocket'].includes(name)) {
        const args = good();
        args[at] = 1000;
        strike(`${name}, argument ${at} says 1000`, () => call(...args), true, args, name);
      }
      for (let length = 0; length < 12; length++) {
        const args = good();
        if (kind === 'bytes') args[at] = within(Uint8Array, length);
        else if (kind === 'ints') args[at] = within(Int32Array, length);
        else if (kind === 'doubles') args[at] = within(Float64Array, length);
        else break;
        strike(`${name}, argument ${at} of length ${length}`, () => call(...args), false, args, name);
      }
    }
    // One memory for all, its parts overlapping.
    for (let shift = 0; shift < 4; shift++) {
      const buffer = new ArrayBuffer(256);
      new Int32Array(buffer).fill(a.fd);
      const args = parameters.map(([kind, make]) => {
        if (kind === 'bytes') return new Uint8Array(buffer, shift, 64);
        if (kind === 'ints') return new Int32Array(buffer, 4 * shift, 16);
        if (kind === 'doubles') return new Float64Array(buffer, 8 * shift, 12);
        return make();
      });
      strike(`${name}, overlapping by ${shift}`, () => call(...args), false, args, name === 'recvFds' ? '' : name);
    }
  }
  functions.push(...attackClasses(native, api, strike));
  wakeup.close?.();
  sets?.close();
  kqueue?.close();
  a.close();
  b.close();
  return { faults, strikes, functions };
}

function attackClasses(
  native: Addon,
  api: Api,
  strike: (what: string, call: () => unknown, mustThrow: boolean) => void,
): string[] {
  const names = Object.keys(native).filter((name) => typeof native[name] === 'function' && /^[A-Z](?!SA)/.test(name));
  const make: Readonly<Record<string, () => Record<string, Callable>>> = {
    Descriptor: () => new (native.Descriptor as Class)(999_999),
    Wakeup: () => new (native.Wakeup as Class)(),
    Waiter: () => new (native.Waiter as Class)(),
  };
  for (const name of names) {
    const Type = native[name] as Class;
    const methods = Object.getOwnPropertyNames(Type.prototype).filter((method) => method !== 'constructor');
    strike(`${name} without new`, () => (native[name] as Callable)(1), true);
    for (const other of names) {
      // An object of one class in the clothes of another.
      strike(
        `${name} built for ${other}`,
        () => {
          const object: Record<string, Callable> = Reflect.construct(Type, [999_999], native[other] as Class);
          if (name !== other)
            for (const method of Object.getOwnPropertyNames((native[other] as Class).prototype))
              if (method !== 'constructor') object[method]?.();
        },
        name !== other,
      );
    }
    strike(`${name} built for Object`, () => Reflect.construct(Type, [999_999], Object), false);
    strike(`${name} extended`, () => new (class extends Type {})(999_999), false);
    for (const { name: valueName, value } of badValues(api)) {
      strike(`new ${name}(${valueName})`, () => new Type(value), name === 'Descriptor' && !kinds.fd(value));
      for (const method of methods) {
        const body = Type.prototype[method] as Callable;
        strike(`${name}.${method} on ${valueName}`, () => Reflect.apply(body, value, [1, 2, 3, 4, 5]), true);
        const object = make[name]?.();
        strike(
          `${name}.${method}(${valueName}) unopened`,
          () => object?.[method]?.(value, value, value, value, value),
          false,
        );
        object?.open?.();
        const mayBe = method !== 'start';
        strike(
          `${name}.${method}(${valueName}) opened`,
          () => object?.[method]?.(value, value, value, value, value),
          !mayBe,
        );
        object?.close?.();
        strike(`${name}.${method}(${valueName}) closed`, () => object?.[method]?.(value), false);
      }
    }
    for (const method of methods) {
      const body = Type.prototype[method] as Callable;
      for (const other of names.filter((one) => one !== name)) {
        const foreign = make[other]?.();
        strike(`${name}.${method} on a ${other}`, () => Reflect.apply(body, foreign, []), true);
      }
      strike(`${name}.${method} on its prototype`, () => Reflect.apply(body, Type.prototype, []), true);
      strike(
        `${name}.${method} on an object without the inside`,
        () => Reflect.apply(body, Object.create(Type.prototype), []),
        true,
      );
    }
  }
  attackStart(native, api, strike);
  return names;
}

/** Waiter.start(useSelect, interest, count, timeout, callback), each place. */
function attackStart(
  native: Addon,
  api: Api,
  strike: (what: string, call: () => unknown, mustThrow: boolean) => void,
): void {
  const good = (): unknown[] => [false, new Int32Array(0), 0, 1, () => undefined];
  const places: readonly Kind[] = ['flag', 'ints', 'size', 'time', 'function'];
  for (const [at, kind] of places.entries()) {
    for (const { name, value } of badValues(api)) {
      const waiter = new (native.Waiter as Class)();
      waiter.open?.();
      const args = good();
      args[at] = value;
      const mustThrow = !kinds[kind](value) || (kind === 'size' && (value as number) > 0);
      // What a callback throws belongs to the process.
      if (!(kind === 'function' && typeof value === 'function'))
        strike(`Waiter.start, argument ${at} = ${name}`, () => waiter.start?.(...args), mustThrow);
      waiter.interrupt?.();
      waiter.close?.();
      waiter.close?.();
    }
  }
  for (let i = 0; i < 100; i++) {
    // Dropped while it waits, in each of its states.
    const waiter = new (native.Waiter as Class)();
    if (i % 4 > 0) waiter.open?.();
    if (i % 4 > 1) waiter.start?.(i % 2 === 0, new Int32Array(0), 0, i, () => undefined);
    if (i % 4 > 2) waiter.interrupt?.();
    if (i % 3 === 0) waiter.close?.();
  }
}
