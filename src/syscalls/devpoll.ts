/**
 * /dev/poll, a device of Solaris and illumos (poll(4D)). On other systems the constructor throws ERR_UNAVAILABLE, and POLLREMOVE is 0.
 *
 * illumos calls it obsolete, and recommends event ports (port_create(3C)), which this package does not have.
 */
import { check, outOfRange } from '../errors.js';
import { devpollCalls, native } from '../native.js';
import { fieldsOf, listOf, rawTimeoutOf, wholeNumber } from '../validate.js';
import { type FileObject, MAX_FD, fileno } from './file-object.js';
import { KernelSet, openedSet } from './kernel-set.js';
import { mechanismUnavailable } from './probe.js';
import { inSlices } from './slices.js';

/** As the only event of an entry: removes its descriptor. */
export const POLLREMOVE = devpollCalls?.POLLREMOVE ?? 0;

const USHRT_MAX = 0xffff;
const INT_MAX = 0x7fff_ffff;
const DEFAULT_EVENTS = native.POLLIN | native.POLLPRI | native.POLLOUT;

function calls() {
  if (devpollCalls === undefined) throw mechanismUnavailable('devpoll');
  return devpollCalls;
}

/** struct pollfd, as it is written to /dev/poll. */
export interface DevpollEntry {
  /** The descriptor. */
  readonly fd: FileObject;
  /** POLL* flags or-ed together, 16 bits; or POLLREMOVE alone. */
  readonly events: number;
}

/**
 * An open /dev/poll: a set of descriptors in the kernel, which reports the ready ones. It belongs to the process that used it first.
 *
 * A set watches numbers: a closed descriptor stays in it until it is removed. Meanwhile the set reports POLLNVAL for it, or nothing; and once
 * its number is given to another file, it watches that one.
 */
export class Devpoll extends KernelSet {
  #out = new Int32Array(2 * 16);

  /** open(2) of /dev/poll, close-on-exec. @throws ERR_UNAVAILABLE, EMFILE, ENFILE */
  constructor();
  /** @internal */
  constructor(fd?: number);
  constructor(fd?: number) {
    super('devpoll object', fd ?? openedSet('devpoll', 'open', calls().devpollOpen()));
  }

  /** Takes ownership of a descriptor of /dev/poll: close(), or the garbage collector, closes it. @throws as Epoll.fromFd() */
  static fromFd(fd: number): Devpoll {
    calls();
    return new Devpoll(wholeNumber('fd', fd, 0, MAX_FD));
  }

  /**
   * write(2) of entries, which the kernel takes in their order. An entry's events are **or-ed** to those that its descriptor has in the set
   * already; POLLREMOVE removes the descriptor, and does nothing for one that is not in the set. The kernel does not report a closed
   * descriptor here.
   * @param entries any iterable, iterated once
   * @throws EINVAL: more entries than RLIMIT_NOFILE; EACCES: another process has used the set
   */
  write(entries: Iterable<DevpollEntry>): void {
    this.assertOpen();
    const pairs = listOf('entries', entries).flatMap((entry) => {
      const { fd, events } = fieldsOf('an entry', entry, ['fd', 'events']);
      return [fileno(fd as FileObject), wholeNumber('events', events, 0, USHRT_MAX)];
    });
    this.#write(pairs);
  }

  /**
   * Adds a descriptor. If the set has it already, it is watched for these events too, besides its former ones.
   * @param events POLLIN, POLLPRI, POLLOUT or-ed together; POLLHUP, POLLERR and POLLNVAL are always reported. Default: all three
   * @throws as write()
   */
  register(fd: FileObject, events: number = DEFAULT_EVENTS): void {
    this.write([{ fd, events }]);
  }

  /** Replaces the events of a descriptor, or adds it: POLLREMOVE and the new events, in one write. @throws as write() */
  modify(fd: FileObject, events: number): void {
    const number = fileno(fd);
    this.write([
      { fd: number, events: POLLREMOVE },
      { fd: number, events },
    ]);
  }

  /** POLLREMOVE. Does nothing for a descriptor that is not in the set. @throws as write() */
  unregister(fd: FileObject): void {
    this.write([{ fd, events: POLLREMOVE }]);
  }

  /** ioctl(2) with DP_ISPOLLED. @returns the events that a descriptor is watched for; undefined: it is not in the set */
  eventsOf(fd: FileObject): number | undefined {
    this.assertOpen();
    const number = fileno(fd);
    const out = new Int32Array(1);
    const devpoll = this.fileno(); // after fileno(fd): the caller's method may have closed this object
    return check(calls().devpollIsPolled(devpoll, number, out), 'ioctl') === 0 ? undefined : out[0];
  }

  /**
   * ioctl(2) with DP_POLL: waits until a descriptor has an event. BLOCKS this thread.
   * @param timeout milliseconds (rounded up), at most 2147483647; null or negative: no timeout. Default: null
   * @param maxEvents maximum number of rows, 1 to 2^20; the next call begins with the other descriptors. Default: -1, as many as one call
   *   may return: 1024, or RLIMIT_NOFILE - 1 if that is less
   * @returns a row per descriptor with an event; empty after the timeout
   * @throws EINVAL: maxEvents is not less than RLIMIT_NOFILE (illumos takes its own maximum instead); EACCES as write()
   */
  poll(
    timeout?: number | null,
    maxEvents = -1,
  ): {
    /** The descriptor. */
    readonly fd: number;
    /** Those of its events that happened, and POLLERR, POLLHUP, POLLNVAL. */
    readonly events: number;
  }[] {
    const devpoll = this.fileno();
    const limit = rawTimeoutOf(timeout, 'no timeout', INT_MAX);
    const max = wholeNumber('maxEvents', maxEvents, -1, 1 << 20);
    if (max === 0) throw outOfRange('maxEvents', 'more than 0, or -1', max);
    const room = max === -1 ? check(calls().devpollMaxEvents(), 'getrlimit') : max;
    if (2 * room > this.#out.length) this.#out = new Int32Array(2 * room);
    const out = this.#out;
    const count = check(
      inSlices(limit, (part) => calls().devpollPoll(devpoll, out, room, part)),
      'ioctl',
    );
    return Array.from({ length: count }, (_, i) => ({ fd: out[2 * i] ?? -1, events: out[2 * i + 1] ?? 0 }));
  }

  #write(pairs: readonly number[]): void {
    const devpoll = this.fileno(); // the caller's iterator and methods may have closed this object
    check(calls().devpollWrite(devpoll, Int32Array.from(pairs), pairs.length / 2), 'write');
  }
}
