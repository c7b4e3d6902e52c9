/**
 * Over select(2): the oldest, everywhere. The sets are built anew for each call and hold descriptors below FD_SETSIZE only.
 *
 * Winsock's select takes sockets, 512 of the caller's here whatever their numbers, and tells a failed connect in its third set.
 */
import { check, outOfRange } from '../errors.js';
import { native } from '../native.js';
import { probe } from '../syscalls/probe.js';
import { FD_SETSIZE, SELECTED_READ, fitsFdSet } from '../syscalls/select.js';
import type { Interest } from '../wait/async-wait.js';
import { BaseSelector, EVENT_READ, EVENT_WRITE, type EventMask, type ReadyEvent, type Registration } from './base.js';
import { pollPairs } from './poll-pairs.js';

const NONE = new Int32Array(0);
const FAILED_CONNECT_IS_EXCEPT = process.platform === 'win32';
/** The wake channel, and the one that ends a wait of selectAsync: they count where a set counts its members. */
const OWN_MEMBERS = 2;

export class SelectSelector<D = unknown> extends BaseSelector<D> {
  static override get isAvailable(): boolean {
    return probe('select').available;
  }

  override readonly mechanism = 'select';

  /** What to read and what to write, as select takes it; undefined after a change. */
  #sets: { readonly read: Int32Array; readonly write: Int32Array; readonly out: Int32Array } | undefined;
  /** One object for all: in a loop that blocks, those that are done with are not freed before it ends. */
  readonly #probed = new native.Descriptors();
  /** The same as pairs [descriptor, POLLIN | POLLOUT]. */
  #pairs: Int32Array | undefined;

  constructor() {
    super();
    this.orClose(() => checkFits(this.wakeChannel.fd, 0));
  }

  /** By the number of a descriptor that is opened for it. */
  override hasRoom(): boolean {
    const next = native.duplicate(this.wakeChannel.fd);
    if (next < 0) return true; // none is left: whoever opens one is told
    this.#probed.add(next);
    this.#probed.close(next);
    return fitsFdSet(next, this.registrations.size + OWN_MEMBERS);
  }

  protected override watch(fd: number): void {
    checkFits(fd, this.registrations.size + OWN_MEMBERS);
    check(native.isOpen(fd), 'select');
    this.#setsChanged();
  }

  protected override change(): void {
    this.#setsChanged();
  }

  protected override forget(): void {
    this.#setsChanged();
  }

  protected override take(timeout: number, ready: ReadyEvent<D>[]): boolean {
    const { read, write, out } = (this.#sets ??= this.#buildSets());
    const except = FAILED_CONNECT_IS_EXCEPT ? write : NONE;
    const pairs = native.select(read, read.length, write, write.length, except, except.length, out, timeout);
    if (pairs === native.badDescriptor) return this.#takeAroundClosed(ready);
    return this.#sortOut(out, check(pairs, 'select'), ready);
  }

  protected override interest(): Interest {
    return { useSelect: true, pairs: this.turnInterest() };
  }

  protected override turnInterest(): Int32Array {
    return (this.#pairs ??= pollPairs(this.registrations, this.wakeChannel.fd));
  }

  protected override closeMechanism(): void {
    this.#sets = this.#pairs = undefined;
  }

  #setsChanged(): void {
    this.#sets = this.#pairs = undefined;
    this.interestChanged();
  }

  #buildSets() {
    const keys = [...this.registrations.values()].map(({ key }) => key);
    const read = keys.filter(({ events }) => (events & EVENT_READ) !== 0).map(({ fd }) => fd);
    const write = keys.filter(({ events }) => (events & EVENT_WRITE) !== 0).map(({ fd }) => fd);
    return {
      read: Int32Array.from([this.wakeChannel.fd, ...read]),
      write: Int32Array.from(write),
      out: new Int32Array(2 * (1 + read.length + 2 * write.length)),
    };
  }

  /** One entry for each descriptor, out of up to three pairs [descriptor, which set]. */
  #sortOut(out: Int32Array, pairs: number, ready: ReadyEvent<D>[]): boolean {
    const masks = new Map<number, EventMask>();
    for (let i = 0; i < pairs; i++) {
      const fd = out[2 * i] ?? -1;
      const mask = out[2 * i + 1] === SELECTED_READ ? EVENT_READ : EVENT_WRITE;
      masks.set(fd, (masks.get(fd) ?? 0) | mask);
    }
    const woken = masks.delete(this.wakeChannel.fd);
    if (woken) this.wakeChannel.drain();
    for (const [fd, mask] of masks) {
      const registration: Registration<D> | undefined = this.registrations.get(fd);
      if (registration !== undefined) ready.push([registration.key, mask & registration.key.events]);
    }
    return woken;
  }

  /**
   * Somebody closed a registered descriptor, and select(2) refuses the whole set. Those keys are ready for all their events (a read or
   * write then says what is wrong); the others are asked without them.
   */
  #takeAroundClosed(ready: ReadyEvent<D>[]): boolean {
    const closed = new Set<number>();
    for (const { key } of this.registrations.values()) {
      if (native.isOpen(key.fd) >= 0) continue;
      closed.add(key.fd);
      ready.push([key, key.events]);
    }
    const { read, write, out } = this.#buildSets();
    const isOpen = (fd: number) => !closed.has(fd);
    const [reads, writes] = [read.filter(isOpen), write.filter(isOpen)];
    const except = FAILED_CONNECT_IS_EXCEPT ? writes : NONE;
    const pairs = native.select(reads, reads.length, writes, writes.length, except, except.length, out, 0);
    return this.#sortOut(out, check(pairs, 'select'), ready);
  }
}

function checkFits(fd: number, members: number): void {
  if (!fitsFdSet(fd, members)) {
    throw outOfRange('filedescriptor', `what select() can hold (FD_SETSIZE ${FD_SETSIZE})`, fd);
  }
}
