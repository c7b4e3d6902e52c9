/**
 * A connection of a loop, over any mechanism: the two sides of its stream, and when its handler is called.
 *
 *   write side   connecting --connected--> idle
 *                adopted --in the next turn--> idle
 *                idle --write()--> queued --flush: all sent--> idle
 *                queued --flush: short write--> writing --the rest is sent--> idle
 *                any of them --end()--> the same, draining --all sent--> finished (FIN)
 *   read side    open <--pause()/resume()--> paused      (also by back-pressure: while highWaterMark bytes or more are unsent)
 *                open --FIN of the peer--> ended
 *
 * Both finished and ended: closed, cleanly. destroy(), an error of the kernel's, or a handler that throws: closed at once.
 *
 * What is written in one turn is copied into the loop's slab as one piece, or is sent from where it is (unsent-pieces.ts) where it is large
 * or would not be contiguous. What the kernel does not take is kept there until it does.
 */
import { closedError, invalidType, invalidValue, namedError, systemError } from '../errors.js';
import { getOption, optionSetter, type SocketOptionName } from '../net/sockopt.js';
import { type StreamOptions, localAddressOf, unpackAddress } from '../net/stream.js';
import type { SocketAddress } from '../syscalls/address.js';
import { COPY_LIMIT, MAX_IOV, type SendBatch, WOULD_BLOCK } from '../syscalls/turn.js';
import { errorOf, guarded, isError, isUint8Array, lengthOf, uint8Array } from '../validate.js';
import type { Connection, ConnectionHandler, EventLoop } from './event-loop.js';
import { UnsentPieces } from './unsent-pieces.js';
import { whenRejected } from './when-rejected.js';

/** What a connection needs of its loop. */
export interface ConnectionHost {
  readonly loop: EventLoop;
  readonly sends: SendBatch;
  /** Does the next turn receive into this memory? */
  isBorrowed(bytes: Uint8Array): boolean;
  /** The connection has something to send at the end of this turn. */
  queueFlush(connection: StreamConnection): void;
  /** Its interest may have changed. */
  queueWatch(connection: StreamConnection): void;
  /** Sends FIN. */
  finishSending(connection: StreamConnection): void;
  /** An option was set while connecting: the sockets of further attempts get it too. */
  optionSet(connection: StreamConnection, set: (fd: number) => void): void;
  /**
   * Closes the descriptor, and calls the `close` handler before the turn ends.
   * @param isLost other code has closed the descriptor, and its number is another file's: it is not closed
   */
  connectionClosed(connection: StreamConnection, fd: number, error: Error | null, isLost: boolean): void;
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
  /** The address that connect() was given, until it is resolved. */
  readonly requestedAddress?: SocketAddress;
  /** Receives nothing while highWaterMark bytes or more are unsent: of accepted and adopted connections, not of those of connect(). */
  readonly hasBackPressure: boolean;
  /** Called when one of them is closed. */
  readonly onClosed: (() => void) | undefined;
}

// The states, as bits.

const CONNECTING = 1;
/** In the loop's list of connections to flush. */
const FLUSH_QUEUED = 2;
/** A short write: the rest is sent when the kernel takes more. */
const WRITING = 4;
/** write() has returned false, and `drain` has not been called since. */
const NEEDS_DRAIN = 8;
/** FIN follows what is buffered. */
const DRAINING = 16;
/** The caller has called end(). */
const ENDED_BY_CALLER = 32;
/** FIN was sent. */
const FINISHED = 64;
/** The peer has sent FIN. */
const PEER_ENDED = 128;
const PAUSED = 256;
/** Back-pressure: nothing is received until some of what is buffered is sent. */
const THROTTLED = 512;
/** What the peer has sent, or its FIN, waits for resume(). */
const HOLDING = 1024;
/** In the loop's list of connections whose interest may have changed. */
const WATCH_QUEUED = 2048;
const CLOSED = 4096;
/** The kernel refused what was sent; #flushResult is the error. */
const SEND_FAILED = 8192;
/** Adopted, and `open` has not been called: nothing is sent before it, so that no other handler is called before it. */
const OPENING = 16_384;

/** The local address of a connection that has no socket yet. */
const UNBOUND: SocketAddress = { host: '0.0.0.0', port: 0 };

/** The Connection that handlers get; the members that are marked as internal are for its loop. */
export class StreamConnection<D = unknown> implements Connection<D> {
  data: D = undefined as D;
  /** @internal What the loop has registered for it, in bits of the loop's own (EVENT_READ, EVENT_WRITE of a reactor); 0: nothing. */
  watched = 0;
  #fd: number;
  readonly #settings: ConnectionSettings;
  #state: number;
  /** Bytes given to write() that the kernel has not taken. */
  #bufferedLength = 0;
  /** What it has in the slab, in this turn. */
  #slabStart = 0;
  #slabLength = 0;
  /** What comes after that. One large piece of this turn, which is all that is buffered, needs no list. */
  #unsent: UnsentPieces | Uint8Array | null = null;
  /** The number of its first piece in the flush under way; -1: it has none. Of a flush that failed: the error, negative. */
  #flushResult = -1;
  /** Received while it was paused. */
  #held: Buffer | null = null;
  #peer: string;
  #local: SocketAddress | null = null;

  /**
   * @param peer the packed address of the other end
   * @param how a connecting one is open when it is connected, an adopted one in the next turn, an accepted one at once; the loop calls
   *   opened()
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
    // A connecting one may get another address with its next attempt.
    if (this.isConnecting) return this.#fd < 0 ? UNBOUND : localAddressOf(this.#fd);
    return (this.#local ??= localAddressOf(this.#fd));
  }

  get remoteAddress(): SocketAddress {
    const { requestedAddress } = this.#settings;
    return requestedAddress !== undefined && this.#peer === '' ? requestedAddress : unpackAddress(this.#peer);
  }

  get writableLength(): number {
    return this.#bufferedLength;
  }

  get unsentLength(): number {
    return (this.#state & WRITING) === 0 ? 0 : this.#bufferedLength;
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

  write(bytes: Uint8Array | string): boolean {
    const isText = typeof bytes === 'string';
    if (!isText && !isUint8Array(bytes)) throw invalidType('bytes', 'a Uint8Array or a string', bytes);
    const state = this.#state;
    if ((state & (DRAINING | CLOSED)) !== 0) {
      if ((state & (ENDED_BY_CALLER | CLOSED)) === ENDED_BY_CALLER) throw closedError("connection's write side");
      return false;
    }
    const length = isText ? Buffer.byteLength(bytes, 'utf8') : lengthOf(bytes);
    if (length > 0) this.#append(bytes, length);
    else if (!isText) uint8Array('bytes', bytes); // throws where it is detached
    if (this.#bufferedLength < this.#settings.highWaterMark) return true;
    this.#state |= NEEDS_DRAIN;
    return false;
  }

  end(bytes?: Uint8Array | string): void {
    if (bytes !== undefined) this.write(bytes);
    if ((this.#state & CLOSED) !== 0) return;
    this.#state |= ENDED_BY_CALLER;
    this.#startDraining();
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

  // ----------------------------------------------------------------------------------------------- opening and interest

  /** @internal */
  get isClosed(): boolean {
    return (this.#state & CLOSED) !== 0;
  }

  /** @internal */
  get isConnecting(): boolean {
    return (this.#state & CONNECTING) !== 0;
  }

  /** @internal The packed address of the other end. */
  get peer(): string {
    return this.#peer;
  }

  /** @internal Its handler uses a chunk only until it returns. */
  get borrowsChunks(): boolean {
    return this.#settings.borrowsChunks;
  }

  /** @internal Is it interested in reading? */
  get wantsToReceive(): boolean {
    return (this.#state & (CONNECTING | PEER_ENDED | PAUSED | THROTTLED | HOLDING | CLOSED)) === 0;
  }

  /** @internal Is it interested in writing, or in the end of its connect? */
  get wantsToSend(): boolean {
    return (this.#state & (CONNECTING | WRITING)) !== 0;
  }

  /** @internal Its interest may have changed. */
  watchSoon(): void {
    if ((this.#state & WATCH_QUEUED) !== 0) return;
    this.#state |= WATCH_QUEUED;
    this.#settings.host.queueWatch(this);
  }

  /** @internal The loop has taken it off its list. */
  watchDequeued(): void {
    this.#state &= ~WATCH_QUEUED;
  }

  /** @internal Connecting, it goes on with another socket; -1: it has none. */
  useSocket(fd: number, peer: string): void {
    this.#fd = fd;
    this.#peer = peer;
    this.watched = 0;
  }

  /** @internal It is accepted, connected, or adopted. */
  opened(): void {
    this.#state &= ~(CONNECTING | OPENING);
    this.watchSoon();
    if (this.#bufferedLength > 0) this.#flushSoon();
    try {
      this.#handlerReturned(this.#settings.handler.open?.(this));
    } catch (error) {
      this.#handlerThrew(error);
    }
    if ((this.#state & (DRAINING | FINISHED | CLOSED)) === DRAINING) this.#finishIfEmpty();
  }

  // ------------------------------------------------------------------------------------------------------ the read side

  /** @internal Bytes were received. */
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
      // Checked here, for this is the hot path: nearly all handlers return nothing, or what write() has returned.
      if (result !== undefined && typeof result !== 'boolean') this.#handlerReturned(result);
    } catch (error) {
      this.#handlerThrew(error);
    }
  }

  /** @internal The peer has finished sending. */
  peerEnded(): void {
    if ((this.#state & (PEER_ENDED | CLOSED)) !== 0) return;
    this.#state |= PEER_ENDED;
    this.watchSoon();
    if ((this.#state & PAUSED) !== 0) this.#state |= HOLDING;
    // Held bytes are delivered first, and then the end.
    else if ((this.#state & HOLDING) === 0) this.#callEnd();
  }

  #hold(chunk: Buffer): void {
    const own = this.#settings.host.isBorrowed(chunk) ? Buffer.from(chunk) : chunk;
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
    else if ((this.#state & CLOSED) === 0) this.#callEnd();
  }

  #callEnd(): void {
    const { handler } = this.#settings;
    try {
      if (handler.end === undefined) this.#startDraining();
      else this.#handlerReturned(handler.end(this));
    } catch (error) {
      this.#handlerThrew(error);
    }
    if ((this.#state & (FINISHED | CLOSED)) === FINISHED) this.fail(null);
  }

  // ----------------------------------------------------------------------------------------------------- the write side

  /** Copies the bytes into the slab where they continue this connection's bytes of this turn; else they become a piece of their own. */
  #append(bytes: Uint8Array | string, length: number): void {
    const { sends } = this.#settings.host;
    this.#bufferedLength += length;
    const isWaiting = (this.#state & (WRITING | CONNECTING | OPENING)) !== 0;
    const isContiguous = this.#slabLength === 0 || this.#slabStart + this.#slabLength === sends.slabUsed;
    if (this.#unsent === null && !isWaiting && isContiguous && sends.hasRoomFor(length)) {
      if (this.#slabLength === 0) this.#slabStart = sends.slabUsed;
      this.#slabLength += length;
      if (typeof bytes === 'string') sends.encode(bytes, length);
      else sends.copy(bytes, length);
    } else if (this.#bufferedLength === length && !isWaiting && length > COPY_LIMIT && typeof bytes !== 'string') {
      this.#unsent = bytes;
    } else {
      this.#pieces(this.#bufferedLength - length).push(bytes, length, isWaiting);
    }
    // Bytes of this turn may be sent at its end; bytes that wait for the kernel count at once.
    if (isWaiting) this.#applyBackPressure();
    else this.#flushSoon();
  }

  /** The list of what is not in the slab. @param length of the one piece, when it was written */
  #pieces(length: number): UnsentPieces {
    const unsent = this.#unsent;
    if (unsent instanceof UnsentPieces) return unsent;
    const pieces = new UnsentPieces(this.#settings.host);
    if (unsent !== null) pieces.push(unsent, length, false);
    this.#unsent = pieces;
    return pieces;
  }

  #flushSoon(): void {
    if ((this.#state & FLUSH_QUEUED) !== 0) return;
    this.#state |= FLUSH_QUEUED;
    this.#settings.host.queueFlush(this);
  }

  /** @internal The kernel takes more. */
  writable(): void {
    if ((this.#state & WRITING) === 0) return;
    this.#state &= ~WRITING;
    this.watchSoon();
    this.#flushSoon();
  }

  /** @internal Adds what it has to send to the batch. */
  addTo(batch: SendBatch): void {
    this.#flushResult = -1;
    const fd = this.#fd;
    if (fd < 0 || this.#failIfDetached()) return;
    if (this.#slabLength > 0) this.#flushResult = batch.addCopied(fd, this.#slabStart, this.#slabLength);
    const unsent = this.#unsent;
    if (unsent === null) return;
    const first =
      unsent instanceof UnsentPieces
        ? unsent.addTo(batch, fd, this.#slabLength > 0 ? MAX_IOV - 1 : MAX_IOV)
        : batch.addBuffer(fd, unsent, this.#bufferedLength);
    if (this.#slabLength === 0) this.#flushResult = first;
  }

  /**
   * @internal The batch was sent. What is left is kept; no handler is called.
   * @returns must afterFlush() be called?
   */
  flushed(batch: SendBatch): boolean {
    this.#state &= ~FLUSH_QUEUED;
    if (this.#flushResult < 0) return false;
    const sent = batch.sent(this.#flushResult);
    if (sent === this.#bufferedLength) {
      this.#bufferedLength = this.#slabLength = 0;
      this.#unsent = null;
      return (this.#state & (NEEDS_DRAIN | DRAINING | THROTTLED)) !== 0;
    }
    if (sent < 0 && sent !== WOULD_BLOCK) {
      this.#state |= SEND_FAILED;
      this.#flushResult = sent;
      return true;
    }
    this.#keepUnsent(batch, Math.max(sent, 0));
    return true;
  }

  /** After a short write: the slab is reused by the next turn. */
  #keepUnsent(batch: SendBatch, sent: number): void {
    const pieces = this.#pieces(this.#bufferedLength);
    const ofSlab = Math.min(sent, this.#slabLength);
    const left = this.#slabLength - ofSlab;
    if (left > 0) pieces.unshift(batch.copied(this.#slabStart + ofSlab, left));
    this.#slabLength = 0;
    pieces.drop(sent - ofSlab);
    pieces.keep();
    this.#bufferedLength -= sent;
    this.#state |= WRITING;
    this.watchSoon();
  }

  /** @internal What the kernel did not take, as much as one operation is given; null: nothing. */
  unsentPieces(): readonly Uint8Array[] | null {
    if (this.#unsent === null || this.#failIfDetached()) return null;
    return this.#pieces(this.#bufferedLength).forOperation();
  }

  /** @internal An operation has sent so many bytes of unsentPieces(). */
  operationSent(sent: number): void {
    if ((this.#state & CLOSED) !== 0) return;
    this.#state &= ~WRITING;
    this.#bufferedLength -= sent;
    if (this.#unsent instanceof UnsentPieces) this.#unsent.drop(sent);
    if (this.#bufferedLength === 0) this.#unsent = null;
    else this.#flushSoon();
    this.afterFlush();
  }

  /** @internal What follows from a flush: an error, back-pressure, `drain`, FIN. */
  afterFlush(): void {
    if ((this.#state & CLOSED) !== 0) return;
    if ((this.#state & SEND_FAILED) !== 0) return this.callFailed(systemError(this.#flushResult, 'send'));
    this.#applyBackPressure();
    if ((this.#state & NEEDS_DRAIN) !== 0 && 4 * this.#bufferedLength <= this.#settings.highWaterMark) {
      this.#state &= ~NEEDS_DRAIN;
      if ((this.#state & DRAINING) === 0) {
        try {
          this.#handlerReturned(this.#settings.handler.drain?.(this));
        } catch (error) {
          this.#handlerThrew(error);
        }
      }
    }
    if ((this.#state & (DRAINING | FINISHED | CLOSED)) === DRAINING) this.#finishIfEmpty();
  }

  #applyBackPressure(): void {
    const isThrottled = (this.#state & THROTTLED) !== 0;
    const { highWaterMark, hasBackPressure } = this.#settings;
    if (!hasBackPressure) return;
    if (isThrottled ? 4 * this.#bufferedLength > highWaterMark : this.#bufferedLength < highWaterMark) return;
    this.#state ^= THROTTLED;
    this.watchSoon();
  }

  /** @returns true: bytes to be sent were detached, and the connection is closed */
  #failIfDetached(): boolean {
    const unsent = this.#unsent;
    if (unsent === null) return false;
    if (unsent instanceof UnsentPieces ? !unsent.isDetached : lengthOf(unsent) === this.#bufferedLength) return false;
    this.fail(invalidValue('bytes given to write() lost their memory before they were sent'));
    return true;
  }

  /** FIN follows when everything is sent. */
  #startDraining(): void {
    if ((this.#state & (DRAINING | CLOSED)) !== 0) return;
    this.#state |= DRAINING;
    this.#finishIfEmpty();
  }

  #finishIfEmpty(): void {
    if (this.#bufferedLength > 0 || (this.#state & (CONNECTING | OPENING)) !== 0) return;
    // Both sides are at their end: close(2) sends FIN itself.
    if ((this.#state & PEER_ENDED) !== 0 && (this.#state & HOLDING) === 0) return this.fail(null);
    this.#state |= FINISHED;
    this.#settings.host.finishSending(this);
  }

  // ------------------------------------------------------------------------------------------------------------ the end

  /** @internal Closes now. @param error of the `close` handler; null: a clean end */
  fail(error: Error | null, isLost = false): void {
    if ((this.#state & CLOSED) !== 0) return;
    const fd = this.#fd;
    this.#state |= CLOSED;
    this.#fd = -1;
    this.#bufferedLength = this.#slabLength = 0;
    this.#unsent = null;
    this.#held = null;
    this.#settings.host.connectionClosed(this, fd, error, isLost);
  }

  /**
   * @internal A call on its descriptor has failed. EBADF: other code has closed the descriptor, and the system may have given its number to
   * another file since, one that was accepted in the same turn.
   */
  callFailed(error: NodeJS.ErrnoException): void {
    this.fail(error, error.code === 'EBADF');
  }

  /** @internal Other code has closed its descriptor, and the number is another file's: it ends with EBADF. */
  descriptorLost(): void {
    this.fail(namedError('EBADF', 'close'), true);
  }

  /** @internal Calls the last handler. */
  callClose(error: Error | null): void {
    this.#settings.onClosed?.();
    try {
      this.#handlerReturned(this.#settings.handler.close?.(this, error));
    } catch (thrown) {
      this.#settings.host.report(thrown);
    }
  }

  /** An async handler that rejects counts as one that throws. */
  #handlerReturned(result: unknown): void {
    whenRejected(result, (error) => this.#handlerThrew(error));
  }

  #handlerThrew(error: unknown): void {
    this.#settings.host.report(error);
    this.fail(errorOf(error, 'a handler threw'));
  }
}
