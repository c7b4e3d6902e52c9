/**
 * io_uring(7), Linux: prepare submission entries, enter, take completion entries. On other systems, and if the kernel refuses, the
 * constructor throws ERR_UNAVAILABLE.
 *
 * Unlike in C, each entry has memory of its own for the kernel: bytes to send are copied when the entry is prepared, received bytes are
 * copied to `buffer` when completions() returns the completion. So a buffer may be changed, transferred or collected at any time.
 */
import { check, checkReleased, closedError, invalidValue, systemError, systemErrorName } from '../errors.js';
import { type SocketAddressInput, encodeAddress } from './address.js';
import type { NativeIoUring } from '../addon.js';
import { ioUringCalls } from '../native.js';
import { plainBytes, rawTimeoutOf, uint8Array, wholeNumber } from '../validate.js';
import { type FileObject, fileno } from './file-object.js';
import { REFUSALS } from './kernel-set.js';
import { mechanismUnavailable, openWithRetries, ringLimit } from './probe.js';
import { inSlices } from './slices.js';

/** struct io_uring_cqe. */
export interface Cqe {
  /** What the entry was prepared with. */
  readonly userData: number;
  /** The result of the system call; a negative errno if it failed. */
  readonly res: number;
  /** IORING_CQE_F_* */
  readonly flags: number;
}

const INT_MAX = 0x7fff_ffff;
const MAX_NUMBER = Number.MAX_SAFE_INTEGER;
/** How long close() waits for operations under way, in milliseconds. */
const CLOSE_TIMEOUT = 5000;
const AF_UNSPEC = 0;

/** Opens a ring. @param cqEntries 0: twice `entries` @throws ERR_UNAVAILABLE if io_uring is forbidden; EINVAL, ENOMEM, EMFILE */
export function openRing(entries: number, cqEntries: number): NativeIoUring {
  if (ioUringCalls === undefined) throw mechanismUnavailable('io_uring');
  const ring = new ioUringCalls.IoUring();
  const result = openWithRetries(ring, entries, cqEntries);
  if (result >= 0) return ring;
  const error = systemError(result, 'io_uring_setup');
  error.message += ringLimit(result);
  throw REFUSALS.includes(systemErrorName(result)) ? mechanismUnavailable('io_uring', error) : error;
}

/** A ring. It belongs to the thread that made it. */
export class IoUring implements Disposable {
  readonly #ring: NativeIoUring;
  readonly #about = new Int32Array(4);
  #closed = false;

  /**
   * io_uring_setup(2), with IORING_SETUP_SINGLE_ISSUER and IORING_SETUP_DEFER_TASKRUN if the kernel has them: operations then complete in
   * enter() only, in this thread.
   * @param entries size of the submission queue, 1 to 32768, rounded up to a power of two; the completion queue has twice the size. Default: 256
   * @throws ERR_UNAVAILABLE; EINVAL for 0 and for more than 32768; ENOMEM, EMFILE
   */
  constructor(entries = 256) {
    this.#ring = openRing(wholeNumber('entries', entries, 0, 0xffff_ffff), 0);
    this.#ring.about(this.#about);
  }

  /** The ring's descriptor: readable while there are completions. -1 once closed. */
  get fd(): number {
    return this.#closed ? -1 : (this.#about[0] as number);
  }

  /** Was close() called? */
  get closed(): boolean {
    return this.#closed;
  }

  /** IORING_FEAT_* of this kernel. */
  get features(): number {
    return (this.#about[1] as number) >>> 0;
  }

  /** Size of the submission queue, in entries. */
  get sqEntries(): number {
    return this.#about[2] as number;
  }

  /** Size of the completion queue, in entries. The kernel keeps completions that do not fit (IORING_FEAT_NODROP). */
  get cqEntries(): number {
    return this.#about[3] as number;
  }

  /** Does this kernel have the opcode (IORING_OP_*, 0 to 255)? IORING_REGISTER_PROBE. */
  supports(opcode: number): boolean {
    this.#assertOpen();
    return check(this.#ring.supports(wholeNumber('opcode', opcode, 0, 255)), 'io_uring_register') === 1;
  }

  // Each prep method prepares one entry, which the next enter() submits; if the queue is full, its entries are submitted first. `userData`, 0
  // to 2^53 - 1, is returned with the completion. An operation's error is the `res` of its completion.

  /** IORING_OP_NOP */
  prepNop(userData: number): void {
    this.#prepare(this.#ring.nop(this.#number(userData)));
  }

  /** accept4(2). `res`: the connection's descriptor, close-on-exec; the caller closes it. @param flags SOCK_NONBLOCK, or 0 */
  prepAccept(fd: FileObject, flags: number, userData: number): void {
    this.#assertOpen();
    const bits = wholeNumber('flags', flags, 0, INT_MAX);
    this.#prepare(this.#ring.accept(this.#fileno(fd), bits, this.#number(userData)));
  }

  /** connect(2). The lookup of a host name BLOCKS. `res`: 0 */
  prepConnect(fd: FileObject, address: SocketAddressInput, userData: number): void {
    this.#assertOpen();
    const { sockaddr } = encodeAddress(address, AF_UNSPEC, 'connect');
    this.#prepare(this.#ring.connect(this.#fileno(fd), sockaddr, this.#number(userData)));
  }

  /**
   * recv(2). `res`: the number of bytes; 0: the peer has finished sending.
   * @param flags MSG_*. With MSG_TRUNC, as in C, `res` is the length of the whole datagram, even if `buffer` is shorter and has only its
   *   beginning; TCP discards the bytes then (tcp(7)), and `buffer` receives zeros
   */
  prepRecv(fd: FileObject, buffer: Uint8Array, flags: number, userData: number): void {
    this.#assertOpen();
    const target = plainBytes(uint8Array('buffer', buffer));
    this.#prepare(this.#ring.recv(this.#fileno(fd), target, flagBits(flags), this.#number(userData)));
  }

  /** send(2), without SIGPIPE. `res`: the number of bytes sent; a short write is possible. @param flags MSG_* */
  prepSend(fd: FileObject, buffer: Uint8Array, flags: number, userData: number): void {
    this.#assertOpen();
    const bytes = plainBytes(uint8Array('buffer', buffer));
    this.#prepare(this.#ring.send(this.#fileno(fd), bytes, flagBits(flags), this.#number(userData)));
  }

  /** pread(2). `res`: the number of bytes. @param position bytes from the start; -1: the file's own position, and for pipes and sockets */
  prepRead(fd: FileObject, buffer: Uint8Array, position: number, userData: number): void {
    this.#assertOpen();
    const target = plainBytes(uint8Array('buffer', buffer));
    this.#prepare(this.#ring.read(this.#fileno(fd), target, positionOf(position), this.#number(userData)));
  }

  /** pwrite(2). `res`: the number of bytes. @param position as for prepRead; -1 appends to a file opened with O_APPEND */
  prepWrite(fd: FileObject, buffer: Uint8Array, position: number, userData: number): void {
    this.#assertOpen();
    const bytes = plainBytes(uint8Array('buffer', buffer));
    this.#prepare(this.#ring.write(this.#fileno(fd), bytes, positionOf(position), this.#number(userData)));
  }

  /** poll(2), once. `res`: the POLL* events that happened. @param events POLL* */
  prepPollAdd(fd: FileObject, events: number, userData: number): void {
    this.#assertOpen();
    const bits = wholeNumber('events', events, 0, 0xffff);
    this.#prepare(this.#ring.pollAdd(this.#fileno(fd), bits, this.#number(userData)));
  }

  /** Completes after `ms` milliseconds, never earlier. `res`: -ETIME */
  prepTimeout(ms: number, userData: number): void {
    this.#assertOpen();
    const limit = rawTimeoutOf(ms, 'refused', MAX_NUMBER);
    if (limit < 0) throw invalidValue('ms must be a number of milliseconds');
    this.#prepare(this.#ring.timeout(limit, this.#number(userData)));
  }

  /** Cancels the entry with `userData` = `target`, which completes too. `res`: 0; -ENOENT: not found, or completed; -EALREADY: too late */
  prepCancel(target: number, userData: number): void {
    this.#prepare(this.#ring.cancel(this.#number(target), this.#number(userData)));
  }

  /**
   * io_uring_enter(2): submits the prepared entries, then waits until `minComplete` completions can be taken, or the completion queue is
   * full. BLOCKS.
   * @param minComplete 0: does not wait. Default: 0
   * @param timeout milliseconds; null: no timeout. Default: null. Its expiry is no error
   * @returns the number of submitted entries
   * @throws EBUSY: take completions first; EAGAIN, ENOMEM: no memory; EBADR: a completion was lost; ERR_CLOSED
   */
  enter(minComplete = 0, timeout?: number | null): number {
    this.#assertOpen();
    const min = Math.min(wholeNumber('minComplete', minComplete, 0, 0xffff_ffff), this.cqEntries);
    const limit = rawTimeoutOf(timeout, 'refused');
    const submitted = check(this.#ring.enter(0, 0), 'io_uring_enter');
    if (min > 0)
      check(
        inSlices(limit, (part) => this.#wait(min, part)),
        'io_uring_enter',
      );
    return submitted;
  }

  /** Takes completions, in the kernel's order, without a system call. @param max maximum number. Default: all */
  completions(max = 0xffff_ffff): Cqe[] {
    this.#assertOpen();
    const limit = wholeNumber('max', max, 0, 0xffff_ffff);
    return this.#ring.completions(limit).map(([userData, res, flags]) => ({ userData, res, flags }));
  }

  /**
   * Cancels the operations under way, and waits until the kernel has completed them. A second call does nothing.
   * @throws ETIMEDOUT after five seconds: the ring is closed, and memory that the kernel still uses is never freed
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    checkReleased(this.#ring.close(CLOSE_TIMEOUT));
  }

  /** close() */
  [Symbol.dispose](): void {
    this.close();
  }

  /** @returns 0: wait again; 1: enough completions; a negative error */
  #wait(min: number, part: number): number {
    const result = this.#ring.enter(min, part);
    return result < 0 ? result : this.#ring.ready() >= min ? 1 : 0;
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
    return wholeNumber('userData', userData, 0, MAX_NUMBER);
  }

  #prepare(result: number): void {
    check(result, 'io_uring_enter');
  }
}

function flagBits(flags: unknown): number {
  return wholeNumber('flags', flags, -INT_MAX - 1, INT_MAX);
}

function positionOf(position: unknown): number {
  return wholeNumber('position', position, -1, MAX_NUMBER);
}
