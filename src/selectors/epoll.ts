/**
 * Over epoll(7), Linux: the set is the kernel's, and a wait costs what is ready, not what is watched. Level-triggered, as Python's; for
 * edge-triggered, one-shot and exclusive waits there is `Epoll` in the entry `selectors-native/syscalls`.
 *
 * A registration belongs to the open file, not to the number. One that was closed while a duplicate of it lives (in a child process,
 * say) stays in the set and can be named by nobody any more. Each registration therefore has a generation, which comes back with
 * its events: one that is not the present one is nobody's event, and the set is then built anew without it.
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

const WAKE_GENERATION = 0;
/** Events that one epoll_wait takes (native/mechanisms/epoll.cc). What is ready beyond them comes first in the next one. */
const MOST_EVENTS = 1024;

function epollEvents(events: EventMask): number {
  return ((events & EVENT_READ) !== 0 ? EPOLLIN : 0) | ((events & EVENT_WRITE) !== 0 ? EPOLLOUT : 0);
}

function calls() {
  if (epollCalls === undefined) throw mechanismUnavailable('epoll');
  return epollCalls;
}

export class EpollSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  static override get isAvailable(): boolean {
    return probe('epoll').available;
  }

  protected override readonly waitCall = 'epoll_wait';

  readonly #calls = this.orClose(calls);
  #epoll = this.orClose(() => new Epoll());

  constructor() {
    super('epoll');
    this.orClose(() => this.#add(this.wakeChannel.fd, EPOLLIN, WAKE_GENERATION));
  }

  /** The epoll descriptor, close-on-exec. Another one after the set was built anew (see above). */
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
    // Ignored: EBADF and ENOENT, for the number is closed or another file by now; if the old file is still in the set, its next event
    // has no key and #rebuild drops it. EPERM, for that other file is a regular one.
    this.#calls.epoll_ctl(this.#epoll.fd, this.#calls.EPOLL_CTL_DEL, fd, 0, 0, 0);
  }

  /** ENOENT or EBADF: closing the last descriptor of a file removes it from the set, and the number is closed or another file's. */
  protected override isForgotten({ key: { fd, events }, generation }: Registration<D>): boolean {
    const calls = this.#calls;
    return calls.epoll_ctl(this.#epoll.fd, calls.EPOLL_CTL_MOD, fd, epollEvents(events), fd, generation) < 0;
  }

  protected override interest(): Interest {
    return { useSelect: false, pairs: Int32Array.of(this.#epoll.fd, POLLIN) };
  }

  protected override maxEvents(): number {
    return Math.min(super.maxEvents(), MOST_EVENTS);
  }

  protected override onStale(hasNews: boolean): void {
    try {
      this.#rebuild();
    } catch (error) {
      // There is something to tell: a set that cannot be made (EMFILE) is for the next time.
      if (!hasNews) throw error;
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

  /** A new set with what is registered and still there; what nobody can name any more stays behind in the old one. */
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
        // The old set knows whether the number is still the file that was registered: ENOENT or EBADF where it was closed since.
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
      this.#epoll = old; // a wait under way cannot go on with the new one
      fresh.close();
      throw error;
    }
    old.close();
  }
}
