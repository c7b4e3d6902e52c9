/**
 * A random program over the public API: node program.cjs SEED STEPS. `npm run fuzz` runs it repeatedly, each time in a new process.
 *
 * A step is one call with random arguments, some of them invalid. Callbacks, getters and fileno() make further steps, throw, and close objects
 * in use. Every exception must be an Error, or THROWN, which the program itself throws. The program regularly prints the number of its steps,
 * which shows the parent process that it is alive. If a check fails it prints its last calls.
 */
'use strict';
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Worker, isMainThread, workerData } = require('node:worker_threads');
const { setTimeout: sleep } = require('node:timers/promises');
const { Random, THROWN, wrongValues } = require('./random.cjs');

const dist = path.join(__dirname, '../../dist');
const selectors = require(path.join(dist, 'index.js'));
const syscalls = require(path.join(dist, 'syscalls.js'));
const servers = require(path.join(dist, 'servers.js'));
const trace = require(path.join(dist, 'trace.js'));

const [seed, steps] = isMainThread ? process.argv.slice(2).map(Number) : [workerData.seed, workerData.steps];
const random = new Random(seed);
const folder = isMainThread ? fs.mkdtempSync(path.join(os.tmpdir(), 'selectors-fuzz-')) : workerData.folder;
if (isMainThread) process.chdir(folder); // a random path stays inside this folder
/** Only a program without threads may close descriptors under their owners: a thread could reuse the number at once. */
const closesUnderneath = isMainThread && random.chance(0.3);
const startsWorkers = isMainThread && !closesUnderneath && random.chance(0.3);
const startsServers = isMainThread && !closesUnderneath && random.chance(0.05);

const SIGNAL = 'SIGUSR2';
const KEPT_CALLS = 60;
const MAX_DEPTH = 3;
/** In ms. */
const MAX_WAIT = 3;

const calls = [`closesUnderneath ${closesUnderneath}, workers ${startsWorkers}, servers ${startsServers}`];
let depth = 0;
let stepsMade = 0;

// ------------------------------------------------------------------------------------------------------------ the verdict

function fail(why, error) {
  fs.writeSync(2, `${why}: ${describe(error)}\nthe last calls:\n${calls.join('\n')}\n`);
  process.exit(70);
}

function describe(value) {
  try {
    if (value instanceof Error) return value.stack ?? value.message;
    if (Buffer.isBuffer(value)) return `Buffer(${value.length})`;
    if (typeof value === 'object' && value !== null) return value.constructor?.name ?? 'object';
    return String(value).slice(0, 60);
  } catch {
    return 'a value that cannot be printed';
  }
}

function check(error, what) {
  if (error instanceof Error || error === THROWN) return;
  fail(`${what} threw a value that is not an Error`, error);
}

process.on('uncaughtException', (error) => check(error, 'a callback'));
process.on('unhandledRejection', (error) => check(error, 'a promise'));
process.on('warning', () => undefined);
process.on(SIGNAL, () => undefined);

/** Makes one call, and passes its result to `keep`; of a promise, the value that it resolves to. */
function call(what, run, keep = () => undefined) {
  calls.push(`${'  '.repeat(depth)}${what}`);
  if (calls.length > KEPT_CALLS) calls.splice(1, 1);
  if (process.env.FUZZ_LOG !== undefined) fs.writeSync(2, `${calls.at(-1)}\n`);
  try {
    const result = run();
    if (result instanceof Promise) result.then(keep, (error) => check(error, what));
    else keep(result);
    return result;
  } catch (error) {
    check(error, what);
    return undefined;
  }
}

// ------------------------------------------------------------------------------------------------------------- the values

/** The number of objects kept per kind. A further one replaces a random one, which is dropped or closed. */
const MAX_KEPT = 12;
const objects = new Map();
const allOf = (kind) => objects.get(kind) ?? [];
const anyOf = (kind) => random.pick(allOf(kind));

function keep(kind, value) {
  if (value === undefined || value === null) return;
  const list = allOf(kind);
  objects.set(kind, list);
  if (list.length < MAX_KEPT) return void list.push(value);
  const place = random.below(MAX_KEPT);
  if (random.chance(0.5)) close(list[place]);
  list[place] = value;
}

const close = (value) =>
  call(`close of a ${value?.constructor?.name}`, () =>
    (value.close ?? value.stop ?? value.cancel ?? value.destroy)?.call(value),
  );

function reenter() {
  if (depth >= MAX_DEPTH || !random.chance(0.3)) return;
  depth++;
  step();
  depth--;
}

const wrong = wrongValues(random, reenter);
/** The valid value, or in one of fifteen cases an invalid one. */
const orWrong = (value) => (random.chance(1 / 15) ? wrong() : value);
/** Invalid timeouts; none of them may mean to wait forever. */
const INVALID_TIMEOUTS = [NaN, 'x', {}, [], 5n, true, Symbol('wrong'), () => 1];
const timeout = () => (random.chance(1 / 15) ? random.pick(INVALID_TIMEOUTS) : random.below(MAX_WAIT));
const events = () => orWrong(1 + random.below(3));
const fileobj = () =>
  orWrong(random.pick([anyOf('socket'), anyOf('socket')?.fd, anyOf('connection'), { fd: anyOf('socket')?.fd }]));
const address = () =>
  orWrong(
    random.pick([
      anyOf('listening'),
      { path: path.join(folder, `s${random.below(5)}`) },
      { host: '127.0.0.1', port: 1 },
    ]),
  );

/** A callback that may make further steps, throw, or reject. */
function callback(then = () => undefined) {
  const isAsync = random.chance(0.1);
  return (...values) => {
    then(...values);
    reenter();
    const throws = random.chance(0.05);
    if (isAsync) return throws ? Promise.reject(random.chance(0.5) ? THROWN : new Error('on purpose')) : sleep(1);
    if (throws) throw random.chance(0.5) ? THROWN : new Error('on purpose');
    return undefined;
  };
}

const handler = () => ({
  open: callback((connection) => keep('connection', connection)),
  data: callback((connection, chunk) => {
    if (random.chance(0.7)) call('write in data', () => connection.write(chunk));
    if (random.chance(0.1))
      structuredClone(chunk.buffer, chunk.byteLength > 0 && random.chance(0.1) ? { transfer: [chunk.buffer] } : {});
  }),
  drain: callback(),
  end: callback((connection) => random.chance(0.5) && connection.end()),
  close: callback(),
});

function adoptable() {
  const [a, b] = selectors.Socket.pair({ blocking: false });
  keep('socket', a);
  return b;
}

/** Keeps a socket with a timeout of a few ms, or closes it if setting the timeout fails (a fault of fcntl). */
function socket(made) {
  keep('socket', made);
  if (!(made instanceof selectors.Socket)) return;
  const timeout = call('timeout', () => (made.timeout = random.below(2) === 0 ? 0 : MAX_WAIT));
  if (timeout === undefined) close(made);
}

// -------------------------------------------------------------------------------------------------------------- the steps

const SELECTORS = [
  selectors.DefaultSelector,
  selectors.EpollSelector,
  selectors.PollSelector,
  selectors.SelectSelector,
].filter(({ isAvailable }) => isAvailable);
const RINGS = syscalls.IoUring !== undefined && selectors.IoUringProactor.isAvailable;
const PROACTORS = [
  selectors.DefaultProactor,
  selectors.EmulatedProactor,
  ...(RINGS ? [selectors.IoUringProactor] : []),
];

/** A step that calls a method of a kept object. */
const method = (kind, method, ...args) => [
  `${kind}.${method}`,
  () => {
    const object = anyOf(kind);
    if (object === undefined) return undefined;
    const values = args.map((arg) => arg());
    return object[method](...values);
  },
];

const PLANS = [
  ...['recv:EINTR@2..6', 'send:short=1@every3', 'accept:EMFILE@1..3', 'epoll_wait:short=1', 'epoll_ctl:ENOMEM@p=0.1'],
  ...[
    'socket:EMFILE@p=0.2',
    'io_uring_enter:EAGAIN@p=0.2',
    'io_uring_enter:EBUSY@p=0.2',
    'recv.completion:ECANCELED@p=0.2',
  ],
  ...[
    'send.completion:EIO@p=0.2, recv.completion:short=1',
    'close:EINTR@every2',
    'mmap:ENOMEM@p=0.3',
    'eventfd:EMFILE@p=0.3',
  ],
  ...['poll:ENOMEM@p=0.2', 'fcntl:EIO@p=0.1', 'getsockname:ENOBUFS@p=0.2', 'setsockopt:EINVAL@p=0.2', 'recv:EIO@p=0.1'],
];

const flags = () => orWrong(0);
const size = () => orWrong(random.pick([1, 10, 1000, 65_536]));
const data = () => orWrong(random.chance(0.3) ? 'text' : random.bytes());
const number = () => orWrong(random.below(100));

/** [name, call, what to do with its result]. A more frequent step is listed several times. */
const STEPS = [
  ...[1, 2, 3].map(() => [
    'Socket.pair',
    () =>
      selectors.Socket.pair({
        blocking: orWrong(random.chance(0.2)),
        type: orWrong(random.pick(['stream', 'dgram', 'seqpacket'])),
      }),
    (pair) => pair?.forEach(socket),
  ]),
  [
    'new Socket',
    () =>
      new selectors.Socket(
        orWrong({
          family: orWrong(random.pick(['ipv4', 'ipv6', 'unix'])),
          type: orWrong(random.pick(['stream', 'dgram'])),
          blocking: false,
        }),
      ),
    socket,
  ],
  ['a listener', () => new selectors.Socket({ blocking: false }).bind({ host: '127.0.0.1', port: 0 }).listen(orWrong(5)), (made) => { socket(made); keep('listening', made?.localAddress); }], // prettier-ignore
  [...method('socket', 'accept'), socket],
  method('socket', 'connect', address),
  method('socket', 'bind', address),
  method('socket', 'listen', number),
  method(
    'socket',
    'send',
    data,
    () => orWrong(undefined),
    () => orWrong(undefined),
  ),
  method('socket', 'send', data),
  // sendAll() waits on a non-blocking socket as well.
  ['socket.sendAll', () => { const one = anyOf('socket'); if (one !== undefined) { one.timeout = MAX_WAIT; one.sendAll(orWrong(random.chance(0.9) ? 'small' : random.bytes())); } }], // prettier-ignore
  method('socket', 'recv', size, flags),
  method(
    'socket',
    'recvInto',
    data,
    () => orWrong(undefined),
    () => orWrong(undefined),
  ),
  method('socket', 'recvFrom', size),
  method('socket', 'sendTo', data, address),
  method(
    'socket',
    'sendFds',
    () => orWrong([anyOf('socket'), anyOf('socket')].filter((one) => one !== undefined)),
    () => orWrong(Buffer.from('x')),
  ),
  [
    ...method(
      'socket',
      'recvFds',
      () => orWrong(3),
      () => orWrong(10),
    ),
    (received) => received?.fds?.forEach((fd) => socket(selectors.Socket.fromFd(fd))),
  ],
  [...method('socket', 'dup'), socket],
  method('socket', 'shutdown', () => orWrong(random.pick(['read', 'write', 'both']))),
  method(
    'socket',
    'setOption',
    () => orWrong(random.pick(['SO_SNDBUF', 'SO_RCVBUF', 'SO_LINGER', 'TCP_NODELAY', 'SO_REUSEADDR'])),
    () => orWrong(random.below(10_000)),
  ),
  method(
    'socket',
    'getOption',
    () => orWrong(random.pick(['SO_SNDBUF', 'SO_LINGER', 'TCP_NODELAY'])),
    () => orWrong(undefined),
    () => orWrong(undefined),
  ),
  method(
    'socket',
    'getOption',
    () => orWrong(1),
    () => orWrong(random.below(40)),
    () => orWrong(random.below(200)),
  ),
  [
    'socket.detach',
    () => anyOf('socket')?.detach(),
    (fd) => typeof fd === 'number' && fd >= 0 && socket(selectors.Socket.fromFd(fd)),
  ],
  ...['error', 'fileno', 'close', 'close'].map((name) => method('socket', name)),
  ...['localAddress', 'remoteAddress', 'family', 'type', 'timeout', 'inheritable', 'blocking'].map((name) => [
    `socket.${name}`,
    () => anyOf('socket')?.[name],
  ]),
  ['fileno', () => selectors.fileno(fileobj())],

  ['a selector', () => new (random.pick(SELECTORS))(), (made) => keep('selector', made)],
  [
    'createSelector',
    () => selectors.createSelector(orWrong(random.pick(['epoll', 'poll', 'select']))),
    (made) => keep('selector', made),
  ],
  ...[1, 2, 3].map(() => method('selector', 'register', fileobj, events, wrong)),
  method('selector', 'modify', fileobj, events, wrong),
  method('selector', 'unregister', fileobj),
  method('selector', 'select', timeout),
  method('selector', 'select', timeout),
  method('selector', 'selectAsync', () =>
    orWrong({ timeout: timeout(), signal: random.chance(0.2) ? AbortSignal.timeout(random.below(5)) : undefined }),
  ),
  method('selector', 'wakeup'),
  ['wakeup', () => selectors.wakeup(orWrong(anyOf('selector')?.wakeupHandle ?? 1))],
  method('selector', 'getKey', fileobj),
  ['selector.getMap', () => { for (const [, key] of anyOf('selector')?.getMap() ?? []) { reenter(); String(key.fd); } }], // prettier-ignore
  ['for await of a selector', async () => { let turns = 0; const one = anyOf('selector'); if (one !== undefined) for await (const ready of one) { reenter(); if (++turns > 2 || ready.length === 0) break; } }], // prettier-ignore
  method('selector', 'close'),

  [
    'new Reactor',
    () =>
      new selectors.Reactor(
        orWrong(
          random.pick([
            undefined,
            { onError: callback() },
            { selector: new (random.pick(SELECTORS))() },
            { selector: anyOf('selector') },
          ]),
        ),
      ),
    (made) => keep('loop', made),
  ],
  [
    'new ProactorLoop',
    () =>
      new selectors.ProactorLoop(
        orWrong(
          random.pick([
            undefined,
            { onError: callback() },
            { proactor: new (random.pick(PROACTORS))() },
            { proactor: anyOf('proactor') },
          ]),
        ),
      ),
    (made) => keep('loop', made),
  ],
  ...[1, 2].map(() => ['loop.listen', () => anyOf('loop')?.listen(orWrong({ ...(random.chance(0.7) ? { port: orWrong(0) } : { path: path.join(folder, `s${random.below(5)}`) }), highWaterMark: orWrong(random.pick([undefined, 1, 1000])), maxConnections: orWrong(random.pick([undefined, 1, 5])), backlog: orWrong(undefined) }), orWrong(handler())), (listener) => { keep('listener', listener); keep('listening', listener?.address); }]), // prettier-ignore
  ...[1, 2, 3].map(() => [
    ...method('loop', 'connect', address, () => orWrong(handler())),
    (connection) => keep('connection', connection),
  ]),
  [
    ...method(
      'loop',
      'adopt',
      () => orWrong(adoptable()),
      () => orWrong(handler()),
    ),
    (connection) => keep('connection', connection),
  ],
  method('loop', 'addReader', fileobj, () => orWrong(callback())),
  method('loop', 'addWriter', fileobj, () => orWrong(callback())),
  method('loop', 'removeReader', fileobj),
  method('loop', 'removeWriter', fileobj),
  method('loop', 'callSoon', () => orWrong(callback())),
  [...method('loop', 'callLater', timeout, () => orWrong(callback())), (timer) => keep('timer', timer)],
  [
    'loop.onSignal',
    () => anyOf('loop')?.onSignal(orWrong(SIGNAL), orWrong(callback())),
    (watched) => keep('timer', { cancel: () => watched?.[Symbol.dispose]() }),
  ],
  ['kill', () => process.kill(process.pid, SIGNAL)],
  ...[1, 2, 3, 4, 5, 6].map(() => method('loop', 'runOnce', timeout)),
  ['loop.run', () => { const loop = anyOf('loop'); loop?.callLater(MAX_WAIT, () => loop.stop()); loop?.run(); }], // prettier-ignore
  method('loop', 'start'),
  method('loop', 'stop'),
  method('loop', 'now'),
  method('loop', 'close'),
  method('timer', 'cancel'),
  method('listener', 'close'),
  ...[1, 2, 3].map(() => method('connection', 'write', data)),
  method('connection', 'end', () => orWrong(random.pick([undefined, 'the end']))),
  ...['pause', 'resume', 'destroy'].map((name) => method('connection', name)),
  method('connection', 'destroy', () => orWrong(new Error('on purpose'))),
  ...['writableLength', 'localAddress', 'remoteAddress', 'fd', 'loop'].map((name) => [
    `connection.${name}`,
    () => anyOf('connection')?.[name],
  ]),

  [
    'a proactor',
    () => new (random.pick(PROACTORS))(orWrong(random.pick([undefined, { entries: 8 }]))),
    (made) => keep('proactor', made),
  ],
  ...[
    ['accept', () => orWrong(anyOf('socket'))],
    ['connect', () => orWrong(anyOf('socket')), address],
    ['recv', () => orWrong(anyOf('socket')), size],
    ['recvInto', () => orWrong(anyOf('socket')), data],
    ['recvFrom', () => orWrong(anyOf('socket')), size],
    ['send', () => orWrong(anyOf('socket')), data],
    ['sendTo', () => orWrong(anyOf('socket')), data, address],
    ['read', () => orWrong(file()), size, () => orWrong(random.pick([-1, 0, 10]))],
    ['write', () => orWrong(file()), () => orWrong(random.bytes()), () => orWrong(0)],
    ['timeout', timeout],
  ].map(([name, ...args]) => [
    ...method('proactor', name, ...args, wrong),
    (operation) => keep('operation', operation),
  ]),
  ...[1, 2, 3].map(() => [
    ...method('proactor', 'wait', timeout),
    (done) => done?.forEach(({ result }) => socket(result instanceof selectors.Socket ? result : undefined)),
  ]),
  method('proactor', 'waitAsync', () => orWrong({ timeout: timeout() })),
  method('proactor', 'wakeup'),
  method('proactor', 'close'),
  method('operation', 'cancel'),
  ['operation.result', () => anyOf('operation')?.result],

  [
    'select',
    () =>
      syscalls.select(orWrong([anyOf('socket')?.fd ?? 0]), orWrong([anyOf('socket')?.fd ?? 1]), orWrong([]), timeout()),
  ],
  ['new Poll', () => new syscalls.Poll(), (made) => keep('poll', made)],
  method('poll', 'register', fileobj, number),
  method('poll', 'modify', fileobj, number),
  method('poll', 'unregister', fileobj),
  method('poll', 'poll', timeout),
  method('poll', 'close'),
  ['new Epoll', () => new syscalls.Epoll(), (made) => keep('epoll', made)],
  method(
    'epoll',
    'add',
    () => orWrong(anyOf('socket')?.fd),
    number,
    () => orWrong(random.below(2 ** 31)),
  ),
  method('epoll', 'modify', () => orWrong(anyOf('socket')?.fd), number),
  method('epoll', 'delete', () => orWrong(anyOf('socket')?.fd)),
  method('epoll', 'wait', () => orWrong(random.below(20) + 1), timeout),
  method('epoll', 'close'),
  ...(RINGS
    ? [
        ['new IoUring', () => new syscalls.IoUring(orWrong(8)), (made) => keep('ring', made)],
        method('ring', 'prepNop', number),
        method('ring', 'prepAccept', () => orWrong(anyOf('socket')?.fd), flags, number),
        method('ring', 'prepRecv', () => orWrong(anyOf('socket')?.fd), data, flags, number),
        method('ring', 'prepSend', () => orWrong(anyOf('socket')?.fd), data, flags, number),
        method(
          'ring',
          'prepRead',
          () => orWrong(anyOf('socket')?.fd),
          data,
          () => orWrong(-1),
          number,
        ),
        method('ring', 'prepPollAdd', () => orWrong(anyOf('socket')?.fd), number, number),
        method('ring', 'prepTimeout', timeout, number),
        method('ring', 'prepCancel', number, number),
        method('ring', 'enter', () => orWrong(random.below(2)), timeout),
        method('ring', 'completions', () => orWrong(10)),
        method('ring', 'close'),
      ]
    : []),

  [
    'new SharedFile',
    () => new syscalls.SharedFile(orWrong(path.join(folder, `f${random.below(3)}`)), orWrong(random.pick([64, 4096]))),
    (made) => keep('shared', made),
  ],
  method('shared', 'tryLock'),
  method('shared', 'unlock'),
  ['shared.memory', () => new Uint8Array(anyOf('shared')?.memory ?? new ArrayBuffer(1)).fill(random.below(256))],
  method('shared', 'close'),

  [
    'startTrace',
    () => trace.startTrace(orWrong({ capacity: orWrong(random.pick([1, 16, 1024])) })),
    (made) => keep('trace', made),
  ],
  ...['records', 'take', 'summary', 'format', 'stop', 'stop'].map((name) => method('trace', name)),
  [
    'injectFaults',
    () =>
      trace.injectFaults(orWrong(random.pick(PLANS)), orWrong({ scope: orWrong(random.pick(['thread', 'process'])) })),
    (made) => keep('faults', made),
  ],
  method('faults', 'counts'),
  ...[1, 2, 3].map(() => method('faults', 'stop')),
  ['renderReport', () => trace.renderReport(wrong())],
  [
    'createServer',
    () =>
      servers.createServer(
        orWrong(random.pick(servers.SERVER_MODELS)?.name),
        orWrong({ workers: orWrong(1), port: orWrong(0) }),
      ),
  ],
  ['availableMechanisms', () => selectors.availableMechanisms()],
  ['gc', () => globalThis.gc?.()],
];

let dataFile = null;
function file() {
  dataFile ??= fs.openSync(path.join(folder, 'data'), 'a+');
  return dataFile;
}

/**
 * Closes a socket's descriptor while it is registered. Afterwards the number is free, or is another file. The Socket is detached, because
 * closing it later would close the new owner's descriptor, an eventfd of Node.js for example.
 */
function closeUnderneath() {
  const owner = anyOf('socket');
  const fd = owner?.fd;
  if (!(fd > 2)) return;
  calls.push(`close(${fd})`);
  owner.detach();
  fs.closeSync(fd);
  if (random.chance(0.5)) fs.openSync('/dev/null'); // the lowest free number
}

function startWorker() {
  const worker = new Worker(__filename, {
    workerData: { seed: random.below(2 ** 32), steps: 300, folder },
    execArgv: [],
  });
  worker.on('error', (error) => check(error, 'a worker'));
  worker.on('message', (message) => message.failed !== undefined && fail(message.failed));
  setTimeout(() => void worker.terminate(), random.below(1500));
  return worker;
}

async function serve() {
  const row = random.pick(servers.SERVER_MODELS.filter(({ isAvailable }) => isAvailable));
  const server = servers.createServer(row.name, {
    workers: 1,
    onWorkerExit: callback(),
    application: random.pick(['echo', 'rpc', 'chat']),
  });
  keep('server', server);
  const { port } = await server.listen();
  keep('listening', { host: '127.0.0.1', port });
  await sleep(random.below(300));
  for (const { id } of await server.workers()) if (random.chance(0.3)) await server.killWorker(id);
  await server.stats();
  await server.close();
}

function step() {
  stepsMade++;
  const [what, run, keepResult] = random.pick(STEPS);
  call(what, run, keepResult);
}

// ------------------------------------------------------------------------------------------------------------ the program

async function main() {
  if (process.env.FUZZ_LOG !== undefined) fs.writeSync(2, `${calls[0]}\n`);
  const workers = [];
  const serving = startsServers ? [serve().catch((error) => check(error, 'a server'))] : [];
  while (stepsMade < steps) {
    for (let i = 0; i < 20; i++) step();
    if (closesUnderneath && random.chance(0.2)) closeUnderneath();
    if (startsWorkers && workers.length < 3 && random.chance(0.02)) workers.push(startWorker());
    if (isMainThread && stepsMade % 500 < 20) fs.writeSync(1, `${stepsMade}\n`);
    await (random.chance(0.5) ? new Promise(setImmediate) : sleep(random.below(3)));
  }
  await Promise.all([...workers.map((worker) => worker.terminate()), ...serving]);
  const ending = random.below(4);
  if (isMainThread) fs.rmSync(folder, { recursive: true });
  if (ending === 0) process.exit(0);
  if (!closesUnderneath)
    for (const kind of [...objects.keys()].sort(() => random.below(3) - 1)) for (const one of allOf(kind)) close(one);
  if (ending === 1) await sleep(10);
  process.exit(0);
}

main().catch((error) => {
  fs.writeSync(2, `${error?.stack ?? error}\n`);
  process.exit(71); // an error of the fuzzer itself
});
