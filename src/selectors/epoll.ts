/**
 * Over epoll(7), Linux: the set is the kernel's, and a wait costs what is ready, not what is watched. Level-triggered, as Python's; for
 * edge-triggered, one-shot and exclusive waits there is `Epoll` in the entry `selectors-native/syscalls`.
 *
 * A registration belongs to the open file, not to the number. One that was closed while a duplicate of it lives (in a child process,
 * say) stays in the set and can be named by nobody any more. Each registration therefore has a generation, which comes back with
 * its events: one that is not the present one is nobody's event, and the set is then built anew without it.
 */
import { check } from '../errors.js';
import { epollCalls } from '../native.js';
import { EPOLLIN, EPOLLOUT, Epoll } from '../syscalls/epoll.js';
import { POLLIN } from '../syscalls/poll.js';
import { mechanismUnavailable, probe } from '../syscalls/probe.js';
import type { Interest } from '../wait/async-wait.js';
import { BaseSelector, EVENT_READ, EVENT_WRITE, type EventMask, type ReadyEvent, type Registration } from './base.js';

/** Numbers an event: events, descriptor, generation. */
const TRIPLE = 3;
const WAKE_GENERATION = 0;

function epollEvents(events: EventMask): number {
  return ((events & EVENT_READ) !== 0 ? EPOLLIN : 0) | ((events & EVENT_WRITE) !== 0 ? EPOLLOUT : 0);
}

function calls() {
  if (epollCalls === undefined) throw mechanismUnavailable('epoll');
  return epollCalls;
}

export class EpollSelector<D = unknown> extends BaseSelector<D> {
  static override get isAvailable(): boolean {
    return probe('epoll').available;
  }

  override readonly mechanism = 'epoll';

  readonly #calls = this.orClose(calls);
  #epoll = this.orClose(() => new Epoll());
  /** Room for the events of one wait: grows with the registrations. */
  #events = new Int32Array(TRIPLE * 64);

  constructor() {
    super();
    this.orClose(() => this.#add(this.wakeChannel.fd, EPOLLIN, WAKE_GENERATION));
  }

  /** The epoll descriptor, close-on-exec. Another one after the set was built anew (see above). */
  override get fd(): number {
    return this.#epoll.fd;
  }

  protected override watch(fd: number, events: EventMask, generation: number): void {
    this.#add(fd, epollEvents(events), generation);
    const most = TRIPLE * (this.registrations.size + 2);
    if (this.#events.length < most) this.#events = new Int32Array(2 * most);
  }

  protected override change(fd: number, events: EventMask, { generation }: Registration<D>): void {
    this.#control(this.#calls.EPOLL_CTL_MOD, fd, epollEvents(events), generation);
  }

  protected override forget(fd: number): void {
    // Ignored: EBADF and ENOENT, for the number is closed or another file by now; if the old file is still in the set, its next event
    // has no key and #rebuild drops it. EPERM, for that other file is a regular one.
    this.#calls.epoll_ctl(this.#epoll.fd, this.#calls.EPOLL_CTL_DEL, fd, 0, 0, 0);
  }

  protected override take(timeout: number, ready: ReadyEvent<D>[]): boolean {
    const events = this.#events;
    const count = this.#calls.epoll_wait(this.#epoll.fd, events, events.length / TRIPLE, timeout);
    let woken = false;
    let stale = false;
    for (let i = 0; i < count * TRIPLE; i += TRIPLE) {
      const happened = events[i] as number;
      const fd = events[i + 1] as number;
      const registration = this.registrations.get(fd);
      if (registration !== undefined && registration.generation === events[i + 2]) {
        const { key } = registration;
        // A hang-up or an error is every direction's business.
        const mask = ((happened & ~EPOLLOUT) !== 0 ? EVENT_READ : 0) | ((happened & ~EPOLLIN) !== 0 ? EVENT_WRITE : 0);
        if ((mask & key.events) !== 0) ready.push([key, mask & key.events]);
      } else if (events[i + 2] === WAKE_GENERATION) {
        woken = true;
      } else {
        stale = true;
      }
    }
    check(count, 'epoll_wait');
    if (woken) this.wakeChannel.drain();
    if (stale) this.onStale(woken || ready.length > 0);
    return woken;
  }

  protected override interest(): Interest {
    return { useSelect: false, pairs: Int32Array.of(this.#epoll.fd, POLLIN) };
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
