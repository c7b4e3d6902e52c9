/**
 * Each error of the package has a `code`, as Node's: the name of a system error (`EBADF`) if a call failed, `ERR_…` for a mistake of the
 * caller's.
 */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

const byNumber = getSystemErrorMap();
/** 'EBADF' → [Node's negative number, 'bad file descriptor'] */
const byName = new Map([...byNumber].map(([number, [name, text]]) => [name, [number, text] as const]));

// As in Node: dns.lookup()'s name for EAI_NONAME, with libuv's number.
const notFound = byName.get('EAI_NONAME');
if (notFound !== undefined) byName.set('ENOTFOUND', notFound);

/** Winsock's errors with another name in Node. All others: the name without 'WSA'. */
const windowsNames: Readonly<Record<string, string>> = { WSAEWOULDBLOCK: 'EAGAIN', WSAESHUTDOWN: 'EPIPE' };
/** Errors of Win32 (GetLastError), by number. */
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
  [676, 'ECANCELED'], // ERROR_HANDLES_CLOSED: Wine, for an operation whose socket was closed
  [995, 'ECANCELED'], // ERROR_OPERATION_ABORTED
  [1168, 'ENOENT'], // ERROR_NOT_FOUND
  [1225, 'ECONNREFUSED'], // ERROR_CONNECTION_REFUSED
  [1231, 'ENETUNREACH'], // ERROR_NETWORK_UNREACHABLE
  [1232, 'EHOSTUNREACH'], // ERROR_HOST_UNREACHABLE
  [1234, 'ECONNRESET'], // ERROR_PORT_UNREACHABLE: Winsock calls it WSAECONNRESET
  [1236, 'ECONNABORTED'], // ERROR_CONNECTION_ABORTED
  [1450, 'ENOMEM'], // ERROR_NO_SYSTEM_RESOURCES
];

/** Error names by the operating system's numbers, which the addon returns. */
const systemNames = new Map<number, string>(
  process.platform === 'win32'
    ? [
        ...windowsNumbers,
        ...Object.entries(constants.errno)
          .filter(([name]) => name.startsWith('WSAE'))
          .map(([name, number]) => [number, windowsNames[name] ?? name.slice('WSA'.length)] as const),
      ]
    : [
        // Missing in Node: EBADR of io_uring_enter(2), ETOOMANYREFS of sendmsg(2) with descriptors.
        ...(process.platform === 'linux'
          ? ([
              [53, 'EBADR'],
              [109, 'ETOOMANYREFS'],
            ] as const)
          : ([[59, 'ETOOMANYREFS']] as const)),
        ...Object.entries(constants.errno).map(([name, number]) => [number, name] as const),
        // Last: Node's choice if two names share a number (EAGAIN and EWOULDBLOCK).
        ...[...byNumber].map(([number, [name]]) => [-number, name] as const),
      ],
);

/** Errors that libuv invented, which no system call returns, have numbers of 1000 and above. */
const NUMBER_LIMIT = process.platform === 'win32' ? Infinity : 1000;
const numbersByName = new Map(
  [
    ...[...systemNames].map(([number, name]) => [name, number] as const),
    ...Object.entries(process.platform === 'win32' ? {} : constants.errno), // EWOULDBLOCK
  ].filter(([, number]) => number > 0 && number < NUMBER_LIMIT),
);
const win32NumbersByName = new Map(windowsNumbers.map(([number, name]) => [name, number] as const).reverse());

/** This system's number of an error, by name. @param isWin32 on Windows: GetLastError's number instead of Winsock's */
export function errorNumber(name: string, isWin32: boolean): number | undefined {
  const ofWin32 = isWin32 && process.platform === 'win32' ? win32NumbersByName.get(name) : undefined;
  return ofWin32 ?? numbersByName.get(name);
}

/** All names that errorNumber() knows. */
export const errorNames = (): readonly string[] => [...numbersByName.keys()];

/** The address or path of a failed call. */
export interface ErrorContext {
  readonly address?: string;
  readonly port?: number;
  readonly path?: string;
}

/** The name of a system error number, negated or not: 'EBADF', …; else 'UNKNOWN'. */
export function systemErrorName(number: number): string {
  return systemNames.get(Math.abs(number)) ?? 'UNKNOWN';
}

/** Interrupted by a signal, with nothing done: make the call again (PEP 475). The addon does that for calls, loops for operations. */
export const isInterrupted = (number: number): boolean => number < 0 && systemErrorName(number) === 'EINTR';

/**
 * Nothing was transferred, and the operation can be started again: it was interrupted by a signal, would have blocked, or the kernel had no
 * buffer at the moment.
 */
export const isTransientTransfer = (number: number): boolean =>
  number < 0 && ['EINTR', 'EAGAIN', 'ENOBUFS'].includes(systemErrorName(number));

/**
 * The Error of a failed system call: `code`, `errno` (Node's negative number), `syscall`, and `address`, `port` or `path` if the call had
 * one. A number without a name gives the code UNKNOWN, and stands in `errno`.
 *
 * @param number the system's error number, negated, as the addon returns it
 */
export function systemError(number: number, syscall: string, context?: ErrorContext): NodeJS.ErrnoException {
  return namedError(systemErrorName(number), syscall, context, number);
}

/** systemError() by name: `namedError('ETIMEDOUT', 'recv')`. @param unknown `errno` for a name that Node does not know */
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

/** After a close: @throws ETIMEDOUT if the kernel has not completed all operations. @param left number of those under way */
export function checkReleased(left: number): void {
  if (left === 0) return;
  const error = namedError('ETIMEDOUT', 'close');
  error.message += `: the kernel still holds ${left} operations; their memory is never freed`;
  throw error;
}

/** Throws systemError() for a negative result of the addon. @returns the result otherwise */
export function check(result: number, syscall: string, context?: ErrorContext): number {
  if (result < 0) throw systemError(result, syscall, context);
  return result;
}

/** A value as text for a message. Runs no code of the value: no getter, no toString, no proxy's trap. */
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
/** ERR_STALE_KEY: the file was closed, and the system has given its descriptor to another file. */
export const staleKey = (fd: number): Error =>
  stateError(
    'ERR_STALE_KEY',
    `descriptor ${fd} was closed before it was unregistered, and is another file now: the stale registration is dropped`,
  );
/** ERR_CLOSED */
export const closedError = (what: string): Error => stateError('ERR_CLOSED', `the ${what} is closed`);
/** ERR_BUSY: one asynchronous wait at a time. */
export const busyError = (what: string): Error =>
  stateError('ERR_BUSY', `the ${what} is waiting already: only one wait at a time`);

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
