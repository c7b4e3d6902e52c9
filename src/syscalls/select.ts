/** select(2), and Winsock's select. */
import { check, outOfRange } from '../errors.js';
import { native } from '../native.js';
import { listOf, rawTimeoutOf } from '../validate.js';
import { type FileObject, fileno } from './file-object.js';
import { inSlices } from './slices.js';

/** Size of a set. POSIX: it holds descriptors 0 to FD_SETSIZE - 1. Windows: it holds FD_SETSIZE sockets, whatever their numbers. */
export const FD_SETSIZE = native.FD_SETSIZE;

/** Bits in the results of the addon's select. */
export const SELECTED_READ = 1;
export const SELECTED_WRITE = 2;
export const SELECTED_EXCEPT = 4;

/** Does the descriptor fit into a set that has `members` already? */
export function fitsFdSet(fd: number, members: number): boolean {
  return process.platform === 'win32' ? members < FD_SETSIZE : fd < FD_SETSIZE;
}

/**
 * select(2): waits until a file object is ready for reading, ready for writing, or has an exceptional condition. BLOCKS this thread. A file
 * object may be in several lists, and twice in one; the lists are not changed.
 *
 * @param read file objects to watch for reading
 * @param write file objects to watch for writing
 * @param except file objects to watch for out-of-band data; on Windows also for a failed connect
 * @param timeout milliseconds, with fractions (rounded up to microseconds); null: no timeout. Default: null. On Windows it sleeps if the
 *   lists are empty, which Winsock refuses (WSAEINVAL).
 * @returns three new lists with the ready file objects, as they were given
 * @throws ERR_OUT_OF_RANGE for a descriptor that fd_set cannot hold, and for a negative timeout; EBADF (ENOTSOCK on Windows) if a
 *   descriptor is closed
 */
export function select<F extends FileObject>(
  read: readonly F[],
  write: readonly F[],
  except: readonly F[],
  timeout?: number | null,
): {
  /** Ready for reading. */
  readonly read: F[];
  /** Ready for writing. */
  readonly write: F[];
  /** With an exceptional condition. */
  readonly except: F[];
} {
  // Copies first: a fileno() of the caller's may change the lists (python/cpython bpo-16230).
  const lists = [listOf('read', read), listOf('write', write), listOf('except', except)] as [F[], F[], F[]];
  const limit = rawTimeoutOf(timeout, 'refused');
  const [readFds, writeFds, exceptFds] = lists.map((list) => {
    const fds = list.map((fileobj) => fileno(fileobj));
    const unfit = fds.find((fd, index) => !fitsFdSet(fd, index));
    if (unfit !== undefined)
      throw outOfRange('filedescriptor', `what fd_set can hold (FD_SETSIZE ${FD_SETSIZE})`, unfit);
    return Int32Array.from(fds);
  }) as [Int32Array, Int32Array, Int32Array];

  const out = new Int32Array(2 * (readFds.length + writeFds.length + exceptFds.length));
  const pairs = check(
    inSlices(limit, (part) =>
      native.select(readFds, readFds.length, writeFds, writeFds.length, exceptFds, exceptFds.length, out, part),
    ),
    'select',
  );
  const ready = new Map<number, number>();
  for (let i = 0; i < pairs; i++) {
    const fd = out[2 * i] ?? -1;
    ready.set(fd, (ready.get(fd) ?? 0) | (out[2 * i + 1] ?? 0));
  }
  const selected = (list: F[], fds: Int32Array, bit: number) =>
    list.filter((_, index) => ((ready.get(fds[index] ?? -1) ?? 0) & bit) !== 0);
  return {
    read: selected(lists[0], readFds, SELECTED_READ),
    write: selected(lists[1], writeFds, SELECTED_WRITE),
    except: selected(lists[2], exceptFds, SELECTED_EXCEPT),
  };
}
