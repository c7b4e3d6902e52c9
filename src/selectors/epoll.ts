/**
 * Over epoll(7), Linux. The kernel keeps the set, and a wait costs as much as there is ready, however many descriptors are watched.
 * Level-triggered, as Python's; edge-triggered, one-shot and exclusive waits: `Epoll` of the entry `selectors-native/syscalls`.
 *
 * Limits. epoll watches the open file, not the descriptor. A descriptor that was closed while a duplicate of it is open (in a child process,
 * say) stays in the set, and epoll_ctl(2) has no way to name it any more. Its events carry an old generation (stale events,
 * watch-set.ts); the set is then built anew without it.
 */
import type { FileObject } from '../syscalls/file-object.js';
import { check } from '../errors.js';
import { epollCalls } from '../native.js';
import { EPOLLIN, EPOLLOUT, Epoll } from '../syscalls/epoll.js';
import { POLLIN } from '../syscalls/poll.js';
import { mechanismUnavailable, probe } from '../syscalls/probe.js';
import type { Interest } from '../wait/async-wait.js';
import { BaseSelector } from './base.js';
import { EVENT_READ, EVENT_WRITE, type EventMask } from './key.js';
import type { Registration } from './registrations.js';
import { WatchSet } from './watch-set.js';

const WAKE_GENERATION = 0;
/** Events per epoll_wait (native/mechanisms/epoll.cc). The kernel rotates its ready list: the next call begins with the others. */
const MAX_EVENTS = 1024;

function epollEvents(events: EventMask): number {
  return ((events & EVENT_READ) !== 0 ? EPOLLIN : 0) | ((events & EVENT_WRITE) !== 0 ? EPOLLOUT : 0);
}

function calls() {
  if (epollCalls === undefined) throw mechanismUnavailable('epoll');
  return epollCalls;
}

class EpollWatchSet<D, F extends FileObject> extends WatchSet<D, F> {
  protected override readonly waitCall = 'epoll_wait';

  readonly #calls = this.orClose(calls);
  #epoll = this.orClose(() => new Epoll());

  constructor() {
    super('epoll');
    this.orClose(() => this.#add(this.wakeChannel.fd, EPOLLIN, WAKE_GENERATION));
  }

  override get fd(): number {
    return this.#epoll.fd;
  }

  protected override watch(fd: number, events: EventMask, generation: number): void {
    this.#add(fd, epollEvents(events), generation);
  }

  protected override change(fd: number, events: EventMask, { generation }: Registration<D, F>): void {
    this.#control(this.#calls.EPOLL_CTL_MOD, fd, epollEvents(events), generation);
  }

  protected override forget(fd: number): void {
    // Ignored: EBADF and ENOENT, the number is closed or belongs to another file now; if the old file is still in the set, its next event
    // is stale and onStale() drops it. EPERM, that other file is a regular one.
    this.#calls.epoll_ctl(this.#epoll.fd, this.#calls.EPOLL_CTL_DEL, fd, 0, 0, 0);
  }

  /** ENOENT or EBADF: closing the last descriptor of a file removes it from the set, and the number is closed or another file's. */
  protected override isForgotten({ key: { fd, events }, generation }: Registration<D>): boolean {
    const calls = this.#calls;
    return calls.epoll_ctl(this.#epoll.fd, calls.EPOLL_CTL_MOD, fd, epollEvents(events), fd, generation) < 0;
  }

  /** An epoll descriptor is readable while its set has a ready file. */
  override interest(): Interest {
    return { useSelect: false, pairs: Int32Array.of(this.#epoll.fd, POLLIN) };
  }

  protected override maxEvents(): number {
    return Math.min(super.maxEvents(), MAX_EVENTS);
  }

  override onStale(hasOthers: boolean): void {
    try {
      this.#rebuild();
    } catch (error) {
      // The other events come first. A set that cannot be made (EMFILE) is tried again after the next stale event.
      if (!hasOthers) throw error;
    }
  }

  protected override closeMechanism(): void {
    this.#epoll.close();
  }

  #add(fd: number, events: number, generation: number): void {
    this.#control(this.#calls.EPOLL_CTL_ADD, fd, events, generation);
  }

  #control(operation: number, fd: number, events: number, generation: number): void {
    check(this.#calls.epoll_ctl(this.#epoll.fd, operation, fd, events, fd, generation), 'epoll_ctl');
  }

  /** Makes a new set of the registered files that are still open, and closes the old one with what cannot be removed from it. */
  #rebuild(): void {
    const calls = this.#calls;
    const old = this.#epoll;
    const fresh = new Epoll();
    try {
      const add = (fd: number, events: number, generation: number) =>
        calls.epoll_ctl(fresh.fd, calls.EPOLL_CTL_ADD, fd, events, fd, generation);
      check(add(this.wakeChannel.fd, EPOLLIN, WAKE_GENERATION), 'epoll_ctl');
      for (const [fd, { key, generation }] of this.registrations) {
        const events = epollEvents(key.events);
        // The old set knows whether the number is still the registered file: ENOENT or EBADF if that was closed.
        const known = calls.epoll_ctl(old.fd, calls.EPOLL_CTL_MOD, fd, events, fd, generation) >= 0;
        if (known) check(add(fd, events, generation), 'epoll_ctl');
      }
    } catch (error) {
      fresh.close();
      throw error;
    }
    this.#epoll = fresh;
    try {
      this.interestChanged();
    } catch (error) {
      this.#epoll = old; // a wait under way cannot change to the new one
      fresh.close();
      throw error;
    }
    old.close();
  }
}

/** A selector over epoll(7): Linux. Any number of descriptors; not regular files (EPERM). */
export class EpollSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  static override get isAvailable(): boolean {
    return probe('epoll').available;
  }

  /** @throws ERR_UNAVAILABLE; EMFILE, ENFILE, ENOMEM */
  constructor() {
    super(new EpollWatchSet());
  }

  /** The epoll descriptor, close-on-exec; -1 once closed. It changes when the set is built anew after a stale event. */
  override get fd(): number {
    return super.fd as number;
  }
}
