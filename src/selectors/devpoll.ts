/**
 * Over /dev/poll: Solaris and illumos. The kernel keeps the set, and a wait costs as much as there is ready, however many descriptors are
 * watched. illumos recommends event ports (port_create(3C)) instead, which this package does not have.
 *
 * Limits. The set watches numbers: a descriptor that other code closes stays in it until unregister(). Then it is reported as ready, or not at
 * all; and once its number is given to another file, that one is reported under its key. The set's own descriptor cannot be polled
 * (poll(4D), "NOTES"): so an asynchronous wait polls each registered descriptor, in a thread, and costs as much as that of PollSelector.
 */
import type { FileObject } from '../syscalls/file-object.js';
import { check, systemErrorName } from '../errors.js';
import { devpollCalls, native } from '../native.js';
import { Devpoll } from '../syscalls/devpoll.js';
import type { Multiplexer } from '../syscalls/multiplexer.js';
import { POLLIN } from '../syscalls/poll.js';
import { mechanismUnavailable, probe } from '../syscalls/probe.js';
import type { Interest } from '../wait/async-wait.js';
import { BaseSelector } from './base.js';
import type { EventMask } from './key.js';
import { openPairs, pollEvents } from './poll-pairs.js';
import type { Registration } from './registrations.js';
import { WatchSet } from './watch-set.js';

/** Events per DP_POLL (native/mechanisms/devpoll.cc). The next call begins with the others. */
const MAX_EVENTS = 1024;

function calls() {
  if (devpollCalls === undefined) throw mechanismUnavailable('devpoll');
  return devpollCalls;
}

class DevpollWatchSet<D, F extends FileObject> extends WatchSet<D, F> {
  protected override readonly waitCall = 'ioctl';

  readonly #calls = this.orClose(calls);
  readonly #devpoll = this.orClose(() => new Devpoll());

  constructor() {
    super('devpoll');
    const added = this.#write(this.wakeChannel.fd, POLLIN);
    this.orClose(() => check(added, 'write'));
  }

  override get fd(): number {
    return this.#devpoll.fd;
  }

  protected override watch(fd: number, events: EventMask): void {
    // Checked here: write(2) accepts a closed descriptor.
    check(native.isOpen(fd), 'write');
    check(this.#write(fd, pollEvents(events)), 'write');
    this.interestChanged();
  }

  protected override change(fd: number, events: EventMask, { key }: Registration<D, F>): void {
    const changed = this.#replace(fd, events);
    if (changed < 0) this.#replace(fd, key.events); // its result is ignored: the first error is reported
    check(changed, 'write');
    this.interestChanged();
  }

  protected override forget(fd: number): void {
    // Its result is ignored: a write of one entry fails only for another process (EACCES).
    this.#write(fd, this.#calls.POLLREMOVE);
    this.interestChanged();
  }

  override interest(): Interest {
    return { useSelect: false, pairs: openPairs(this.registrations, this.wakeChannel.fd) };
  }

  protected override maxEvents(): number {
    return Math.min(super.maxEvents(), MAX_EVENTS);
  }

  /** EINVAL: RLIMIT_NOFILE was lowered after the multiplexer had been prepared. Prepared again, it asks for fewer events. */
  override afterRefusal(multiplexer: Multiplexer, error: number): number {
    if (systemErrorName(error) !== 'EINVAL') return super.afterRefusal(multiplexer, error);
    multiplexer.preparedFor = -1;
    this.prepare(multiplexer);
    return check(multiplexer.wait(0), this.waitCall);
  }

  protected override closeMechanism(): void {
    this.#devpoll.close();
  }

  /** Events are or-ed to those that the descriptor has in the set. */
  #write(fd: number, events: number): number {
    return this.#calls.devpollWrite(this.#devpoll.fd, Int32Array.of(fd, events), 1);
  }

  /** One write: no wait comes between the two. */
  #replace(fd: number, events: EventMask): number {
    const pairs = Int32Array.of(fd, this.#calls.POLLREMOVE, fd, pollEvents(events));
    return this.#calls.devpollWrite(this.#devpoll.fd, pairs, 2);
  }
}

/** A selector over /dev/poll: Solaris and illumos. Any number of descriptors. */
export class DevpollSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  static override get isAvailable(): boolean {
    return probe('devpoll').available;
  }

  /** @throws ERR_UNAVAILABLE; EMFILE, ENFILE */
  constructor() {
    super(new DevpollWatchSet());
  }

  /** The descriptor of /dev/poll, close-on-exec; -1 once closed. */
  override get fd(): number {
    return super.fd as number;
  }
}
