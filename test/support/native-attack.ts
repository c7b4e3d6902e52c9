/**
 * Calls the addon directly with wrong values. The TypeScript layer rejects them all; should it fail to, the addon must throw,
 * and neither crash nor write outside the memory it was given. Runs in a child process: no runtime import of the package.
 */
import { constants } from 'node:os';
import { join } from 'node:path';
import { types } from 'node:util';
import { type Api, badValues, detached } from './bad-values.js';
import { type FaultAddon, attackFaults, faultPlan } from './fault-attack.js';
import { temporaryFolder } from './folders.js';
import { type RecordingAddon, attackRecording, isSharedBytes, traceMemory } from './recording-attack.js';

export type Addon = Readonly<Record<string, unknown>>;
type Callable = (...args: readonly unknown[]) => unknown;
type Class = new (...args: readonly unknown[]) => Record<string, Callable>;

/** The valid values of an argument; any other value must throw. */
const kinds = {
  fd: (value: unknown) =>
    isWhole(
      value,
      process.platform === 'win32' ? 0 : -0x8000_0000,
      process.platform === 'win32' ? 0xffff_ffff : 0x7fff_ffff,
    ),
  int: (value: unknown) => isWhole(value, -0x8000_0000, 0x7fff_ffff),
  size: (value: unknown) => isWhole(value, 0, 0xffff_ffff),
  // Numbers that are not the size of another argument.
  count: (value: unknown) => isWhole(value, 0, 0xffff_ffff),
  length: (value: unknown) => isWhole(value, 0, 0x7fff_ffff),
  label: (value: unknown) => isWhole(value, 0, Number.MAX_SAFE_INTEGER),
  id: (value: unknown) => isWhole(value, 1, Number.MAX_SAFE_INTEGER),
  time: (value: unknown) => typeof value === 'number' && !Number.isNaN(value),
  flag: (value: unknown) => typeof value === 'boolean',
  text: (value: unknown) => typeof value === 'string',
  bytes: (value: unknown) => types.isUint8Array(value),
  sharedBytes: isSharedBytes,
  sharedInts: (value: unknown) => types.isInt32Array(value) && types.isSharedArrayBuffer(value.buffer),
  wait: (value: unknown) => waits.has(value),
  ints: (value: unknown) => types.isInt32Array(value),
  doubles: (value: unknown) => types.isFloat64Array(value),
  function: (value: unknown) => typeof value === 'function',
  list: (value: unknown) => !types.isProxy(value) && Array.isArray(value),
  number: (value: unknown) => typeof value === 'number',
  entries: (value: unknown) => isWhole(value, 0, 0xffff_ffff),
  bytesOfFile: (value: unknown) => isWhole(value, 1, 2 ** 30),
  octet: (value: unknown) => isWhole(value, 0, 255),
  generation: (value: unknown) => isWhole(value, 0, 0xfff_ffff),
  position: (value: unknown) => typeof value === 'number' && value >= -1 && value <= Number.MAX_SAFE_INTEGER,
  room: (value: unknown) => types.isUint8Array(value) || isWhole(value, 0, 0x7fff_ffff),
} as const;
type Kind = keyof typeof kinds;

/** Bytes that one turn of a ring receives from one connection. */
const SHARE = 65_536;

function isWhole(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
}

/** The multiplexers created so far. */
const waits = new Set<unknown>();

function makeWait(native: Addon, mechanism: string): Callable {
  const wait = (native.multiplexers as Readonly<Record<string, () => Callable>>)[mechanism]?.() as Callable;
  waits.add(wait);
  return wait;
}

const GUARD = 64;
const CANARY = 0xa5;
const guarded = new Set<{ readonly buffer: ArrayBufferLike; readonly start: number; readonly end: number }>();

/** A view between two guards: memory that must stay unchanged. */
function within<T>(
  Type: { new (buffer: ArrayBufferLike, offset: number, length: number): T; readonly BYTES_PER_ELEMENT: number },
  length: number,
  fill: (view: T) => void = () => undefined,
  Memory: new (size: number) => ArrayBufferLike = ArrayBuffer,
): T {
  const bytes = length * Type.BYTES_PER_ELEMENT;
  const buffer = new Memory(bytes + 2 * GUARD);
  new Uint8Array(buffer).fill(CANARY);
  new Uint8Array(buffer, GUARD, bytes).fill(0);
  const view = new Type(buffer, GUARD, length);
  fill(view);
  guarded.add({ buffer, start: GUARD, end: GUARD + bytes });
  return view;
}

/** The same, in a SharedArrayBuffer. */
function shared(length: number): Int32Array {
  return within(Int32Array, length, undefined, SharedArrayBuffer);
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
  const sets = api.syscalls.EPOLLIN === 0 ? undefined : new api.syscalls.Epoll();
  sets?.add(a.fd, api.syscalls.EPOLLOUT);
  const kqueue = native.kevent === undefined ? undefined : new api.syscalls.Kqueue();
  kqueue?.control([api.syscalls.kevent(a.fd, api.syscalls.EVFILT_WRITE)], 0, 0);
  const devpoll = native.devpollPoll === undefined ? undefined : new api.syscalls.Devpoll();
  devpoll?.register(a.fd, api.syscalls.POLLOUT);
  const wakeup = new (native.Wakeup as Class)();
  wakeup.open?.();

  const anyWait = makeWait(native, 'poll');
  const afd = native.AfdSet === undefined ? undefined : new (native.AfdSet as Class)();
  afd?.open?.();
  afd?.add?.(a.fd, 2, 1);
  const set = (mechanism: string) =>
    ({
      epoll: sets?.fd,
      kqueue: kqueue?.fd,
      afd: afd?.handle?.() as number | undefined,
      devpoll: devpoll?.fd,
    })[mechanism] ?? 0;
  const mechanisms = Object.keys(native.multiplexers as object);
  // The socket is writable, so that no call waits for its timeout.
  const signatures: Readonly<Record<string, readonly Parameter[]>> = {
    wakeup: [['size', () => wakeup.handle?.()]],
    endOnRepeat: [number('int', -1)],
    interruptUntilEnded: [['ints', () => within(Int32Array, 1, (view) => view.fill(wakeup.handle?.() as number))]],
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
    prepareWait: [
      ['wait', () => anyWait],
      fd,
      ints(a.fd, api.syscalls.POLLOUT),
      number('size', 1),
      ['sharedInts', () => shared(5)],
    ],
    flush: [ints(a.fd, 0, 4, a.fd, -1, 4), number('size', 2), bytes(8), ['list', () => [within(Uint8Array, 8)]]],
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
    devpollOpen: [],
    devpollWrite: [['fd', () => devpoll?.fd], ints(a.fd, api.syscalls.POLLOUT), number('size', 1)],
    devpollPoll: [['fd', () => devpoll?.fd], ints(0, 0), number('size', 1), number('time', 0)],
    devpollIsPolled: [['fd', () => devpoll?.fd], fd, ints(0)],
    devpollMaxEvents: [],
    resolve: [['text', () => '127.0.0.1'], number('size', 80), number('int', 0)],
    encodeUnix: [bytes(8)],
    decode: [bytes(16)],
    socket: [number('int', 1), number('int', 1), number('int', 0)],
    socketpair: [number('int', 1), number('int', 1), number('int', 0), ints(0, 0)],
    bind: [fd, bytes(16)],
    listen: [fd, number('int', 1)],
    accept: [fd, flag, bytes(16), ints(0)],
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
    setProbing: [flag],
    setSliceCell: [['sharedInts', () => shared(1)]],
    monotonicMilliseconds: [],
    processFaultCounts: [doubles(0, 0, 0)],
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
  /** Calls that accept fewer arguments, and how many. */
  const shorter: Readonly<Record<string, readonly number[]>> = { recv: [2, 4], send: [2, 4] };
  /** Closes what a successful call opened. */
  const opens: Readonly<Record<string, (result: number, args: readonly unknown[]) => readonly number[]>> = {
    socket: (result) => [result],
    epoll_create1: (result) => [result],
    kqueue: (result) => [result],
    devpollOpen: (result) => [result],
    accept: (result) => [result],
    duplicate: (result) => [result],
    WSASocket: (result) => [result],
    socketpair: (_, args) => [...(args[3] as Int32Array)].slice(0, 2),
    recvFds: (_, args) => [...(args[2] as Int32Array)].slice(0, (args[3] as Int32Array)[0]),
  };

  const complain = (what: string) => faults.push(what);
  const strike = (what: string, call: () => unknown, mustThrow: boolean, args: readonly unknown[] = [], name = '') => {
    strikes++;
    let hasThrown = false;
    try {
      const result = call();
      if (mustThrow) complain(`${what}: was accepted`);
      if (typeof result === 'number' && result >= 0 && name in opens) {
        for (const made of opens[name]?.(result, args) ?? []) new (native.Descriptor as Class)(made).close?.();
      }
    } catch (error) {
      hasThrown = true;
      if (!(error instanceof TypeError || error instanceof RangeError)) complain(`${what}: threw ${String(error)}`);
    }
    if (!guardsHold()) complain(`${what}: wrote outside the memory it was given`);
    // Three more system calls: after refused calls, only now and then.
    if (hasThrown && strikes % 20 > 0) return;
    try {
      while ((b.recv(65_536)?.length ?? 0) > 0);
      b.send('x'); // data to receive
    } catch (error) {
      complain(`${what}: broke the socket (${String(error)})`);
      [a, b] = Socket.pair({ blocking: false });
    }
  };

  const functions = Object.keys(native).filter(
    (name) => typeof native[name] === 'function' && !/^[A-Z](?!SA)/.test(name),
  );
  const attackCall = (name: string, call: Callable, parameters: readonly Parameter[]): void => {
    const good = () => parameters.map(([, make]) => make());
    for (const [at, [kind]] of parameters.entries()) {
      for (const { name: valueName, value } of badValues(api)) {
        // Names would be resolved by DNS.
        if (name === 'resolve' && kind === 'text' && typeof value === 'string') continue;
        // Wine fills such a buffer when it starts to receive, which takes seconds.
        if (name.startsWith('Iocp.') && kind === 'length' && Number.isInteger(value) && Number(value) > 2 ** 26)
          continue;
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
      strike(`${name} with ${at} arguments`, () => call(...few), !(shorter[name] ?? []).includes(at), few, name);
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
    // Sizes larger than the memory, and views of all lengths.
    for (const [at, [kind]] of parameters.entries()) {
      if (kind === 'size' && !['wakeup', 'resolve', 'WSADuplicateSocket'].includes(name)) {
        const args = good();
        args[at] = 1000;
        strike(`${name}, argument ${at} says 1000`, () => call(...args), true, args, name);
      }
      for (let length = 0; length < 12; length++) {
        const args = good();
        if (kind === 'bytes') args[at] = within(Uint8Array, length);
        else if (kind === 'sharedInts') args[at] = shared(length);
        else if (kind === 'ints') args[at] = within(Int32Array, length);
        else if (kind === 'doubles') args[at] = within(Float64Array, length);
        else break;
        strike(`${name}, argument ${at} of length ${length}`, () => call(...args), false, args, name);
      }
    }
    // One buffer for all arguments, with overlapping parts.
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
  };
  for (const name of functions.filter((one) => !['recordInFile', 'startProcessFaults'].includes(one))) {
    const parameters = signatures[name];
    if (parameters === undefined) complain(`${name}: has no row in this table`);
    else attackCall(name, native[name] as Callable, parameters);
  }

  const prepare = native.prepareWait as Callable;
  for (const mechanism of mechanisms) {
    const wait = makeWait(native, mechanism);
    const memory = shared(10);
    const prepared = () => prepare(wait, set(mechanism), Int32Array.of(a.fd, api.syscalls.POLLOUT), 1, memory);
    attackCall(`prepareWait (${mechanism})`, prepare, [
      ['wait', () => wait],
      ['fd', () => set(mechanism)],
      ints(a.fd, api.syscalls.POLLOUT),
      number('size', 1),
      ['sharedInts', () => shared(10)],
    ]);
    prepared();
    attackCall(`the wait of ${mechanism}`, wait, [number('time', 0)]);
    const turn = new (native.Turn as Class)(wait);
    turn.setSlot?.(0, new Uint8Array(64));
    for (const receiver of [1, -1]) {
      const who = receiver < 0 ? 'borrowing' : 'keeping';
      attackCall(`Turn.wait (${mechanism}, ${who})`, (...args) => turn.wait?.(...args), [
        ['time', () => 0],
        ints(...new Array<number>(a.fd + 1).fill(receiver)),
        number('count', 2),
        bytes(65_536),
        bytes(64),
        number('size', 0),
      ]);
    }
  }
  const turn = new (native.Turn as Class)(anyWait);
  attackCall('Turn.setSlot', (...args) => turn.setSlot?.(...args), [['size', () => 0], bytes(8)]);
  if (native.Afd !== undefined) attackAfd(native, a.fd, attackCall);
  if (native.Iocp !== undefined) attackIocp(native, a.fd, attackCall);
  if (native.IoUring !== undefined) {
    attackRing(native, () => a.fd, attackCall);
    attackRingStreams(native, api, strike, complain);
  }
  attackTurn(native, api, strike, complain);
  attackWaits(native, api, strike, complain);
  attackAccept(native, api, strike, complain);
  attackSignals(native, wakeup.handle?.(), strike, complain);
  attackDescriptor(native, strike, complain);
  attackSharedFile(native, strike, complain, attackCall);
  attackRecording(native as unknown as RecordingAddon, strike, complain, (name, call) =>
    attackCall(name, call, [['sharedBytes', () => new Uint8Array(new SharedArrayBuffer(64))]]),
  );
  attackFaults(native as unknown as FaultAddon, strike, complain);
  functions.push(...attackClasses(native, api, strike));
  wakeup.close?.();
  sets?.close();
  kqueue?.close();
  afd?.close?.(1000);
  devpoll?.close();
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
  /** The constructor's argument: a Turn needs a wait, a Descriptor a number. */
  const given = (name: string) => (name === 'Turn' ? makeWait(native, 'poll') : 999_999);
  const make = Object.fromEntries(names.map((name) => [name, () => new (native[name] as Class)(given(name))]));
  const [watched, other] = api.index.Socket.pair({ blocking: false });
  const wakeup = new (native.Wakeup as Class)();
  wakeup.open?.();
  const signal = constants.signals.SIGHUP;
  const folder = temporaryFolder();
  /** The methods that open and close an object. Default: open() and close(). */
  const opening: Readonly<Record<string, (object: Record<string, Callable>) => unknown>> = {
    Descriptors: (object) => object.add?.(999_999),
    LoopWatch: (object) => object.open?.(watched.fd, () => undefined),
    SignalWatch: (object) => object.open?.(signal, wakeup.handle?.()),
    SharedFile: (object) => [object.open?.(join(folder.path, 'shared')), object.grow?.(100)],
    Turn: (object) => object.setSlot?.(0, new Uint8Array(8)),
    Recording: (object) => object.start?.(traceMemory(native as unknown as RecordingAddon)),
    FaultPlan: (object) => object.start?.(...faultPlan()),
    Iocp: (object) => object.open?.(0, true),
    IoUring: (object) => object.open?.(2, 0),
  };
  const closing: typeof opening = {
    Descriptors: (object) => object.closeAll?.(),
    Recording: (object) => object.stop?.(),
    FaultPlan: (object) => object.stop?.(),
    Afd: (object) => object.close?.(1000),
    AfdSet: (object) => object.close?.(1000),
    Iocp: (object) => object.close?.(1000),
    IoUring: (object) => object.close?.(1000),
  };
  /** Calls for which no value is valid for every parameter. */
  const neverRight = ['Waiter.start', 'LoopWatch.open', 'Turn.setSlot', 'Turn.wait'];
  for (const method of ['about', 'connect', 'send', 'sendmsg', 'write', 'acceptStream', 'connectStream', 'sendStream'])
    neverRight.push(`IoUring.${method}`);
  neverRight.push('IoUring.peerOf', 'IoUring.flush', 'IoUring.turn');
  /** The value would be a number of completions or milliseconds to wait for, or a file in the working directory. */
  const spared = (method: string, value: unknown) =>
    (method === 'IoUring.enter' && typeof value === 'number' && value > 0) ||
    (method === 'SharedFile.open' && isFileName(value));
  for (const name of names) {
    const Type = native[name] as Class;
    const methods = Object.getOwnPropertyNames(Type.prototype).filter((method) => method !== 'constructor');
    strike(`${name} without new`, () => (native[name] as Callable)(1), true);
    for (const other of names) {
      // An object of one class with the prototype of another.
      strike(
        `${name} built for ${other}`,
        () => {
          const object: Record<string, Callable> = Reflect.construct(Type, [given(name)], native[other] as Class);
          if (name !== other)
            for (const method of Object.getOwnPropertyNames((native[other] as Class).prototype))
              if (method !== 'constructor') object[method]?.();
        },
        name !== other,
      );
    }
    strike(`${name} built for Object`, () => Reflect.construct(Type, [given(name)], Object), false);
    strike(`${name} extended`, () => new (class extends Type {})(given(name)), false);
    for (const { name: valueName, value } of badValues(api)) {
      const isRefused = (name === 'Descriptor' && !kinds.fd(value)) || name === 'Turn';
      strike(`new ${name}(${valueName})`, () => new Type(value), isRefused);
      for (const method of methods) {
        if (spared(`${name}.${method}`, value)) continue;
        const body = Type.prototype[method] as Callable;
        strike(`${name}.${method} on ${valueName}`, () => Reflect.apply(body, value, [1, 2, 3, 4, 5]), true);
        const object = make[name]?.() ?? {};
        const values = new Array<unknown>(9).fill(value);
        strike(`${name}.${method}(${valueName}) unopened`, () => object[method]?.(...values), false);
        (opening[name] ?? (() => object.open?.()))(object);
        strike(
          `${name}.${method}(${valueName}) opened`,
          () => object[method]?.(...values),
          neverRight.includes(`${name}.${method}`),
        );
        (closing[name] ?? (() => object.close?.()))(object);
        strike(`${name}.${method}(${valueName}) closed`, () => object[method]?.(value), false);
        // Close what these calls reopened.
        (closing[name] ?? (() => object.close?.()))(object);
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
  folder.close();
  wakeup.close?.();
  watched.close();
  other.close();
  return names;
}

type Strike = (what: string, call: () => unknown, mustThrow: boolean) => void;
type Complain = (what: string) => unknown;

const INT_MIN = -0x8000_0000;
const INT_MAX = 0x7fff_ffff;
const EXTREMES = [INT_MIN, INT_MIN + 1, -65, -2, -1, 0, 1, 7, 8, 9, 65, INT_MAX];
/** The byte to send or receive; CANARY fills the memory outside it. */
const CONTENT = 0x11;

/** Turn: invalid slots and lengths, buffers that are detached or shrink, arrays whose getters run code. */
function attackTurn(native: Addon, api: Api, strike: Strike, complain: Complain): void {
  const flushAll = native.flush as Callable;
  const [a, b] = api.index.Socket.pair({ blocking: false });
  const content = (length: number) => within(Uint8Array, length, (view) => view.fill(CONTENT));
  /** Whether every byte sent comes from the memory that was given. */
  const look = (what: string) => {
    for (let chunk; (chunk = b.recv(65_536)) !== null;)
      if (!chunk.every((byte) => byte === CONTENT)) complain(`${what}: sent bytes that were not given`);
  };
  const flush = (what: string, numbers: Int32Array, buffers: unknown, slab: Uint8Array, mustThrow = false) => {
    strike(what, () => flushAll(numbers, Math.floor(numbers.length / 3), slab, buffers), mustThrow);
    look(what);
  };
  const outgoing = (...numbers: readonly number[]) => within(Int32Array, numbers.length, (view) => view.set(numbers));

  for (const place of EXTREMES) {
    for (const length of EXTREMES) {
      const what = `flush, place ${place}, length ${length}`;
      flush(what, outgoing(a.fd, place, length), [content(8)], content(8));
      flush(`${what}, twice`, outgoing(a.fd, 0, 4, a.fd, place, length), [content(8), content(0)], content(8));
    }
    const numbers = outgoing(place === 0 || place === 1 ? -1 : place, 0, 4);
    flush(`flush, fd ${place}`, numbers, [], content(8));
    if ((numbers[2] as number) >= 0) complain(`flush, fd ${place}: sent ${numbers[2]}`);
  }
  const many = outgoing(...new Array<number[]>(1000).fill([a.fd, 0, 1]).flat());
  flush('flush, a thousand pieces', many, [], content(1));
  for (let length = 0; length < 8; length++)
    flush(`flush of ${length} numbers`, outgoing(...new Array<number>(length).fill(a.fd)), [], content(8));
  for (const length of [2, 1e6, 2 ** 32 - 1])
    flush(`flush, ${length} buffers of one piece`, outgoing(a.fd, -1, 4), new Array(length), content(8), true);
  for (const { name, value } of badValues(api))
    strike(`flush, buffer ${name}`, () => flushAll(outgoing(999_999, -1, 4), 1, content(8), [value]), false);

  // Array elements whose getters run code.
  const accessors: Readonly<Record<string, (memory: ArrayBufferView[], list: unknown[]) => unknown>> = {
    'takes the memory away': (memory) => memory.map((view) => detached(view)),
    throws: () => {
      throw new TypeError('thrown by the caller');
    },
    'shortens the list': (_, list) => (list.length = 1),
    'lengthens the list': (_, list) => (list[5000] = 1),
    'flushes again': () => flushAll(outgoing(a.fd, 0, 4), 1, content(8), []),
    'says another length': (_, list) => flushAll(outgoing(a.fd, -1, 4), 1, content(8), list.slice(0, 0)),
  };
  for (const [what, act] of Object.entries(accessors)) {
    for (const at of [0, 1]) {
      // Without guards: guarded memory cannot be detached.
      const numbers = Int32Array.of(a.fd, -1, 4, a.fd, -2, 4);
      const [slab, other] = [new Uint8Array(8).fill(CONTENT), new Uint8Array(8).fill(CONTENT)];
      const list: unknown[] = [other, other];
      Object.defineProperty(list, at, {
        get: () => {
          act([numbers, slab, other], list);
          return other;
        },
      });
      strike(`flush, an element ${at} that ${what}`, () => flushAll(numbers, 2, slab, list), false);
      look(what);
    }
  }

  // Received data is in a slot, or packed in the pool.
  const prepare = native.prepareWait as Callable;
  const found = (['poll', 'select'] as const).map((name) => {
    const wait = makeWait(native, name);
    return { name, wait, turn: new (native.Turn as Class)(wait) };
  });
  const readable = () => within(Int32Array, 2, (view) => view.set([a.fd, api.syscalls.POLLIN]));
  const slots: readonly (() => Uint8Array)[] = [
    () => within(Uint8Array, 100),
    () => within(Uint8Array, 1),
    () => within(Uint8Array, 0),
    () => detached(new Uint8Array(8)),
    () => new Uint8Array(new SharedArrayBuffer(50)),
    () => within(Uint8Array, 10_000),
  ];
  const wait = (what: string, receiving: Int32Array, length: number, pool: Uint8Array, offset: number) => {
    for (const { name, wait, turn } of found) {
      const out = shared(length);
      const records = Math.floor(out.length / 5);
      b.send(new Uint8Array(6000).fill(CONTENT));
      strike(
        `${what}, ${name}`,
        () => {
          prepare(wait, 0, readable(), 1, out);
          const count = turn.wait?.(0, receiving, 1000, pool, offset) as number;
          if (count > records) complain(`${what}: found ${count}`);
          const [, , , received = 0, place = 0] = out;
          if (count < 1 || received <= 0) return;
          if (received > 10_000 || (place >= 0 && (place < offset || place + received > pool.length)))
            complain(`${what}: put ${received} bytes to ${place}`);
          if (place >= 0 && !pool.subarray(place, place + received).every((byte) => byte === CONTENT))
            complain(`${what}: packed bytes that were not received`);
        },
        false,
      );
      while ((a.recv(65_536)?.length ?? 0) > 0);
    }
  };
  for (const [at, slot] of slots.entries()) {
    for (const { turn } of found) turn.setSlot?.(0, slot());
    for (const size of [0, 1, 99, 100, 5000]) {
      for (const length of [0, 4, 5, 9]) {
        const receiving = within(Int32Array, a.fd + 1, (view) => view.fill(1));
        const pool = within(Uint8Array, size);
        wait(`Turn.wait, slot ${at}, pool ${size}, ${length} numbers`, receiving, length, pool, size > 50 ? 50 : size);
      }
    }
  }
  for (const generation of EXTREMES) {
    const receiving = within(Int32Array, a.fd + 1, (view) => view.fill(generation));
    wait(`Turn.wait, generation ${generation}`, receiving, 5, within(Uint8Array, 100), 0);
  }
  wait('Turn.wait, nobody to receive for', within(Int32Array, a.fd), 5, within(Uint8Array, 9), 0);
  // The slot, the pool and the records share one buffer.
  for (const shift of [0, 4, 8, 12, 16, 64]) {
    const { buffer: memory } = within(Uint8Array, 256, undefined, SharedArrayBuffer);
    const receiving = within(Int32Array, a.fd + 1, (view) => view.fill(1));
    for (const { name, wait, turn } of found) {
      turn.setSlot?.(0, new Uint8Array(memory, 64, 128));
      b.send(new Uint8Array(100).fill(CONTENT));
      const [out, pool] = [new Int32Array(memory, 64 + shift, 5), new Uint8Array(memory, 64 + shift, 150)];
      prepare(wait, 0, readable(), 1, out);
      strike(`Turn.wait, overlapping by ${shift}, ${name}`, () => turn.wait?.(0, receiving, 1, pool, 0), false);
      turn.setSlot?.(0, new Uint8Array(8));
    }
  }
  // The number that epoll holds is not a descriptor, or is another object's.
  if (native.epoll_ctl !== undefined) {
    const epoll = new api.syscalls.Epoll();
    const control = native.epoll_ctl as Callable;
    const epollWait = makeWait(native, 'epoll');
    const turn = new (native.Turn as Class)(epollWait);
    turn.setSlot?.(0, new Uint8Array(8));
    for (const [low, high] of EXTREMES.flatMap((one) => EXTREMES.map((two) => [one, two] as const))) {
      control(epoll.fd, 1, a.fd, api.syscalls.EPOLLOUT, low, high);
      const receiving = within(Int32Array, a.fd + 1, (view) => view.fill(high));
      // Nothing is received from the first descriptors: they belong to the test.
      receiving.fill(0, 0, a.fd);
      prepare(epollWait, epoll.fd, new Int32Array(0), 0, shared(10));
      const what = `epoll_data ${low} ${high}`;
      strike(`Turn.wait, ${what}`, () => turn.wait?.(0, receiving, 2, within(Uint8Array, 9), 0), false);
      strike(`wait, ${what}`, () => epollWait(0), false);
      control(epoll.fd, 2, a.fd, 0, 0, 0);
    }
    epoll.close();
  }
  // Slots: in order, and at most as many as are allowed.
  const filled = new (native.Turn as Class)(found[0]?.wait);
  const most = native.MAX_SLOTS as number;
  strike('Turn.setSlot, the second before the first', () => filled.setSlot?.(1, new Uint8Array(1)), true);
  for (let index = 0; index < most + 2; index++)
    strike(`Turn.setSlot(${index})`, () => filled.setSlot?.(index, new Uint8Array(1)), index >= most);
  a.close();
  b.close();
}

/** Waits without a target, memory that is not shared or is dropped, and objects that only look like a wait. */
function attackWaits(native: Addon, api: Api, strike: Strike, complain: Complain): void {
  const prepare = native.prepareWait as Callable;
  const [a, b] = api.index.Socket.pair({ blocking: false });
  const ready = Int32Array.of(a.fd, api.syscalls.POLLOUT);
  for (const mechanism of Object.keys(native.multiplexers as object)) {
    const wait = makeWait(native, mechanism);
    strike(`${mechanism}: a wait for nothing`, () => wait(0), false);
    strike(
      `${mechanism}: a turn without memory`,
      () => {
        const turn = new (native.Turn as Class)(wait);
        return turn.wait?.(0, new Int32Array(a.fd + 1).fill(1), 10, new Uint8Array(8), 0);
      },
      false,
    );
    const imitations: Readonly<Record<string, unknown>> = {
      'the function that makes one': (native.multiplexers as Record<string, unknown>)[mechanism],
      'its bound function': wait.bind(undefined),
      'its proxy': new Proxy(wait, {}),
      'its heir': Object.create(wait) as unknown,
      'a function with its prototype': Object.setPrototypeOf(() => 0, wait) as unknown,
      'a class that extends it': class extends (wait as unknown as Class) {},
      'what it makes as a constructor': Reflect.construct(wait, [0]) as unknown,
      'an object with all that it has': Object.defineProperties({}, Object.getOwnPropertyDescriptors(wait)),
    };
    for (const [what, value] of Object.entries(imitations)) {
      strike(`${mechanism}: prepareWait of ${what}`, () => prepare(value, 0, ready, 1, shared(10)), true);
      strike(`${mechanism}: new Turn of ${what}`, () => new (native.Turn as Class)(value), true);
    }
    const memories: Readonly<Record<string, unknown>> = {
      'an ArrayBuffer’s': within(Int32Array, 10),
      'one that shrinks': new Int32Array(Reflect.construct(ArrayBuffer, [40, { maxByteLength: 80 }]) as ArrayBuffer),
      'one that has gone': detached(new Int32Array(10)),
      'of another type': new Uint32Array(new SharedArrayBuffer(40)),
    };
    for (const [what, memory] of Object.entries(memories))
      strike(`${mechanism}: memory, ${what}`, () => prepare(wait, 0, ready, 1, memory), true);
  }
  // The memory and the waits are dropped; waits of poll continue with the list that they were given.
  const collect = (globalThis as { readonly gc?: () => void }).gc;
  const turns: Record<string, Callable>[] = [];
  for (let i = 0; i < 50; i++) {
    const wait = makeWait(native, i % 2 === 0 ? 'poll' : 'select');
    waits.delete(wait);
    prepare(wait, 0, ready, 1, new Int32Array(new SharedArrayBuffer(20)));
    const turn = new (native.Turn as Class)(wait);
    if (i % 3 > 0) turns.push(turn);
    if (i % 5 === 0)
      prepare(
        wait,
        0,
        ready,
        1,
        new Int32Array(Reflect.construct(SharedArrayBuffer, [20, { maxByteLength: 200 }]) as SharedArrayBuffer),
      );
  }
  collect?.();
  for (const turn of turns) {
    strike(
      'a turn whose wait was dropped',
      () => {
        const count = turn.wait?.(0, new Int32Array(1), 10, new Uint8Array(8), 0);
        if (count !== 1) complain(`a turn whose wait was dropped: ${String(count)}`);
      },
      false,
    );
  }
  // Several descriptors, and room for fewer.
  const all = Int32Array.of(a.fd, api.syscalls.POLLOUT, b.fd, api.syscalls.POLLOUT);
  for (const mechanism of ['poll', 'select']) {
    const wait = makeWait(native, mechanism);
    for (let length = 0; length < 16; length++) {
      prepare(wait, 0, all, 2, shared(length));
      const room = Math.min(2, Math.floor(length / 5));
      strike(
        `${mechanism}: ${length} numbers of memory`,
        () => {
          const count = wait(0);
          if (count !== room) complain(`${mechanism}: ${String(count)} records in ${length} numbers`);
        },
        false,
      );
    }
  }
  a.close();
  b.close();
}

/** Each method of Afd and AfdSet, on a connected socket. */
function attackAfd(
  native: Addon,
  fd: number,
  attackCall: (name: string, call: Callable, parameters: readonly Parameter[]) => void,
): void {
  const opened = (name: 'Afd' | 'AfdSet') => {
    const object = new (native[name] as Class)();
    object.open?.();
    return object;
  };
  let lastId = 0;
  const id: Parameter = ['id', () => ++lastId];
  const socket: Parameter = ['fd', () => fd];
  const int = (value: number): Parameter => ['int', () => value];
  const time: Parameter = ['time', () => 0];
  const calls: Readonly<Record<'Afd' | 'AfdSet', Readonly<Record<string, readonly Parameter[]>>>> = {
    Afd: {
      open: [],
      baseSocket: [socket],
      poll: [id, socket, ['count', () => 4]],
      cancel: [id],
      pending: [],
      handles: [],
    },
    AfdSet: {
      open: [],
      handle: [],
      add: [socket, int(1), int(1)],
      change: [socket, int(3)],
      remove: [socket],
      has: [socket, int(1)],
      pending: [],
      handles: [],
    },
  };
  for (const name of ['Afd', 'AfdSet'] as const) {
    const object = opened(name);
    for (const [method, parameters] of Object.entries(calls[name]))
      attackCall(`${name}.${method}`, (...args) => object[method]?.(...args), parameters);
    attackCall(`${name}.close`, (...args) => opened(name).close?.(...args), [time]);
    object.close?.(1000);
  }
  const afd = opened('Afd');
  attackCall(
    'Afd.getQueuedCompletionStatusEx',
    (...args) => {
      afd.poll?.(++lastId, fd, 4); // so that no wait lasts until its timeout
      return afd.getQueuedCompletionStatusEx?.(...args);
    },
    [['doubles', () => within(Float64Array, 6)], ['size', () => 2], time],
  );
  afd.close?.(1000);
}

/** Each method of a completion port, on an associated connected socket. */
function attackIocp(
  native: Addon,
  fd: number,
  attackCall: (name: string, call: Callable, parameters: readonly Parameter[]) => void,
): void {
  const opened = () => {
    const port = new (native.Iocp as Class)();
    port.open?.(0, true);
    return port;
  };
  const port = opened();
  port.associate?.(fd, 1);
  let lastId = 0;
  const id: Parameter = ['id', () => ++lastId];
  const socket: Parameter = ['fd', () => fd];
  const noSocket: Parameter = ['fd', () => 999_999];
  const noFile: Parameter = ['count', () => 999];
  const length: Parameter = ['length', () => 8];
  const label: Parameter = ['label', () => 7];
  const row: Parameter = ['count', () => 0];
  const flag: Parameter = ['flag', () => false];
  const time: Parameter = ['time', () => 0];
  const bytes = (size: number): Parameter => ['bytes', () => within(Uint8Array, size)];
  const methods: Readonly<Record<string, readonly Parameter[]>> = {
    open: [['count', () => 0], flag],
    wakeHandle: [],
    associate: [noSocket, label],
    isAssociated: [socket],
    postQueuedCompletionStatus: [label, ['count', () => 3]],
    acceptEx: [id, socket, noSocket, flag],
    connectEx: [id, socket, bytes(16)],
    wsaRecv: [id, socket, length],
    wsaRecvFrom: [id, socket, length],
    wsaSend: [id, socket, bytes(8)],
    wsaSendTo: [id, socket, bytes(8), bytes(16)],
    openFile: [noFile, flag],
    closeFile: [noSocket],
    readFile: [id, socket, length, label],
    writeFile: [id, socket, bytes(8), label],
    readDescriptor: [id, noFile, length, label],
    writeDescriptor: [id, noFile, bytes(8), label],
    cancel: [label],
    cancelAllOf: [socket],
    received: [row, bytes(8)],
    sender: [row, bytes(16)],
    fetchCancelled: [time],
  };
  for (const [name, parameters] of Object.entries(methods))
    attackCall(`Iocp.${name}`, (...args) => port[name]?.(...args), parameters);
  attackCall(
    'Iocp.getQueuedCompletionStatusEx',
    (...args) => {
      port.postQueuedCompletionStatus?.(1, 1); // so that no wait lasts until its timeout
      return port.getQueuedCompletionStatusEx?.(...args);
    },
    [['doubles', () => within(Float64Array, 10)], ['size', () => 2], time],
  );
  attackCall('Iocp.close', (...args) => opened().close?.(...args), [time]);
  port.close?.(1000);
}

/** IoUring's methods, each argument; what is prepared is submitted, collected and cancelled. */
function attackRing(
  native: Addon,
  fd: () => number,
  attackCall: (name: string, call: Callable, parameters: readonly Parameter[]) => void,
): void {
  const NUMBER = 7;
  const opened = () => {
    const ring = new (native.IoUring as Class)();
    ring.open?.(8, 64);
    return ring;
  };
  const socket: Parameter = ['fd', fd];
  const flags: Parameter = ['int', () => 0];
  const userData: Parameter = ['number', () => NUMBER];
  const room: Parameter = ['room', () => within(Uint8Array, 8)];
  const position: Parameter = ['position', () => -1];
  const generation: Parameter = ['generation', () => 1];
  const bool: Parameter = ['flag', () => true];
  const time: Parameter = ['time', () => 0];
  const bytes = (size: number): Parameter => ['bytes', () => within(Uint8Array, size)];
  const ints = (...values: readonly number[]): Parameter => [
    'ints',
    () => within(Int32Array, values.length, (view) => view.set(values)),
  ];
  const list: Parameter = ['list', () => [within(Uint8Array, 8)]];
  const methods: Readonly<Record<string, readonly Parameter[]>> = {
    supports: [['octet', () => 0]],
    registerEventFd: [['fd', () => 999_999]],
    nop: [userData],
    accept: [socket, flags, userData],
    connect: [socket, bytes(16), userData],
    recv: [socket, room, flags, userData],
    send: [socket, bytes(8), flags, userData],
    recvmsg: [socket, room, flags, userData],
    sendmsg: [socket, bytes(8), bytes(0), flags, userData],
    read: [socket, room, position, userData],
    write: [socket, bytes(8), position, userData],
    pollAdd: [socket, ['int', () => 1], userData],
    timeout: [time, userData],
    cancel: [userData, userData],
    ready: [],
    woken: [],
    completions: [['count', () => 100]],
    watchWake: [socket],
    acceptStream: [socket, generation, bool, bool],
    connectStream: [socket, generation, bytes(16)],
    receiveStream: [socket, generation, ['flag', () => true]],
    sendStream: [socket, generation, list],
    cancelStream: [['int', () => 0xff], socket, generation],
    peerOf: [socket, bytes(128)],
  };
  for (const [name, parameters] of Object.entries(methods)) {
    const ring = opened();
    ring.openStreams?.(4, 64);
    attackCall(
      `IoUring.${name}`,
      (...args) => {
        try {
          return ring[name]?.(...args);
        } finally {
          ring.enter?.(0, 0);
          ring.cancel?.(NUMBER, NUMBER);
          ring.enter?.(0, 0);
          ring.turn?.(0, new Int32Array(500), 100, new Uint8Array(100), 0, SHARE);
          ring.completions?.(1000);
        }
      },
      parameters,
    );
    ring.close?.(1000);
  }
  const streams = opened();
  streams.openStreams?.(4, 64);
  const own = (name: string): Callable => {
    return (...args) => streams[name]?.(...args);
  };
  attackCall('IoUring.flush', own('flush'), [
    ints(fd(), 0, 4, fd(), -1, 4),
    ['size', () => 2],
    bytes(8),
    ['list', () => [within(Uint8Array, 8)]],
  ]);
  attackCall(
    'IoUring.turn',
    (...args) => {
      streams.nop?.(1);
      return streams.turn?.(...args);
    },
    [
      time,
      ints(...new Array<number>(10).fill(0)),
      ['size', () => 2],
      bytes(64),
      ['size', () => 0],
      ['count', () => SHARE],
    ],
  );
  attackCall('IoUring.copyOfBuffer', own('copyOfBuffer'), [
    ['octet', () => 3],
    ['octet', () => 64],
  ]);
  attackCall('IoUring.about', own('about'), [ints(0, 0, 0, 0)]);
  streams.close?.(1000);
  attackCall(
    'IoUring.enter',
    (...args) => {
      const ring = opened();
      // So that no wait lasts until its timeout.
      for (let i = 0; i < 64; i++) ring.nop?.(1);
      try {
        return ring.enter?.(...args);
      } finally {
        ring.close?.(1000);
      }
    },
    [['count', () => 1], time],
  );
  attackCall(
    'IoUring.open',
    (...args) => {
      const ring = new (native.IoUring as Class)();
      const result = ring.open?.(...args);
      ring.close?.(0);
      return result;
    },
    [
      ['entries', () => 2],
      ['entries', () => 0],
    ],
  );
  attackCall('IoUring.close', (...args) => opened().close?.(...args), [time]);
}

/** A ring's streams: invalid buffer numbers, buffers that are detached or shrink, arrays whose getters run code. */
function attackRingStreams(native: Addon, api: Api, strike: Strike, complain: Complain): void {
  const Ring = native.IoUring as Class;
  const { RECORD = 5 } = native.streamNumbers as Record<string, number>;
  const [a, b] = api.index.Socket.pair({ blocking: false });
  const content = (length: number) => within(Uint8Array, length, (view) => view.fill(CONTENT));
  const opened = () => {
    const ring = new Ring();
    ring.open?.(4, 64);
    ring.openStreams?.(4, 64);
    return ring;
  };
  const look = (what: string) => {
    for (let chunk; (chunk = b.recv(65_536)) !== null;)
      if (!chunk.every((byte) => byte === CONTENT || byte === 0x78))
        complain(`${what}: sent bytes that were not given`);
  };
  const outgoing = (...numbers: readonly number[]) => within(Int32Array, numbers.length, (view) => view.set(numbers));
  const ring = opened();
  const flush = (what: string, numbers: Int32Array, buffers: unknown, slab: Uint8Array, mustThrow = false) => {
    strike(what, () => ring.flush?.(numbers, Math.floor(numbers.length / 3), slab, buffers), mustThrow);
    look(what);
  };
  for (const place of EXTREMES) {
    for (const length of EXTREMES) {
      const what = `IoUring.flush, place ${place}, length ${length}`;
      flush(what, outgoing(a.fd, place, length), [content(8)], content(8));
      flush(`${what}, twice`, outgoing(a.fd, 0, 4, a.fd, place, length), [content(8), content(0)], content(8));
      flush(`${what}, between`, outgoing(999_999, place, length, a.fd, 0, 4), [content(8)], content(8));
    }
    const numbers = outgoing(place === 0 || place === 1 ? -1 : place, 0, 4);
    flush(`IoUring.flush, fd ${place}`, numbers, [], content(8));
    if ((numbers[2] as number) >= 0) complain(`IoUring.flush, fd ${place}: sent ${numbers[2]}`);
  }
  // More chunks than the queue has entries, of one descriptor, then of two alternately.
  flush(
    'IoUring.flush, a thousand pieces',
    outgoing(...new Array<number[]>(1000).fill([a.fd, 0, 1]).flat()),
    [],
    content(1),
  );
  const turns = outgoing(...new Array<number[]>(100).fill([a.fd, 0, 1, 999_999, 0, 1]).flat());
  flush('IoUring.flush, two hundred groups', turns, [], content(1));
  if (turns.some((number, i) => i % 6 === 2 && number !== 1)) complain('IoUring.flush: not all groups were sent');
  if (turns.some((number, i) => i % 6 === 5 && number >= 0)) complain('IoUring.flush: sent to no descriptor');
  for (let length = 0; length < 8; length++)
    flush(`IoUring.flush of ${length} numbers`, outgoing(...new Array<number>(length).fill(a.fd)), [], content(8));
  for (const length of [2, 1e6, 2 ** 32 - 1]) {
    flush(`IoUring.flush, ${length} buffers of one piece`, outgoing(a.fd, -1, 4), new Array(length), content(8), true);
    const sparse = new Array<Uint8Array>(length);
    strike(`IoUring.sendStream, ${length} holes`, () => ring.sendStream?.(a.fd, 1, sparse), length > 2);
  }
  ring.close?.(1000);

  // Getters of the array run code: they close the ring or detach memory before an element is used.
  const acts: Readonly<Record<string, (ring: Record<string, Callable>, memory: readonly Uint8Array[]) => void>> = {
    'closes the ring': (one) => one.close?.(1000),
    'transfers the memory': (_, memory) => {
      for (const view of memory) transfer(view.buffer as ArrayBuffer);
    },
    'prepares more': (one) => {
      for (let i = 0; i < 50; i++) one.nop?.(i);
    },
    throws: () => {
      throw new TypeError('mine');
    },
    'turns the ring': (one) => one.turn?.(0, new Int32Array(50), 10, new Uint8Array(10), 0, SHARE),
  };
  for (const [what, act] of Object.entries(acts)) {
    for (const method of ['flush', 'sendStream']) {
      const one = opened();
      const [slab, other] = [new Uint8Array(8).fill(CONTENT), new Uint8Array(8).fill(CONTENT)];
      const list: unknown[] = [other, other];
      Object.defineProperty(list, 0, {
        get: () => {
          act(one, [slab, other]);
          return other;
        },
      });
      const numbers = outgoing(a.fd, -1, 4, a.fd, 0, 4);
      strike(
        `IoUring.${method}, an element that ${what}`,
        () => (method === 'flush' ? one.flush?.(numbers, 2, slab, list) : one.sendStream?.(a.fd, 1, list)),
        what === 'throws',
      );
      look(what);
      one.close?.(1000);
    }
    // completions() returns an array, and its prototype has been modified.
    const one = opened();
    for (let i = 0; i < 5; i++) one.nop?.(i);
    one.enter?.(5, 1000);
    strike(
      `IoUring.completions, a setter that ${what}`,
      () => {
        let calls = 0;
        Object.defineProperty(Array.prototype, 0, {
          set: () => {
            if (calls++ === 1) act(one, []);
          },
          configurable: true,
        });
        try {
          one.completions?.(100);
        } finally {
          Reflect.deleteProperty(Array.prototype, 0);
        }
      },
      false,
    );
    one.close?.(1000);
  }

  // Received records and bytes: at most as many as fit, and inside the buffers.
  for (const size of [0, 1, 63, 64, 100]) {
    for (const length of [0, 4, 5, 9, 50]) {
      const one = opened();
      one.receiveStream?.(a.fd, 3, true);
      one.enter?.(0, 0);
      b.send(new Uint8Array(200).fill(CONTENT));
      const offset = size > 50 ? 50 : size;
      const what = `IoUring.turn, pool ${size}, ${length} numbers`;
      strike(
        what,
        () => {
          const [out, pool] = [within(Int32Array, length), within(Uint8Array, size)];
          const records = Math.floor(length / RECORD);
          const count = one.turn?.(0, out, records, pool, offset, SHARE) as number;
          if (count < 0 || count > records) complain(`${what}: found ${count}`);
          for (let at = 0; at < count * RECORD; at += RECORD) {
            const [fd, , , result = 0, place = 0] = out.subarray(at, at + RECORD);
            if (fd !== a.fd || result <= 0) continue;
            if (place >= 0 ? place < offset || place + result > size : -1 - place > 3)
              complain(`${what}: put ${result} bytes to ${place}`);
          }
        },
        false,
      );
      one.cancelStream?.(0xff, a.fd, 3);
      one.close?.(1000);
      while ((a.recv(65_536)?.length ?? 0) > 0);
    }
  }

  // Every number as a stream; cancels of operations cancelled before, or never submitted.
  for (const fd of EXTREMES) {
    const one = opened();
    for (const generation of [0, 1, 0xfff_ffff]) {
      if (fd < 0 || fd > 65) {
        strike(`IoUring.receiveStream(${fd})`, () => one.receiveStream?.(fd, generation, true), false);
        strike(`IoUring.acceptStream(${fd})`, () => one.acceptStream?.(fd, generation, true, false), false);
        strike(`IoUring.sendStream(${fd})`, () => one.sendStream?.(fd, generation, [content(3)]), false);
        strike(`IoUring.connectStream(${fd})`, () => one.connectStream?.(fd, generation, content(28)), false);
        strike(`IoUring.watchWake(${fd})`, () => one.watchWake?.(fd), false);
      }
      for (const what of EXTREMES)
        strike(`IoUring.cancelStream(${what}, ${fd})`, () => one.cancelStream?.(what, fd, generation), false);
      strike(
        'IoUring.turn',
        () => one.turn?.(0, within(Int32Array, 500), 100, within(Uint8Array, 10), 0, SHARE),
        false,
      );
    }
    strike('IoUring.close', () => one.close?.(1000), false);
  }

  // The buffers: their number and size; read after the ring is closed, transferred, and requested when there are none.
  for (const count of [0, 1, 2, 3, 32_768, 32_769, 65_536])
    for (const size of [0, 1, 64, 1 << 24, 2 ** 31]) {
      if (count * size > 1 << 28) continue;
      const one = new Ring();
      const bad = count > 32_768 || size > 1 << 24 || (count & (count - 1)) !== 0 || count === 0;
      strike(`IoUring.openStreams(${count}, ${size}), unopened`, () => one.openStreams?.(count, size), bad);
      one.open?.(2, 0);
      strike(`IoUring.openStreams(${count}, ${size})`, () => one.openStreams?.(count, size), bad);
      strike(`IoUring.openStreams(${count}, ${size}) again`, () => one.openStreams?.(count, size), bad);
      one.close?.(1000);
    }
  for (const buffer of [0, 3, 4, 32_768, 32_769, 2 ** 32])
    for (const length of [0, 1, 64, 65, 2 ** 32]) {
      const one = new Ring();
      const call = () => one.copyOfBuffer?.(buffer, length);
      const bad = buffer > 32_768 || length > 64;
      strike(`IoUring.copyOfBuffer(${buffer}, ${length}), unopened`, call, bad || length > 0);
      one.open?.(2, 0);
      const memory = one.openStreams?.(4, 64) as ArrayBuffer;
      strike(`IoUring.copyOfBuffer(${buffer}, ${length})`, call, bad || (buffer > 3 && length > 0));
      if (length === 64) transfer(memory);
      strike(`IoUring.copyOfBuffer(${buffer}, ${length}), transferred`, call, bad || (buffer > 3 && length > 0));
      one.close?.(1000);
      strike(`IoUring.copyOfBuffer(${buffer}, ${length}), closed`, call, bad || (buffer > 3 && length > 0));
      if (length !== 64) new Uint8Array(memory).fill(CONTENT);
    }

  // After close() nothing is prepared, nothing waits, and the ring cannot be reopened.
  const closed = opened();
  closed.recv?.(a.fd, 10, 0, 1);
  closed.enter?.(0, 0);
  closed.close?.(1000);
  const bytes = content(16);
  const refused: Readonly<Record<string, readonly unknown[]>> = {
    ...{ open: [4, 0], supports: [0], registerEventFd: [a.fd], nop: [1], accept: [a.fd, 0, 1] },
    ...{ connect: [a.fd, bytes, 1], recv: [a.fd, 8, 0, 1], send: [a.fd, bytes, 0, 1], recvmsg: [a.fd, bytes, 0, 1] },
    ...{ sendmsg: [a.fd, bytes, bytes, 0, 1], read: [a.fd, 8, 0, 1], write: [a.fd, bytes, 0, 1] },
    ...{ pollAdd: [a.fd, 1, 1], timeout: [1, 1], cancel: [1, 1], enter: [1, -1], openStreams: [4, 64] },
    ...{ watchWake: [a.fd], acceptStream: [a.fd, 1, true, true], connectStream: [a.fd, 1, bytes] },
    ...{
      receiveStream: [a.fd, 1, true],
      sendStream: [a.fd, 1, [bytes]],
      turn: [-1, outgoing(0, 0, 0, 0, 0), 1, bytes, 0, 1],
    },
  };
  for (const one of [closed, new Ring()]) {
    for (const [name, args] of Object.entries(refused)) {
      if (one !== closed && name === 'open') continue;
      const what = `IoUring.${name} on ${one === closed ? 'a closed' : 'an unopened'} ring`;
      strike(
        what,
        () => {
          const result = one[name]?.(...args);
          if (typeof result !== 'number' || result >= 0) complain(`${what}: returned ${String(result)}`);
        },
        false,
      );
    }
    strike('IoUring.flush, closed', () => one.flush?.(outgoing(a.fd, 0, 4), 1, bytes, []), false);
    strike('IoUring.cancelStream, closed', () => one.cancelStream?.(0xff, a.fd, 1), false);
    if ((one.completions?.(10) as unknown[]).length > 0) complain('IoUring.completions: of a closed ring');
    if (one.ready?.() !== 0 || one.woken?.() !== false) complain('IoUring.ready: of a closed ring');
    if (one.close?.(0) !== 0) complain('IoUring.close: twice');
  }
  a.close();
  b.close();
}

/** accept, with and without room for the peer's address. */
function attackAccept(native: Addon, api: Api, strike: Strike, complain: Complain): void {
  const { Socket } = api.index;
  const listener = new Socket({ blocking: false }).bind({ host: '127.0.0.1', port: 0 }).listen();
  for (let size = 0; size < 32; size++) {
    const client = new Socket();
    client.connect(listener.localAddress);
    strike(
      `accept, an address of ${size} bytes`,
      () => {
        const out = within(Int32Array, 1 + (size % 3));
        const fd = (native.accept as Callable)(listener.fd, size % 2 === 0, within(Uint8Array, size), out) as number;
        if (fd < 0) complain(`accept, an address of ${size} bytes: returned ${fd}`);
        else new (native.Descriptor as Class)(fd).close?.();
        if ((out[0] as number) > size) complain(`accept, an address of ${size} bytes: returns length ${out[0]}`);
      },
      false,
    );
    client.close();
  }
  listener.close();
}

/** SignalWatch.open(signal, wakeupHandle). */
function attackSignals(native: Addon, handle: unknown, strike: Strike, complain: Complain): void {
  // Node handles these signals itself; it depends on no others.
  const spared: readonly (number | undefined)[] = [constants.signals.SIGCHLD, constants.signals.SIGPROF];
  for (let signal = -2; signal < 140; signal++) {
    if (spared.includes(signal)) continue;
    const watch = new (native.SignalWatch as Class)();
    strike(`SignalWatch.open(${signal})`, () => watch.open?.(signal, handle), false);
    strike(`SignalWatch.open(${signal}) again`, () => watch.open?.(signal, handle), false);
    strike(`SignalWatch.refresh, ${signal}`, () => watch.refresh?.(), false);
    watch.close?.();
  }
  for (const wrong of [0, 1, 999_999, 0xffff_ffff]) {
    const watch = new (native.SignalWatch as Class)();
    if (wrong !== handle && (watch.open?.(constants.signals.SIGHUP, wrong) as number) >= 0 && wrong > 1)
      complain(`SignalWatch.open: accepted the wake channel ${wrong}`);
    watch.close?.();
  }
  // More than there is room for, on a channel that is closed meanwhile.
  const wakeup = new (native.Wakeup as Class)();
  wakeup.open?.();
  const watches = Array.from({ length: 300 }, () => new (native.SignalWatch as Class)());
  const opened = watches.filter((watch) => watch.open?.(constants.signals.SIGHUP, wakeup.handle?.()) === 0);
  if (opened.length === 0 || opened.length === 300) complain(`SignalWatch.open: ${opened.length} are open`);
  wakeup.close?.();
  if (process.platform !== 'win32') process.kill(process.pid, 'SIGHUP');
  for (const watch of watches) watch.close?.();
}

/** Descriptor: it owns its descriptor once; after close() every method must fail or do nothing. */
function attackDescriptor(native: Addon, strike: Strike, complain: Complain): void {
  const Owner = native.Descriptor as Class;
  const open = () => (native.socket as Callable)(2, 1, 0) as number;
  const isOpen = (fd: number) => ((native.isOpen as Callable)(fd) as number) >= 0;
  const calls = ['close', 'release'] as const;
  for (const first of calls) {
    for (const second of calls) {
      for (const third of calls) {
        const fd = open();
        const owner = new Owner(fd);
        const order = `Descriptor: ${first}, ${second}, ${third}`;
        strike(
          order,
          () => {
            if (owner[first]?.() !== (first === 'close' ? 0 : fd))
              complain(`${order}: the first call returns a wrong value`);
            if (isOpen(fd) !== (first === 'release'))
              complain(`${order}: the first call leaves the descriptor in a wrong state`);
            for (const again of [second, third])
              if (owner[again]?.() !== (again === 'close' ? 0 : -1)) complain(`${order}: owned the descriptor twice`);
            if (isOpen(fd) !== (first === 'release')) complain(`${order}: closed the released descriptor`);
          },
          false,
        );
        if (first === 'release') new Owner(fd).close?.();
      }
    }
  }
  for (const method of calls) {
    const body = Owner.prototype[method] as Callable;
    const fd = open();
    const owner = new Owner(fd);
    // None of these is a Descriptor.
    const others = [
      new Proxy(owner, {}),
      Object.create(owner),
      structuredClone(owner),
      Object.setPrototypeOf({}, owner),
    ];
    for (const other of others) strike(`Descriptor.${method} on another`, () => Reflect.apply(body, other, []), true);
    if (!isOpen(fd)) complain(`Descriptor.${method}: closed by a call on another object`);
    // Frozen and without its prototype, it is still a Descriptor.
    Object.freeze(Object.setPrototypeOf(owner, null));
    strike(`Descriptor.${method}, frozen`, () => Reflect.apply(body, owner, []), false);
    if (isOpen(fd) !== (method === 'release')) complain(`Descriptor.${method}: does nothing on a frozen object`);
    strike(`Descriptor.${method}, frozen, again`, () => Reflect.apply(body, owner, []), false);
    if (method === 'release') new Owner(fd).close?.();
    strike(`Descriptor on a Descriptor`, () => Reflect.apply(Owner as unknown as Callable, owner, [fd]), true);
  }
  // Left to the garbage collector in every state.
  for (let i = 0; i < 200; i++) {
    const owner = new Owner(open());
    if (i % 4 > 0) owner[i % 4 === 1 ? 'close' : 'release']?.();
  }
}

const isFileName = (value: unknown) => ['x', '1', '\ud800'].includes(value as string);

/** SharedFile: each method, in each order; memory that is transferred, and memory that outlives its file. */
function attackSharedFile(
  native: Addon,
  strike: Strike,
  complain: Complain,
  attackCall: (name: string, call: Callable, parameters: readonly Parameter[]) => void,
): void {
  const File = native.SharedFile as Class;
  const folder = temporaryFolder();
  const path = join(folder.path, 'shared');
  const opened = (size = 100) => {
    const file = new File();
    if (file.open?.(path) !== 0) complain('SharedFile.open: does not open');
    if (file.grow?.(size) !== 0) complain('SharedFile.grow: does not grow');
    return file;
  };
  const other = opened();
  const seen = new Uint8Array(other.map?.() as ArrayBuffer);

  const open: Callable = (...args) => {
    if (isFileName(args[0])) throw new TypeError('spared');
    const file = new File();
    const answer = file.open?.(...args);
    file.close?.();
    return answer;
  };
  attackCall('SharedFile.open', open, [['text', () => path]]);
  const grow: Callable = (...args) => {
    const file = opened();
    try {
      // Whatever it returns, the mapped memory must be accessible.
      const answer = file.grow?.(...args);
      const memory = file.map?.();
      if (memory instanceof ArrayBuffer) new Uint8Array(memory).fill(1, memory.byteLength - 1);
      return answer;
    } finally {
      file.close?.();
    }
  };
  attackCall('SharedFile.grow', grow, [['bytesOfFile', () => 100]]);
  attackCall(
    'SharedFile.lock',
    (...args) => {
      const file = opened();
      try {
        return file.lock?.(...args);
      } finally {
        file.close?.();
      }
    },
    [['flag', () => false]],
  );

  // Each order of three calls; each returns a number or an ArrayBuffer, and never blocks forever.
  const calls: Readonly<Record<string, (file: Record<string, Callable>) => unknown>> = {
    open: (file) => file.open?.(path),
    grow: (file) => file.grow?.(50),
    map: (file) => file.map?.(),
    lock: (file) => file.lock?.(true),
    tryLock: (file) => file.lock?.(false),
    unlock: (file) => file.unlock?.(),
    close: (file) => file.close?.(),
    'a folder': (file) => file.open?.(folder.path),
  };
  const names = Object.keys(calls);
  for (const order of names.flatMap((one) => names.flatMap((two) => names.map((three) => [one, two, three])))) {
    for (const file of [new File(), opened()]) {
      strike(
        `SharedFile: ${order.join(', ')}`,
        () => {
          for (const name of order) {
            const answer = calls[name]?.(file);
            if (answer instanceof ArrayBuffer) new Uint8Array(answer)[answer.byteLength - 1] = 7;
            else if (typeof answer !== 'number') complain(`SharedFile: ${order.join(', ')}: ${typeof answer}`);
          }
        },
        false,
      );
      file.close?.();
      strike(
        'SharedFile.lock, after all',
        () => other.lock?.(false) === 1 || complain(`${order.join()}: keeps it`),
        false,
      );
      other.unlock?.();
    }
  }

  // Memory whose file is closed, memory that is transferred, memory that is dropped.
  for (let i = 0; i < 100; i++) {
    const file = opened();
    const [memory, second] = [file.map?.() as ArrayBuffer, file.map?.() as ArrayBuffer];
    file.close?.();
    new Uint8Array(memory)[5] = i;
    if (seen[5] !== i || new Uint8Array(second)[5] !== i) complain('SharedFile.map: is not shared');
    if (i % 3 === 0) strike('SharedFile.map, transferred', () => transfer(memory), false);
    if (i % 3 === 1) {
      const reader = new ReadableStream({ type: 'bytes' }).getReader({ mode: 'byob' });
      reader.read(new Uint8Array(memory)).catch(() => undefined);
    }
  }
  other.close?.();
  if (seen[0] === undefined || seen.length !== 100) complain('SharedFile.close: took the memory away');
  folder.close();
}

function transfer(memory: ArrayBuffer): void {
  try {
    structuredClone(memory, { transfer: [memory] });
  } catch (error) {
    if ((error as Error).name !== 'DataCloneError') throw error;
  }
  (memory as { transfer?: () => unknown }).transfer?.();
}

/** Waiter.start(useSelect, interest, count, timeout, handle, callback): each parameter. */
function attackStart(
  native: Addon,
  api: Api,
  strike: (what: string, call: () => unknown, mustThrow: boolean) => void,
): void {
  const good = (): unknown[] => [false, new Int32Array(0), 0, 1, 0, () => undefined];
  const places: readonly Kind[] = ['flag', 'ints', 'size', 'time', 'size', 'function'];
  for (const [at, kind] of places.entries()) {
    for (const { name, value } of badValues(api)) {
      const waiter = new (native.Waiter as Class)();
      waiter.open?.();
      const args = good();
      args[at] = value;
      const mustThrow = !kinds[kind](value) || (at === 2 && (value as number) > 0);
      // An exception of a callback is an uncaught exception of the process.
      if (!(kind === 'function' && typeof value === 'function'))
        strike(`Waiter.start, argument ${at} = ${name}`, () => waiter.start?.(...args), mustThrow);
      waiter.interrupt?.();
      waiter.close?.();
      waiter.close?.();
    }
  }
  for (let i = 0; i < 100; i++) {
    // Dropped in each state of its wait.
    const waiter = new (native.Waiter as Class)();
    if (i % 4 > 0) waiter.open?.();
    if (i % 4 > 1) waiter.start?.(i % 2 === 0, new Int32Array(0), 0, i, 0, () => undefined);
    if (i % 4 > 2) waiter.interrupt?.();
    if (i % 3 === 0) waiter.close?.();
  }
}
