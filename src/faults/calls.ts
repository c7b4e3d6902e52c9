/**
 * The calls that a fault plan can name. A name is that of a system call as the trace shows it on some system (`recvfrom`, `WSARecv`), or
 * that of a family, which means the same on every system. A name that this system does not have is allowed: no call has it.
 */

export interface FaultCall {
  /** As the trace shows them. */
  readonly names: readonly string[];
  /** It has a length that a fault can make smaller. */
  readonly hasLength: boolean;
  /** The errors after which the package makes it again at once, for as long as they come. */
  readonly repeatedAfter: readonly string[];
  /** No call but what the kernel reports of one: it cannot be slow. */
  readonly isCompletion: boolean;
}

const call = (names: readonly string[], properties: Partial<FaultCall> = {}): FaultCall => ({
  names,
  hasLength: false,
  repeatedAfter: [],
  isCompletion: false,
  ...properties,
});
const repeated = { repeatedAfter: ['EINTR'] } as const;
const transfer = { ...repeated, hasLength: true } as const;

const families: Readonly<Record<string, FaultCall>> = {
  recv: call(['recvfrom', 'recv', 'recvmsg', 'WSARecv', 'WSARecvFrom'], transfer),
  send: call(['sendto', 'send', 'sendmsg', 'WSASend', 'WSASendTo'], transfer),
  accept: call(['accept4', 'accept', 'AcceptEx'], repeated),
  connect: call(['connect', 'ConnectEx']),
  socket: call(['socket', 'WSASocketW']),
  close: call(['close', 'closesocket', 'CloseHandle']),
  select: call(['pselect6', 'select'], repeated),
  poll: call(['poll', 'ppoll', 'WSAPoll'], repeated),
  epoll_wait: call(['epoll_wait', 'epoll_pwait'], transfer),
  eventfd: call(['eventfd2']),
  fstat: call(['fstat', 'newfstatat']),
  open: call(['openat', 'open', 'CreateFileW'], repeated),
  nanosleep: call(['clock_nanosleep', 'nanosleep']),
  sigaction: call(['rt_sigaction', 'sigaction']),
  sigprocmask: call(['rt_sigprocmask', 'sigprocmask']),
};

const completion = (name: string, hasLength: boolean): readonly [string, FaultCall] => [
  `${name}.completion`,
  call([`${name}.completion`], { hasLength, isCompletion: true }),
];

const others: readonly (readonly [readonly string[], Partial<FaultCall>])[] = [
  [['kevent'], transfer],
  [['GetQueuedCompletionStatusEx'], repeated],
  // EAGAIN and ENOMEM: the kernel is short of memory, and the ring waits until it has some.
  [['io_uring_enter'], { repeatedAfter: ['EINTR', 'EAGAIN', 'ENOMEM', 'ETIME'] }],
  [['read', 'write', 'flock', 'ftruncate', 'fallocate'], repeated],
  [['ReadFile', 'WriteFile'], { hasLength: true }],
  [
    [
      ...['bind', 'listen', 'shutdown', 'getsockname', 'getpeername', 'setsockopt', 'getsockopt', 'socketpair'],
      ...['fcntl', 'pipe', 'mmap', 'munmap', 'madvise', 'epoll_create1', 'epoll_ctl', 'kqueue'],
      ...['io_uring_setup', 'io_uring_register'],
      ...['ioctlsocket', 'WSADuplicateSocketW', 'WSAIoctl', 'WSAGetOverlappedResult', 'GetOverlappedResult'],
      ...['CreateIoCompletionPort', 'PostQueuedCompletionStatus', 'CancelIoEx', 'NtQueryObject', 'ReOpenFile'],
      ...['CreateFileMappingW', 'MapViewOfFile', 'UnmapViewOfFile', 'GetFileInformationByHandle', 'GetFileType'],
      ...['LockFileEx', 'UnlockFileEx', 'GetFileAttributesW', 'SetHandleInformation', 'GetHandleInformation'],
      ...['SetConsoleCtrlHandler', 'WaitForSingleObject', 'Sleep'],
    ],
    {},
  ],
];

/** Calls of Win32, whose errors have other numbers than those of Winsock. */
const win32: ReadonlySet<string> = new Set([
  ...['CloseHandle', 'CreateFileW', 'ReadFile', 'WriteFile', 'ReOpenFile', 'CreateFileMappingW', 'MapViewOfFile'],
  ...['UnmapViewOfFile', 'GetFileInformationByHandle', 'GetFileType', 'LockFileEx', 'UnlockFileEx'],
  ...['GetFileAttributesW', 'SetHandleInformation', 'GetHandleInformation', 'SetConsoleCtrlHandler'],
  ...['WaitForSingleObject', 'CreateIoCompletionPort', 'PostQueuedCompletionStatus', 'CancelIoEx'],
  ...['GetQueuedCompletionStatusEx', 'GetOverlappedResult', 'open', 'read.completion', 'write.completion'],
]);

/** By the name that a plan has for it. A family's name comes before a call's: `recv` is the family on Windows, too. */
const calls: ReadonlyMap<string, FaultCall> = new Map<string, FaultCall>([
  ...others.flatMap(([names, properties]) => names.map((name) => [name, call([name], properties)] as const)),
  ...Object.values(families).flatMap(({ names, ...properties }) =>
    names.map((name) => [name, call([name], properties)] as const),
  ),
  ...(['recv', 'send', 'read', 'write'] as const).map((name) => completion(name, true)),
  ...(['accept', 'connect'] as const).map((name) => completion(name, false)),
  ...Object.entries(families),
]);

export const faultCall = (name: string): FaultCall | undefined => calls.get(name);

export const isWin32Call = (name: string): boolean => win32.has(name);

export const FAULT_CALLS: readonly string[] = [...calls.keys()];

/** How many letters two names differ by (Levenshtein). */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, i) => i);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const substituted = (row[j - 1] as number) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[other.length] as number;
}

/** The name that is most like this one. */
export function nearest(name: string, names: readonly string[]): string {
  const lower = name.toLowerCase();
  let best = '';
  let least = Infinity;
  for (const one of names) {
    const letters = distance(lower, one.toLowerCase());
    if (letters < least) [best, least] = [one, letters];
  }
  return best;
}
