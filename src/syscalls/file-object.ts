/** File objects: what has a descriptor, and how to get it. */
import type { Server as NetServer, Socket as NetSocket } from 'node:net';
import { invalidType, invalidValue, outOfRange } from '../errors.js';

/** A descriptor, or an object that has one: this package's classes, `net.Socket`, `net.Server`, `process.stdin`, pipes, ttys. */
export type FileObject =
  | number
  | {
      /** The descriptor. */
      readonly fd: number;
    }
  | {
      /** Returns the descriptor. */
      fileno(): number;
    }
  | NetSocket
  | NetServer;

/** The largest descriptor. Windows' sockets are handles, of which 32 bits are significant. */
export const MAX_FD = process.platform === 'win32' ? 0xffff_ffff : 0x7fff_ffff;

/**
 * The descriptor of a file object.
 *
 * For an object: its `fileno()`, else its `fd`, else the handle of a `net.Socket` or `net.Server`. On Windows only this package's sockets
 * have a descriptor that can be watched: Node does not expose its own handles.
 *
 * @returns a whole number, 0 or more. It may be closed: that is not checked here.
 * @throws ERR_INVALID_ARG_TYPE for neither a number nor an object; ERR_OUT_OF_RANGE for a number that no descriptor has;
 *   ERR_INVALID_ARG_VALUE if an object has no descriptor (closed, or not an OS handle), or throws.
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
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_FD;
}

function descriptorOf(object: object): unknown {
  const { fileno, fd } = object as { fileno?: unknown; fd?: unknown };
  if (typeof fileno === 'function') return fileno.call(object);
  if (typeof fd === 'number') return fd;
  // net.Socket and net.Server: their libuv handle has a descriptor (not on Windows).
  return (object as { _handle?: { fd?: unknown } | null })._handle?.fd;
}
