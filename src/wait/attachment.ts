/**
 * Runs an event loop of this package inside Node's loop: calls back in each turn in which something is ready.
 *
 * If the mechanism has a descriptor (epoll, kqueue), Node's loop watches that, among its own (native/wait/loop_watch.cc). Otherwise, and in
 * other runtimes than Node, a thread waits (native/wait/waiter.cc), which costs one switch between threads per turn. Both go on until
 * close(), and keep the process alive.
 */
import { check } from '../errors.js';
import type { NativeLoopWatch, NativeWaiter } from '../addon.js';
import { native } from '../native.js';
import type { Interest } from './async-wait.js';
import { openWaiter } from './waiter.js';

/** Bun exports functions with libuv's names that abort the process. */
const HAS_LIBUV = process.release.name === 'node' && !('bun' in process.versions) && !('deno' in process.versions);

export class Attachment {
  readonly #interest: () => Interest;
  readonly #setFd: () => number | undefined;
  readonly #onReady: () => void;
  #watch: NativeLoopWatch | undefined;
  #watchedFd = -1;
  #immediate: NodeJS.Immediate | undefined;
  #waiter: NativeWaiter | undefined;
  #closed = false;

  /**
   * @param interest what to wait for in a thread
   * @param setFd the mechanism's own descriptor, or undefined
   * @param onReady called in a turn of Node's loop; it may close the attachment
   * @throws EMFILE; EAGAIN: no thread left
   */
  constructor(interest: () => Interest, setFd: () => number | undefined, onReady: () => void) {
    this.#interest = interest;
    this.#setFd = setFd;
    this.#onReady = onReady;
    this.#begin();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The interest has changed: a thread starts again with it, and a new descriptor is watched. */
  interestChanged(): void {
    if (this.#closed) return;
    if (this.#waiter !== undefined) return this.#waiter.interrupt();
    if (this.#setFd() === this.#watchedFd) return;
    // The new one first: if no descriptor is left for it (EMFILE), the old one goes on.
    const old = this.#watch;
    this.#begin();
    old?.close();
  }

  /** Calls back in the next turn of Node's loop. For what makes no descriptor ready: a consumed wake-up, a completed operation. */
  wake(): void {
    if (this.#immediate !== undefined) return;
    this.#immediate = setImmediate(() => {
      this.#immediate = undefined;
      if (!this.#closed) this.#onReady();
    });
  }

  /** When it returns, no thread uses the descriptors any more. Nothing is called back after it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch?.close();
    this.#waiter?.close();
    this.#watch = this.#waiter = undefined;
  }

  #begin(): void {
    if (this.#watchInLoop()) return;
    this.#waiter = openWaiter();
    this.#startWaiter();
  }

  /** @returns false: Node's loop cannot watch it, a thread must wait */
  #watchInLoop(): boolean {
    const fd = this.#setFd();
    const { pairs } = this.#interest();
    if (!HAS_LIBUV || fd === undefined || pairs.length !== 2 || pairs[0] !== fd) return false;
    const watch = new native.LoopWatch();
    const opened = check(watch.open(fd, this.#onReady), 'dup');
    if (opened !== 0 || watch.start() !== 0) {
      watch.close();
      return false;
    }
    this.#watch = watch;
    this.#watchedFd = fd;
    return true;
  }

  #startWaiter(): void {
    const { useSelect, pairs, handle = 0 } = this.#interest();
    this.#waiter?.start(useSelect, pairs, pairs.length / 2, -1, handle, this.#onReturn);
  }

  readonly #onReturn = (): void => {
    // After an error too: the wait that onReady makes finds the descriptor that caused it.
    if (!this.#closed) this.#onReady();
    if (!this.#closed) this.#startWaiter();
  };
}
