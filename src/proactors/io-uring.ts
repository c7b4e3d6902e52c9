/**
 * Over io_uring(7), Linux: the kernel itself accepts, receives and sends. Each operation here is one entry of the ring, submitted at once;
 * a loop's streams go on by themselves (io-uring-streams.ts).
 *
 * The ring is its thread's alone (IORING_SETUP_SINGLE_ISSUER), and closed with it; a child process does not inherit it.
 */
import { check, checkLetGo, systemErrorName } from '../errors.js';
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

export interface IoUringProactorOptions {
  /** How many entries the submission queue holds: 1 to 4096, rounded up to a power of two. 1024 where nothing is said. */
  readonly entries?: number;
}

const MOST_ENTRIES = 4096;
const SOCK_NONBLOCK = 0o4000;
/** The number of entries whose own completion says nothing: those that cancel. Operations begin with 1. */
const CANCELS = 0;
const PATIENCE = 5000;
const ALL = 0xffff_ffff;
/** io_uring_enter(2): no memory now, completions must be taken first, a signal came. */
const REFUSED_FOR_NOW = ['EAGAIN', 'ENOMEM', 'EBUSY', 'EINTR'];
/** Milliseconds until it is called again. */
const RETRY_DELAY = 1;
/** How the kernel says that a timeout is over. */
const TIME_IS_OVER = 'ETIME';

export class IoUringProactor extends BaseProactor {
  static override get isAvailable(): boolean {
    return probe('io_uring').available;
  }

  override readonly mechanism = 'io_uring';
  override readonly isNative = true;

  readonly #ring: NativeIoUring;
  readonly #wakeChannel: WakeChannel;
  /** Tells whoever waits beside the ring that there may be completions; once somebody has. */
  #notice: WakeChannel | undefined;
  #streams: RingStreams<unknown, unknown> | undefined;
  #retry: NodeJS.Timeout | undefined;

  /** @throws ERR_UNAVAILABLE, with the kernel's reason, where io_uring is not there or forbidden; EMFILE; ENOMEM, whose message names
   * RLIMIT_MEMLOCK and its size where that is limited: without CAP_IPC_LOCK the rings of all processes of a user count against it */
  constructor(options: IoUringProactorOptions = {}) {
    const { entries = RING_ENTRIES } = fieldsOf('options', options, ['entries']);
    const size = wholeNumber('entries', entries, 1, MOST_ENTRIES);
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

  override get wakeupHandle(): number {
    return this.#wakeChannel.handle;
  }

  protected override submit(id: number, request: Request): void {
    const result = this.#prepare(id, request);
    if (result < 0) return this.completeSoon({ id, result });
    this.#enter(); // what the kernel does not take now is submitted by the next wait
  }

  protected override requestCancel(id: number): void {
    // Ignored: an entry that cannot be prepared now is the same as one that comes too late.
    this.#ring.cancel(id, CANCELS);
    this.#enter();
  }

  override flushCancels(): void {
    this.#ring.enter(0, PATIENCE); // however long the kernel wants for memory
  }

  override dropStale(): boolean {
    return false; // an operation holds the file itself, not its number
  }

  override admit(): void {
    // Any.
  }

  protected override collect(timeout: number, done: Completion[]): boolean {
    const ring = this.#ring;
    this.#notice?.drain(); // first: what comes from now on is a notice for the next time
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

  /** An eventfd of the ring's. Each completion costs a little more from then on. */
  protected override pollFd(): number {
    if (this.#notice !== undefined) return this.#notice.fd;
    const notice = new WakeChannel();
    const registered = this.#ring.registerEventFd(notice.fd);
    if (registered < 0) notice.close();
    check(registered, 'io_uring_register');
    notice.signal(); // what was completed before
    this.#notice = notice;
    return notice.fd;
  }

  protected override signalWakeup(): void {
    this.#wakeChannel.signal();
  }

  protected override closeMechanism(left: number): void {
    // Whoever has waited in vain does not wait again.
    const kept = this.#ring.close(left > 0 ? 0 : PATIENCE);
    clearTimeout(this.#retry);
    this.#wakeChannel.close();
    this.#notice?.close();
    checkLetGo(kept);
  }

  protected override openStreams<C, L>(): Streams<C, L> {
    const streams = RingStreams.open<C, L>(this, this.#ring, this.#onRefused);
    // A kernel before 6.0 has no multishot receive: single operations, then.
    if (streams === undefined) return super.openStreams<C, L>();
    this.#streams = streams;
    return streams;
  }

  /** Submits what is prepared, without waiting. */
  #enter(): void {
    if (this.#ring.enter(0, 0) < 0) this.#onRefused();
  }

  #checkEntered(result: number): void {
    if (result >= 0) return;
    if (!REFUSED_FOR_NOW.includes(systemErrorName(result))) check(result, 'io_uring_enter');
    this.#onRefused();
  }

  /**
   * io_uring_enter did nothing: what is prepared stays in the queue, and what the kernel has completed is not told. Who blocks calls it
   * again by itself; who waits beside the ring has had its notice already, and is given another.
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
      if (id === CANCELS) continue;
      const result = res < 0 && systemErrorName(res) === TIME_IS_OVER ? 0 : res;
      done.push({ id, result, ...(data && { data }), ...(sockaddr && { sockaddr }) });
    }
    const woken = this.#ring.woken();
    if (woken) this.#wakeChannel.drain();
    return woken;
  }

  /** @returns 0, or a negative error: there is no memory, or the kernel takes nothing */
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
