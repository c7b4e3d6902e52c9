/**
 * A loop's streams on a ring (native/mechanisms/io_uring_streams.cc): a multishot accept, multishot receives into a ring of provided
 * buffers, and one call that sends all that was written in a turn.
 *
 *   receive   idle --startReceiving()--> armed --its last completion--> idle (and armed again, if that is still wanted)
 *             armed --stopReceiving()--> cancelling --its last completion--> idle
 *
 * The last completion comes with the end of the stream, with an error, with ECANCELED, after a signal (EINTR), or because the kernel had no
 * buffer left (ENOBUFS): the next turn first gives all buffers back, and then submits the new receive (axboe/liburing#1275).
 *
 * A multishot receive takes up to 66 chunks of a flooding connection before the kernel serves another one. A turn dispatches a share of them,
 * the next turns the rest in their order, and such a connection is then received from by single receives, one per turn:
 *
 *   multishot --more than its share was received: cancelled--> single --a chunk below MIN_FLOODING--> multishot
 *
 * A descriptor's number may be reused before the last completion of its former owner has come, so completions carry a generation.
 */
import { check, isTransientTransfer, systemError, systemErrorName } from '../errors.js';
import type { NativeIoUring } from '../addon.js';
import { ioUringCalls, native } from '../native.js';
import { ringLimit } from '../syscalls/probe.js';
import { Pool, type SendBatch } from '../syscalls/turn.js';
import type { BaseProactor } from './base.js';
import { CANCELED } from './operation.js';
import type { StreamHandler, Streams } from './streams.js';

const NUMBERS = ioUringCalls?.streamNumbers;
const RECORD = NUMBERS?.RECORD ?? 1;
const RECEIVED = NUMBERS?.RECEIVED ?? 0;
const ACCEPTED = NUMBERS?.ACCEPTED ?? 0;
const SENT = NUMBERS?.SENT ?? 0;
const CONNECTED = NUMBERS?.CONNECTED ?? 0;
const WOKEN = NUMBERS?.WOKEN ?? 0;
const CALLERS = NUMBERS?.CALLERS ?? 0;
const LAST = NUMBERS?.LAST ?? 0;
const MORE = NUMBERS?.MORE ?? 0;
const REFUSED = NUMBERS?.REFUSED ?? 0;
const SURPLUS = NUMBERS?.SURPLUS ?? 0;

const BUFFERS = 256;
const BUFFER_SIZE = 65_536;
/** Bytes per connection and turn, but at least one chunk: as much as a reactor's recv(2) takes. */
const MAX_SHARE = 65_536;
/** A connection that sends more than its share is received from by single receives until a chunk is smaller than this. */
const MIN_FLOODING = 16_384;
/** Records per turn; the next turn takes the rest. */
const RECORDS = 512;
const MAX_GENERATION = 0xfff_ffff;
/** Milliseconds that the kernel may take to submit a cancellation while it has no memory. */
const SUBMIT_TIMEOUT = 5000;

/** The largest sockaddr (sockaddr_storage). */
const SOCKADDR_SIZE = 128;

const IDLE = 0;
const ARMED = 1;
const CANCELLING = 2;

/** What is under way for a descriptor. */
class Stream<C, L> {
  /** Receiving or accepting was started and not stopped. */
  isWanted = false;
  /** Of its receive, or of a listener's accept. */
  state = IDLE;
  /** A send or a connect is under way. */
  isWriting = false;
  /** #submissions at the time its last entry was prepared. */
  preparedAt = -1;
  isMultishot = true;
  /** It sends more than its share: single receives, one per turn. */
  isFlooding = false;

  constructor(
    readonly owner: C | L,
    readonly generation: number,
    readonly isListener: boolean,
  ) {}

  /** The kind of its receive or accept, in records and cancellations. */
  get kind(): number {
    return this.isListener ? ACCEPTED : RECEIVED;
  }
}

/** A loop's streams on a ring. */
export class RingStreams<C, L> implements Streams<C, L> {
  readonly #proactor: BaseProactor;
  /** Called where io_uring_enter(2) was refused: it has to be called again. */
  readonly #onRefused: () => void;
  readonly #ring: NativeIoUring;
  /** All buffers of the ring; empty where this program allows no external memory, or other code has detached it. */
  readonly #memory: Buffer;
  readonly #pool = new Pool();
  readonly #peer = Buffer.alloc(SOCKADDR_SIZE);
  readonly #numbers = new Int32Array(RECORDS * RECORD);
  #count = 0;
  /** More records were ready than there was room for: the next turn does not wait. */
  #hasMore = false;
  /** By descriptor. */
  readonly #streams: (Stream<C, L> | undefined)[] = [];
  #generation = 0;
  /** How often the queue was submitted. Entries prepared since then may not be submitted yet. */
  #submissions = 0;
  #hasPrepared = false;

  private constructor(proactor: BaseProactor, ring: NativeIoUring, memory: ArrayBuffer | null, onRefused: () => void) {
    this.#onRefused = onRefused;
    this.#proactor = proactor;
    this.#ring = ring;
    this.#memory = Buffer.from(memory ?? new ArrayBuffer(0));
  }

  /** @returns undefined: this kernel has no multishot receive, or no buffer rings. @throws ENOMEM, whose message names RLIMIT_MEMLOCK */
  static open<C, L>(proactor: BaseProactor, ring: NativeIoUring, onRefused: () => void): RingStreams<C, L> | undefined {
    const memory = ring.openStreams(BUFFERS, BUFFER_SIZE);
    if (typeof memory !== 'number') return new RingStreams<C, L>(proactor, ring, memory, onRefused);
    if (systemErrorName(memory) === 'EINVAL') return undefined;
    const error = systemError(memory, 'io_uring_register');
    error.message += ringLimit(memory);
    throw error;
  }

  get hasEvents(): boolean {
    return this.#count > 0 || this.#hasMore || this.#proactor.hasCompletions;
  }

  wait(timeout: number): boolean {
    return this.#proactor.turn(timeout);
  }

  /** For the proactor: one turn of the ring. @returns are there completions of the caller's operations, or a wake-up? */
  turn(timeout: number): boolean {
    this.#pool.makeRoom();
    const { buffer, used } = this.#pool;
    this.#submitted();
    this.#count = check(this.#ring.turn(timeout, this.#numbers, RECORDS, buffer, used, MAX_SHARE), 'io_uring_enter');
    this.#hasMore = this.#count === RECORDS;
    if (this.#count === 0) return false;
    const rest = this.#numbers[(this.#count - 1) * RECORD + 2] as number;
    if ((rest & (WOKEN | CALLERS | MORE | REFUSED)) === 0) return false;
    this.#count--;
    if ((rest & MORE) !== 0) this.#hasMore = true;
    if ((rest & REFUSED) !== 0) this.#onRefused();
    return (rest & (WOKEN | CALLERS)) !== 0;
  }

  dispatch(handler: StreamHandler<C, L>): number {
    const numbers = this.#numbers;
    const count = this.#count;
    this.#count = 0;
    for (let record = 0; record < count; record++) {
      const at = record * RECORD;
      const fd = numbers[at] as number;
      const flags = numbers[at + 2] as number;
      const result = numbers[at + 3] as number;
      const stream = this.#streams[fd];
      const isStale = stream === undefined || stream.generation !== numbers[at + 1];
      if (isStale) this.#dropStale(flags, result);
      else if ((flags & RECEIVED) !== 0)
        this.#onReceived(handler, stream, fd, flags, result, numbers[at + 4] as number);
      else if ((flags & ACCEPTED) !== 0) this.#onAccepted(handler, stream, fd, flags, result);
      else this.#onWritten(handler, stream, flags, result);
    }
    return count;
  }

  startReceiving(fd: number, connection: C): void {
    const stream = this.#streamOf(fd, connection, false);
    stream.isWanted = true;
    check(this.#arm(fd, stream), 'recv');
  }

  stopReceiving(fd: number): void {
    this.#disarm(fd);
  }

  startAccepting(fd: number, listener: L, _family: number, many: boolean): void {
    const stream = this.#streamOf(fd, listener, true);
    stream.isWanted = true;
    stream.isMultishot = many;
    check(this.#arm(fd, stream), 'accept');
  }

  stopAccepting(fd: number): void {
    this.#disarm(fd);
  }

  flush(batch: SendBatch): void {
    if (!batch.flush(this.#ring)) this.#onRefused();
    this.#submitted();
  }

  submit(): void {
    if (this.#hasPrepared) this.#submit();
  }

  send(fd: number, connection: C, pieces: readonly Uint8Array[]): void {
    const stream = this.#streamOf(fd, connection, false);
    check(this.#ring.sendStream(fd, stream.generation, pieces), 'send');
    stream.isWriting = true;
    this.#prepared(stream);
  }

  connect(fd: number, connection: C, sockaddr: Uint8Array): void {
    const stream = this.#streamOf(fd, connection, false);
    check(this.#ring.connectStream(fd, stream.generation, sockaddr), 'connect');
    stream.isWriting = true;
    this.#prepared(stream);
  }

  forget(fd: number, now: boolean): void {
    const stream = this.#streams[fd];
    if (stream === undefined) return;
    this.#streams[fd] = undefined;
    const kinds = (stream.state === ARMED ? stream.kind : 0) | (stream.isWriting ? SENT | CONNECTED : 0);
    // Ignored: what cannot be cancelled now ends with the ring.
    if (kinds !== 0) this.#ring.cancelStream(kinds, fd, stream.generation);
    this.#hasPrepared = true;
    // An entry has the descriptor's number, which may belong to another file as soon as this one is closed.
    if (now || stream.preparedAt === this.#submissions) this.#submit(SUBMIT_TIMEOUT);
  }

  close(): void {
    for (let record = 0; record < this.#count; record++) {
      const at = record * RECORD;
      this.#dropStale(this.#numbers[at + 2] as number, this.#numbers[at + 3] as number);
    }
    this.#count = 0;
  }

  isBorrowed(bytes: Uint8Array): boolean {
    return bytes.buffer === this.#memory.buffer || this.#pool.has(bytes);
  }

  // --------------------------------------------------------------------------------------------------------------------

  #streamOf(fd: number, owner: C | L, isListener: boolean): Stream<C, L> {
    const known = this.#streams[fd];
    if (known !== undefined) return known;
    this.#generation = (this.#generation % MAX_GENERATION) + 1;
    return (this.#streams[fd] = new Stream<C, L>(owner, this.#generation, isListener));
  }

  #prepared(stream: Stream<C, L>): void {
    stream.preparedAt = this.#submissions;
    this.#hasPrepared = true;
  }

  #submitted(): void {
    this.#submissions++;
    this.#hasPrepared = false;
  }

  /** @param timeout milliseconds that the kernel may lack memory; the next turn submits what it has not taken then */
  #submit(timeout = 0): void {
    if (this.#ring.enter(0, timeout) < 0) this.#onRefused();
    this.#submitted();
  }

  /** @returns 0, or a negative error */
  #arm(fd: number, stream: Stream<C, L>): number {
    if (stream.state !== IDLE || !stream.isWanted) return 0;
    const { generation, isMultishot } = stream;
    const result = stream.isListener
      ? this.#ring.acceptStream(fd, generation, isMultishot, true)
      : this.#ring.receiveStream(fd, generation, !stream.isFlooding);
    if (result < 0) return result;
    stream.state = ARMED;
    this.#prepared(stream);
    return 0;
  }

  #disarm(fd: number): void {
    const stream = this.#streams[fd];
    if (stream === undefined) return;
    stream.isWanted = false;
    this.#cancel(fd, stream);
  }

  /** It has sent more than its share, which the next turns dispatch; until then the kernel receives nothing from it. */
  #onSurplus(fd: number, stream: Stream<C, L>): void {
    stream.isFlooding = true;
    this.#cancel(fd, stream);
  }

  #cancel(fd: number, stream: Stream<C, L>): void {
    if (stream.state !== ARMED) return;
    stream.state = CANCELLING;
    this.#ring.cancelStream(stream.kind, fd, stream.generation);
    this.#hasPrepared = true;
  }

  /** An event of the descriptor's former owner: an accepted connection still has to be closed. */
  #dropStale(flags: number, result: number): void {
    if ((flags & ACCEPTED) !== 0 && result >= 0) new native.Descriptor(result).close();
  }

  #onReceived(
    handler: StreamHandler<C, L>,
    stream: Stream<C, L>,
    fd: number,
    flags: number,
    result: number,
    place: number,
  ): void {
    const isLast = (flags & LAST) !== 0;
    const wasCancelled = stream.state === CANCELLING;
    if (isLast) stream.state = IDLE;
    if ((flags & SURPLUS) !== 0) this.#onSurplus(fd, stream);
    else if (isLast && stream.isFlooding && result > 0 && result < MIN_FLOODING) stream.isFlooding = false;
    if (result > 0) {
      const connection = stream.owner as C;
      handler.onReceived(connection, this.#chunk(result, place, handler.borrowsChunks(connection)));
    } else if (result === 0) {
      stream.isWanted = false;
      handler.onEnd(stream.owner as C);
    } else if (!(result === CANCELED && wasCancelled) && !isTransientTransfer(result)) {
      stream.isWanted = false;
      handler.onReceiveError(stream.owner as C, result);
    }
    if (!isLast || this.#streams[fd] !== stream) return;
    const armed = this.#arm(fd, stream);
    if (armed < 0) handler.onReceiveError(stream.owner as C, armed);
  }

  #onAccepted(handler: StreamHandler<C, L>, stream: Stream<C, L>, fd: number, flags: number, result: number): void {
    const isLast = (flags & LAST) !== 0;
    if (isLast) stream.state = IDLE;
    // After a single accept, and after an error, the listener decides whether to go on. A cancelled accept may be wanted again since.
    if (result !== CANCELED) {
      if (!stream.isMultishot || result < 0) stream.isWanted = false;
      handler.onAccepted(stream.owner as L, result, this.#peerOf(result));
    }
    if (!isLast || this.#streams[fd] !== stream) return;
    const armed = this.#arm(fd, stream);
    if (armed < 0) handler.onAccepted(stream.owner as L, armed, '');
  }

  #onWritten(handler: StreamHandler<C, L>, stream: Stream<C, L>, flags: number, result: number): void {
    stream.isWriting = false;
    if ((flags & SENT) !== 0) handler.onSent(stream.owner as C, result);
    else handler.onConnected(stream.owner as C, result);
  }

  /** A multishot accept does not report the peer's address. */
  #peerOf(fd: number): string {
    const length = fd < 0 ? 0 : this.#ring.peerOf(fd, this.#peer);
    return this.#peer.toString('latin1', 0, Math.max(0, length));
  }

  /** The received bytes: borrowed ones in their buffer, which the next turn gives back to the kernel. */
  #chunk(length: number, place: number, borrowed: boolean): Buffer {
    if (place >= 0) return borrowed ? this.#pool.borrow(place, length) : this.#pool.take(place, length);
    const buffer = -1 - place;
    if (this.#memory.length === 0) return this.#ring.copyOfBuffer(buffer, length);
    const bytes = this.#memory.subarray(buffer * BUFFER_SIZE, buffer * BUFFER_SIZE + length);
    return borrowed ? bytes : Buffer.from(bytes);
  }
}
