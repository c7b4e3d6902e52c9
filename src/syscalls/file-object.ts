/** What has a descriptor, and how to get at it. */
import type { Server as NetServer, Socket as NetSocket } from 'node:net';
import { invalidType, invalidValue, outOfRange } from '../errors.js';

/** A descriptor, or anything that has one: our own classes, `net.Socket`, `net.Server`, `process.stdin`, pipes, ttys. */
export type FileObject = number | { readonly fd: number } | { fileno(): number } | NetSocket | NetServer;

/** The highest number that a descriptor can have. Windows' sockets are handles, of which 32 bits count. */
export const HIGHEST_FD = process.platform === 'win32' ? 0xffff_ffff : 0x7fff_ffff;

/**
 * The descriptor of a file object.
 *
 * An object is asked for `fileno()`, then for `fd`, then, being a `net.Socket` or `net.Server`, for its handle. On Windows only sockets of
 * this package have a descriptor that can be watched: Node does not tell the handles of its own.
 *
 * @returns a whole number, 0 or more. Whether it is open is not asked here.
 * @throws ERR_INVALID_ARG_TYPE for what is neither a number nor an object; ERR_OUT_OF_RANGE for a number that no descriptor has;
 *   ERR_INVALID_ARG_VALUE where an object has none (closed, or not an OS handle), or throws when asked.
 */
export function fileno(fileobj: FileObject): number {
  if (typeof fileobj === 'number') {
    if (!isDescriptor(fileobj)) throw outOfRange('the file object', 'a descriptor, 0 or more', fileobj);
    return fileobj;
  }
  if (!isObject(fileobj)) throw invalidType('the file object', 'a descriptor or an object that has one', fileobj);
  let fd: unknown;
  try {
    fd = descriptorOf(fileobj);
  } catch (error) {
    throw invalidValue('invalid file object: asking it for its descriptor failed', error);
  }
  if (!isDescriptor(fd)) {
    throw invalidValue(
      'invalid file object: it has no descriptor (it is closed, or not a handle of the operating system)',
    );
  }
  return fd;
}

function isObject(value: unknown): boolean {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

function isDescriptor(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= HIGHEST_FD;
}

function descriptorOf(object: object): unknown {
  const { fileno, fd } = object as { fileno?: unknown; fd?: unknown };
  if (typeof fileno === 'function') return fileno.call(object);
  if (typeof fd === 'number') return fd;
  // net.Socket and net.Server: the handle of libuv that they wrap says its descriptor (not on Windows).
  return (object as { _handle?: { fd?: unknown } | null })._handle?.fd;
}
