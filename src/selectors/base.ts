/**
 * Python's `selectors` in JavaScript: the class that programs see. A `WatchSet` (watch-set.ts) watches the descriptors and waits for them; each
 * mechanism has its own.
 *
 * A register, modify or unregister that fails changes nothing: arguments are checked first, then the kernel is asked, then the key is stored.
 */
import { illegalConstructor, invalidValue, keyExists } from '../errors.js';
import { type FileObject, fileno } from '../syscalls/file-object.js';
import type { ReadinessMechanism } from '../syscalls/probe.js';
import { sliceOf } from '../syscalls/slices.js';
import { timeoutOf } from '../validate.js';
import { AsyncWait, type WaitOptions } from '../wait/async-wait.js';
import { type EventMask, type ReadyEvent, type SelectorKey, checkEvents, makeKey } from './key.js';
import { LoopWait } from './loop-wait.js';
import { SelectorMap } from './selector-map.js';
import { WatchSet } from './watch-set.js';

/** @internal The set that a selector watches. For loops and the emulated proactor. */
export let watchSetOf: <D, F extends FileObject>(selector: BaseSelector<D, F>) => WatchSet<D, F>;
/** @internal For loops. */
export let loopWaitOf: <D, F extends FileObject>(selector: BaseSelector<D, F>) => LoopWait<D, F>;

/** Readiness selectors, with the meaning of Python's `selectors` module. A selector belongs to the thread that made it. */
export abstract class BaseSelector<D = unknown, F extends FileObject = FileObject>
  implements Disposable, AsyncIterable<readonly ReadyEvent<D, F>[]>
{
  /** Can this class be constructed here? Each read asks the kernel; the platform's name does not matter. */
  static get isAvailable(): boolean {
    return false;
  }

  static {
    watchSetOf = (selector) => selector.#watchSet;
    loopWaitOf = (selector) => selector.#loopWait;
  }

  /** The system call that it waits with: 'select', 'poll', 'epoll', 'kqueue', 'afd' or 'devpoll'. */
  readonly mechanism: ReadinessMechanism;
  readonly #watchSet: WatchSet<D, F>;
  readonly #map: SelectorMap<D, F>;
  readonly #loopWait: LoopWait<D, F>;
  readonly #asyncWait = new AsyncWait<ReadyEvent<D, F>[]>({
    what: 'selector',
    take: () => {
      const ready = this.#watchSet.poll(0);
      const { isWoken } = this.#watchSet;
      if (isWoken) this.#loopWait.wake();
      return isWoken || ready.length > 0 ? ready : null;
    },
    nothing: () => [],
    interest: () => this.#watchSet.interest(),
  });

  /** @internal */
  constructor(watchSet: WatchSet<D, F>) {
    if (!WatchSet.is(watchSet)) throw illegalConstructor('BaseSelector');
    this.mechanism = watchSet.mechanism;
    this.#watchSet = watchSet;
    this.#map = new SelectorMap(watchSet.registrations);
    this.#loopWait = new LoopWait(watchSet, () => this.#asyncWait.wake());
    watchSet.onInterestChanged = () => {
      this.#asyncWait.interestChanged();
      this.#loopWait.interestChanged();
    };
  }

  /** The descriptor of the mechanism itself (epoll, kqueue, devpoll), or undefined. -1 once closed. */
  get fd(): number | undefined {
    return this.#watchSet.fd;
  }

  /** Was close() called? */
  get closed(): boolean {
    return this.#watchSet.closed;
  }

  /** A number that any thread of the process may pass to the function `wakeup()`. It is never used again after close(). */
  get wakeupHandle(): number {
    return this.#watchSet.wakeChannel.handle;
  }

  /**
   * Watches a file object.
   *
   * @param events EVENT_READ, EVENT_WRITE or both
   * @param data anything; the key has it
   * @returns the key
   * @throws ERR_INVALID_ARG_VALUE for other events or a file object without a descriptor; ERR_KEY_EXISTS if the descriptor is registered
   *   already, by whichever object; ERR_OUT_OF_RANGE from select if fd_set cannot hold it; ERR_CLOSED; the kernel's errors: EBADF for a
   *   closed descriptor (ENOTSOCK on Windows), EPERM from epoll for a regular file
   */
  register(fileobj: F, events: EventMask, data?: D): SelectorKey<D, F> {
    const watchSet = this.#watchSet;
    watchSet.assertOpen();
    checkEvents(events);
    const fd = fileno(fileobj);
    watchSet.assertOpen(); // again: a fileno() of the caller's may have closed this selector
    if (watchSet.registrations.has(fd)) throw keyExists(`descriptor ${fd}`);
    if (fd === watchSet.wakeChannel.fd || fd === watchSet.fd)
      throw invalidValue(`descriptor ${fd} is the selector's own`);
    const key = makeKey(fileobj, fd, events, data as D);
    watchSet.register(key);
    return key;
  }

  /**
   * Stops watching a file object, given as the object or as its number. Works too after the object was closed, and after its number was
   * given to another file.
   * @returns the key that it had
   * @throws ERR_KEY_NOT_FOUND; ERR_CLOSED
   */
  unregister(fileobj: FileObject): SelectorKey<D, F> {
    this.#watchSet.assertOpen();
    const { key } = this.#watchSet.registrations.of(fileobj);
    this.#watchSet.unregister(key);
    return key;
  }

  /**
   * Watches for other events, replaces the data, or both. New data alone costs no system call.
   *
   * @param data the new data; left out, it becomes undefined
   * @returns the new key; the present one if nothing differs
   * @throws as register(); ERR_KEY_NOT_FOUND. The registration is then unchanged
   */
  modify(fileobj: FileObject, events: EventMask, data?: D): SelectorKey<D, F> {
    this.#watchSet.assertOpen();
    checkEvents(events);
    const registration = this.#watchSet.registrations.of(fileobj);
    const old = registration.key;
    if (events === old.events && Object.is(data, old.data)) return old;
    const key = makeKey(old.fileobj, old.fd, events, data as D);
    this.#watchSet.modify(registration, key);
    return key;
  }

  /**
   * Waits until a registered file object is ready, wakeup() is called, or the timeout expires. BLOCKS this thread, and Node's loop with it.
   * A signal does not end the wait: Node calls its handler after the wait has returned. worker.terminate() ends it within 100 ms.
   *
   * @param timeout milliseconds, rounded up to the mechanism's unit (epoll, poll, afd, devpoll: 1 ms; select: 1 µs; kqueue: 1 ns), so that it never
   *   expires early; null, undefined, Infinity: no timeout; 0 or less: does not wait
   * @returns a new array, in no particular order: each ready key once, with those of its events that are ready. Empty after the timeout or
   *   a wakeup(). Its pairs may be those of an earlier call: do not write to them. A hang-up or an error is reported as all events of
   *   the key. epoll and devpoll report at most 1024 keys per call, afd 512; the next call begins with the others.
   * @throws ERR_CLOSED; ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE for the timeout
   */
  select(timeout?: number | null): ReadyEvent<D, F>[] {
    const watchSet = this.#watchSet;
    watchSet.assertOpen();
    const limit = timeoutOf(timeout);
    const deadline = limit > 0 ? performance.now() + limit : 0;
    for (let remaining = limit; ;) {
      const ready = watchSet.poll(sliceOf(remaining));
      // The wake-up may be meant for a pending selectAsync(), or for a loop.
      if (watchSet.isWoken) {
        this.#asyncWait.wake();
        this.#loopWait.wake();
      }
      if (ready.length > 0 || limit === 0 || watchSet.isWoken) return ready;
      // A slice is over, or all events were stale: it waits for the rest of the time.
      if (limit > 0) {
        remaining = deadline - performance.now();
        if (remaining <= 0) return ready;
      }
    }
  }

  /**
   * select() without blocking Node's loop. The result is what the kernel reports at the moment the promise resolves. Descriptors may be
   * registered, modified and unregistered meanwhile; the wait takes notice. A pending wait keeps the process alive.
   *
   * @param options.timeout as for select()
   * @param options.signal rejects with AbortError (code ABORT_ERR) when it fires; no event is lost
   * @returns rejects with ERR_BUSY while another wait is pending, and with ERR_CLOSED when the selector is closed
   */
  selectAsync(options?: WaitOptions): Promise<ReadyEvent<D, F>[]> {
    return this.#asyncWait.wait(options);
  }

  /** Yields the results of selectAsync() without end: an empty array after a wakeup(). Returns when the selector is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<readonly ReadyEvent<D, F>[], void, undefined> {
    for (;;) {
      let ready: ReadyEvent<D, F>[];
      try {
        ready = await this.selectAsync();
      } catch (error) {
        if (this.closed) return;
        throw error;
      }
      yield ready;
    }
  }

  /** Ends the wait that is under way, or the next one. A wake-up is never lost; several before one wait count as one. @throws ERR_CLOSED */
  wakeup(): void {
    this.#watchSet.assertOpen();
    this.#watchSet.wakeChannel.signal();
  }

  /** The key of a file object, given as the object or as its number. @throws ERR_KEY_NOT_FOUND; ERR_CLOSED */
  getKey(fileobj: FileObject): SelectorKey<D, F> {
    this.#watchSet.assertOpen();
    return this.#watchSet.registrations.of(fileobj).key;
  }

  /** A live, read-only map from descriptor to key; get() and has() take any file object. Empty once the selector is closed. */
  getMap(): ReadonlyMap<FileObject, SelectorKey<D, F>> {
    return this.#map;
  }

  /**
   * Removes all registrations and closes the selector's own descriptors; the file objects stay open. A pending selectAsync() rejects with
   * ERR_CLOSED. Closing again does nothing.
   */
  close(): void {
    if (this.closed) return;
    this.#watchSet.stop();
    // Waiting threads end before the descriptors that they wait for are closed.
    this.#asyncWait.close();
    this.#loopWait.close();
    this.#watchSet.closeDescriptors();
  }

  /** close() */
  [Symbol.dispose](): void {
    this.close();
  }
}
