/**
 * The descriptors that a selector watches, and the wait for them: one subclass per mechanism (epoll.ts, kqueue.ts, afd.ts, devpoll.ts,
 * poll.ts, select.ts). The first four keep the set in the kernel; poll and select pass all of it with each call. The system call of a wait
 * (epoll_wait, …) is made in C++, in native/mechanisms/, through a `Multiplexer`.
 *
 * BaseSelector (base.ts) is what programs see of it. Loops (loop-wait.ts) and the emulated proactor use it directly, by `watchSetOf()`.
 *
 * Stale events. A program closes a registered descriptor, and the system gives its number to another file. While a duplicate of the closed
 * file is open, epoll keeps reporting it, under the number that now belongs to the other file. Each registration therefore has a
 * generation, and epoll and kqueue return it with each event. An event of another generation, or of a descriptor without a registration,
 * is stale: poll() and LoopWait.turn() drop it, and `onStale` then removes its cause from the kernel's set. devpoll, poll and select keep
 * no generation: they watch the number, whatever file it belongs to, and report it under its key.
 *
 * To add a mechanism: CONTRIBUTING.md lists the places.
 */
import { check, closedError } from '../errors.js';
import { native } from '../native.js';
import { type FileObject, fileno } from '../syscalls/file-object.js';
import { Multiplexer } from '../syscalls/multiplexer.js';
import type { ReadinessMechanism } from '../syscalls/probe.js';
import type { Interest } from '../wait/async-wait.js';
import { WakeChannel } from '../wait/wake-channel.js';
import type { EventMask, ReadyEvent, SelectorKey } from './key.js';
import { type Registration, Registrations } from './registrations.js';

const MAX_GENERATION = 0x7fff_ffff;
const NO_PAIRS = new Int32Array(0);

export abstract class WatchSet<D, F extends FileObject> {
  readonly mechanism: ReadinessMechanism;
  readonly registrations = new Registrations<D, F>();
  /** Watched too. A wait that finds it readable ends early. */
  readonly wakeChannel = new WakeChannel();
  /** Called after each change of `interest()`. */
  onInterestChanged: (() => void) | undefined;

  /** For poll(). A loop has its own, because a handler may call select() before the loop has read all events of its turn. */
  readonly #multiplexer: Multiplexer;
  /** Number of changes of the interest. A multiplexer that was prepared for another number is prepared again before it waits. */
  #changes = 0;
  #lastGeneration = 0;
  #isWoken = false;
  #closed = false;

  /** Runs no code of the value's own (no proxy's trap), as instanceof would. */
  static is(value: unknown): boolean {
    return typeof value === 'object' && value !== null && #changes in value;
  }

  constructor(mechanism: ReadinessMechanism) {
    this.mechanism = mechanism;
    this.#multiplexer = this.orClose(() => new Multiplexer(mechanism));
  }

  // ----------------------------------------------------------------------------------------- what each mechanism defines

  /** The system call of a wait, for its errors. */
  protected abstract readonly waitCall: string;
  /** Starts watching a descriptor. @throws if the kernel refuses; it is not watched then */
  protected abstract watch(fd: number, events: EventMask, generation: number): void;
  /** Watches a descriptor for other events. @throws if the kernel refuses; it is watched for the old events then */
  protected abstract change(fd: number, events: EventMask, registration: Registration<D, F>): void;
  /** Stops watching. Never throws: the descriptor may be closed, or belong to another file. */
  protected abstract forget(fd: number, events: EventMask): void;
  /** The descriptors that another thread, or Node's loop, polls for this set. If one is ready, a wait here returns at once. */
  abstract interest(): Interest;
  /** Closes the mechanism's own kernel objects. */
  protected abstract closeMechanism(): void;

  /** The descriptor of the mechanism itself (epoll, kqueue, devpoll), or undefined. -1 once closed. */
  get fd(): number | undefined {
    return undefined;
  }

  /** Does a wait report the ready descriptors of which it had too many first in the next one? poll and select have all in each. */
  get rotates(): boolean {
    return this.fd !== undefined;
  }

  /** What a multiplexer of this set is passed (Multiplexer.watch). */
  protected set(): number {
    return this.fd ?? 0;
  }

  /** For poll and select: pairs [descriptor, POLLIN | POLLOUT] of all registered descriptors and the wake channel. */
  protected pairs(): Int32Array {
    return NO_PAIRS;
  }

  /** Maximum number of events per wait: one per registration, and one for the wake channel. */
  protected maxEvents(): number {
    return this.registrations.size + 1;
  }

  /** Can one more descriptor be registered: the next that the system opens? Only select(2) has a limit. */
  canRegister(): boolean {
    return true;
  }

  /**
   * For a mechanism whose wait fails with EBADF if a registered descriptor is closed (select): reports each closed descriptor as ready,
   * polls the open ones, and adds those that are ready.
   * @returns the number of events
   */
  protected waitAroundClosed?(multiplexer: Multiplexer): number;

  /** Did the kernel drop this registration by itself, because its file was closed? */
  protected isForgotten?(registration: Registration<D>): boolean;

  /**
   * Called after a wait with stale events. A mechanism whose kernel drops closed files by itself does not define it.
   * @param hasOthers the same wait also found current events; an error thrown here would lose them
   */
  onStale?(hasOthers: boolean): void;

  /** For a constructor: runs `open`, and closes the wake channel if it throws. */
  protected orClose<T>(open: () => T): T {
    try {
      return open();
    } catch (error) {
      this.wakeChannel.close();
      throw error;
    }
  }

  /** `interest()` has changed: waits under way in other threads start again with the new one. */
  protected interestChanged(): void {
    this.#changes++;
    this.onInterestChanged?.();
  }

  // ------------------------------------------------------------------------------------------------------- registrations

  register(key: SelectorKey<D, F>): void {
    const generation = (this.#lastGeneration % MAX_GENERATION) + 1;
    this.watch(key.fd, key.events, generation);
    this.#lastGeneration = generation;
    this.registrations.set(key.fd, { key, generation, lastEvent: undefined });
  }

  /** Replaces the key of a registration. No system call if the events are the same. */
  modify(registration: Registration<D, F>, key: SelectorKey<D, F>): void {
    if (key.events !== registration.key.events) this.change(key.fd, key.events, registration);
    registration.key = key;
    registration.lastEvent = undefined;
  }

  unregister({ fd, events }: SelectorKey<D, F>): void {
    this.registrations.delete(fd);
    this.forget(fd, events);
  }

  /** The generation of a descriptor's registration; 0 if it is not registered. */
  generationOf(fd: number): number {
    return this.registrations.get(fd)?.generation ?? 0;
  }

  /**
   * Is the descriptor's registration certainly that of a closed file? Yes if its file object has another descriptor now, or none, or if the
   * kernel has dropped the registration.
   */
  isStale(fd: number): boolean {
    const registration = this.registrations.get(fd);
    return (
      registration !== undefined &&
      (currentFd(registration.key.fileobj) !== fd || this.isForgotten?.(registration) === true)
    );
  }

  // ---------------------------------------------------------------------------------------------------------------- waits

  /**
   * Waits once.
   * @param timeout milliseconds; -1: until something is ready
   * @returns what is ready; empty after the timeout, a wake-up or stale events only
   * @throws ERR_CLOSED; the system call's errors
   */
  poll(timeout: number): ReadyEvent<D, F>[] {
    this.assertOpen();
    const multiplexer = this.#multiplexer;
    const { registrations } = this;
    this.prepare(multiplexer);
    let count = multiplexer.wait(timeout);
    if (count < 0) count = this.afterRefusal(multiplexer, count);
    const ready = new Array<ReadyEvent<D, F>>(count);
    let reported = 0;
    let woken = false;
    let stale = false;
    for (let i = 0; i < count; i++) {
      const fd = multiplexer.fd(i);
      const generation = multiplexer.generation(i);
      const registration = registrations.get(fd);
      if (registration !== undefined && (generation === 0 || generation === registration.generation)) {
        const { key } = registration;
        const events = multiplexer.events(i) & key.events;
        if (events !== 0) {
          // Compared, because a caller may have written to the pair.
          let pair = registration.lastEvent;
          if (pair?.[0] !== key || pair[1] !== events || (pair.length as number) !== 2)
            registration.lastEvent = pair = [key, events];
          ready[reported++] = pair;
        }
      } else if (fd === this.wakeChannel.fd && generation === 0) {
        woken = true;
      } else {
        stale = true;
      }
    }
    if (reported < count) ready.length = reported;
    this.#isWoken = woken;
    if (woken) this.wakeChannel.drain();
    if (stale) this.onStale?.(woken || reported > 0);
    return ready;
  }

  /** Did the last poll() end, or find something, after a wakeup()? It has consumed that wake-up. */
  get isWoken(): boolean {
    return this.#isWoken;
  }

  /** Before each wait of a multiplexer: passes it the set if that has changed, and makes room for `maxEvents`. */
  prepare(multiplexer: Multiplexer): void {
    const records = this.maxEvents();
    if (multiplexer.preparedFor === this.#changes && records <= multiplexer.capacity) return;
    check(multiplexer.watch(this.set(), this.pairs(), records), this.waitCall);
    multiplexer.preparedFor = this.#changes;
  }

  /** After a wait that failed with `error`. @returns the number of events; @throws if the mechanism cannot go around the error */
  afterRefusal(multiplexer: Multiplexer, error: number): number {
    if (error !== native.badDescriptor || this.waitAroundClosed === undefined) return check(error, this.waitCall);
    multiplexer.preparedFor = -1; // waitAroundClosed() passes it the open descriptors only
    return this.waitAroundClosed(multiplexer);
  }

  // ---------------------------------------------------------------------------------------------------------------- close

  get closed(): boolean {
    return this.#closed;
  }

  /** @throws ERR_CLOSED */
  assertOpen(): void {
    if (this.#closed) throw closedError('selector');
  }

  /** Removes all registrations; from now on calls fail with ERR_CLOSED. The descriptors stay open until closeDescriptors(). */
  stop(): void {
    this.#closed = true;
    this.registrations.clear();
  }

  closeDescriptors(): void {
    try {
      this.closeMechanism();
    } finally {
      this.wakeChannel.close();
    }
  }
}

/** The descriptor that a file object has now; -1: none, it is closed. */
function currentFd(fileobj: FileObject): number {
  try {
    return fileno(fileobj);
  } catch {
    return -1; // fileno() fails for a closed file object
  }
}
