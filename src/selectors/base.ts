/**
 * Python's `selectors`, in JavaScript: which file objects are watched and for what. The subclasses put that to one mechanism each; the
 * meaning, the checks and the keys are here.
 *
 * A register, modify or unregister that fails leaves everything as it was: what the caller gave is checked first, then the kernel is
 * asked, then the key is written down.
 */
import { busyError, check, closedError, invalidValue, keyExists, keyNotFound } from '../errors.js';
import { native } from '../native.js';
import { type FileObject, fileno } from '../syscalls/file-object.js';
import { Multiplexer } from '../syscalls/multiplexer.js';
import type { ReadinessMechanism } from '../syscalls/probe.js';
import { sliceOf } from '../syscalls/slices.js';
import { ReceiveBatch } from '../syscalls/turn.js';
import { timeoutOf } from '../validate.js';
import { AsyncWait, type Interest, type WaitOptions } from '../wait/async-wait.js';
import { Attachment } from '../wait/attachment.js';
import { WakeChannel } from '../wait/wake-channel.js';
import { type EventMask, type ReadyEvent, type SelectorKey, checkEvents, makeKey } from './key.js';
import { type Registration, Registrations } from './registrations.js';
import { SelectorMap } from './selector-map.js';

const HIGHEST_GENERATION = 0x7fff_ffff;
const NO_PAIRS = new Int32Array(0);

/** What a turn of a loop found ready: the `data` of the keys, record by record. undefined: of a registration that is no more. */
export interface TurnResult<D> {
  readonly owners: (D | undefined)[];
  /** How many records there are. */
  count: number;
  /** Somebody called wakeup(). */
  woken: boolean;
}

/** Readiness selectors, with the meaning of Python's `selectors` module. Belongs to the thread that made it. */
export abstract class BaseSelector<D = unknown, F extends FileObject = FileObject>
  implements Disposable, AsyncIterable<readonly ReadyEvent<D, F>[]>
{
  /** Can this class be constructed here? Asked of the kernel, not of the platform's name, each time it is read. */
  static get isAvailable(): boolean {
    return false;
  }

  readonly mechanism: ReadinessMechanism;

  protected readonly registrations = new Registrations<D, F>();
  protected readonly wakeChannel = new WakeChannel();
  /** Of select(). A loop has one of its own: while it works off what its turn has found, a callback may call select(). */
  readonly #multiplexer: Multiplexer;
  /** How often what is to be watched has changed. */
  #changes = 0;
  /** The last wait has seen a wake-up. */
  #isWoken = false;
  readonly #map = new SelectorMap<D, F>(this.registrations, (fileobj) => this.#find(fileobj));
  readonly #asyncWait = new AsyncWait<ReadyEvent<D, F>[]>({
    what: 'selector',
    take: () => {
      const ready = this.#take(0);
      if (this.#isWoken) this.#tellLoop();
      return this.#isWoken || ready.length > 0 ? ready : null;
    },
    nothing: () => [],
    interest: () => this.interest(),
  });
  #attachment: Attachment | undefined;
  #wokenElsewhere = false;
  #generation = 0;
  #closed = false;

  /** @internal */
  constructor(mechanism: ReadinessMechanism) {
    if (new.target === BaseSelector) {
      this.wakeChannel.close();
      throw Object.assign(new TypeError('BaseSelector is abstract: construct one of its subclasses'), {
        code: 'ERR_ILLEGAL_CONSTRUCTOR',
      });
    }
    this.mechanism = mechanism;
    this.#multiplexer = this.orClose(() => new Multiplexer(mechanism));
  }

  // ------------------------------------------------------------------------------------------ what a mechanism answers

  /** Begins to watch. Throws where the kernel refuses; nothing is watched then. */
  protected abstract watch(fd: number, events: EventMask, generation: number): void;
  /** Other events for a descriptor that is watched. Throws where the kernel refuses; the old ones are then still watched. */
  protected abstract change(fd: number, events: EventMask, registration: Registration<D, F>): void;
  /** Stops watching. Never throws: the descriptor may be closed, or another file by now. */
  protected abstract forget(fd: number, events: EventMask): void;
  /** The system call that a wait is, for its errors. */
  protected abstract readonly waitCall: string;
  /** What to watch so as to know when a wait would have something. */
  protected abstract interest(): Interest;
  /** Closes what the mechanism has of the kernel's. */
  protected abstract closeMechanism(): void;
  /** For a mechanism whose set is not the kernel's: pairs [descriptor, POLLIN | POLLOUT] of all that is registered, and the wake channel. */
  protected pairs(): Int32Array {
    return NO_PAIRS;
  }
  /** How many records a wait may have: one for each registration, and one for the wake channel. */
  protected maxEvents(): number {
    return this.registrations.size + 1;
  }
  /**
   * For a mechanism that refuses to wait where somebody has closed a registered descriptor: the records of those, and of what else is ready.
   * @returns how many
   */
  protected waitAroundClosed?(multiplexer: Multiplexer): number;
  /** Does the kernel not have this registration any more, although it was never unregistered? */
  protected isForgotten?(registration: Registration<D>): boolean;
  /** The kernel has told of a registration that is no more. @param hasNews there is something else to tell */
  protected onStale?(hasNews: boolean): void;

  /** For what a constructor opens: the wake channel does not stay open where that fails. */
  protected orClose<T>(open: () => T): T {
    try {
      return open();
    } catch (error) {
      this.wakeChannel.close();
      throw error;
    }
  }

  /** What is to be watched is another now. A wait under way that has a copy of it begins again. */
  protected interestChanged(): void {
    this.#changes++;
    this.#asyncWait.interestChanged();
    this.#attachment?.interestChanged();
  }

  // ------------------------------------------------------------------------------------------------------ for the loops

  /** @internal Can one more descriptor, the next that the system gives, be registered? */
  canRegister(): boolean {
    return true;
  }

  /** @internal The number that tells this registration of a descriptor from others; 0: it is not registered. */
  generationOf(fd: number): number {
    return this.registrations.get(fd)?.generation ?? 0;
  }

  /**
   * @internal Is it certain that the descriptor was registered for a file that is closed? The file object has another number now, or the
   * kernel does not know the registration any more.
   */
  isStale(fd: number): boolean {
    const registration = this.registrations.get(fd);
    return (
      registration !== undefined &&
      (numberOf(registration.key.fileobj) !== fd || this.isForgotten?.(registration) === true)
    );
  }

  /** @internal For turn(). */
  receiveBatch(): ReceiveBatch<D> {
    return new ReceiveBatch<D>(new Multiplexer(this.mechanism));
  }

  /** @internal select() for a loop: waits, and receives from the connections that `batch` knows (native/turn/turn.cc). */
  turn(batch: ReceiveBatch<D>, timeout: number, found: TurnResult<D>): void {
    this.#assertOpen();
    const wasWoken = this.#wokenElsewhere;
    this.#wokenElsewhere = false;
    const { multiplexer } = batch;
    this.#prepare(multiplexer);
    const waited = batch.wait(wasWoken ? 0 : timeout, this.fd !== undefined);
    const count = waited < 0 ? this.#afterRefusal(multiplexer, waited) : waited;
    if (waited < 0) multiplexer.notReceived(count);
    let woken = false;
    let stale = 0;
    for (let i = 0; i < count; i++) {
      // Where something was received, the generation has been looked at already.
      let owner = batch.receiver(i);
      if (owner === undefined) {
        const fd = multiplexer.fd(i);
        const generation = multiplexer.generation(i);
        const registration = this.registrations.get(fd);
        const isThis = registration !== undefined && (generation === 0 || generation === registration.generation);
        // Never undefined, which is for what is no more.
        if (isThis) owner = registration.key.data ?? (registration.key as D);
        else if (fd === this.wakeChannel.fd && generation === 0) woken = true;
        else stale++;
      }
      found.owners[i] = owner;
    }
    found.count = count;
    found.woken = woken || wasWoken;
    if (woken) {
      this.wakeChannel.drain();
      this.#asyncWait.wake();
    }
    // Where the kernel forgets by itself there is nothing to do.
    if (stale > 0) this.onStale?.(count > stale);
  }

  /** @internal Calls back in each turn of Node's loop in which something is ready, until it is closed. One at a time: ERR_BUSY. */
  attach(onReady: () => void): Attachment {
    this.#assertOpen();
    if (this.#attachment?.closed === false) throw busyError('selector');
    this.#attachment = new Attachment(
      () => this.interest(),
      () => this.fd,
      onReady,
    );
    return this.#attachment;
  }

  // -------------------------------------------------------------------------------------------------- for the emulation

  /** @internal One wait, for the proactor that owns this selector. */
  pollReady(timeout: number): readonly ReadyEvent<D, F>[] {
    this.#assertOpen();
    return this.#take(timeout);
  }

  /** @internal Has it seen a wakeup()? */
  get isWoken(): boolean {
    return this.#isWoken;
  }

  /** @internal What to watch so as to know when `pollReady` would have something. */
  currentInterest(): Interest {
    return this.interest();
  }

  // ----------------------------------------------------------------------------------------------------- the public API

  /** Descriptor of the multiplexer itself where it has one (epoll, kqueue), else undefined. -1 once closed. */
  get fd(): number | undefined {
    return undefined;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** For other threads: a number that they may be sent, and give to the function `wakeup`. Never used again after close(). */
  get wakeupHandle(): number {
    return this.wakeChannel.handle;
  }

  /**
   * Watches a file object.
   *
   * @param events EVENT_READ, EVENT_WRITE or both
   * @param data anything; it comes back in the key
   * @throws ERR_INVALID_ARG_VALUE for other events or a file object without a descriptor; ERR_KEY_EXISTS where the descriptor, by
   *   whichever object, is registered; ERR_OUT_OF_RANGE from select where fd_set cannot hold it; the kernel's errors: EBADF for a
   *   closed descriptor (ENOTSOCK on Windows), EPERM from epoll for a regular file
   */
  register(fileobj: F, events: EventMask, data?: D): SelectorKey<D, F> {
    this.#assertOpen();
    checkEvents(events);
    const fd = fileno(fileobj);
    this.#assertOpen(); // again: a fileno() of the caller's may have closed this selector
    if (this.registrations.has(fd)) throw keyExists(`descriptor ${fd}`);
    if (fd === this.wakeChannel.fd || fd === this.fd) throw invalidValue(`descriptor ${fd} is the selector's own`);
    const generation = (this.#generation % HIGHEST_GENERATION) + 1;
    this.watch(fd, events, generation);
    this.#generation = generation;
    const key = makeKey(fileobj, fd, events, data as D);
    this.registrations.set(fd, { key, generation, lastEvent: undefined });
    return key;
  }

  /**
   * Stops watching. Works by the object or by its number, after the object was closed, and after its number was given to another file.
   * @returns the key that it had
   * @throws ERR_KEY_NOT_FOUND
   */
  unregister(fileobj: FileObject): SelectorKey<D, F> {
    this.#assertOpen();
    const { key } = this.#registrationOf(fileobj);
    this.registrations.delete(key.fd);
    this.forget(key.fd, key.events);
    return key;
  }

  /**
   * Other events, other data, or both. `data` alone costs no system call; without a difference the key itself is returned. A modify
   * that is wrong, or that the kernel refuses, changes nothing.
   */
  modify(fileobj: FileObject, events: EventMask, data?: D): SelectorKey<D, F> {
    this.#assertOpen();
    checkEvents(events);
    const registration = this.#registrationOf(fileobj);
    const old = registration.key;
    if (events === old.events && Object.is(data, old.data)) return old;
    if (events !== old.events) this.change(old.fd, events, registration);
    registration.key = makeKey(old.fileobj, old.fd, events, data as D);
    registration.lastEvent = undefined;
    return registration.key;
  }

  /**
   * Waits until a registered file object is ready, somebody calls wakeup(), or the time is over. BLOCKS this thread, and with it Node's
   * own loop; signals and worker.terminate() are survived and obeyed: a signal's handler of Node's runs when the thread is back.
   *
   * @param timeout milliseconds, rounded up to what the mechanism can count (epoll, poll: 1 ms; select: 1 µs; kqueue: 1 ns) and never
   *   shorter; null, undefined, Infinity: for ever; 0 or less: does not wait
   * @returns a new array, in no order to rely on; each key once, with the ready ones of its events. Empty when the time is over or
   *   after a wakeup(). The pairs in it may be those of an earlier call: they are to be read, not written to. A hang-up or an error counts
   *   as ready for all events of the key. epoll gives 1024 at the most; more come first in the next call.
   */
  select(timeout?: number | null): ReadyEvent<D, F>[] {
    this.#assertOpen();
    const limit = timeoutOf(timeout);
    const deadline = limit > 0 ? performance.now() + limit : 0;
    for (let remaining = limit; ;) {
      const ready = this.#take(sliceOf(remaining));
      // It may have been meant for a selectAsync that is pending, or for a loop.
      if (this.#isWoken) {
        this.#asyncWait.wake();
        this.#tellLoop();
      }
      if (ready.length > 0 || limit === 0 || this.#isWoken) return ready;
      // Nothing, and not because of a wake-up: a slice is over, or what was ready belongs to no key any more.
      if (limit > 0) {
        remaining = deadline - performance.now();
        if (remaining <= 0) return ready;
      }
    }
  }

  /**
   * The same without blocking Node's own event loop. What it resolves with was asked of the kernel at that very moment. Descriptors may
   * be registered, modified and unregistered meanwhile, to effect. One wait at a time: a second one rejects with ERR_BUSY. While it waits,
   * Node stays alive.
   *
   * @param options.timeout as for select
   * @param options.signal rejects with AbortError (code ABORT_ERR) when it fires; no event is lost
   * @returns rejects with ERR_CLOSED when the selector is closed
   */
  selectAsync(options?: WaitOptions): Promise<ReadyEvent<D, F>[]> {
    return this.#asyncWait.wait(options);
  }

  /** Batches of ready events for ever, without blocking Node's loop (an empty one after a wakeup()); ends when the selector is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<readonly ReadyEvent<D, F>[], void, undefined> {
    for (;;) {
      let ready: ReadyEvent<D, F>[];
      try {
        ready = await this.selectAsync();
      } catch (error) {
        if (this.#closed) return;
        throw error;
      }
      yield ready;
    }
  }

  /** Makes the wait that is under way, or the next one, return early. Sticky: none is lost; many before one wait count as one. */
  wakeup(): void {
    this.#assertOpen();
    this.wakeChannel.signal();
  }

  /** The key of a file object. @throws ERR_KEY_NOT_FOUND */
  getKey(fileobj: FileObject): SelectorKey<D, F> {
    this.#assertOpen();
    return this.#registrationOf(fileobj).key;
  }

  /** A live, read-only view: iterates descriptors with their keys, looks up by any file object. Empty once the selector is closed. */
  getMap(): ReadonlyMap<FileObject, SelectorKey<D, F>> {
    return this.#map;
  }

  /** Forgets everything and lets go of the kernel's objects; the file objects stay open. A pending selectAsync rejects with ERR_CLOSED. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.registrations.clear();
    // The waiting thread first: no descriptor is closed under it.
    this.#asyncWait.close();
    this.#attachment?.close();
    this.closeMechanism();
    this.wakeChannel.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // --------------------------------------------------------------------------------------------------------------------

  /** A wake-up was seen that may have been meant for the loop that this selector belongs to. */
  #tellLoop(): void {
    this.#wokenElsewhere = true;
    this.#attachment?.wake();
  }

  #assertOpen(): void {
    if (this.#closed) throw closedError('selector');
  }

  /** Before each wait: it knows what is to be watched, and has room for all. */
  #prepare(multiplexer: Multiplexer): void {
    const records = this.maxEvents();
    if (multiplexer.knows === this.#changes && records <= multiplexer.room) return;
    check(multiplexer.watch(this.fd ?? 0, this.pairs(), records), this.waitCall);
    multiplexer.knows = this.#changes;
  }

  /** Waits up to `timeout` milliseconds (-1: for ever). @returns what is ready; #isWoken says whether the wake channel was */
  #take(timeout: number): ReadyEvent<D, F>[] {
    const multiplexer = this.#multiplexer;
    const { registrations } = this;
    this.#prepare(multiplexer);
    let count = multiplexer.wait(timeout);
    if (count < 0) count = this.#afterRefusal(multiplexer, count);
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
          // Looked at, for a caller may have written to it.
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
    // Where the kernel forgets by itself there is nothing to do.
    if (stale) this.onStale?.(woken || reported > 0);
    return ready;
  }

  /** The wait was refused. @returns how many records there are all the same */
  #afterRefusal(multiplexer: Multiplexer, error: number): number {
    if (error !== native.badDescriptor || this.waitAroundClosed === undefined) return check(error, this.waitCall);
    multiplexer.knows = -1; // it goes on with what is open
    return this.waitAroundClosed(multiplexer);
  }

  #registrationOf(fileobj: FileObject): Registration<D, F> {
    const fd = this.#find(fileobj);
    const registration = this.registrations.get(fd);
    if (registration === undefined) throw keyNotFound(`descriptor ${fd}`);
    return registration;
  }

  /** The descriptor of a file object; of one that has none any more, the descriptor under which that very object is registered. */
  #find(fileobj: FileObject): number {
    try {
      return fileno(fileobj);
    } catch (error) {
      for (const [fd, { key }] of this.registrations) {
        if (key.fileobj === fileobj) return fd;
      }
      throw error;
    }
  }
}

/** The descriptor of a file object as it is now; -1: it has none. */
function numberOf(fileobj: FileObject): number {
  try {
    return fileno(fileobj);
  } catch {
    return -1; // closed
  }
}
