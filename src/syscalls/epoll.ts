/** epoll(7), Linux. On other systems the names exist, the constructor throws ERR_UNAVAILABLE, and the flags are 0. */
import { check, outOfRange } from '../errors.js';
import { epollCalls } from '../native.js';
import { rawTimeoutOf, wholeNumber } from '../validate.js';
import { type FileObject, MAX_FD, fileno } from './file-object.js';
import { KernelSet, openedSet } from './kernel-set.js';
import { mechanismUnavailable } from './probe.js';
import { inSlices } from './slices.js';

/** Ready for reading. */
export const EPOLLIN = epollCalls?.EPOLLIN ?? 0;
/** An exceptional condition: out-of-band data. */
export const EPOLLPRI = epollCalls?.EPOLLPRI ?? 0;
/** Ready for writing. */
export const EPOLLOUT = epollCalls?.EPOLLOUT ?? 0;
/** An error. Always reported. */
export const EPOLLERR = epollCalls?.EPOLLERR ?? 0;
/** Hang-up: both directions are shut down. Always reported. */
export const EPOLLHUP = epollCalls?.EPOLLHUP ?? 0;
/** The peer has shut down its sending side (half-close), or closed. */
export const EPOLLRDHUP = epollCalls?.EPOLLRDHUP ?? 0;
/** Edge-triggered: reported when the state changes, not as long as it lasts. */
export const EPOLLET = epollCalls?.EPOLLET ?? 0;
/** Reported once, then disabled until modify(). */
export const EPOLLONESHOT = epollCalls?.EPOLLONESHOT ?? 0;
/** Of several epolls that watch the same file, the kernel wakes at least one, not all. With add() only. */
export const EPOLLEXCLUSIVE = epollCalls?.EPOLLEXCLUSIVE ?? 0;
/** Prevents system suspend while the event is handled. Ignored without CAP_BLOCK_SUSPEND. */
export const EPOLLWAKEUP = epollCalls?.EPOLLWAKEUP ?? 0;

/** Maximum number of events per call. The kernel rotates its ready list: the next call begins with the others. */
const MAX_EVENTS = 1024;
const TWO_TO_32 = 0x1_0000_0000;

/** The kernel's calls, or ERR_UNAVAILABLE. */
function calls() {
  if (epollCalls === undefined) throw mechanismUnavailable('epoll');
  return epollCalls;
}

/** epoll(7): a set of descriptors in the kernel, which reports the ready ones. */
export class Epoll extends KernelSet {
  #out = new Int32Array(3 * 16);

  /** epoll_create1(EPOLL_CLOEXEC). @throws ERR_UNAVAILABLE, EMFILE, ENFILE, ENOMEM */
  constructor();
  /** @internal */
  constructor(fd?: number);
  constructor(fd?: number) {
    super('epoll object', fd ?? openedSet('epoll', 'epoll_create1', calls().epoll_create1()));
  }

  /**
   * Takes ownership of an epoll descriptor (inherited, or passed by another process): close(), or the garbage collector, closes it. Do not
   * pass the `fd` of another object: both would close it.
   * @throws ERR_UNAVAILABLE; ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
   */
  static fromFd(fd: number): Epoll {
    calls();
    return new Epoll(wholeNumber('fd', fd, 0, MAX_FD));
  }

  /**
   * EPOLL_CTL_ADD.
   * @param events EPOLL* flags or-ed together
   * @param data returned by wait() with each event: 0 to 2^53 - 1. Default: the descriptor
   * @throws EEXIST (added already), EBADF, EPERM (a regular file), EINVAL (the epoll itself), ELOOP (nested too deeply), ENOSPC
   */
  add(fd: FileObject, events: number, data?: number): void {
    this.#control(calls().EPOLL_CTL_ADD, fd, events, data);
  }

  /** EPOLL_CTL_MOD: replaces events and data, as for add(). @throws ENOENT (not added), EINVAL (added with EPOLLEXCLUSIVE) */
  modify(fd: FileObject, events: number, data?: number): void {
    this.#control(calls().EPOLL_CTL_MOD, fd, events, data);
  }

  /** EPOLL_CTL_DEL. @throws ENOENT (not added), EBADF (closed: the kernel has removed it already, unless a duplicate is open) */
  delete(fd: FileObject): void {
    this.#control(calls().EPOLL_CTL_DEL, fd, 0, 0);
  }

  /**
   * epoll_wait(2). BLOCKS this thread.
   * @param maxEvents maximum number of events, 1 to 2^31 - 1, of which a call returns at most 1024. Default: -1, no maximum
   * @param timeout milliseconds (rounded up); null or negative: no timeout. Default: null
   * @returns the events; empty after the timeout
   */
  wait(
    maxEvents = -1,
    timeout?: number | null,
  ): {
    /** What add() or modify() was given. */
    readonly data: number;
    /** EPOLL* flags. */
    readonly events: number;
  }[] {
    const epfd = this.fileno();
    const max = wholeNumber('maxEvents', maxEvents, -1, 0x7fff_ffff);
    if (max === 0) throw outOfRange('maxEvents', 'more than 0, or -1', max);
    const room = Math.min(max === -1 ? MAX_EVENTS : max, MAX_EVENTS);
    const limit = rawTimeoutOf(timeout, 'no timeout');
    if (3 * room > this.#out.length) this.#out = new Int32Array(3 * room);
    const out = this.#out;
    const count = check(
      inSlices(limit, (part) => calls().epoll_wait(epfd, out, room, part)),
      'epoll_wait',
    );
    return Array.from({ length: count }, (_, i) => ({
      data: ((out[3 * i + 2] ?? 0) >>> 0) * TWO_TO_32 + ((out[3 * i + 1] ?? 0) >>> 0),
      events: (out[3 * i] ?? 0) >>> 0,
    }));
  }

  #control(operation: number, fileobj: FileObject, events: number, data: number | undefined): void {
    this.assertOpen();
    const fd = fileno(fileobj);
    // Negative too: EPOLLET is bit 31, and `|` makes signed numbers.
    const mask = wholeNumber('events', events, -0x8000_0000, 0xffff_ffff) | 0;
    const label = data === undefined ? fd : wholeNumber('data', data, 0, Number.MAX_SAFE_INTEGER);
    const epfd = this.fileno(); // after fileno(fileobj): the caller's method may have closed this object
    check(calls().epoll_ctl(epfd, operation, fd, mask, label | 0, Math.floor(label / TWO_TO_32) | 0), 'epoll_ctl');
  }
}
