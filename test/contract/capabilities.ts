/**
 * The differences between mechanisms and systems. A row names what is missing and why; the cases that need it are skipped with that
 * reason, and a separate case shows what happens instead.
 */
import { isMainThread } from 'node:worker_threads';
import type { Mechanism } from '../../src/index.js';
import type { ServerModelName } from '../../src/servers.js';
import type { Lacks } from './case.js';

/** What the systems that are not Linux have in common. */
const ofUnix: Lacks = {
  'no POLLPRI': 'poll(2) has it',
  WSADuplicateSocket: 'it is Windows’ way; sendFds is POSIX’',
  'abstract names': 'they are Linux’s',
  TCP_INFO: 'it is Linux’s',
  'MSG_TRUNC discards': 'it is Linux’s (tcp(7))',
  netlink: 'it is Linux’s',
  'limited count': 'an fd_set of POSIX limits the numbers, not how many there are',
  'hang-up before connect': 'BSD reports an unconnected socket otherwise than Linux',
};
const notMacos: Lacks = {
  'kqueue of macOS': 'it is macOS’',
  'poll of OPEN_MAX': 'it is macOS’',
};

const ofSystem: Partial<Record<NodeJS.Platform, Lacks>> = {
  win32: {
    'poll of OPEN_MAX': 'WSAPoll has no such limit',
    POLLPRI: 'WSAPoll refuses it',
    'numbers used again': 'Windows does not give the lowest number that is free',
    MSG_DONTWAIT: 'Winsock has no such flag',
    EAI_ADDRFAMILY: 'Wine’s getaddrinfo answers a number that Winsock does not document here',
    'MSG_TRUNC discards': 'it is Linux’s (tcp(7))',
    'regular files': 'on Windows a file of Node’s has no handle that Winsock knows',
    'abstract names': 'they are Linux’s',
    SCM_RIGHTS: 'Windows hands sockets over with WSADuplicateSocket',
    TCP_INFO: 'it is Linux’s',
    netlink: 'it is Linux’s',
    'all options': 'Windows has no SO_REUSEPORT, and Wine 8 not all of keep-alive',
    'handles of Node': 'Node does not tell its handles on Windows',
    pipes: 'Winsock watches sockets only',
    'regular files ready': 'Winsock watches sockets only',
    'regular files refused': 'Winsock watches sockets only',
    'unix sockets': 'Wine 8 has no AF_UNIX sockets',
    'limited numbers': 'an fd_set of Windows counts its members, not their numbers',
    signals: 'Windows has no signals',
    'reset seen': 'under Wine 8 a reset arrives as a plain end of the stream',
    'SO_ERROR cleared': 'Winsock keeps the error of a failed connect in SO_ERROR',
    'hang-up before connect': 'on Windows an unconnected socket is not ready',
    'port unreachable reported': 'Wine 8 does not report it',
    'shutdown ends receiving': 'Winsock’s shutdown() refuses later calls, and ends none that waits',
    'sockets closed by number': 'fs.closeSync is not for the handles of Winsock',
  },
  linux: {
    'no POLLPRI': 'poll(2) has it',
    'kqueue of a kernel': 'libkqueue is an emulation, and has no event for it',
    'kqueue of macOS': 'libkqueue does not emulate macOS',
    'poll of OPEN_MAX': 'the limit of Linux is RLIMIT_NOFILE',
    'limited count': 'an fd_set of POSIX limits the numbers, not how many there are',
    WSADuplicateSocket: 'it is Windows’ way; sendFds is POSIX’',
  },
  darwin: {
    ...ofUnix,
    SO_ACCEPTCONN: 'XNU’s getsockopt does not know it',
  },
  // The tests have not been run on these systems.
  freebsd: { ...ofUnix, ...notMacos },
  openbsd: { ...ofUnix, ...notMacos },
  netbsd: { ...ofUnix, ...notMacos },
  sunos: { ...ofUnix, ...notMacos },
};

/** Linux that behaves like macOS (npm run test:as-xnu). */
const ofAsXnu: Lacks = { SO_ACCEPTCONN: 'as on macOS: XNU’s getsockopt does not know it' };

const reported: Lacks = {
  'closed descriptors forgotten': 'its interest is not in the kernel: select and poll report a closed descriptor',
  'closed descriptors kept': 'its interest is not in the kernel: select and poll report a closed descriptor',
};
const forgotten: Lacks = {
  'closed descriptors reported': 'its interest is in the kernel, which forgets a closed descriptor',
  'closed descriptors kept': 'its interest is in the kernel, which forgets a closed descriptor',
};
const manyLoops: Lacks = { 'one loop a file': 'only a completion port keeps its files to itself' };
const noneOfItsOwn: Lacks = { 'own descriptor': 'the mechanism is a call, not a file' };
const filesReady: Lacks = { 'regular files refused': 'regular files are accepted and always ready' };

const ofMechanism: Partial<Record<Mechanism, Lacks>> = {
  select: { ...reported, ...noneOfItsOwn, ...filesReady, 'any number': 'an fd_set holds FD_SETSIZE descriptors' },
  poll: {
    ...reported,
    ...noneOfItsOwn,
    ...filesReady,
    'limited numbers': 'poll takes any number',
    'limited count': 'poll takes any number',
  },
  epoll: {
    ...forgotten,
    'regular files ready': 'epoll refuses regular files',
    'limited numbers': 'epoll takes any number',
    'limited count': 'epoll takes any number',
  },
  kqueue: {
    ...forgotten,
    'regular files ready': 'a kqueue counts the bytes to the end of the file: nothing to read is not ready',
    'regular files refused': 'a kqueue accepts regular files',
    'limited numbers': 'kqueue takes any number',
    'limited count': 'kqueue takes any number',
  },
  afd: {
    ...forgotten,
    'own descriptor': 'a completion port is a handle, and no socket',
    'limited numbers': 'AFD takes any number',
    'limited count': 'AFD takes any number',
  },
  devpoll: {
    ...filesReady,
    'closed descriptors forgotten': 'the kernel keeps a closed descriptor until it is removed (poll(4D), NOTES)',
    'closed descriptors reported': 'the kernel may report a closed descriptor, and may not (poll(4D), NOTES)',
    'own descriptor watchable': 'poll(2) of a /dev/poll reports POLLERR (poll(4D), NOTES)',
    'limited numbers': '/dev/poll takes any number',
    'limited count': '/dev/poll takes any number',
  },
};

// src/linux/read.c:118 and src/linux/write.c:61 of libkqueue f966089: getsockopt(SO_ERROR) at EPOLLERR.
const ofLibkqueue: Lacks = { 'errors left to the caller': 'libkqueue asks for SO_ERROR itself, which clears it' };

const ofMechanismOnSystem: Partial<Record<`${Mechanism} on ${NodeJS.Platform}`, Lacks>> = {
  'kqueue on linux': {
    'own descriptor watchable': 'libkqueue’s kqueue is not a file that polls',
    // src/common/kevent.c:206 finds the filter by the number; src/linux/read.c:274 then refuses EV_ADD without a call of epoll. epoll goes on
    // watching the closed file while a duplicate is open.
    'closing ends watching': 'libkqueue keeps what was registered under a number when that is closed',
    ...ofLibkqueue,
  },
  'emulated:kqueue on linux': ofLibkqueue,
  'poll on win32': {
    'closed descriptors reported':
      'Wine 8: WSAPoll does not look up from its wait for a closed socket among open ones (Windows: POLLNVAL)',
  },
};

/** What the system lacks, for every mechanism. */
/** What worker threads lack; under the sanitizers vitest runs the tests in worker threads. */
const ofWorkers: Lacks = isMainThread ? {} : { chdir: 'Node lets the main thread alone change the working directory' };

export function lacksOfSystem(): Lacks {
  const lacks = { ...ofSystem[process.platform], ...ofWorkers };
  return process.env.SELECTORS_NATIVE_AS_XNU === undefined ? lacks : { ...lacks, ...ofAsXnu };
}

export function lacksOf(mechanism: Mechanism): Lacks {
  return {
    ...manyLoops,
    ...ofMechanism[mechanism],
    ...lacksOfSystem(),
    ...ofMechanismOnSystem[`${mechanism} on ${process.platform}`],
  };
}

const ofProactor: Partial<Record<Mechanism, Lacks>> = {
  iocp: { 'any number of loops a file': 'a file has one completion port for good, and so have its duplicates' },
  io_uring: { 'order of submission': 'whichever of several the kernel tries again first' },
};

/** What a completion mechanism lacks. */
export function lacksOfProactor(mechanism: Mechanism): Lacks {
  return {
    ...(mechanism === 'iocp' ? {} : manyLoops),
    ...lacksOfSystem(),
    ...ofProactor[mechanism],
    ...ofMechanismOnSystem[`${mechanism} on ${process.platform}`],
  };
}

const ordered: Lacks = { 'answers as they are done': 'it promises the order of the requests' };
/** Silent clients do not block the others, and hundreds of clients can be connected at once. */
const multiplexed: Lacks = {
  ...ordered,
  'held up by silent clients': 'who is silent costs it nothing but a connection',
  'a fixed number at once': 'it serves as many at once as come',
  'one started for each': 'it starts nothing for a connection or a request',
};
/** A worker serves one client until it disconnects. */
const fixedNumber: Lacks = {
  ...ordered,
  'serves beside silent clients': 'post 000: recv blocks, and there are as many workers as there are',
  'hundreds at once': 'it serves as many at once as it has workers',
  'one started for each': 'it has a fixed number of workers',
};
const startedForEach: Lacks = {
  'held up by silent clients': 'each client, or request, has a thread or a process of its own',
  'a fixed number at once': 'it serves as many at once as it has room for',
};

/** The differences between the server models: their `strengths` and `weaknesses`, as capabilities. */
const ofModel: Readonly<Record<ServerModelName, Lacks>> = {
  iterative: { ...fixedNumber, 'serves several at once': 'it serves one client after the other' },
  'busy-wait': multiplexed,
  'thread-per-connection': {
    ...ordered,
    ...startedForEach,
    'hundreds at once': 'a thread of Node costs tens of milliseconds and megabytes: its limit is 128',
  },
  'thread-pool': fixedNumber,
  'process-per-connection': {
    ...ordered,
    ...startedForEach,
    'hundreds at once': 'a process of Node costs a tenth of a second: its limit is 64',
  },
  'process-pool': fixedNumber,
  prefork: fixedNumber,
  reactor: multiplexed,
  'reactor-thread-per-task': {
    ...startedForEach,
    'hundreds at once': 'a thread of Node for each request costs tens of milliseconds: they would wait',
    'answers in order': 'post 003: which of several threads is done first is anybody’s guess',
  },
  'reactor-thread-pool': multiplexed,
  'multi-reactor': multiplexed,
  'multi-reactor-thread-pool': multiplexed,
  'multi-process-reactor': multiplexed,
  proactor: multiplexed,
  'multi-proactor': multiplexed,
};

/** What a server model lacks. */
export function lacksOfModel(model: ServerModelName): Lacks {
  return { ...lacksOfSystem(), ...ofModel[model] };
}
