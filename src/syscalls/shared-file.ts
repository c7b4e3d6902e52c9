/** Memory that processes share, with a lock: a mapped file (mmap(2), flock(2)). */
import { toNamespacedPath } from 'node:path';
import { check, closedError, invalidType, invalidValue, lockedAlready, notLocked, unavailable } from '../errors.js';
import type { NativeSharedFile } from '../addon.js';
import { native } from '../native.js';
import { wholeNumber } from '../validate.js';
import { waitsInKernel } from './slices.js';

const MAX_BYTES = 2 ** 30;
const WHAT = 'shared file';

/** Sleep of a worker between two attempts to lock, in milliseconds: at first, doubled up to the maximum. */
const MIN_SLEEP = 1;
const MAX_SLEEP = 8;
const neverNotified = new Int32Array(new SharedArrayBuffer(4));

/**
 * A file that several processes and threads map as shared memory, with one lock: the scoreboard and the accept lock of preforked servers.
 *
 * Each process, thread or object opens it by its path, all with the same size. New bytes are 0. Writes are visible to the others at once.
 * Their order is defined if the writer held the lock and the reader takes it afterwards, and for Atomics, whose operations (except wait
 * and notify) work on this memory across processes.
 *
 * Only its owner may access the file (mode 0600; on Windows the folder's permissions). A process that can write it can also shorten it, and
 * touching memory beyond the end of the file ends the process (SIGBUS, mmap(2)). Windows does not shorten a mapped file.
 */
export class SharedFile implements Disposable {
  readonly #file: NativeSharedFile;
  readonly #memory: ArrayBuffer;
  #closed = false;
  #locked = false;

  /**
   * open(2) with O_CREAT and O_CLOEXEC; lengthens a shorter file to `size` bytes, by fallocate(2) on Linux, so that a full disk is an error
   * here and no SIGBUS later, else by ftruncate(2), and never shortens it; mmap(2) with MAP_SHARED. Windows: CreateFileW,
   * CreateFileMapping, MapViewOfFile. A created file stays if a later step fails.
   *
   * @param path of a regular file, absolute or relative to the working directory; on Windows of any length, as in fs
   * @param size bytes, 1 to 2^30: the length of `memory`
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; ERR_INVALID_ARG_VALUE for a path with a NUL; ENOENT (no such folder), EACCES, EISDIR,
   *   EROFS, EINVAL (no regular file), ENAMETOOLONG, EMFILE, ENFILE, ENOSPC, ENOMEM, with `path` and `syscall`; ERR_UNAVAILABLE in a
   *   runtime that allows no external memory (Electron)
   */
  constructor(path: string, size: number) {
    if (typeof path !== 'string') throw invalidType('path', 'a string', path);
    // The kernel ends a path at a NUL: it would take 'a\0b' for 'a'.
    if (path.includes('\0')) throw invalidValue('path must not contain a NUL');
    const bytes = wholeNumber('size', size, 1, MAX_BYTES);
    this.#file = new native.SharedFile();
    check(this.#file.open(toNamespacedPath(path)), 'open', { path });
    try {
      check(this.#file.grow(bytes), native.growSyscall, { path });
      this.#memory = mapped(this.#file.map(), path);
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  /**
   * The shared memory, `size` bytes; each read returns the same object. It stays mapped while the object or a view of it is referenced,
   * also after close(), and at most until its thread ends.
   *
   * In another thread, open the file again: postMessage() does not transfer the memory but throws a DataCloneError (Node 20: sends a copy).
   * A move within the thread (ArrayBuffer.prototype.transfer, Node 22; a stream's BYOB reader) leaves it with 0 bytes, and the new
   * ArrayBuffer shows the file. If that one is posted to another thread, it stays mapped until the process ends, once per file and size.
   */
  get memory(): ArrayBuffer {
    return this.#memory;
  }

  /** Was close() called? */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * flock(2) with LOCK_EX; LockFileEx on Windows. BLOCKS this thread until this object holds the lock. One SharedFile object of a path holds
   * it at a time, of all threads and processes; the kernel releases it when the holder's thread or process ends, also by a crash. Two objects of one
   * thread deadlock. Waiters are not served in order.
   *
   * In a worker it polls, with sleeps of 1 to 8 milliseconds, because worker.terminate() cannot end a thread that is in flock(2). Threads
   * that wait in the kernel get the lock before it.
   *
   * @throws ERR_BUSY if this object holds the lock already; ERR_CLOSED
   */
  lock(): void {
    this.#assertFree();
    if (waitsInKernel()) {
      check(this.#file.lock(true), 'flock');
      this.#locked = true;
      return;
    }
    for (let sleep = MIN_SLEEP; !this.tryLock(); sleep = Math.min(2 * sleep, MAX_SLEEP)) {
      Atomics.wait(neverNotified, 0, 0, sleep);
    }
  }

  /**
   * lock() without waiting: LOCK_NB.
   * @returns false: another object holds the lock
   * @throws ERR_BUSY if this object holds the lock already; ERR_CLOSED
   */
  tryLock(): boolean {
    this.#assertFree();
    this.#locked = check(this.#file.lock(false), 'flock') === 1;
    return this.#locked;
  }

  /** Releases the lock: LOCK_UN; UnlockFileEx on Windows. @throws ERR_NOT_LOCKED if this object does not hold it; ERR_CLOSED */
  unlock(): void {
    if (this.#closed) throw closedError(WHAT);
    if (!this.#locked) throw notLocked(WHAT);
    check(this.#file.unlock(), 'flock');
    this.#locked = false;
  }

  /**
   * Releases the lock and closes the file; a second call does nothing. `memory` stays mapped, and the file stays in its folder: the program
   * unlinks it. The garbage collector closes an object that is not closed.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#locked = false;
    check(this.#file.close(), 'close');
  }

  /** close() */
  [Symbol.dispose](): void {
    this.close();
  }

  #assertFree(): void {
    if (this.#closed) throw closedError(WHAT);
    if (this.#locked) throw lockedAlready(WHAT);
  }
}

function mapped(memory: ArrayBuffer | null | number, path: string): ArrayBuffer {
  if (memory === null) throw unavailable('this runtime allows JavaScript no external memory, and so no shared file');
  if (typeof memory === 'number') {
    check(memory, 'mmap', { path });
    throw unavailable('the file could not be mapped');
  }
  return memory;
}
