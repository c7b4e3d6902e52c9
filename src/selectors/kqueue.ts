/**
 * Over kqueue(2): macOS, and Linux with libkqueue. The kernel keeps the set. Reading and writing are two filters of one descriptor, with one
 * event each; native/mechanisms/kqueue.cc merges the two.
 *
 * Limits. On macOS a kqueue cannot watch every tty (EINVAL), and misses the end of a named FIFO: SelectSelector does both.
 */
import type { FileObject } from '../syscalls/file-object.js';
import { check } from '../errors.js';
import { kqueueCalls, native } from '../native.js';
import { Kqueue, kevent } from '../syscalls/kqueue.js';
import { POLLIN } from '../syscalls/poll.js';
import { mechanismUnavailable, probe } from '../syscalls/probe.js';
import type { Interest } from '../wait/async-wait.js';
import { WakeChannel } from '../wait/wake-channel.js';
import { BaseSelector } from './base.js';
import { EVENT_READ, EVENT_WRITE, type EventMask } from './key.js';
import { openPairs } from './poll-pairs.js';
import type { Registration } from './registrations.js';
import { WatchSet } from './watch-set.js';

const WAKE_GENERATION = 0;
const NO_EVENTS = new Float64Array(0);

function calls() {
  if (kqueueCalls === undefined) throw mechanismUnavailable('kqueue');
  return kqueueCalls;
}

let isPollable: boolean | undefined;

/** Does poll(2) report a kqueue with a ready filter as readable? A kernel's kqueue yes, libkqueue's no. Tried once. */
function canBePolled(): boolean {
  if (isPollable === undefined) {
    const channel = new WakeChannel();
    const kqueue = new Kqueue();
    channel.signal();
    kqueue.control([kevent(channel.fd)], 0);
    isPollable = check(native.poll(Int32Array.of(kqueue.fd, POLLIN), 1, new Int32Array(2), 0), 'poll') === 1;
    kqueue.close();
    channel.close();
  }
  return isPollable;
}

class KqueueWatchSet<D, F extends FileObject> extends WatchSet<D, F> {
  protected override readonly waitCall = 'kevent';

  readonly #calls = this.orClose(calls);
  readonly #kqueue = this.orClose(() => new Kqueue());

  constructor() {
    super('kqueue');
    const added = this.#filter(this.wakeChannel.fd, EVENT_READ, this.#calls.EV_ADD, WAKE_GENERATION);
    this.orClose(() => check(added, 'kevent'));
  }

  override get fd(): number {
    return this.#kqueue.fd;
  }

  protected override watch(fd: number, events: EventMask, generation: number): void {
    this.#exchange(fd, 0, events, generation);
    this.#changed();
  }

  protected override change(fd: number, events: EventMask, { key, generation }: Registration<D, F>): void {
    this.#exchange(fd, key.events, events, generation);
    this.#changed();
  }

  protected override forget(fd: number, events: EventMask): void {
    for (const event of [EVENT_READ, EVENT_WRITE]) {
      // Ignored: ENOENT and EBADF, closing a descriptor has removed its filters already.
      if ((events & event) !== 0) this.#filter(fd, event, this.#calls.EV_DELETE, 0);
    }
    this.#changed();
  }

  /** ENOENT: closing a descriptor removes its filters. */
  protected override isForgotten({ key: { fd, events }, generation }: Registration<D>): boolean {
    const event = (events & EVENT_READ) !== 0 ? EVENT_READ : EVENT_WRITE;
    return this.#filter(fd, event, this.#calls.EV_ENABLE, generation) < 0;
  }

  override interest(): Interest {
    if (canBePolled()) return { useSelect: false, pairs: Int32Array.of(this.#kqueue.fd, POLLIN) };
    // libkqueue: each descriptor instead; the kqueue has dropped the closed ones.
    return { useSelect: false, pairs: openPairs(this.registrations, this.wakeChannel.fd) };
  }

  /** Two filters per descriptor, before their events are merged. */
  protected override maxEvents(): number {
    return 2 * super.maxEvents();
  }

  protected override closeMechanism(): void {
    this.#kqueue.close();
  }

  /** Replaces the filters of `before` by those of `after`. All or nothing: if the kernel refuses one, the others are changed back. */
  #exchange(fd: number, before: EventMask, after: EventMask, generation: number): void {
    const done: EventMask[] = [];
    for (const event of [EVENT_READ, EVENT_WRITE]) {
      if (((before ^ after) & event) === 0) continue;
      const result = this.#filter(
        fd,
        event,
        (after & event) !== 0 ? this.#calls.EV_ADD : this.#calls.EV_DELETE,
        generation,
      );
      if (result < 0) {
        for (const undo of done) {
          this.#filter(fd, undo, (after & undo) !== 0 ? this.#calls.EV_DELETE : this.#calls.EV_ADD, generation);
        }
        check(result, 'kevent');
      }
      done.push(event);
    }
  }

  /** A wait under way uses the kqueue, which has the new filters, unless it polls each descriptor (libkqueue). */
  #changed(): void {
    if (isPollable === false) this.interestChanged();
  }

  #filter(fd: number, event: EventMask, flags: number, generation: number): number {
    const filter = event === EVENT_READ ? this.#calls.EVFILT_READ : this.#calls.EVFILT_WRITE;
    // ident, filter, flags, fflags, data, udata
    const change = Float64Array.of(fd, filter, flags, 0, 0, generation);
    return this.#calls.kevent(this.#kqueue.fd, change, 1, NO_EVENTS, 0, 0);
  }
}

/** A selector over kqueue(2): macOS, and Linux with libkqueue. Any number of descriptors. */
export class KqueueSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  static override get isAvailable(): boolean {
    return probe('kqueue').available;
  }

  /** @throws ERR_UNAVAILABLE; EMFILE, ENFILE, ENOMEM */
  constructor() {
    super(new KqueueWatchSet());
  }

  /** The kqueue descriptor, close-on-exec; -1 once closed. */
  override get fd(): number {
    return super.fd as number;
  }
}
