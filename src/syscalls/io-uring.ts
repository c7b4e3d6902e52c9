/**
 * io_uring(7), Linux: fill submission entries, enter, read completion entries. Elsewhere, and where the kernel refuses, the constructor
 * throws ERR_UNAVAILABLE.
 *
 * Unlike in C, the memory that the kernel works in is the entry's own: bytes to be sent are copied when the entry is prepared, and
 * received ones into `buffer` when completions() returns theirs. So a buffer may be dropped, changed or transferred at any time.
 */
import { check, checkLetGo, closedError, invalidValue, systemError, systemErrorName } from '../errors.js';
import { type SocketAddressInput, encodeAddress } from './address.js';
import type { NativeIoUring } from '../addon.js';
import { ioUringCalls } from '../native.js';
import { plainBytes, rawTimeoutOf, uint8Array, wholeNumber } from '../validate.js';
import { type FileObject, fileno } from './file-object.js';
import { REFUSALS } from './kernel-set.js';
import { mechanismUnavailable, openPatiently, ringLimit } from './probe.js';
import { inSlices } from './slices.js';

/** struct io_uring_cqe. */
export interface Cqe {
  /** The entry's own number. */
  readonly userData: number;
  /** What the system call would have returned; a negative errno where it failed. */
  readonly res: number;
  /** IORING_CQE_F_* */
  readonly flags: number;
}

const INT_MAX = 0x7fff_ffff;
const NUMBER_MAX = Number.MAX_SAFE_INTEGER;
/** How long close() waits for the kernel, in milliseconds. */
const PATIENCE = 5000;
const AF_UNSPEC = 0;

/** A new ring of the kernel's. @param cqEntries 0: twice as many @throws ERR_UNAVAILABLE where it is refused; EINVAL, ENOMEM, EMFILE */
export function openRing(entries: number, cqEntries: number): NativeIoUring {
  if (ioUringCalls === undefined) throw mechanismUnavailable('io_uring');
  const ring = new ioUringCalls.IoUring();
  const result = openPatiently(ring, entries, cqEntries);
  if (result >= 0) return ring;
  const error = systemError(result, 'io_uring_setup');
  error.message += ringLimit(result);
  throw REFUSALS.includes(systemErrorName(result)) ? mechanismUnavailable('io_uring', error) : error;
}

/** One ring, of the thread that made it. */
export class IoUring implements Disposable {
  readonly #ring: NativeIoUring;
  readonly #about = new Int32Array(4);
  #closed = false;

  /**
   * io_uring_setup(2), with IORING_SETUP_SINGLE_ISSUER and IORING_SETUP_DEFER_TASKRUN where the kernel has them: nothing completes but in
   * enter(), and that in this thread alone.
   * @param entries how many the submission queue holds, rounded up to a power of two; the completion queue holds twice as many
   * @throws ERR_UNAVAILABLE; EINVAL for 0 and for more than 32768; ENOMEM, EMFILE
   */
  constructor(entries = 256) {
    this.#ring = openRing(wholeNumber('entries', entries, 0, 0xffff_ffff), 0);
    this.#ring.about(this.#about);
  }

  /** Becomes readable when there are completions. -1 once closed. */
  get fd(): number {
    return this.#closed ? -1 : (this.#about[0] as number);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** IORING_FEAT_* of this kernel. */
  get features(): number {
    return (this.#about[1] as number) >>> 0;
  }

  /** How many entries the submission queue holds. */
  get sqEntries(): number {
    return this.#about[2] as number;
  }

  /** How many entries the completion queue holds; what comes while it is full, the kernel keeps. */
  get cqEntries(): number {
    return this.#about[3] as number;
  }

  /** Does this kernel have the opcode (IORING_OP_*, 0 to 255)? IORING_REGISTER_PROBE. */
  supports(opcode: number): boolean {
    this.#assertOpen();
    return check(this.#ring.supports(wholeNumber('opcode', opcode, 0, 255)), 'io_uring_register') === 1;
  }

  // Each prepares one entry, which the next enter() submits; where the queue is full, those in it are submitted first. `userData`, 0 to
  // 2^53 - 1, comes back with the completion. What the kernel has against an operation comes as the `res` of its completion.

  /** IORING_OP_NOP */
  prepNop(userData: number): void {
    this.#prepare(this.#ring.nop(this.#number(userData)));
  }

  /** accept4(2); `res` is the connection's descriptor, close-on-exec, and the caller's to close. @param flags SOCK_NONBLOCK, or 0 */
  prepAccept(fd: FileObject, flags: number, userData: number): void {
    this.#assertOpen();
    const bits = wholeNumber('flags', flags, 0, INT_MAX);
    this.#prepare(this.#ring.accept(this.#fileno(fd), bits, this.#number(userData)));
  }

  /** connect(2). A name in the address is looked up first, which BLOCKS. `res`: 0 */
  prepConnect(fd: FileObject, address: SocketAddressInput, userData: number): void {
    this.#assertOpen();
    const { sockaddr } = encodeAddress(address, AF_UNSPEC, 'connect');
    this.#prepare(this.#ring.connect(this.#fileno(fd), sockaddr, this.#number(userData)));
  }

  /**
   * recv(2). `res`: how many bytes; 0: the peer has finished sending.
   * @param flags MSG_*. With MSG_TRUNC `res` is the length of the whole datagram, as in C, also where `buffer` is shorter and has its
   *   beginning only; and of TCP bytes that are discarded (tcp(7)) `buffer` receives zeros
   */
  prepRecv(fd: FileObject, buffer: Uint8Array, flags: number, userData: number): void {
    this.#assertOpen();
    const target = plainBytes(uint8Array('buffer', buffer));
    this.#prepare(this.#ring.recv(this.#fileno(fd), target, flagBits(flags), this.#number(userData)));
  }

  /** send(2), never with SIGPIPE. `res`: how many bytes were taken, which may be fewer than given. @param flags MSG_* */
  prepSend(fd: FileObject, buffer: Uint8Array, flags: number, userData: number): void {
    this.#assertOpen();
    const bytes = plainBytes(uint8Array('buffer', buffer));
    this.#prepare(this.#ring.send(this.#fileno(fd), bytes, flagBits(flags), this.#number(userData)));
  }

  /** pread(2). @param position bytes from the start of the file; -1: where it is, and for what has no position */
  prepRead(fd: FileObject, buffer: Uint8Array, position: number, userData: number): void {
    this.#assertOpen();
    const target = plainBytes(uint8Array('buffer', buffer));
    this.#prepare(this.#ring.read(this.#fileno(fd), target, positionOf(position), this.#number(userData)));
  }

  /** pwrite(2). @param position as for prepRead; -1 appends where the file was opened so */
  prepWrite(fd: FileObject, buffer: Uint8Array, position: number, userData: number): void {
    this.#assertOpen();
    const bytes = plainBytes(uint8Array('buffer', buffer));
    this.#prepare(this.#ring.write(this.#fileno(fd), bytes, positionOf(position), this.#number(userData)));
  }

  /** poll(2), once. `res`: which of POLLIN, POLLOUT … happened */
  prepPollAdd(fd: FileObject, events: number, userData: number): void {
    this.#assertOpen();
    const bits = wholeNumber('events', events, 0, 0xffff);
    this.#prepare(this.#ring.pollAdd(this.#fileno(fd), bits, this.#number(userData)));
  }

  /** `res` is -ETIME after so many milliseconds, never earlier. */
  prepTimeout(ms: number, userData: number): void {
    this.#assertOpen();
    const limit = rawTimeoutOf(ms, 'refused', NUMBER_MAX);
    if (limit < 0) throw invalidValue('ms must be a number of milliseconds');
    this.#prepare(this.#ring.timeout(limit, this.#number(userData)));
  }

  /** Gives up an entry by its `userData`. `res`: 0; -ENOENT: there is none (any more); -EALREADY: too late. The target completes itself. */
  prepCancel(target: number, userData: number): void {
    this.#prepare(this.#ring.cancel(this.#number(target), this.#number(userData)));
  }

  /**
   * io_uring_enter(2): submits what was prepared, and waits until `minComplete` completions are there to be taken, or the completion
   * queue is full. BLOCKS.
   * @param timeout milliseconds; null or undefined: for ever. The time's end is no error
   * @returns how many entries were submitted
   * @throws EBUSY: completions must be taken first; EAGAIN, ENOMEM: no memory; EBADR: a completion was lost
   */
  enter(minComplete = 0, timeout?: number | null): number {
    this.#assertOpen();
    const least = Math.min(wholeNumber('minComplete', minComplete, 0, 0xffff_ffff), this.cqEntries);
    const limit = rawTimeoutOf(timeout, 'refused');
    const submitted = check(this.#ring.enter(0, 0), 'io_uring_enter');
    if (least > 0)
      check(
        inSlices(limit, (part) => this.#wait(least, part)),
        'io_uring_enter',
      );
    return submitted;
  }

  /** Takes completions, in the order of the kernel, without a system call. @param max how many at the most; all where nothing is said */
  completions(max = 0xffff_ffff): Cqe[] {
    this.#assertOpen();
    const most = wholeNumber('max', max, 0, 0xffff_ffff);
    return this.#ring.completions(most).map(([userData, res, flags]) => ({ userData, res, flags }));
  }

  /**
   * Cancels what is under way, and waits until the kernel has let go of it.
   * @throws ETIMEDOUT where that takes more than five seconds: the ring is closed, and the memory that the kernel still holds never freed
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    checkLetGo(this.#ring.close(PATIENCE));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @returns 0: go on waiting */
  #wait(least: number, part: number): number {
    const result = this.#ring.enter(least, part);
    return result < 0 ? result : this.#ring.ready() >= least ? 1 : 0;
  }

  #assertOpen(): void {
    if (this.#closed) throw closedError('ring');
  }

  #fileno(fd: FileObject): number {
    this.#assertOpen();
    const number = fileno(fd);
    this.#assertOpen(); // again: a fileno() of the caller's may have closed this ring
    return number;
  }

  #number(userData: number): number {
    this.#assertOpen();
    return wholeNumber('userData', userData, 0, NUMBER_MAX);
  }

  #prepare(result: number): void {
    check(result, 'io_uring_enter');
  }
}

function flagBits(flags: unknown): number {
  return wholeNumber('flags', flags, -INT_MAX - 1, INT_MAX);
}

function positionOf(position: unknown): number {
  return wholeNumber('position', position, -1, NUMBER_MAX);
}
