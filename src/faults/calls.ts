/**
 * The calls that a fault plan can name: a system call as the trace of some system shows it (`recvfrom`, `WSARecv`), or a family, which means
 * the same on every system. A name that this system does not have is allowed; no call matches it.
 */

/** A name that a rule may have, and the faults that it allows. */
export interface FaultCall {
  /** The system calls that it stands for, as the trace names them. */
  readonly names: readonly string[];
  /** The call has a length that a fault can shorten. */
  readonly hasLength: boolean;
  /** Errors after which the package retries the call at once and without limit. */
  readonly retriedAfter: readonly string[];
  /** A completion that the kernel reports, not a call: it cannot be slow. */
  readonly isCompletion: boolean;
}

const call = (names: readonly string[], properties: Partial<FaultCall> = {}): FaultCall => ({
  names,
  hasLength: false,
  retriedAfter: [],
  isCompletion: false,
  ...properties,
});
const retried = { retriedAfter: ['EINTR'] } as const;
const transfer = { ...retried, hasLength: true } as const;

const families: Readonly<Record<string, FaultCall>> = {
  recv: call(['recvfrom', 'recv', 'recvmsg', 'WSARecv', 'WSARecvFrom'], transfer),
  send: call(['sendto', 'send', 'sendmsg', 'WSASend', 'WSASendTo'], transfer),
  accept: call(['accept4', 'accept', 'AcceptEx'], retried),
  connect: call(['connect', 'ConnectEx']),
  socket: call(['socket', 'WSASocketW']),
  close: call(['close', 'closesocket', 'CloseHandle']),
  select: call(['pselect6', 'select'], retried),
  poll: call(['poll', 'ppoll', 'WSAPoll'], retried),
  epoll_wait: call(['epoll_wait', 'epoll_pwait'], transfer),
  eventfd: call(['eventfd2']),
  fstat: call(['fstat', 'newfstatat']),
  open: call(['openat', 'open', 'CreateFileW'], retried),
  nanosleep: call(['clock_nanosleep', 'nanosleep']),
  sigaction: call(['rt_sigaction', 'sigaction']),
  sigprocmask: call(['rt_sigprocmask', 'sigprocmask']),
  pthread_kill: call(['tgkill', '__pthread_kill']),
};

const completion = (name: string, hasLength: boolean): readonly [string, FaultCall] => [
  `${name}.completion`,
  call([`${name}.completion`], { hasLength, isCompletion: true }),
];

const others: readonly (readonly [readonly string[], Partial<FaultCall>])[] = [
  // ioctl: a wait for /dev/poll
  [['kevent', 'ioctl'], transfer],
  [['GetQueuedCompletionStatusEx'], retried],
  // EAGAIN and ENOMEM: the kernel is short of memory, and the ring retries until there is some.
  [['io_uring_enter'], { retriedAfter: ['EINTR', 'EAGAIN', 'ENOMEM', 'ETIME'] }],
  [['read', 'write', 'flock', 'ftruncate', 'fallocate'], retried],
  [['ReadFile', 'WriteFile'], { hasLength: true }],
  [
    [
      ...['bind', 'listen', 'shutdown', 'getsockname', 'getpeername', 'setsockopt', 'getsockopt', 'socketpair'],
      ...['fcntl', 'pipe', 'mmap', 'munmap', 'madvise', 'epoll_create1', 'epoll_ctl', 'kqueue', 'getrlimit'],
      ...['io_uring_setup', 'io_uring_register'],
      ...['ioctlsocket', 'WSADuplicateSocketW', 'WSAIoctl', 'WSAGetOverlappedResult', 'GetOverlappedResult'],
      ...['CreateIoCompletionPort', 'PostQueuedCompletionStatus', 'CancelIoEx', 'NtQueryObject', 'ReOpenFile'],
      ...['NtCreateFile', 'DeviceIoControl', 'SetFileCompletionNotificationModes'],
      ...['CreateFileMappingW', 'MapViewOfFile', 'UnmapViewOfFile', 'GetFileInformationByHandle', 'GetFileType'],
      ...['LockFileEx', 'UnlockFileEx', 'GetFileAttributesW', 'SetHandleInformation', 'GetHandleInformation'],
      ...['SetConsoleCtrlHandler', 'WaitForSingleObject', 'Sleep'],
    ],
    {},
  ],
];

/** Win32 calls: their error numbers differ from Winsock's. */
const win32: ReadonlySet<string> = new Set([
  ...['CloseHandle', 'CreateFileW', 'ReadFile', 'WriteFile', 'ReOpenFile', 'CreateFileMappingW', 'MapViewOfFile'],
  ...['UnmapViewOfFile', 'GetFileInformationByHandle', 'GetFileType', 'LockFileEx', 'UnlockFileEx'],
  ...['GetFileAttributesW', 'SetHandleInformation', 'GetHandleInformation', 'SetConsoleCtrlHandler'],
  ...['WaitForSingleObject', 'CreateIoCompletionPort', 'PostQueuedCompletionStatus', 'CancelIoEx'],
  ...['NtCreateFile', 'DeviceIoControl', 'SetFileCompletionNotificationModes'],
  ...['GetQueuedCompletionStatusEx', 'GetOverlappedResult', 'open', 'read.completion', 'write.completion'],
]);

/** By name. A family's name hides that of a call: `recv` is the family on Windows, too. */
const calls: ReadonlyMap<string, FaultCall> = new Map<string, FaultCall>([
  ...others.flatMap(([names, properties]) => names.map((name) => [name, call([name], properties)] as const)),
  ...Object.values(families).flatMap(({ names, ...properties }) =>
    names.map((name) => [name, call([name], properties)] as const),
  ),
  ...(['recv', 'send', 'read', 'write'] as const).map((name) => completion(name, true)),
  ...(['accept', 'connect'] as const).map((name) => completion(name, false)),
  ...Object.entries(families),
]);

/** The call or family of this name. undefined: there is none. */
export const faultCall = (name: string): FaultCall | undefined => calls.get(name);

/** Whether the call's errors are Win32's rather than Winsock's. */
export const isWin32Call = (name: string): boolean => win32.has(name);

/** All names of calls, families and completions. */
export const FAULT_CALLS: readonly string[] = [...calls.keys()];

/** Levenshtein distance. */
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

/** The most similar name. */
export function nearest(name: string, names: readonly string[]): string {
  const lower = name.toLowerCase();
  let best = '';
  let shortest = Infinity;
  for (const candidate of names) {
    const edits = distance(lower, candidate.toLowerCase());
    if (edits < shortest) [best, shortest] = [candidate, edits];
  }
  return best;
}
