/**
 * Over select(2): the oldest, everywhere. Its sets hold descriptors below FD_SETSIZE only.
 *
 * Winsock's select takes sockets, 512 of the caller's here whatever their numbers, and tells a failed connect in its third set.
 */
import type { FileObject } from '../syscalls/file-object.js';
import { check, outOfRange } from '../errors.js';
import { native } from '../native.js';
import { probe } from '../syscalls/probe.js';
import type { Multiplexer } from '../syscalls/multiplexer.js';
import { FD_SETSIZE, fitsFdSet } from '../syscalls/select.js';
import type { Interest } from '../wait/async-wait.js';
import { BaseSelector } from './base.js';
import { pollPairs } from './poll-pairs.js';

/** The wake channel, and the one that ends a wait of selectAsync: they count where a set counts its members. */
const OWN_MEMBERS = 2;

export class SelectSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  static override get isAvailable(): boolean {
    return probe('select').available;
  }

  protected override readonly waitCall = 'select';

  /** Undefined after a change. */
  #pairs: Int32Array | undefined;
  /** One object for all: in a loop that blocks, those that are done with are not freed before it ends. */
  readonly #probed = new native.Descriptors();

  constructor() {
    super('select');
    this.orClose(() => checkFits(this.wakeChannel.fd, 0));
  }

  /** By the number of a descriptor that is opened for it. */
  override canRegister(): boolean {
    const next = native.duplicate(this.wakeChannel.fd);
    if (next < 0) return true; // none is left: whoever opens one is told
    this.#probed.add(next);
    this.#probed.close(next);
    return fitsFdSet(next, this.registrations.size + OWN_MEMBERS);
  }

  protected override watch(fd: number): void {
    checkFits(fd, this.registrations.size + OWN_MEMBERS);
    check(native.isOpen(fd), 'select');
    this.#changed();
  }

  protected override change(): void {
    this.#changed();
  }

  protected override forget(): void {
    this.#changed();
  }

  protected override interest(): Interest {
    return { useSelect: true, pairs: this.pairs() };
  }

  protected override pairs(): Int32Array {
    return (this.#pairs ??= pollPairs(this.registrations, this.wakeChannel.fd));
  }

  protected override closeMechanism(): void {
    this.#pairs = undefined;
  }

  #changed(): void {
    this.#pairs = undefined;
    this.interestChanged();
  }

  /**
   * Somebody closed a registered descriptor, and select(2) refuses the whole set. Those keys are ready for all their events (a read or
   * write then says what is wrong); the others are asked without them.
   */
  protected override waitAroundClosed(multiplexer: Multiplexer): number {
    const closed = [...this.registrations.values()]
      .filter(({ key }) => native.isOpen(key.fd) < 0)
      .map(({ key }) => key);
    const open = new Map(this.registrations);
    for (const { fd } of closed) open.delete(fd);
    check(multiplexer.watch(0, pollPairs(open, this.wakeChannel.fd), this.registrations.size + 1), 'select');
    let records = check(multiplexer.wait(0), 'select');
    for (const { fd, events } of closed) multiplexer.setRecord(records++, fd, events);
    return records;
  }
}

function checkFits(fd: number, members: number): void {
  if (!fitsFdSet(fd, members)) {
    throw outOfRange('filedescriptor', `what select() can hold (FD_SETSIZE ${FD_SETSIZE})`, fd);
  }
}
