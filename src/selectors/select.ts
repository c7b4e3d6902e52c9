/**
 * Over select(2): the oldest, on every system. Its sets hold descriptors below FD_SETSIZE only.
 *
 * Winsock's sets hold sockets instead, at most 512 here, whatever their numbers. It reports a failed connect in its third set.
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
import { WatchSet } from './watch-set.js';

/** The wake channel, and the descriptor that interrupts a wait of selectAsync(): both take a place in a set that counts its members. */
const OWN_MEMBERS = 2;

class SelectWatchSet<D, F extends FileObject> extends WatchSet<D, F> {
  protected override readonly waitCall = 'select';

  /** undefined after a change */
  #pairs: Int32Array | undefined;
  /** One object for all calls: a blocking loop never returns to Node, and garbage is then not freed. */
  readonly #probed = new native.Descriptors();

  constructor() {
    super('select');
    this.orClose(() => checkFits(this.wakeChannel.fd, 0));
  }

  /** Opens a descriptor to see which number is next. */
  override canRegister(): boolean {
    const next = native.duplicate(this.wakeChannel.fd);
    if (next < 0) return true; // none is left: opening one reports that
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

  override interest(): Interest {
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
   * A registered descriptor is closed, and select(2) fails for the whole set with EBADF. The closed ones are reported as ready for all their
   * events: a read or write then fails with the reason. The others are asked without them.
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

/** A selector over select(2): on every system. Descriptors below FD_SETSIZE (1024); on Windows at most 512 sockets. */
export class SelectSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  static override get isAvailable(): boolean {
    return probe('select').available;
  }

  /** @throws ERR_OUT_OF_RANGE if its wake channel's descriptor is FD_SETSIZE or above; EMFILE, ENFILE */
  constructor() {
    super(new SelectWatchSet());
  }
}
