/**
 * Every error of the package has a `code`, as Node's own have: the name of a system's error (`EBADF`) where a call failed, `ERR_…`
 * where the caller did something wrong.
 */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

const byNumber = getSystemErrorMap();
/** 'EBADF' → [Node's negative number, 'bad file descriptor'] */
const byName = new Map([...byNumber].map(([number, [name, text]]) => [name, [number, text] as const]));

// As Node: dns.lookup's name for it, with libuv's number.
const unknownName = byName.get('EAI_NONAME');
if (unknownName !== undefined) byName.set('ENOTFOUND', unknownName);

/** Winsock's errors that Node calls by another name, or that have no WSAE name. The others lose their 'WSA'. */
const windowsNames: Readonly<Record<string, string>> = { WSAEWOULDBLOCK: 'EAGAIN', WSAESHUTDOWN: 'EPIPE' };
const windowsNumbers: readonly (readonly [number, string])[] = [
  [1, 'EISDIR'], // ERROR_INVALID_FUNCTION, as libuv has it
  [2, 'ENOENT'], // ERROR_FILE_NOT_FOUND
  [3, 'ENOENT'], // ERROR_PATH_NOT_FOUND
  [4, 'EMFILE'], // ERROR_TOO_MANY_OPEN_FILES
  [5, 'EACCES'], // ERROR_ACCESS_DENIED
  [6, 'EBADF'], // ERROR_INVALID_HANDLE
  [8, 'ENOMEM'], // ERROR_NOT_ENOUGH_MEMORY
  [19, 'EROFS'], // ERROR_WRITE_PROTECT
  [32, 'EBUSY'], // ERROR_SHARING_VIOLATION
  [33, 'EBUSY'], // ERROR_LOCK_VIOLATION
  [38, 'EOF'], // ERROR_HANDLE_EOF
  [39, 'ENOSPC'], // ERROR_HANDLE_DISK_FULL
  [50, 'ENOTSUP'], // ERROR_NOT_SUPPORTED
  [64, 'ECONNRESET'], // ERROR_NETNAME_DELETED
  [87, 'EINVAL'], // ERROR_INVALID_PARAMETER
  [109, 'EPIPE'], // ERROR_BROKEN_PIPE
  [112, 'ENOSPC'], // ERROR_DISK_FULL
  [121, 'ETIMEDOUT'], // ERROR_SEM_TIMEOUT
  [123, 'ENOENT'], // ERROR_INVALID_NAME
  [161, 'ENOENT'], // ERROR_BAD_PATHNAME
  [206, 'ENAMETOOLONG'], // ERROR_FILENAME_EXCED_RANGE
  [232, 'EPIPE'], // ERROR_NO_DATA
  [233, 'EPIPE'], // ERROR_PIPE_NOT_CONNECTED
  [234, 'EMSGSIZE'], // ERROR_MORE_DATA
  [676, 'ECANCELED'], // ERROR_HANDLES_CLOSED: Wine's word for an operation whose socket was closed
  [995, 'ECANCELED'], // ERROR_OPERATION_ABORTED
  [1168, 'ENOENT'], // ERROR_NOT_FOUND
  [1225, 'ECONNREFUSED'], // ERROR_CONNECTION_REFUSED
  [1231, 'ENETUNREACH'], // ERROR_NETWORK_UNREACHABLE
  [1232, 'EHOSTUNREACH'], // ERROR_HOST_UNREACHABLE
  [1234, 'ECONNRESET'], // ERROR_PORT_UNREACHABLE: Winsock's own word for it is WSAECONNRESET
  [1236, 'ECONNABORTED'], // ERROR_CONNECTION_ABORTED
  [1450, 'ENOMEM'], // ERROR_NO_SYSTEM_RESOURCES
];

/** The operating system's own error numbers, as the addon returns them, and their names. */
const systemNames = new Map<number, string>(
  process.platform === 'win32'
    ? [
        ...windowsNumbers,
        ...Object.entries(constants.errno)
          .filter(([name]) => name.startsWith('WSAE'))
          .map(([name, number]) => [number, windowsNames[name] ?? name.slice('WSA'.length)] as const),
      ]
    : [
        // Node does not know them: EBADR of io_uring_enter(2), ETOOMANYREFS of sendmsg(2) with descriptors.
        ...(process.platform === 'linux'
          ? ([
              [53, 'EBADR'],
              [109, 'ETOOMANYREFS'],
            ] as const)
          : ([[59, 'ETOOMANYREFS']] as const)),
        ...Object.entries(constants.errno).map(([name, number]) => [number, name] as const),
        // Last, for they are Node's choice where two names share a number (EAGAIN and EWOULDBLOCK).
        ...[...byNumber].map(([number, [name]]) => [-number, name] as const),
      ],
);

/** libuv's own errors, which no system call has, have higher numbers. */
const HIGHEST_NUMBER = process.platform === 'win32' ? Infinity : 1000;
const numbersByName = new Map(
  [
    ...[...systemNames].map(([number, name]) => [name, number] as const),
    ...Object.entries(process.platform === 'win32' ? {} : constants.errno), // EWOULDBLOCK
  ].filter(([, number]) => number > 0 && number < HIGHEST_NUMBER),
);
const win32NumbersByName = new Map(windowsNumbers.map(([number, name]) => [name, number] as const).reverse());

/** The number that this system has for an error. Windows: Winsock's, or, for a call of Win32, that of GetLastError. */
export function errorNumber(name: string, isWin32: boolean): number | undefined {
  const ofWin32 = isWin32 && process.platform === 'win32' ? win32NumbersByName.get(name) : undefined;
  return ofWin32 ?? numbersByName.get(name);
}

export const errorNames = (): readonly string[] => [...numbersByName.keys()];

export interface ErrorContext {
  readonly address?: string;
  readonly port?: number;
  readonly path?: string;
}

/** 'EBADF', or 'UNKNOWN'. */
export function systemErrorName(number: number): string {
  return systemNames.get(Math.abs(number)) ?? 'UNKNOWN';
}

/** Nothing was done, and nothing is wrong: the call is made again (PEP 475). The addon does that for calls, loops for operations. */
export const isInterrupted = (number: number): boolean => number < 0 && systemErrorName(number) === 'EINTR';

/**
 * Nothing was transferred, and the same operation can be started again: a signal interrupted it, the kernel would have had to wait, or had no
 * buffer at this moment.
 */
export const isTransientTransfer = (number: number): boolean =>
  number < 0 && ['EINTR', 'EAGAIN', 'ENOBUFS'].includes(systemErrorName(number));

/**
 * The Error of a system call that failed: `code`, `errno` (Node's negative number), `syscall`, and `address`, `port` or `path` where the
 * call had one. A number that has no name keeps it in `errno`.
 *
 * @param number what the addon returned: the system's error number, negated
 */
export function systemError(number: number, syscall: string, context?: ErrorContext): NodeJS.ErrnoException {
  return namedError(systemErrorName(number), syscall, context, number);
}

/** The same by name: `namedError('ETIMEDOUT', 'recv')`. */
export function namedError(
  code: string,
  syscall: string,
  context: ErrorContext = {},
  unknown = 0,
): NodeJS.ErrnoException {
  const [errno, text] = byName.get(code) ?? [unknown, `unknown system error ${Math.abs(unknown)}`];
  const where = [context.address ?? context.path, context.port].filter((part) => part !== undefined).join(':');
  const message = `${code}: ${text}, ${syscall}${where === '' ? '' : ` ${where}`}`;
  return Object.assign(new Error(message), { code, errno, syscall, ...context });
}

/** ETIMEDOUT, where something was closed of which the kernel has not let go. @param left how many operations */
export function checkLetGo(left: number): void {
  if (left === 0) return;
  const error = namedError('ETIMEDOUT', 'close');
  error.message += `: the kernel has not let go of ${left} operations; their memory is never freed`;
  throw error;
}

/** A result of the addon: the value, or an Error thrown. */
export function check(result: number, syscall: string, context?: ErrorContext): number {
  if (result < 0) throw systemError(result, syscall, context);
  return result;
}

/** What a value looks like in a message. Runs nothing of the value's own: no getter, no toString, no proxy's trap. */
function show(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
    case 'object':
      return value === null ? 'null' : 'an object';
    case 'function':
      return 'a function';
    case 'symbol':
      return 'a symbol';
    default:
      return String(value);
  }
}

/** ERR_INVALID_ARG_TYPE */
export function invalidType(name: string, expected: string, value: unknown): TypeError {
  return Object.assign(new TypeError(`${name} must be ${expected}, not ${show(value)}`), {
    code: 'ERR_INVALID_ARG_TYPE',
  });
}

/** ERR_OUT_OF_RANGE */
export function outOfRange(name: string, expected: string, value: unknown): RangeError {
  return Object.assign(new RangeError(`${name} must be ${expected}, not ${show(value)}`), { code: 'ERR_OUT_OF_RANGE' });
}

/** ERR_INVALID_ARG_VALUE */
export function invalidValue(message: string, cause?: unknown): RangeError {
  const error = new RangeError(message, cause === undefined ? undefined : { cause });
  return Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' });
}

/** ERR_ILLEGAL_CONSTRUCTOR */
export function illegalConstructor(name: string): TypeError {
  return Object.assign(new TypeError(`${name} is abstract: construct one of its subclasses`), {
    code: 'ERR_ILLEGAL_CONSTRUCTOR',
  });
}

function stateError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** ERR_KEY_EXISTS */
export const keyExists = (what: string): Error => stateError('ERR_KEY_EXISTS', `${what} is already registered`);
/** ERR_KEY_NOT_FOUND */
export const keyNotFound = (what: string): Error => stateError('ERR_KEY_NOT_FOUND', `${what} is not registered`);
/** ERR_STALE_KEY: its file was closed, and the system has given its number to another file. */
export const staleKey = (fd: number): Error =>
  stateError(
    'ERR_STALE_KEY',
    `descriptor ${fd} was closed before it was unregistered, and is another file now: the stale registration is dropped`,
  );
/** ERR_CLOSED */
export const closedError = (what: string): Error => stateError('ERR_CLOSED', `the ${what} is closed`);
/** ERR_BUSY: one asynchronous wait at a time. */
export const busyError = (what: string): Error =>
  stateError('ERR_BUSY', `the ${what} is waiting already; one wait at a time`);

/** ERR_BUSY: operations are under way on it. */
export const inUse = (what: string): Error => stateError('ERR_BUSY', `the ${what} has operations under way`);

/** ERR_BUSY */
export const belongsToLoop = (what: string): Error => stateError('ERR_BUSY', `the ${what} belongs to a loop already`);

/** ERR_BUSY */
export const lockedAlready = (what: string): Error => stateError('ERR_BUSY', `the ${what} holds the lock already`);
/** ERR_NOT_LOCKED */
export const notLocked = (what: string): Error => stateError('ERR_NOT_LOCKED', `the ${what} does not hold the lock`);

/** ERR_UNAVAILABLE */
export function unavailable(message: string, cause?: unknown): Error {
  const error = new Error(message, cause === undefined ? undefined : { cause });
  return Object.assign(error, { code: 'ERR_UNAVAILABLE' });
}
