/**
 * The proactor over io_uring(7), Linux: the kernel itself accepts, receives and sends. Each operation is one entry of the ring, submitted at
 * once; a loop's streams use multishot entries (io-uring-streams.ts).
 *
 * The ring belongs to one thread (IORING_SETUP_SINGLE_ISSUER) and is closed with it; a child process does not inherit it.
 */
import { check, checkReleased, systemErrorName } from '../errors.js';
import type { NativeIoUring } from '../addon.js';
import { openRing } from '../syscalls/io-uring.js';
import { POLLIN } from '../syscalls/poll.js';
import { COMPLETIONS_PER_ENTRY, RING_ENTRIES, probe } from '../syscalls/probe.js';
import { fieldsOf, wholeNumber } from '../validate.js';
import type { Interest } from '../wait/async-wait.js';
import { WakeChannel } from '../wait/wake-channel.js';
import { BaseProactor } from './base.js';
import type { Completion, Request } from './operation.js';
import { RingStreams } from './io-uring-streams.js';
import type { Streams } from './streams.js';

/** Options of an IoUringProactor. */
export interface IoUringProactorOptions {
  /** Entries of the submission queue: 1 to 4096, rounded up to a power of two. Default: 1024. */
  readonly entries?: number;
}

const MAX_ENTRIES = 4096;
const SOCK_NONBLOCK = 0o4000;
/** The id of entries that cancel, whose own completion is ignored. Ids of operations begin with 1. */
const CANCEL_ID = 0;
/** Milliseconds that the kernel may take to submit or to cancel. */
const KERNEL_TIMEOUT = 5000;
const ALL = 0xffff_ffff;
/** Of io_uring_enter(2): no memory now, completions must be taken first, a signal came. */
const TRANSIENT_ERRORS = ['EAGAIN', 'ENOMEM', 'EBUSY', 'EINTR'];
/** Milliseconds until it is called again. */
const RETRY_DELAY = 1;
/** The result of a timeout entry that has expired. */
const TIMEOUT_EXPIRED = 'ETIME';

/** The proactor over io_uring, Linux 5.11 or newer, where the kernel allows it. */
export class IoUringProactor extends BaseProactor {
  /** Does the kernel let this process make a ring? Probed anew each time it is read. */
  static override get isAvailable(): boolean {
    return probe('io_uring').available;
  }

  /** Always 'io_uring'. */
  override readonly mechanism = 'io_uring';
  /** The kernel moves the bytes. */
  override readonly isNative = true;

  readonly #ring: NativeIoUring;
  readonly #wakeChannel: WakeChannel;
  /** Becomes readable when there may be completions: for waits beside the ring, from the first of them on. */
  #notice: WakeChannel | undefined;
  #streams: RingStreams<unknown, unknown> | undefined;
  #retry: NodeJS.Timeout | undefined;

  /**
   * @throws ERR_UNAVAILABLE, with the kernel's reason, where io_uring is missing or forbidden; EMFILE; ENOMEM, whose message names
   *   RLIMIT_MEMLOCK and its size where that is limited: without CAP_IPC_LOCK the rings of all processes of a user count against it;
   *   ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
   */
  constructor(options: IoUringProactorOptions = {}) {
    const { entries = RING_ENTRIES } = fieldsOf('options', options, ['entries']);
    const size = wholeNumber('entries', entries, 1, MAX_ENTRIES);
    super();
    this.#ring = openRing(size, COMPLETIONS_PER_ENTRY * 2 ** Math.ceil(Math.log2(size)));
    try {
      this.#wakeChannel = new WakeChannel();
    } catch (error) {
      this.#ring.close(0);
      throw error;
    }
    check(this.#ring.watchWake(this.#wakeChannel.fd), 'io_uring_enter');
  }

  /** A number that another thread passes to the function `wakeup` to end a wait. */
  override get wakeupHandle(): number {
    return this.#wakeChannel.handle;
  }

  protected override submit(id: number, request: Request): void {
    const result = this.#prepare(id, request);
    if (result < 0) return this.completeSoon({ id, result });
    this.#enter(); // what the kernel does not take now is submitted by the next wait
  }

  protected override requestCancel(id: number): void {
    // Ignored: a cancellation that cannot be prepared now is the same as one that comes too late.
    this.#ring.cancel(id, CANCEL_ID);
    this.#enter();
  }

  /** @internal */
  override flushCancels(): void {
    this.#ring.enter(0, KERNEL_TIMEOUT); // submits them, also while the kernel lacks memory
  }

  /** @internal */
  override dropStale(): boolean {
    return false; // an operation holds the file itself, not its number
  }

  /** @internal */
  override admit(): void {
    // Any descriptor.
  }

  protected override collect(timeout: number, done: Completion[]): boolean {
    const ring = this.#ring;
    this.#notice?.drain(); // first: what completes from now on is a notice for the next wait
    if (ring.ready() > 0) this.#enter();
    else this.#checkEntered(ring.enter(1, timeout));
    return this.#takeDone(done);
  }

  protected override collectTurn(timeout: number, done: Completion[]): boolean {
    if (this.#streams === undefined) return this.collect(timeout, done);
    this.#notice?.drain();
    return this.#streams.turn(timeout) && this.#takeDone(done);
  }

  protected override interest(): Interest {
    return { useSelect: false, pairs: Int32Array.of(this.pollFd(), POLLIN) };
  }

  /** An eventfd that is registered with the ring. Each completion costs a little more from then on. */
  protected override pollFd(): number {
    if (this.#notice !== undefined) return this.#notice.fd;
    const notice = new WakeChannel();
    const registered = this.#ring.registerEventFd(notice.fd);
    if (registered < 0) notice.close();
    check(registered, 'io_uring_register');
    notice.signal(); // for what was completed before
    this.#notice = notice;
    return notice.fd;
  }

  protected override signalWakeup(): void {
    this.#wakeChannel.signal();
  }

  protected override closeMechanism(left: number): void {
    // close() has waited for operations that are left: do not wait again.
    const kept = this.#ring.close(left > 0 ? 0 : KERNEL_TIMEOUT);
    clearTimeout(this.#retry);
    this.#wakeChannel.close();
    this.#notice?.close();
    checkReleased(kept);
  }

  protected override openStreams<C, L>(): Streams<C, L> {
    const streams = RingStreams.open<C, L>(this, this.#ring, this.#onRefused);
    // A kernel before 6.0 has no multishot receive: single operations instead.
    if (streams === undefined) return super.openStreams<C, L>();
    this.#streams = streams;
    return streams;
  }

  /** Submits the prepared entries, without waiting. */
  #enter(): void {
    if (this.#ring.enter(0, 0) < 0) this.#onRefused();
  }

  #checkEntered(result: number): void {
    if (result >= 0) return;
    if (!TRANSIENT_ERRORS.includes(systemErrorName(result))) check(result, 'io_uring_enter');
    this.#onRefused();
  }

  /**
   * io_uring_enter(2) did nothing: prepared entries stay in the queue, and completions are not delivered. A blocking wait calls it again; a
   * wait beside the ring has used up its notice, and gets another one.
   */
  readonly #onRefused = (): void => {
    if (this.#notice === undefined || this.#retry !== undefined) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      if (!this.closed) this.#notice?.signal();
    }, RETRY_DELAY).unref();
  };

  #takeDone(done: Completion[]): boolean {
    for (const [id, res, , data, sockaddr] of this.#ring.completions(ALL)) {
      if (id === CANCEL_ID) continue;
      const result = res < 0 && systemErrorName(res) === TIMEOUT_EXPIRED ? 0 : res;
      done.push({ id, result, ...(data && { data }), ...(sockaddr && { sockaddr }) });
    }
    const woken = this.#ring.woken();
    if (woken) this.#wakeChannel.drain();
    return woken;
  }

  /** @returns 0, or a negative error: there is no memory, or the kernel takes no entries */
  #prepare(id: number, request: Request): number {
    const ring = this.#ring;
    switch (request.kind) {
      case 'accept':
        return ring.accept(request.fd, request.nonBlocking ? SOCK_NONBLOCK : 0, id);
      case 'connect':
        return ring.connect(request.fd, request.sockaddr, id);
      case 'recv':
        return ring.recv(request.fd, request.size, 0, id);
      case 'recvFrom':
        return ring.recvmsg(request.fd, request.size, 0, id);
      case 'send':
        return ring.send(request.fd, request.bytes, 0, id);
      case 'sendTo':
        return ring.sendmsg(request.fd, request.bytes, request.sockaddr, 0, id);
      case 'read':
        return ring.read(request.fd, request.size, request.position, id);
      case 'write':
        return ring.write(request.fd, request.bytes, request.position, id);
      case 'timeout':
        return ring.timeout(request.ms, id);
    }
  }
}
