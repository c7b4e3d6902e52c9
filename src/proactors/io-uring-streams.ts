/**
 * A loop's streams on a ring (native/mechanisms/io_uring_streams.cc): one accept goes on accepting, one receive goes on receiving, into
 * buffers that the kernel takes from a ring of them; and one call sends all that was written in a turn.
 *
 *   receive   idle --startReceiving()--> armed --its last completion--> idle (and armed again, if that is still wanted)
 *             armed --stopReceiving()--> cancelling --its last completion--> idle
 *
 * The last completion comes with the end, with an error, with ECANCELED, after a signal (EINTR), or because the kernel had no buffer left
 * (ENOBUFS): all buffers are given back at the beginning of the next turn, which submits the new receive after that (axboe/liburing#1275).
 *
 * A multishot receive takes up to 66 chunks of a connection that floods before another connection is looked at. A turn tells a share of
 * them, the next turns the rest in their order, and such a connection is then received from by single receives, one a turn:
 *
 *   multishot --more than its share was received: cancelled--> single --a chunk below MIN_FLOODING--> multishot
 *
 * A descriptor's number is used again before the last completion of its former owner has come; so completions carry a generation.
 */
import { check, isTransientTransfer, systemError, systemErrorName } from '../errors.js';
import type { NativeIoUring } from '../addon.js';
import { ioUringCalls, native } from '../native.js';
import { ringLimit } from '../syscalls/probe.js';
import { Pool, type SendBatch } from '../syscalls/turn.js';
import type { BaseProactor } from './base.js';
import { CANCELED } from './operation.js';
import type { StreamEvents, Streams } from './streams.js';

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
/** Bytes of one connection that a turn tells, and one chunk in any case: as much as a reactor's recv(2) takes. */
const MAX_SHARE = 65_536;
/** A connection that sends more than its share is received from chunk by chunk, until one is smaller than this. */
const MIN_FLOODING = 16_384;
/** Records a turn; the rest comes with the next. */
const RECORDS = 512;
const HIGHEST_GENERATION = 0xfff_ffff;
/** Milliseconds. */
const PATIENCE = 5000;

/** The largest sockaddr (sockaddr_storage). */
const SOCKADDR_SIZE = 128;

const IDLE = 0;
const ARMED = 1;
const CANCELLING = 2;

/** What is under way for a descriptor. */
class Stream<C, L> {
  wanted = false;
  /** Of its receive, or a listener's accept. */
  state = IDLE;
  /** A send or a connect is under way. */
  writes = false;
  /** When an entry for it was last prepared: see #submissions. */
  preparedAt = -1;
  isMultishot = true;
  /** It sends faster than its share: one receive a turn, not a multishot, which takes up to 66 chunks at once. */
  floods = false;

  constructor(
    readonly owner: C | L,
    readonly generation: number,
    readonly isListener: boolean,
  ) {}

  /** What its multishot is. */
  get what(): number {
    return this.isListener ? ACCEPTED : RECEIVED;
  }
}

export class RingStreams<C, L> implements Streams<C, L> {
  readonly #proactor: BaseProactor;
  /** io_uring_enter was refused: somebody must see to it that it is called again. */
  readonly #onRefused: () => void;
  readonly #ring: NativeIoUring;
  /** Shows all buffers; empty where this program allows none, or somebody has transferred it away. */
  readonly #memory: Buffer;
  readonly #pool = new Pool();
  readonly #peer = Buffer.alloc(SOCKADDR_SIZE);
  readonly #numbers = new Int32Array(RECORDS * RECORD);
  #count = 0;
  /** There was no room for all: the rest is told without a wait, and without a notice. */
  #hasMore = false;
  /** By descriptor. */
  readonly #streams: (Stream<C, L> | undefined)[] = [];
  #generation = 0;
  /** How often the queue was submitted. What was prepared since may not be submitted yet. */
  #submissions = 0;
  #hasPrepared = false;

  private constructor(proactor: BaseProactor, ring: NativeIoUring, memory: ArrayBuffer | null, onRefused: () => void) {
    this.#onRefused = onRefused;
    this.#proactor = proactor;
    this.#ring = ring;
    this.#memory = Buffer.from(memory ?? new ArrayBuffer(0));
  }

  /** @returns undefined: this kernel has no multishot receive, or no rings of buffers. @throws ENOMEM, whose message names RLIMIT_MEMLOCK */
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

  /** For the proactor: one turn of the ring. @returns is there more to be taken: operations of the caller's, a wake-up? */
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

  dispatch(events: StreamEvents<C, L>): number {
    const numbers = this.#numbers;
    const count = this.#count;
    this.#count = 0;
    for (let record = 0; record < count; record++) {
      const at = record * RECORD;
      const fd = numbers[at] as number;
      const what = numbers[at + 2] as number;
      const result = numbers[at + 3] as number;
      const stream = this.#streams[fd];
      // A former owner's: of what it was, only an accepted connection is left, which nobody wants.
      const isThis = stream !== undefined && stream.generation === numbers[at + 1];
      if (!isThis) this.#tellStale(what, result);
      else if ((what & RECEIVED) !== 0) this.#tellReceived(events, stream, fd, what, result, numbers[at + 4] as number);
      else if ((what & ACCEPTED) !== 0) this.#tellAccepted(events, stream, fd, what, result);
      else this.#tellWritten(events, stream, what, result);
    }
    return count;
  }

  startReceiving(fd: number, connection: C): void {
    const stream = this.#streamOf(fd, connection, false);
    stream.wanted = true;
    check(this.#arm(fd, stream), 'recv');
  }

  stopReceiving(fd: number): void {
    this.#disarm(fd);
  }

  startAccepting(fd: number, listener: L, _family: number, many: boolean): void {
    const stream = this.#streamOf(fd, listener, true);
    stream.wanted = true;
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
    stream.writes = true;
    this.#prepared(stream);
  }

  connect(fd: number, connection: C, sockaddr: Uint8Array): void {
    const stream = this.#streamOf(fd, connection, false);
    check(this.#ring.connectStream(fd, stream.generation, sockaddr), 'connect');
    stream.writes = true;
    this.#prepared(stream);
  }

  forget(fd: number, now: boolean): void {
    const stream = this.#streams[fd];
    if (stream === undefined) return;
    this.#streams[fd] = undefined;
    const what = (stream.state === ARMED ? stream.what : 0) | (stream.writes ? SENT | CONNECTED : 0);
    // Ignored: what cannot be cancelled now ends with the ring.
    if (what !== 0) this.#ring.cancelStream(what, fd, stream.generation);
    this.#hasPrepared = true;
    // An entry names the descriptor by its number, which is another file's as soon as this one is closed.
    if (now || stream.preparedAt === this.#submissions) this.#submit(PATIENCE);
  }

  close(): void {
    for (let record = 0; record < this.#count; record++) {
      const at = record * RECORD;
      this.#tellStale(this.#numbers[at + 2] as number, this.#numbers[at + 3] as number);
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
    this.#generation = (this.#generation % HIGHEST_GENERATION) + 1;
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

  /** @param patience how long the kernel may want for memory; what it has not taken then, the next turn submits */
  #submit(patience = 0): void {
    if (this.#ring.enter(0, patience) < 0) this.#onRefused();
    this.#submitted();
  }

  /** @returns 0, or a negative error */
  #arm(fd: number, stream: Stream<C, L>): number {
    if (stream.state !== IDLE || !stream.wanted) return 0;
    const { generation, isMultishot } = stream;
    const result = stream.isListener
      ? this.#ring.acceptStream(fd, generation, isMultishot, true)
      : this.#ring.receiveStream(fd, generation, !stream.floods);
    if (result < 0) return result;
    stream.state = ARMED;
    this.#prepared(stream);
    return 0;
  }

  #disarm(fd: number): void {
    const stream = this.#streams[fd];
    if (stream === undefined) return;
    stream.wanted = false;
    if (stream.state !== ARMED) return;
    stream.state = CANCELLING;
    this.#ring.cancelStream(stream.what, fd, stream.generation);
    this.#hasPrepared = true;
  }

  /** What it has sent beyond its share comes in the next turns; until then the kernel takes no more of it. */
  #onSurplus(fd: number, stream: Stream<C, L>): void {
    stream.floods = true;
    if (stream.state !== ARMED) return;
    stream.state = CANCELLING;
    this.#ring.cancelStream(stream.what, fd, stream.generation);
    this.#hasPrepared = true;
  }

  #tellStale(what: number, result: number): void {
    if ((what & ACCEPTED) !== 0 && result >= 0) new native.Descriptor(result).close();
  }

  #tellReceived(
    events: StreamEvents<C, L>,
    stream: Stream<C, L>,
    fd: number,
    what: number,
    result: number,
    place: number,
  ): void {
    const isLast = (what & LAST) !== 0;
    const wasCancelled = stream.state === CANCELLING;
    if (isLast) stream.state = IDLE;
    if ((what & SURPLUS) !== 0) this.#onSurplus(fd, stream);
    else if (isLast && stream.floods && result > 0 && result < MIN_FLOODING) stream.floods = false;
    if (result > 0) {
      const connection = stream.owner as C;
      events.received(connection, this.#chunk(result, place, events.borrowsChunks(connection)));
    } else if (result === 0) {
      stream.wanted = false;
      events.ended(stream.owner as C);
    } else if (!(result === CANCELED && wasCancelled) && !isTransientTransfer(result)) {
      stream.wanted = false;
      events.receiveFailed(stream.owner as C, result);
    }
    if (!isLast || this.#streams[fd] !== stream) return;
    const armed = this.#arm(fd, stream);
    if (armed < 0) events.receiveFailed(stream.owner as C, armed);
  }

  #tellAccepted(events: StreamEvents<C, L>, stream: Stream<C, L>, fd: number, what: number, result: number): void {
    const isLast = (what & LAST) !== 0;
    if (isLast) stream.state = IDLE;
    // One at a time, and after an error, it is the listener who says that it goes on. Cancelled, it is wanted again or not.
    if (result !== CANCELED) {
      if (!stream.isMultishot || result < 0) stream.wanted = false;
      events.accepted(stream.owner as L, result, this.#peerOf(result));
    }
    if (!isLast || this.#streams[fd] !== stream) return;
    const armed = this.#arm(fd, stream);
    if (armed < 0) events.accepted(stream.owner as L, armed, '');
  }

  #tellWritten(events: StreamEvents<C, L>, stream: Stream<C, L>, what: number, result: number): void {
    stream.writes = false;
    if ((what & SENT) !== 0) events.sent(stream.owner as C, result);
    else events.connected(stream.owner as C, result);
  }

  /** A multishot accept does not tell who it was. */
  #peerOf(fd: number): string {
    const length = fd < 0 ? 0 : this.#ring.peerOf(fd, this.#peer);
    return this.#peer.toString('latin1', 0, Math.max(0, length));
  }

  /** The bytes: borrowed ones in their buffer, which the next turn gives back to the kernel. */
  #chunk(length: number, place: number, borrowed: boolean): Buffer {
    if (place >= 0) return borrowed ? this.#pool.borrow(place, length) : this.#pool.take(place, length);
    const buffer = -1 - place;
    if (this.#memory.length === 0) return this.#ring.copyOfBuffer(buffer, length);
    const bytes = this.#memory.subarray(buffer * BUFFER_SIZE, buffer * BUFFER_SIZE + length);
    return borrowed ? bytes : Buffer.from(bytes);
  }
}
