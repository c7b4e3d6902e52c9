/**
 * One random program over the public API: node program.cjs SEED STEPS. `npm run fuzz` runs it again and again in processes of its own.
 *
 * A step is one call with random arguments, of which some are wrong. Callbacks, getters and fileno() make further steps, throw, and close what
 * is in use. Whatever is thrown must be an Error (or what the program itself has thrown). The program prints a line now and then, by which the
 * parent process sees that it is alive, and its last calls where something is wrong.
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
if (isMainThread) process.chdir(folder); // a wrong path is one of this folder
/** Only a program without threads may close descriptors under their owners: a thread would get the number in between. */
const closesUnderneath = isMainThread && random.chance(0.3);
const startsWorkers = isMainThread && !closesUnderneath && random.chance(0.3);
const startsServers = isMainThread && !closesUnderneath && random.chance(0.05);

const SIGNAL = 'SIGUSR2';
const KEPT_CALLS = 60;
const MAX_DEPTH = 3;
/** Milliseconds. */
const MAX_WAIT = 3;

const calls = [`closesUnderneath ${closesUnderneath}, workers ${startsWorkers}, servers ${startsServers}`];
let depth = 0;
let made = 0;

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
  fail(`${what} has thrown what is no Error`, error);
}

process.on('uncaughtException', (error) => check(error, 'a callback'));
process.on('unhandledRejection', (error) => check(error, 'a promise'));
process.on('warning', () => undefined);
process.on(SIGNAL, () => undefined);

/** One call. Promises are followed, and what they resolve to is kept. */
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

/** What was made, by kind. A kind keeps so many; another takes the place of one of them, which is forgotten or closed. */
const MAX_KEPT = 12;
const made_ = new Map();
const all = (kind) => made_.get(kind) ?? [];
const some = (kind) => random.pick(all(kind));

function keep(kind, value) {
  if (value === undefined || value === null) return;
  const list = all(kind);
  made_.set(kind, list);
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
/** The right value, or in one of fifteen cases a wrong one. */
const or = (value) => (random.chance(1 / 15) ? wrong() : value);
/** Never one that means for ever. */
const NO_TIMEOUTS = [NaN, 'x', {}, [], 5n, true, Symbol('wrong'), () => 1];
const timeout = () => (random.chance(1 / 15) ? random.pick(NO_TIMEOUTS) : random.below(MAX_WAIT));
const events = () => or(1 + random.below(3));
const fileobj = () =>
  or(random.pick([some('socket'), some('socket')?.fd, some('connection'), { fd: some('socket')?.fd }]));
const address = () =>
  or(
    random.pick([
      some('listening'),
      { path: path.join(folder, `s${random.below(5)}`) },
      { host: '127.0.0.1', port: 1 },
    ]),
  );

/** A callback that does something else, and sometimes throws, or rejects. */
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

/** A blocking socket waits for a few milliseconds at the most; one that cannot be made to (a fault of fcntl) is closed. */
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

/** Calls a method of something that was made. */
const on = (kind, method, ...args) => [
  `${kind}.${method}`,
  () => {
    const object = some(kind);
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

const flags = () => or(0);
const size = () => or(random.pick([1, 10, 1000, 65_536]));
const data = () => or(random.chance(0.3) ? 'text' : random.bytes());
const number = () => or(random.below(100));

/** [name, what it does, what is kept of it, how often] */
const STEPS = [
  ...[1, 2, 3].map(() => [
    'Socket.pair',
    () =>
      selectors.Socket.pair({
        blocking: or(random.chance(0.2)),
        type: or(random.pick(['stream', 'dgram', 'seqpacket'])),
      }),
    (pair) => pair?.forEach(socket),
  ]),
  [
    'new Socket',
    () =>
      new selectors.Socket(
        or({
          family: or(random.pick(['ipv4', 'ipv6', 'unix'])),
          type: or(random.pick(['stream', 'dgram'])),
          blocking: false,
        }),
      ),
    socket,
  ],
  ['a listener', () => new selectors.Socket({ blocking: false }).bind({ host: '127.0.0.1', port: 0 }).listen(or(5)), (made) => { socket(made); keep('listening', made?.localAddress); }], // prettier-ignore
  [...on('socket', 'accept'), socket],
  on('socket', 'connect', address),
  on('socket', 'bind', address),
  on('socket', 'listen', number),
  on(
    'socket',
    'send',
    data,
    () => or(undefined),
    () => or(undefined),
  ),
  on('socket', 'send', data),
  // It waits on a non-blocking socket as well.
  ['socket.sendAll', () => { const one = some('socket'); if (one !== undefined) { one.timeout = MAX_WAIT; one.sendAll(or(random.chance(0.9) ? 'small' : random.bytes())); } }], // prettier-ignore
  on('socket', 'recv', size, flags),
  on(
    'socket',
    'recvInto',
    data,
    () => or(undefined),
    () => or(undefined),
  ),
  on('socket', 'recvFrom', size),
  on('socket', 'sendTo', data, address),
  on(
    'socket',
    'sendFds',
    () => or([some('socket'), some('socket')].filter((one) => one !== undefined)),
    () => or(Buffer.from('x')),
  ),
  [
    ...on(
      'socket',
      'recvFds',
      () => or(3),
      () => or(10),
    ),
    (received) => received?.fds?.forEach((fd) => socket(selectors.Socket.fromFd(fd))),
  ],
  [...on('socket', 'dup'), socket],
  on('socket', 'shutdown', () => or(random.pick(['read', 'write', 'both']))),
  on(
    'socket',
    'setOption',
    () => or(random.pick(['SO_SNDBUF', 'SO_RCVBUF', 'SO_LINGER', 'TCP_NODELAY', 'SO_REUSEADDR'])),
    () => or(random.below(10_000)),
  ),
  on(
    'socket',
    'getOption',
    () => or(random.pick(['SO_SNDBUF', 'SO_LINGER', 'TCP_NODELAY'])),
    () => or(undefined),
    () => or(undefined),
  ),
  on(
    'socket',
    'getOption',
    () => or(1),
    () => or(random.below(40)),
    () => or(random.below(200)),
  ),
  [
    'socket.detach',
    () => some('socket')?.detach(),
    (fd) => typeof fd === 'number' && fd >= 0 && socket(selectors.Socket.fromFd(fd)),
  ],
  ...['error', 'fileno', 'close', 'close'].map((name) => on('socket', name)),
  ...['localAddress', 'remoteAddress', 'family', 'type', 'timeout', 'inheritable', 'blocking'].map((name) => [
    `socket.${name}`,
    () => some('socket')?.[name],
  ]),
  ['fileno', () => selectors.fileno(fileobj())],

  ['a selector', () => new (random.pick(SELECTORS))(), (made) => keep('selector', made)],
  [
    'createSelector',
    () => selectors.createSelector(or(random.pick(['epoll', 'poll', 'select']))),
    (made) => keep('selector', made),
  ],
  ...[1, 2, 3].map(() => on('selector', 'register', fileobj, events, wrong)),
  on('selector', 'modify', fileobj, events, wrong),
  on('selector', 'unregister', fileobj),
  on('selector', 'select', timeout),
  on('selector', 'select', timeout),
  on('selector', 'selectAsync', () =>
    or({ timeout: timeout(), signal: random.chance(0.2) ? AbortSignal.timeout(random.below(5)) : undefined }),
  ),
  on('selector', 'wakeup'),
  ['wakeup', () => selectors.wakeup(or(some('selector')?.wakeupHandle ?? 1))],
  on('selector', 'getKey', fileobj),
  ['selector.getMap', () => { for (const [, key] of some('selector')?.getMap() ?? []) { reenter(); String(key.fd); } }], // prettier-ignore
  ['for await of a selector', async () => { let turns = 0; const one = some('selector'); if (one !== undefined) for await (const ready of one) { reenter(); if (++turns > 2 || ready.length === 0) break; } }], // prettier-ignore
  on('selector', 'close'),

  [
    'new Reactor',
    () =>
      new selectors.Reactor(
        or(
          random.pick([
            undefined,
            { onError: callback() },
            { selector: new (random.pick(SELECTORS))() },
            { selector: some('selector') },
          ]),
        ),
      ),
    (made) => keep('loop', made),
  ],
  [
    'new ProactorLoop',
    () =>
      new selectors.ProactorLoop(
        or(
          random.pick([
            undefined,
            { onError: callback() },
            { proactor: new (random.pick(PROACTORS))() },
            { proactor: some('proactor') },
          ]),
        ),
      ),
    (made) => keep('loop', made),
  ],
  ...[1, 2].map(() => ['loop.listen', () => some('loop')?.listen(or({ ...(random.chance(0.7) ? { port: or(0) } : { path: path.join(folder, `s${random.below(5)}`) }), highWaterMark: or(random.pick([undefined, 1, 1000])), maxConnections: or(random.pick([undefined, 1, 5])), backlog: or(undefined) }), or(handler())), (listener) => { keep('listener', listener); keep('listening', listener?.address); }]), // prettier-ignore
  ...[1, 2, 3].map(() => [
    ...on('loop', 'connect', address, () => or(handler())),
    (connection) => keep('connection', connection),
  ]),
  [
    ...on(
      'loop',
      'adopt',
      () => or(adoptable()),
      () => or(handler()),
    ),
    (connection) => keep('connection', connection),
  ],
  on('loop', 'addReader', fileobj, () => or(callback())),
  on('loop', 'addWriter', fileobj, () => or(callback())),
  on('loop', 'removeReader', fileobj),
  on('loop', 'removeWriter', fileobj),
  on('loop', 'callSoon', () => or(callback())),
  [...on('loop', 'callLater', timeout, () => or(callback())), (timer) => keep('timer', timer)],
  [
    'loop.onSignal',
    () => some('loop')?.onSignal(or(SIGNAL), or(callback())),
    (watched) => keep('timer', { cancel: () => watched?.[Symbol.dispose]() }),
  ],
  ['kill', () => process.kill(process.pid, SIGNAL)],
  ...[1, 2, 3, 4, 5, 6].map(() => on('loop', 'runOnce', timeout)),
  ['loop.run', () => { const loop = some('loop'); loop?.callLater(MAX_WAIT, () => loop.stop()); loop?.run(); }], // prettier-ignore
  on('loop', 'start'),
  on('loop', 'stop'),
  on('loop', 'now'),
  on('loop', 'close'),
  on('timer', 'cancel'),
  on('listener', 'close'),
  ...[1, 2, 3].map(() => on('connection', 'write', data)),
  on('connection', 'end', () => or(random.pick([undefined, 'the end']))),
  ...['pause', 'resume', 'destroy'].map((name) => on('connection', name)),
  on('connection', 'destroy', () => or(new Error('on purpose'))),
  ...['writableLength', 'localAddress', 'remoteAddress', 'fd', 'loop'].map((name) => [
    `connection.${name}`,
    () => some('connection')?.[name],
  ]),

  [
    'a proactor',
    () => new (random.pick(PROACTORS))(or(random.pick([undefined, { entries: 8 }]))),
    (made) => keep('proactor', made),
  ],
  ...[
    ['accept', () => or(some('socket'))],
    ['connect', () => or(some('socket')), address],
    ['recv', () => or(some('socket')), size],
    ['recvInto', () => or(some('socket')), data],
    ['recvFrom', () => or(some('socket')), size],
    ['send', () => or(some('socket')), data],
    ['sendTo', () => or(some('socket')), data, address],
    ['read', () => or(file()), size, () => or(random.pick([-1, 0, 10]))],
    ['write', () => or(file()), () => or(random.bytes()), () => or(0)],
    ['timeout', timeout],
  ].map(([name, ...args]) => [...on('proactor', name, ...args, wrong), (operation) => keep('operation', operation)]),
  ...[1, 2, 3].map(() => [
    ...on('proactor', 'wait', timeout),
    (done) => done?.forEach(({ result }) => socket(result instanceof selectors.Socket ? result : undefined)),
  ]),
  on('proactor', 'waitAsync', () => or({ timeout: timeout() })),
  on('proactor', 'wakeup'),
  on('proactor', 'close'),
  on('operation', 'cancel'),
  ['operation.result', () => some('operation')?.result],

  ['select', () => syscalls.select(or([some('socket')?.fd ?? 0]), or([some('socket')?.fd ?? 1]), or([]), timeout())],
  ['new Poll', () => new syscalls.Poll(), (made) => keep('poll', made)],
  on('poll', 'register', fileobj, number),
  on('poll', 'modify', fileobj, number),
  on('poll', 'unregister', fileobj),
  on('poll', 'poll', timeout),
  on('poll', 'close'),
  ['new Epoll', () => new syscalls.Epoll(), (made) => keep('epoll', made)],
  on(
    'epoll',
    'add',
    () => or(some('socket')?.fd),
    number,
    () => or(random.below(2 ** 31)),
  ),
  on('epoll', 'modify', () => or(some('socket')?.fd), number),
  on('epoll', 'delete', () => or(some('socket')?.fd)),
  on('epoll', 'wait', () => or(random.below(20) + 1), timeout),
  on('epoll', 'close'),
  ...(RINGS
    ? [
        ['new IoUring', () => new syscalls.IoUring(or(8)), (made) => keep('ring', made)],
        on('ring', 'prepNop', number),
        on('ring', 'prepAccept', () => or(some('socket')?.fd), flags, number),
        on('ring', 'prepRecv', () => or(some('socket')?.fd), data, flags, number),
        on('ring', 'prepSend', () => or(some('socket')?.fd), data, flags, number),
        on(
          'ring',
          'prepRead',
          () => or(some('socket')?.fd),
          data,
          () => or(-1),
          number,
        ),
        on('ring', 'prepPollAdd', () => or(some('socket')?.fd), number, number),
        on('ring', 'prepTimeout', timeout, number),
        on('ring', 'prepCancel', number, number),
        on('ring', 'enter', () => or(random.below(2)), timeout),
        on('ring', 'completions', () => or(10)),
        on('ring', 'close'),
      ]
    : []),

  [
    'new SharedFile',
    () => new syscalls.SharedFile(or(path.join(folder, `f${random.below(3)}`)), or(random.pick([64, 4096]))),
    (made) => keep('shared', made),
  ],
  on('shared', 'tryLock'),
  on('shared', 'unlock'),
  ['shared.memory', () => new Uint8Array(some('shared')?.memory ?? new ArrayBuffer(1)).fill(random.below(256))],
  on('shared', 'close'),

  [
    'startTrace',
    () => trace.startTrace(or({ capacity: or(random.pick([1, 16, 1024])) })),
    (made) => keep('trace', made),
  ],
  ...['records', 'take', 'summary', 'format', 'stop', 'stop'].map((name) => on('trace', name)),
  [
    'injectFaults',
    () => trace.injectFaults(or(random.pick(PLANS)), or({ scope: or(random.pick(['thread', 'process'])) })),
    (made) => keep('faults', made),
  ],
  on('faults', 'counts'),
  ...[1, 2, 3].map(() => on('faults', 'stop')),
  ['renderReport', () => trace.renderReport(wrong())],
  [
    'createServer',
    () => servers.createServer(or(random.pick(servers.SERVER_MODELS)?.name), or({ workers: or(1), port: or(0) })),
  ],
  ['availableMechanisms', () => selectors.availableMechanisms()],
  ['gc', () => globalThis.gc?.()],
];

let file_ = null;
function file() {
  file_ ??= fs.openSync(path.join(folder, 'data'), 'a+');
  return file_;
}

/**
 * Closes a socket's descriptor under whatever watches it. The number is free afterwards, or is another file. The Socket is detached from it:
 * closing it later would close whatever has the number by then, an eventfd of Node.js for one.
 */
function closeUnderneath() {
  const owner = some('socket');
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
  made++;
  const [what, run, kept] = random.pick(STEPS);
  call(what, run, kept);
}

// ------------------------------------------------------------------------------------------------------------ the program

async function main() {
  if (process.env.FUZZ_LOG !== undefined) fs.writeSync(2, `${calls[0]}\n`);
  const workers = [];
  const serving = startsServers ? [serve().catch((error) => check(error, 'a server'))] : [];
  while (made < steps) {
    for (let i = 0; i < 20; i++) step();
    if (closesUnderneath && random.chance(0.2)) closeUnderneath();
    if (startsWorkers && workers.length < 3 && random.chance(0.02)) workers.push(startWorker());
    if (isMainThread && made % 500 < 20) fs.writeSync(1, `${made}\n`);
    await (random.chance(0.5) ? new Promise(setImmediate) : sleep(random.below(3)));
  }
  await Promise.all([...workers.map((worker) => worker.terminate()), ...serving]);
  const ending = random.below(4);
  if (isMainThread) fs.rmSync(folder, { recursive: true });
  if (ending === 0) process.exit(0);
  if (!closesUnderneath)
    for (const kind of [...made_.keys()].sort(() => random.below(3) - 1)) for (const one of all(kind)) close(one);
  if (ending === 1) await sleep(10);
  process.exit(0);
}

main().catch((error) => {
  fs.writeSync(2, `${error?.stack ?? error}\n`);
  process.exit(71); // a mistake of the fuzz itself
});
