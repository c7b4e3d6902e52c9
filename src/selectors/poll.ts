/** Over poll(2), and WSAPoll on Windows: any descriptor and any number of them, but each call looks at all. */
import { check } from '../errors.js';
import { native } from '../native.js';
import { POLLIN, POLLOUT, Poll } from '../syscalls/poll.js';
import { probe } from '../syscalls/probe.js';
import type { Interest } from '../wait/async-wait.js';
import { BaseSelector, EVENT_READ, EVENT_WRITE, type EventMask, type ReadyEvent } from './base.js';
import { pollEvents } from './poll-pairs.js';

export class PollSelector<D = unknown> extends BaseSelector<D> {
  static override get isAvailable(): boolean {
    return probe('poll').available;
  }

  override readonly mechanism = 'poll';

  readonly #poll = new Poll();

  constructor() {
    super();
    this.#poll.register(this.wakeChannel.fd, POLLIN);
  }

  protected override watch(fd: number, events: EventMask): void {
    // poll(2) itself would tell only later, and each time, that the descriptor is closed.
    check(native.isOpen(fd), 'poll');
    this.#poll.register(fd, pollEvents(events));
    this.interestChanged();
  }

  protected override change(fd: number, events: EventMask): void {
    this.#poll.modify(fd, pollEvents(events));
    this.interestChanged();
  }

  protected override forget(fd: number): void {
    this.#poll.unregister(fd);
    this.interestChanged();
  }

  protected override take(timeout: number, ready: ReadyEvent<D>[]): boolean {
    const pairs = this.#poll.wait(timeout);
    const results = this.#poll.results;
    let woken = false;
    for (let i = 0; i < pairs; i++) {
      const fd = results[2 * i] ?? -1;
      const happened = results[2 * i + 1] ?? 0;
      const key = this.registrations.get(fd)?.key;
      if (key === undefined) {
        woken = true; // nobody else but the wake channel
        continue;
      }
      // A hang-up, an error, or POLLNVAL (closed) is every direction's business.
      const mask = ((happened & ~POLLOUT) !== 0 ? EVENT_READ : 0) | ((happened & ~POLLIN) !== 0 ? EVENT_WRITE : 0);
      if ((mask & key.events) !== 0) ready.push([key, mask & key.events]);
    }
    if (woken) this.wakeChannel.drain();
    return woken;
  }

  protected override interest(): Interest {
    return { useSelect: false, pairs: this.#poll.interest };
  }

  protected override turnInterest(): Int32Array {
    return this.#poll.interest;
  }

  protected override closeMechanism(): void {
    this.#poll.close();
  }
}
