/** select(2), and Winsock's select. */
import { check, outOfRange } from '../errors.js';
import { native } from '../native.js';
import { listOf, rawTimeoutOf } from '../validate.js';
import { type FileObject, fileno } from './file-object.js';
import { inSlices } from './slices.js';

/** How many descriptors a set holds. POSIX counts the numbers (0 to FD_SETSIZE - 1), Windows the members, whatever their number. */
export const FD_SETSIZE = native.FD_SETSIZE;

/** Bits in what the addon's select answers. */
export const SELECTED_READ = 1;
export const SELECTED_WRITE = 2;
export const SELECTED_EXCEPT = 4;

/** Can the descriptor be put into a set that has `members` already? */
export function fitsFdSet(fd: number, members: number): boolean {
  return process.platform === 'win32' ? members < FD_SETSIZE : fd < FD_SETSIZE;
}

/**
 * select(2): waits until one of the descriptors is ready to be read, ready to be written, or has an exceptional condition (out-of-band
 * data; on Windows also a connect that failed). BLOCKS this thread.
 *
 * @param read, write, except file objects, or plain descriptors; the lists are not changed, and one may be in several, or twice in one
 * @param timeout milliseconds, with fractions (rounded up to microseconds); null: for ever. On Windows with nothing to watch, where
 *   Winsock refuses (WSAEINVAL), it sleeps.
 * @returns three new lists with the members that are ready, as they were given
 * @throws ERR_OUT_OF_RANGE for a descriptor that fd_set cannot hold, and for a negative timeout; EBADF (ENOTSOCK on Windows) when one
 *   of them is closed
 */
export function select<F extends FileObject>(
  read: readonly F[],
  write: readonly F[],
  except: readonly F[],
  timeout?: number | null,
): { readonly read: F[]; readonly write: F[]; readonly except: F[] } {
  // Copies first: a fileno() of the caller's may change the lists (python/cpython bpo-16230).
  const lists = [listOf('read', read), listOf('write', write), listOf('except', except)] as [F[], F[], F[]];
  const limit = rawTimeoutOf(timeout, 'refused');
  const [readFds, writeFds, exceptFds] = lists.map((list) => {
    const fds = list.map((fileobj) => fileno(fileobj));
    const tooMuch = fds.find((fd, index) => !fitsFdSet(fd, index));
    if (tooMuch !== undefined)
      throw outOfRange('filedescriptor', `what fd_set can hold (FD_SETSIZE ${FD_SETSIZE})`, tooMuch);
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
