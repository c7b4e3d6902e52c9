/** Over poll(2), and WSAPoll on Windows: any descriptor and any number of them, but each call looks at all. */
import type { FileObject } from '../syscalls/file-object.js';
import { check } from '../errors.js';
import { native } from '../native.js';
import { POLLIN, Poll } from '../syscalls/poll.js';
import { probe } from '../syscalls/probe.js';
import type { Interest } from '../wait/async-wait.js';
import { BaseSelector } from './base.js';
import { type EventMask } from './key.js';
import { pollEvents } from './poll-pairs.js';
import { WatchSet } from './watch-set.js';

class PollWatchSet<D, F extends FileObject> extends WatchSet<D, F> {
  protected override readonly waitCall = 'poll';

  readonly #poll = new Poll();

  constructor() {
    super('poll');
    this.#poll.register(this.wakeChannel.fd, POLLIN);
  }

  protected override watch(fd: number, events: EventMask): void {
    // Checked here: poll(2) would report a closed descriptor only in each wait (POLLNVAL).
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

  override interest(): Interest {
    return { useSelect: false, pairs: this.pairs() };
  }

  protected override pairs(): Int32Array {
    return this.#poll.interest;
  }

  protected override closeMechanism(): void {
    this.#poll.close();
  }
}

/** A selector over poll(2), and WSAPoll on Windows. Any descriptor and any number of them; a wait's cost grows with that number. */
export class PollSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  static override get isAvailable(): boolean {
    return probe('poll').available;
  }

  /** @throws EMFILE, ENFILE */
  constructor() {
    super(new PollWatchSet());
  }
}
