/** Memory that processes share, and a lock around it: a file that is mapped (mmap(2)) and locked (flock(2)). */
import { toNamespacedPath } from 'node:path';
import { check, closedError, invalidType, invalidValue, lockedAlready, notLocked, unavailable } from '../errors.js';
import type { NativeSharedFile } from '../addon.js';
import { native } from '../native.js';
import { wholeNumber } from '../validate.js';
import { SLICE } from './slices.js';

const MOST_BYTES = 2 ** 30;
const WHAT = 'shared file';

/** How long a worker sleeps between two attempts, in milliseconds: at first, and at the most. */
const SHORTEST_SLEEP = 1;
const LONGEST_SLEEP = 8;
const never = new Int32Array(new SharedArrayBuffer(4));

/**
 * A file that several processes and threads map as shared memory, with one lock for what they do: a scoreboard, and the accept lock, of
 * servers that are forked in advance.
 *
 * Each process (each thread, each object) opens it by its path, all with the same size. New bytes are 0. What one writes the others
 * read at once; the order in which they see it is certain where the writer had the lock and the reader has it after, and with Atomics,
 * whose operations (but wait and notify) work on this memory across processes.
 *
 * The file is made for its owner alone (mode 0600; on Windows as its folder hands down), and must be: whoever can write it can make it
 * shorter, and touching memory beyond the end of its file ends the process (SIGBUS, mmap(2)). Windows refuses to shorten a mapped file.
 */
export class SharedFile implements Disposable {
  readonly #file: NativeSharedFile;
  readonly #memory: ArrayBuffer;
  #closed = false;
  #locked = false;

  /**
   * open(2), O_CREAT and O_CLOEXEC; makes the file `size` bytes long where it is shorter (fallocate(2) on Linux, so that a full disk is
   * an error here and no SIGBUS later; ftruncate(2)), and never shorter; mmap(2) MAP_SHARED. Windows: CreateFileW, CreateFileMapping,
   * MapViewOfFile. A file that was made stays there when a later step fails.
   *
   * @param path of a regular file, relative to the working directory or absolute; on Windows of any length, as fs has it
   * @param size bytes, 1 to 2^30; `memory` has exactly as many
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; ERR_INVALID_ARG_VALUE for a path with a NUL in it; ENOENT (no such folder), EACCES,
   *   EISDIR, EROFS, EINVAL (no regular file), ENAMETOOLONG, EMFILE, ENFILE, ENOSPC, ENOMEM, with `path` and `syscall`; ERR_UNAVAILABLE
   *   where this program's JavaScript may have no memory from outside (Electron)
   */
  constructor(path: string, size: number) {
    if (typeof path !== 'string') throw invalidType('path', 'a string', path);
    // NUL ends a path in the kernel's eyes: 'a\0b' would become 'a'.
    if (path.includes('\0')) throw invalidValue('path must not contain a NUL');
    const bytes = wholeNumber('size', size, 1, MOST_BYTES);
    this.#file = new native.SharedFile();
    check(this.#file.open(toNamespacedPath(path)), 'open', { path });
    try {
      check(this.#file.grow(bytes), native.growSyscall, { path });
      this.#memory = shown(this.#file.map(), path);
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  /**
   * The shared memory itself, `size` bytes; the same object each time. It stays mapped as long as anybody holds it (or a view of it),
   * also after close(); at the end of its thread it is unmapped.
   *
   * In another thread, open the file again. postMessage() does not transfer it: it throws a DataCloneError (Node 20: sends a copy). What
   * moves an ArrayBuffer within its thread moves this one too (ArrayBuffer.prototype.transfer, Node 22; the BYOB reader of a stream): it
   * then has 0 bytes, and the one that it was moved to shows the file. Posted to another thread, that one stays mapped until the process
   * ends, once for each file and size.
   */
  get memory(): ArrayBuffer {
    return this.#memory;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * flock(2) LOCK_EX; LockFileEx on Windows. BLOCKS this thread until the lock is this object's. Of all SharedFile objects of a path,
   * whatever the process and the thread, one at a time has it; the kernel takes it from a holder that ends, however that ends. Objects
   * of one thread wait for each other for ever, and there is no order among those who wait.
   *
   * In a worker it polls: a thread that is in flock(2) cannot be ended by worker.terminate(). There it tries, and sleeps 1 to 8
   * milliseconds between; those who wait in the kernel come before it.
   *
   * @throws ERR_BUSY where this object holds it already; ERR_CLOSED
   */
  lock(): void {
    this.#assertFree();
    if (SLICE === Infinity) {
      check(this.#file.lock(true), 'flock');
      this.#locked = true;
      return;
    }
    for (let sleep = SHORTEST_SLEEP; !this.tryLock(); sleep = Math.min(2 * sleep, LONGEST_SLEEP)) {
      Atomics.wait(never, 0, 0, sleep);
    }
  }

  /**
   * The same without waiting: LOCK_NB.
   * @returns false: somebody else holds it
   * @throws ERR_BUSY where this object holds it already; ERR_CLOSED
   */
  tryLock(): boolean {
    this.#assertFree();
    this.#locked = check(this.#file.lock(false), 'flock') === 1;
    return this.#locked;
  }

  /** LOCK_UN; UnlockFileEx on Windows. @throws ERR_NOT_LOCKED where this object does not hold it; ERR_CLOSED */
  unlock(): void {
    if (this.#closed) throw closedError(WHAT);
    if (!this.#locked) throw notLocked(WHAT);
    check(this.#file.unlock(), 'flock');
    this.#locked = false;
  }

  /**
   * Lets go of the lock and of the file; the second time nothing happens. `memory` stays, and so does the file: unlink it when nobody is
   * to open it any more. Left to the garbage collector, it is closed too.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#locked = false;
    check(this.#file.close(), 'close');
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #assertFree(): void {
    if (this.#closed) throw closedError(WHAT);
    if (this.#locked) throw lockedAlready(WHAT);
  }
}

function shown(memory: ArrayBuffer | null | number, path: string): ArrayBuffer {
  if (memory === null)
    throw unavailable('this program allows JavaScript no memory from outside, and so none that is shared');
  if (typeof memory === 'number') {
    check(memory, 'mmap', { path });
    throw unavailable('the file could not be mapped');
  }
  return memory;
}
