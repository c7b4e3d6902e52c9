/**
 * An event loop of ours inside Node's: it is called back whenever its multiplexer has something to tell.
 *
 * Where the multiplexer is a descriptor (epoll, kqueue) Node's loop watches that, among its own (native/wait/loop_watch.cc). Otherwise,
 * and in other programs than Node, a thread waits beside it (native/wait/waiter.cc), at the price of a hop between threads a turn.
 * Both go on until close(), and keep Node alive.
 */
import { check } from '../errors.js';
import type { NativeLoopWatch, NativeWaiter } from '../addon.js';
import { native } from '../native.js';
import type { Interest } from './async-wait.js';
import { openWaiter } from './waiter.js';

/** Bun has functions of libuv's names that end the process. */
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
   * @param setFd the multiplexer's own descriptor, where it has one
   * @throws EMFILE; EAGAIN: there is no thread left
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

  /** Something else is to be watched now. */
  interestChanged(): void {
    if (this.#closed) return;
    if (this.#waiter !== undefined) return this.#waiter.interrupt();
    if (this.#setFd() === this.#watchedFd) return;
    // The new one first: where there is no descriptor left for it (EMFILE), the old one goes on.
    const old = this.#watch;
    this.#begin();
    old?.close();
  }

  /** There is something that no descriptor tells of: a wake-up that was taken away elsewhere, an operation that is over already. */
  wake(): void {
    if (this.#immediate !== undefined) return;
    this.#immediate = setImmediate(() => {
      this.#immediate = undefined;
      if (!this.#closed) this.#onReady();
    });
  }

  /** When this returns, no thread uses the descriptors any more, and nothing is called back. */
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

  /** @returns false: it takes a thread */
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
    // An error of the wait too: taking then finds out what is the matter with which descriptor.
    if (!this.#closed) this.#onReady();
    if (!this.#closed) this.#startWaiter();
  };
}
