/**
 * Over kqueue(2): macOS, and Linux where libkqueue emulates it. The set is the kernel's; reading and writing are two filters of one
 * descriptor, with an event each, and make one entry (native/mechanisms/kqueue.cc).
 *
 * On macOS a kqueue cannot watch every tty (EINVAL), and loses the end of a named FIFO: SelectSelector can and does not.
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
import type { Registration } from './registrations.js';
import { pollPairs } from './poll-pairs.js';

const WAKE_GENERATION = 0;
const NONE = new Float64Array(0);

function calls() {
  if (kqueueCalls === undefined) throw mechanismUnavailable('kqueue');
  return kqueueCalls;
}

let polls: boolean | undefined;

/** A kqueue is a file that is readable when something in it is ready; libkqueue's, on Linux, is none. Asked once. */
function canBePolled(): boolean {
  if (polls === undefined) {
    const channel = new WakeChannel();
    const kqueue = new Kqueue();
    channel.signal();
    kqueue.control([kevent(channel.fd)], 0);
    polls = check(native.poll(Int32Array.of(kqueue.fd, POLLIN), 1, new Int32Array(2), 0), 'poll') === 1;
    kqueue.close();
    channel.close();
  }
  return polls;
}

export class KqueueSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  static override get isAvailable(): boolean {
    return probe('kqueue').available;
  }

  protected override readonly waitCall = 'kevent';

  readonly #calls = this.orClose(calls);
  readonly #kqueue = this.orClose(() => new Kqueue());

  constructor() {
    super('kqueue');
    const added = this.#filter(this.wakeChannel.fd, EVENT_READ, this.#calls.EV_ADD, WAKE_GENERATION);
    this.orClose(() => check(added, 'kevent'));
  }

  /** The kqueue descriptor, close-on-exec. */
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
      // Ignored: ENOENT and EBADF, for closing a descriptor has dropped its filters already.
      if ((events & event) !== 0) this.#filter(fd, event, this.#calls.EV_DELETE, 0);
    }
    this.#changed();
  }

  /** ENOENT: closing a descriptor deletes its filters. */
  protected override isForgotten({ key: { fd, events }, generation }: Registration<D>): boolean {
    const event = (events & EVENT_READ) !== 0 ? EVENT_READ : EVENT_WRITE;
    return this.#filter(fd, event, this.#calls.EV_ENABLE, generation) < 0;
  }

  protected override interest(): Interest {
    if (canBePolled()) return { useSelect: false, pairs: Int32Array.of(this.#kqueue.fd, POLLIN) };
    // libkqueue: each descriptor instead, but those that were closed, which poll(2) would tell of and the kqueue has forgotten.
    const open = [...this.registrations].filter(([fd]) => native.isOpen(fd) >= 0);
    return { useSelect: false, pairs: pollPairs(new Map(open), this.wakeChannel.fd) };
  }

  /** Events, before those of one descriptor are made one. */
  protected override maxEvents(): number {
    return 2 * super.maxEvents();
  }

  protected override closeMechanism(): void {
    this.#kqueue.close();
  }

  /** From the filters of `before` to those of `after`. All or nothing: what was changed is changed back when the kernel refuses a part. */
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

  /** A wait under way goes by the filters, unless it polls each descriptor. */
  #changed(): void {
    if (polls === false) this.interestChanged();
  }

  #filter(fd: number, event: EventMask, flags: number, generation: number): number {
    const filter = event === EVENT_READ ? this.#calls.EVFILT_READ : this.#calls.EVFILT_WRITE;
    // ident, filter, flags, fflags, data, udata
    const change = Float64Array.of(fd, filter, flags, 0, 0, generation);
    return this.#calls.kevent(this.#kqueue.fd, change, 1, NONE, 0, 0);
  }
}
