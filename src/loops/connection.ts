/**
 * A connection of a loop, whichever mechanism is below: the two sides of its stream, and what its handler is told when.
 *
 *   write side   connecting --connected--> idle
 *                adopted --in the next turn--> idle
 *                idle --write()--> queued --flush: all sent--> idle
 *                queued --flush: a part is sent--> writing --the rest is sent--> idle
 *                any of them --end()--> the same, draining --all sent--> finished (FIN)
 *   read side    open <--pause()/resume()--> paused      (also while too much waits to be sent)
 *                open --FIN of the peer--> ended
 *
 * Both finished and ended: closed, cleanly. destroy(), an error of the kernel's, or a handler that throws: closed at once.
 *
 * What is written in one turn is copied into the loop's slab, where it makes one piece, or is sent from where it is (large, or not one
 * piece with what came before). What the kernel does not take is kept in `rest` until it does.
 */
import { closedError, invalidType, invalidValue, namedError, systemError } from '../errors.js';
import { getOption, optionSetter, type SocketOptionName } from '../net/sockopt.js';
import { type StreamOptions, localAddressOf, unpackAddress } from '../net/stream.js';
import type { SocketAddress } from '../syscalls/address.js';
import { COPY_LIMIT, MAX_IOV, type SendBatch, WOULD_BLOCK } from '../syscalls/turn.js';
import { errorOf, guarded, isError, isUint8Array, lengthOf, plainBytes, uint8Array } from '../validate.js';
import type { Connection, ConnectionHandler, EventLoop } from './event-loop.js';
import { whenRejected } from './when-rejected.js';

/** What a connection asks of its loop. */
export interface ConnectionHost {
  /** It is connecting: the sockets of further attempts get this option too. */
  optionSet(connection: StreamConnection, set: (fd: number) => void): void;
  readonly loop: EventLoop;
  readonly sends: SendBatch;
  /** Is this memory that the next turn receives into? */
  isBorrowed(bytes: Uint8Array): boolean;
  /** It has something to send at the end of this turn. */
  toFlush(connection: StreamConnection): void;
  /** What it wants to know of its descriptor may be different now. */
  toWatch(connection: StreamConnection): void;
  /** Sends FIN. */
  finishSending(connection: StreamConnection): void;
  /**
   * Closes the descriptor, and calls `close` before the turn ends.
   * @param isLost the descriptor was closed by other code, and its number is another file's: it is not closed
   */
  closed(connection: StreamConnection, fd: number, error: Error | null, isLost: boolean): void;
  callSoon(callback: () => void): void;
  /** What a handler threw. */
  report(error: unknown): void;
}

/** What the connections of a listener have in common. */
export interface ConnectionSettings {
  readonly host: ConnectionHost;
  readonly handler: ConnectionHandler;
  readonly borrowsChunks: boolean;
  readonly highWaterMark: number;
  readonly stream: StreamOptions;
  /** What connect() was given, until it is known which address that is. */
  readonly asked?: SocketAddress;
  /** Receives nothing while too much waits to be sent: of who has asked to be served, not of who asks. */
  readonly holdsBack: boolean;
  /** Told when one of them is closed. */
  readonly onClosed: (() => void) | undefined;
}

export const DEFAULT_HIGH_WATER_MARK = 65_536;

/** The states, as bits. */
const CONNECTING = 1;
/** A flush is to come. */
const QUEUED = 2;
/** The kernel has not taken everything: wait until it can. */
const WRITING = 4;
/** write() has said false. */
const NEEDS_DRAIN = 8;
/** FIN follows what is buffered. */
const DRAINING = 16;
/** The caller has said end(), and knows it. */
const ENDED_BY_CALLER = 32;
const FINISHED = 64;
const PEER_ENDED = 128;
const PAUSED = 256;
/** Nothing is received until some of what waits is sent. */
const HELD_BACK = 512;
/** What the peer sent, or its end, waits for resume(). */
const HOLDING = 1024;
/** It is in the loop's list of those whose interest may be different. */
const TO_WATCH = 2048;
const CLOSED = 4096;
/** The kernel refused what was sent; #piece says why. */
const SEND_FAILED = 8192;
/** What was written in this turn is in memory that the next one receives into. */
const HAS_BORROWED = 16_384;
/** Adopted, and its handler does not know it yet: nothing is sent before `open`, so that nothing is told before it. */
const OPENING = 32_768;

/** Bytes that wait to be sent, and how many they were when they were written: a buffer can lose its memory meanwhile. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly length: number;
}

/** What getsockname(2) says of a socket that is not bound. */
const UNBOUND: SocketAddress = { host: '0.0.0.0', port: 0 };

/** What one operation is given to send at the most. */
const MOST_AT_ONCE = 1 << 20;

export class StreamConnection<D = unknown> implements Connection<D> {
  data: D = undefined as D;
  /** @internal What it is registered with the multiplexer for: EVENT_READ, EVENT_WRITE, 0 for nothing. */
  watched = 0;
  #fd: number;
  readonly #settings: ConnectionSettings;
  #state: number;
  #queued = 0;
  /** In the slab, of this turn. */
  #place = 0;
  #placed = 0;
  #rest: Piece[] | null = null;
  /** The number of its first piece in the flush under way. */
  #piece = -1;
  /** What was received for a paused connection. */
  #held: Buffer | null = null;
  #peer: string;
  #local: SocketAddress | null = null;

  /**
   * @param peer the packed address of the other end
   * @param how a connecting one is open when it is connected, an adopted one in the next turn, an accepted one at once; opened() says when
   */
  constructor(settings: ConnectionSettings, fd: number, peer: string, how: 'connecting' | 'adopted' | 'accepted') {
    this.#settings = settings;
    this.#fd = fd;
    this.#peer = peer;
    this.#state = how === 'connecting' ? CONNECTING : how === 'adopted' ? OPENING : 0;
  }

  // ----------------------------------------------------------------------------------------------------- the public API

  get loop(): EventLoop {
    return this.#settings.host.loop;
  }

  get fd(): number {
    return this.#fd;
  }

  get localAddress(): SocketAddress {
    // Of a connecting one it may be another in a moment.
    if (this.isConnecting) return this.#fd < 0 ? UNBOUND : localAddressOf(this.#fd);
    return (this.#local ??= localAddressOf(this.#fd));
  }

  get remoteAddress(): SocketAddress {
    const { asked } = this.#settings;
    return asked !== undefined && this.#peer === '' ? asked : unpackAddress(this.#peer);
  }

  get writableLength(): number {
    return this.#queued;
  }

  setOption(name: SocketOptionName, value: number | boolean): this;
  setOption(level: number, option: number, value: number | Uint8Array): this;
  setOption(...args: readonly unknown[]): this {
    const set = optionSetter(args);
    if ((this.#state & CLOSED) !== 0) throw closedError('connection');
    if (this.#fd >= 0) set(this.#fd);
    if (this.isConnecting) this.#settings.host.optionSet(this, set);
    return this;
  }

  getOption(name: SocketOptionName): number;
  getOption(level: number, option: number, length: number): Buffer;
  getOption(...args: readonly unknown[]): number | Buffer {
    if ((this.#state & CLOSED) !== 0) throw closedError('connection');
    if (this.#fd < 0) throw namedError('ENOTCONN', 'getsockopt');
    return getOption(this.#fd, args);
  }

  get unsentLength(): number {
    return (this.#state & WRITING) === 0 ? 0 : this.#queued;
  }

  write(bytes: Uint8Array | string): boolean {
    const isText = typeof bytes === 'string';
    if (!isText && !isUint8Array(bytes)) throw invalidType('bytes', 'a Uint8Array or a string', bytes);
    const state = this.#state;
    if ((state & (DRAINING | CLOSED)) !== 0) {
      if ((state & (ENDED_BY_CALLER | CLOSED)) === ENDED_BY_CALLER) throw closedError("connection's write side");
      return false;
    }
    const length = isText ? Buffer.byteLength(bytes, 'utf8') : lengthOf(bytes);
    if (length > 0) this.#take(bytes, length);
    else if (!isText) uint8Array('bytes', bytes); // one that has lost its memory
    if (this.#queued < this.#settings.highWaterMark) return true;
    this.#state |= NEEDS_DRAIN;
    return false;
  }

  end(bytes?: Uint8Array | string): void {
    if (bytes !== undefined) this.write(bytes);
    if ((this.#state & CLOSED) !== 0) return;
    this.#state |= ENDED_BY_CALLER;
    this.#drain();
  }

  pause(): void {
    if ((this.#state & (PAUSED | CLOSED)) !== 0) return;
    this.#state |= PAUSED;
    this.watchSoon();
  }

  resume(): void {
    if ((this.#state & (PAUSED | CLOSED)) !== PAUSED) return;
    this.#state &= ~PAUSED;
    if ((this.#state & HOLDING) !== 0) this.#settings.host.callSoon(() => this.#deliverHeld());
    else this.watchSoon();
  }

  destroy(error?: Error): void {
    if (error !== undefined && !guarded('error', () => isError(error))) throw invalidType('error', 'an Error', error);
    this.fail(error ?? null);
  }

  // -------------------------------------------------------------------------------------------------------- for the loop

  /** @internal */
  get isClosed(): boolean {
    return (this.#state & CLOSED) !== 0;
  }

  /** @internal */
  get isConnecting(): boolean {
    return (this.#state & CONNECTING) !== 0;
  }

  /** @internal Its handler is done with a chunk when it returns. */
  get borrows(): boolean {
    return this.#settings.borrowsChunks;
  }

  /** @internal Is there anything to be received for? */
  get wantsToReceive(): boolean {
    return (this.#state & (CONNECTING | PEER_ENDED | PAUSED | HELD_BACK | HOLDING | CLOSED)) === 0;
  }

  /** @internal Must it be told when the kernel takes more (or has connected)? */
  get wantsToSend(): boolean {
    return (this.#state & (CONNECTING | WRITING)) !== 0;
  }

  /** @internal Its interest is not what the loop knows. */
  watchSoon(): void {
    if ((this.#state & TO_WATCH) !== 0) return;
    this.#state |= TO_WATCH;
    this.#settings.host.toWatch(this);
  }

  /** @internal The loop has taken it off its list. */
  watchedAgain(): void {
    this.#state &= ~TO_WATCH;
  }

  /** @internal The packed address of the other end. */
  get peer(): string {
    return this.#peer;
  }

  /** @internal Connecting, it goes on with another socket; -1: it has none. */
  attempting(fd: number, peer: string): void {
    this.#fd = fd;
    this.#peer = peer;
    this.watched = 0;
  }

  /** @internal Accepted, connected, or adopted. */
  opened(): void {
    this.#state &= ~(CONNECTING | OPENING);
    this.watchSoon();
    if (this.#queued > 0) this.#flushSoon();
    try {
      this.#returned(this.#settings.handler.open?.(this));
    } catch (error) {
      this.#threw(error);
    }
    if ((this.#state & (DRAINING | FINISHED | CLOSED)) === DRAINING) this.#finishIfEmpty();
  }

  /** @internal Bytes have come. */
  received(chunk: Buffer): void {
    if ((this.#state & (PAUSED | HOLDING | CLOSED)) !== 0) {
      if ((this.#state & CLOSED) === 0) this.#hold(chunk);
      return;
    }
    this.#deliver(chunk);
  }

  #deliver(chunk: Buffer): void {
    try {
      const result: unknown = this.#settings.handler.data?.(this, chunk);
      // Asked here, for this is the hot path: nearly all return nothing, or what write() has returned.
      if (result !== undefined && typeof result !== 'boolean') this.#returned(result);
    } catch (error) {
      this.#threw(error);
    }
  }

  /** @internal The peer has finished sending. */
  peerEnded(): void {
    if ((this.#state & (PEER_ENDED | CLOSED)) !== 0) return;
    this.#state |= PEER_ENDED;
    this.watchSoon();
    if ((this.#state & PAUSED) !== 0) this.#state |= HOLDING;
    // What is held comes first, and then the end behind it.
    else if ((this.#state & HOLDING) === 0) this.#tellEnd();
  }

  /** @internal The kernel can take more. */
  writable(): void {
    if ((this.#state & WRITING) === 0) return;
    this.#state &= ~WRITING;
    this.watchSoon();
    this.#flushSoon();
  }

  /** @internal Puts what it has to send into the batch. */
  collect(batch: SendBatch): void {
    this.#piece = -1;
    const fd = this.#fd;
    if (fd < 0) return;
    if (this.#hasLost()) return;
    let pieces = 0;
    if (this.#placed > 0) {
      this.#piece = batch.addCopied(fd, this.#place, this.#placed);
      pieces = 1;
    }
    if (this.#rest === null) return;
    for (let i = 0; i < this.#rest.length && pieces < MAX_IOV; i++, pieces++) {
      const { bytes, length } = this.#rest[i] as Piece;
      const piece = batch.addBuffer(fd, bytes, length);
      if (pieces === 0) this.#piece = piece;
    }
  }

  /**
   * @internal The batch was sent. What is left is kept; no handler is called.
   * @returns has the connection to be asked for what follows?
   */
  flushed(batch: SendBatch): boolean {
    this.#state &= ~QUEUED;
    if (this.#piece < 0) return false;
    const sent = batch.sent(this.#piece);
    if (sent === this.#queued) {
      this.#queued = this.#placed = 0;
      this.#rest = null;
      return (this.#state & (NEEDS_DRAIN | DRAINING | HELD_BACK)) !== 0;
    }
    if (sent < 0 && sent !== WOULD_BLOCK) {
      this.#state |= SEND_FAILED;
      this.#piece = sent;
      return true;
    }
    this.#keepRest(batch, Math.max(sent, 0));
    return true;
  }

  /** @internal What the kernel did not take, as much as one operation is given; null: nothing. */
  rest(): readonly Uint8Array[] | null {
    if (this.#rest === null || this.#hasLost()) return null;
    const pieces: Uint8Array[] = [];
    let room = MOST_AT_ONCE;
    for (let i = 0; i < this.#rest.length && i < MAX_IOV && room > 0; i++) {
      const { bytes, length } = this.#rest[i] as Piece;
      pieces.push(length > room ? bytes.subarray(0, room) : bytes);
      room -= length;
    }
    return pieces;
  }

  /** @internal An operation has sent so much of the rest. */
  sentLater(sent: number): void {
    if ((this.#state & CLOSED) !== 0) return;
    this.#state &= ~WRITING;
    this.#dropSent(sent);
    if (this.#queued === 0) this.#rest = null;
    else this.#flushSoon();
    this.afterFlush();
  }

  /** @internal What follows from a flush: `drain`, FIN, the end of an error, less or more to be received. */
  afterFlush(): void {
    if ((this.#state & CLOSED) !== 0) return;
    if ((this.#state & SEND_FAILED) !== 0) return this.callFailed(systemError(this.#piece, 'send'));
    this.#holdBack();
    if ((this.#state & NEEDS_DRAIN) !== 0 && 4 * this.#queued <= this.#settings.highWaterMark) {
      this.#state &= ~NEEDS_DRAIN;
      if ((this.#state & DRAINING) === 0) {
        try {
          this.#returned(this.#settings.handler.drain?.(this));
        } catch (error) {
          this.#threw(error);
        }
      }
    }
    if ((this.#state & (DRAINING | FINISHED | CLOSED)) === DRAINING) this.#finishIfEmpty();
  }

  /** @internal Closes now. null: a clean end. */
  fail(error: Error | null, isLost = false): void {
    if ((this.#state & CLOSED) !== 0) return;
    const fd = this.#fd;
    this.#state |= CLOSED;
    this.#fd = -1;
    this.#queued = this.#placed = 0;
    this.#rest = this.#held = null;
    this.#settings.host.closed(this, fd, error, isLost);
  }

  /**
   * @internal A call on its descriptor has failed. EBADF: other code has closed the descriptor, and the system may have given its number to
   * another file since, one that was accepted in the same turn.
   */
  callFailed(error: NodeJS.ErrnoException): void {
    this.fail(error, error.code === 'EBADF');
  }

  /** @internal Its descriptor was closed by other code, and the number is another file's: it ends with EBADF. */
  lost(): void {
    this.fail(namedError('EBADF', 'close'), true);
  }

  /** @internal The last handler. */
  tellClosed(error: Error | null): void {
    this.#settings.onClosed?.();
    try {
      this.#returned(this.#settings.handler.close?.(this, error));
    } catch (thrown) {
      this.#settings.host.report(thrown);
    }
  }

  // --------------------------------------------------------------------------------------------------------------------

  /** Into the slab, as one piece with what it has there of this turn; else behind it. */
  #take(bytes: Uint8Array | string, length: number): void {
    const { sends } = this.#settings.host;
    this.#queued += length;
    const isWaiting = (this.#state & (WRITING | CONNECTING | OPENING)) !== 0;
    const continues = this.#placed === 0 || this.#place + this.#placed === sends.slabUsed;
    if (this.#rest === null && !isWaiting && continues && sends.hasRoomFor(length)) {
      if (this.#placed === 0) this.#place = sends.slabUsed;
      this.#placed += length;
      if (typeof bytes === 'string') sends.encode(bytes, length);
      else sends.copy(bytes, length);
    } else {
      (this.#rest ??= []).push({ bytes: this.#pieceOf(bytes, length, isWaiting), length });
    }
    // What is flushed at the turn's end may be gone then; what waits for the kernel is not.
    if (isWaiting) this.#holdBack();
    else this.#flushSoon();
  }

  #flushSoon(): void {
    if ((this.#state & QUEUED) !== 0) return;
    this.#state |= QUEUED;
    this.#settings.host.toFlush(this);
  }

  #keepRest(batch: SendBatch, sent: number): void {
    this.#rest ??= [];
    const ofSlab = Math.min(sent, this.#placed);
    const left = this.#placed - ofSlab;
    if (left > 0) this.#rest.unshift({ bytes: batch.copied(this.#place + ofSlab, left), length: left });
    this.#placed = 0;
    this.#queued -= ofSlab;
    this.#dropSent(sent - ofSlab);
    if ((this.#state & HAS_BORROWED) !== 0)
      this.#rest = this.#rest.map(({ bytes, length }) => ({ bytes: this.#own(bytes), length }));
    this.#state &= ~HAS_BORROWED;
    this.#state |= WRITING;
    this.watchSoon();
  }

  /** So many bytes of the rest have been sent. */
  #dropSent(sent: number): void {
    const rest = this.#rest ?? [];
    this.#queued -= sent;
    let whole = 0;
    for (let first = rest[0]; first !== undefined && sent >= first.length; first = rest[whole]) {
      sent -= first.length;
      whole++;
    }
    if (whole > 0) rest.splice(0, whole);
    const first = rest[0];
    if (sent === 0 || first === undefined) return;
    const isThere = lengthOf(first.bytes) === first.length;
    rest[0] = { bytes: isThere ? first.bytes.subarray(sent) : first.bytes, length: first.length - sent };
  }

  /** What comes after a gap would be another message: asked before anything is sent. It is closed then. */
  #hasLost(): boolean {
    for (let i = 0; this.#rest !== null && i < this.#rest.length && i < MAX_IOV; i++) {
      const { bytes, length } = this.#rest[i] as Piece;
      if (lengthOf(bytes) === length) continue;
      this.fail(invalidValue('bytes given to write() lost their memory before they were sent'));
      return true;
    }
    return false;
  }

  /** A piece of its own: copied where it is small, or where its memory is another's before it can be sent. */
  #pieceOf(bytes: Uint8Array | string, length: number, isWaiting: boolean): Uint8Array {
    if (typeof bytes === 'string') return Buffer.from(bytes, 'utf8');
    const plain = plainBytes(bytes);
    if (length <= COPY_LIMIT) return Buffer.from(plain);
    if (isWaiting) return this.#own(plain);
    if (this.#settings.host.isBorrowed(plain)) this.#state |= HAS_BORROWED;
    return plain;
  }

  /** Bytes that outlive this turn. */
  #own(bytes: Uint8Array): Uint8Array {
    return this.#settings.host.isBorrowed(bytes) ? Buffer.from(bytes) : bytes;
  }

  #holdBack(): void {
    const isHeld = (this.#state & HELD_BACK) !== 0;
    const { highWaterMark, holdsBack } = this.#settings;
    if (!holdsBack || (isHeld ? 4 * this.#queued > highWaterMark : this.#queued < highWaterMark)) return;
    this.#state ^= HELD_BACK;
    this.watchSoon();
  }

  #hold(chunk: Buffer): void {
    const own = this.#own(chunk) as Buffer;
    this.#held = this.#held === null ? own : Buffer.concat([this.#held, own]);
    this.#state |= HOLDING;
    this.watchSoon();
  }

  #deliverHeld(): void {
    if ((this.#state & (HOLDING | PAUSED | CLOSED)) !== HOLDING) return;
    this.#state &= ~HOLDING;
    this.watchSoon();
    const chunk = this.#held;
    this.#held = null;
    if (chunk !== null) this.#deliver(chunk);
    if ((this.#state & PEER_ENDED) === 0) return;
    if ((this.#state & PAUSED) !== 0) this.#state |= HOLDING;
    else if ((this.#state & CLOSED) === 0) this.#tellEnd();
  }

  #tellEnd(): void {
    const { handler } = this.#settings;
    try {
      if (handler.end === undefined) this.#drain();
      else this.#returned(handler.end(this));
    } catch (error) {
      this.#threw(error);
    }
    if ((this.#state & (FINISHED | CLOSED)) === FINISHED) this.fail(null);
  }

  /** FIN, when all is sent. */
  #drain(): void {
    if ((this.#state & (DRAINING | CLOSED)) !== 0) return;
    this.#state |= DRAINING;
    this.#finishIfEmpty();
  }

  #finishIfEmpty(): void {
    if (this.#queued > 0 || (this.#state & (CONNECTING | OPENING)) !== 0) return;
    // The whole connection: close(2) sends FIN itself.
    if ((this.#state & PEER_ENDED) !== 0 && (this.#state & HOLDING) === 0) return this.fail(null);
    this.#state |= FINISHED;
    this.#settings.host.finishSending(this);
  }

  /** A handler that is async has rejected: as if it had thrown. */
  #returned(result: unknown): void {
    whenRejected(result, (error) => this.#threw(error));
  }

  #threw(error: unknown): void {
    this.#settings.host.report(error);
    this.fail(errorOf(error, 'a handler threw'));
  }
}
