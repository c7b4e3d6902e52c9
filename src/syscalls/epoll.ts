/** epoll(7), Linux. Elsewhere the names exist and the constructor throws ERR_UNAVAILABLE; the flags are 0 there. */
import { check, outOfRange } from '../errors.js';
import { epollCalls } from '../native.js';
import { rawTimeoutOf, wholeNumber } from '../validate.js';
import { type FileObject, HIGHEST_FD, fileno } from './file-object.js';
import { KernelSet, openedSet } from './kernel-set.js';
import { mechanismUnavailable } from './probe.js';
import { inSlices } from './slices.js';

export const EPOLLIN = epollCalls?.EPOLLIN ?? 0;
export const EPOLLPRI = epollCalls?.EPOLLPRI ?? 0;
export const EPOLLOUT = epollCalls?.EPOLLOUT ?? 0;
export const EPOLLERR = epollCalls?.EPOLLERR ?? 0;
export const EPOLLHUP = epollCalls?.EPOLLHUP ?? 0;
export const EPOLLRDHUP = epollCalls?.EPOLLRDHUP ?? 0;
export const EPOLLET = epollCalls?.EPOLLET ?? 0;
export const EPOLLONESHOT = epollCalls?.EPOLLONESHOT ?? 0;
export const EPOLLEXCLUSIVE = epollCalls?.EPOLLEXCLUSIVE ?? 0;
export const EPOLLWAKEUP = epollCalls?.EPOLLWAKEUP ?? 0;

/** Events a call at the most. What is ready beyond them comes first in the next one: the kernel turns its list. */
const MOST_EVENTS = 1024;
const TWO_TO_32 = 0x1_0000_0000;

/** The kernel's calls, or ERR_UNAVAILABLE. */
function calls() {
  if (epollCalls === undefined) throw mechanismUnavailable('epoll');
  return epollCalls;
}

/** epoll(7): a set of descriptors that the kernel keeps, and tells the ready ones of. */
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
   * Takes over an epoll descriptor that came from elsewhere (inherited, passed): close(), or the garbage collector, closes it.
   * Made from another object's `fd`, both close the same number; only one of them should.
   */
  static fromFd(fd: number): Epoll {
    calls();
    return new Epoll(wholeNumber('fd', fd, 0, HIGHEST_FD));
  }

  /**
   * EPOLL_CTL_ADD.
   * @param events EPOLL* flags or-ed together
   * @param data what wait() says of it: 0 to 2^53 - 1, the descriptor where nothing is said
   * @throws EEXIST (added already), EBADF, EPERM (a regular file), EINVAL (the epoll itself), ELOOP (nested too deeply), ENOSPC
   */
  add(fd: FileObject, events: number, data?: number): void {
    this.#control(calls().EPOLL_CTL_ADD, fd, events, data);
  }

  /** EPOLL_CTL_MOD: other events and data. @throws ENOENT (not added), EINVAL (added with EPOLLEXCLUSIVE) */
  modify(fd: FileObject, events: number, data?: number): void {
    this.#control(calls().EPOLL_CTL_MOD, fd, events, data);
  }

  /** EPOLL_CTL_DEL. @throws ENOENT (not added), EBADF (closed: the kernel has forgotten it already, unless a duplicate lives) */
  delete(fd: FileObject): void {
    this.#control(calls().EPOLL_CTL_DEL, fd, 0, 0);
  }

  /**
   * epoll_wait(2). BLOCKS this thread.
   * @param maxEvents how many events at the most (more than 1024 are never given at once); -1: as many as there are
   * @param timeout milliseconds (rounded up); null or negative: for ever, as epoll_wait(2) has it
   */
  wait(maxEvents = -1, timeout?: number | null): { readonly data: number; readonly events: number }[] {
    const epfd = this.fileno();
    const most = wholeNumber('maxEvents', maxEvents, -1, 0x7fff_ffff);
    if (most === 0) throw outOfRange('maxEvents', 'more than 0, or -1', most);
    const room = Math.min(most === -1 ? MOST_EVENTS : most, MOST_EVENTS);
    const limit = rawTimeoutOf(timeout, 'for ever');
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
    // Negative too: EPOLLET is the highest bit of 32, and `|` makes signed numbers.
    const mask = wholeNumber('events', events, -0x8000_0000, 0xffff_ffff) | 0;
    const label = data === undefined ? fd : wholeNumber('data', data, 0, Number.MAX_SAFE_INTEGER);
    const epfd = this.fileno(); // not before: a fileno() of the caller's may have closed this object
    check(calls().epoll_ctl(epfd, operation, fd, mask, label | 0, Math.floor(label / TWO_TO_32) | 0), 'epoll_ctl');
  }
}
