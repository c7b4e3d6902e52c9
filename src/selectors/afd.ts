/**
 * Over AFD, Windows: the driver of Winsock's sockets, polled by IOCTL_AFD_POLL. The kernel has a poll of each socket, and a wait costs as much
 * as there is ready, however many sockets are watched. A poll completes once; native/mechanisms/afd_set.h starts the next one, so that a
 * selector is level-triggered. The polls themselves: `Afd` of the entry `selectors-native/syscalls`.
 *
 * Limits. Sockets only. A registered socket that is closed is forgotten, as with epoll; but if it was reported by the last wait, and its number
 * is given to another socket before the next one, that one is watched under the old key.
 */
import type { FileObject } from '../syscalls/file-object.js';
import { check, checkReleased } from '../errors.js';
import { afdCalls, native } from '../native.js';
import { mechanismUnavailable, probe } from '../syscalls/probe.js';
import type { Interest } from '../wait/async-wait.js';
import { BaseSelector } from './base.js';
import { EVENT_READ, type EventMask } from './key.js';
import type { Registration } from './registrations.js';
import { WatchSet } from './watch-set.js';

const WAKE_GENERATION = 0;
/** Packets per call (native/mechanisms/afd_set.cc). Polls that start again come last: the next call begins with the others. */
const MAX_EVENTS = 512;
/** How long close() waits for the completions of its polls, in milliseconds. */
const CLOSE_TIMEOUT = 5000;
const NO_PAIRS = new Int32Array(0);

function newSet() {
  if (afdCalls === undefined) throw mechanismUnavailable('afd');
  const set = new afdCalls.AfdSet();
  check(set.open(), 'NtCreateFile');
  return set;
}

class AfdWatchSet<D, F extends FileObject> extends WatchSet<D, F> {
  protected override readonly waitCall = 'GetQueuedCompletionStatusEx';

  readonly #set = this.orClose(newSet);

  constructor() {
    super('afd');
    this.orClose(() => check(this.#set.add(this.wakeChannel.fd, EVENT_READ, WAKE_GENERATION), 'WSAIoctl'));
  }

  // The numbers of EVENT_READ and EVENT_WRITE are those of the addon. A closed socket is refused here: its poll starts only in the next wait.
  protected override watch(fd: number, events: EventMask, generation: number): void {
    check(native.isOpen(fd), 'getsockopt');
    check(this.#set.add(fd, events, generation), 'WSAIoctl');
  }

  protected override change(fd: number, events: EventMask): void {
    check(native.isOpen(fd), 'getsockopt');
    check(this.#set.change(fd, events), 'DeviceIoControl');
  }

  protected override forget(fd: number): void {
    this.#set.remove(fd);
  }

  /** AFD_POLL_LOCAL_CLOSE, or a poll that failed, has removed it. */
  protected override isForgotten({ key: { fd }, generation }: Registration<D>): boolean {
    return !this.#set.has(fd, generation);
  }

  /** A thread waits at the completion port: it is no descriptor that poll(2) or Node's loop can watch. */
  override interest(): Interest {
    return { useSelect: false, pairs: NO_PAIRS, handle: this.#set.handle() };
  }

  override get rotates(): boolean {
    return true;
  }

  protected override set(): number {
    return this.#set.handle();
  }

  protected override maxEvents(): number {
    return Math.min(super.maxEvents(), MAX_EVENTS);
  }

  protected override closeMechanism(): void {
    checkReleased(this.#set.close(CLOSE_TIMEOUT));
  }
}

/** A selector over AFD: Windows. Any number of sockets. */
export class AfdSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  static override get isAvailable(): boolean {
    return probe('afd').available;
  }

  /** @throws ERR_UNAVAILABLE; ENOMEM */
  constructor() {
    super(new AfdWatchSet());
  }
}
