/**
 * What a loop asks of a proactor for its connections and listeners, by the numbers of their descriptors: to go on receiving and accepting
 * until it says stop, and to send. What has been done is told when the loop is ready to hear it.
 *
 * OperationStreams does so with single operations, one after the other: a receive is started, and started again after each completion.
 * io_uring has better (io-uring-streams.ts).
 */
import type { SendBatch } from '../syscalls/turn.js';
import { type BaseProactor, CANCELED, type Completion, type Operation } from './base.js';

/** What a loop is told. C and L are its connections and listeners. */
export interface StreamEvents<C, L> {
  /** Is a chunk done with when received() returns? */
  borrows(connection: C): boolean;
  received(connection: C, chunk: Buffer): void;
  /** The peer has finished sending. */
  ended(connection: C): void;
  /** @param error the system's number, negative, or what else went wrong */
  receiveFailed(connection: C, error: number | Error): void;
  /** What send() was given is over. @param sent how many bytes, or the system's error, negative */
  sent(connection: C, sent: number): void;
  /** @param error 0, or the system's, negative */
  connected(connection: C, error: number): void;
  /**
   * @param peer the packed address of the other end (net/stream.ts); '' where nobody can tell any more
   * @param fd the connection's descriptor, the loop's to close; or the system's error, negative, after which nothing is accepted
   */
  accepted(listener: L, fd: number, peer: string): void;
}

export interface Streams<C, L> {
  /** Waits up to so many milliseconds (-1: for ever). @returns was it woken? */
  wait(timeout: number): boolean;
  /** Tells what the wait has found. @returns how many events that were */
  dispatch(events: StreamEvents<C, L>): number;
  /** Is there something to tell without a wait? */
  readonly hasNews: boolean;

  startReceiving(fd: number, connection: C): void;
  /** What comes before the kernel has heard of it is still told. */
  stopReceiving(fd: number): void;
  /** Sends what it can of the batch at once; the answers are in it. */
  flush(batch: SendBatch): void;
  /** The turn is over: what was asked for is the kernel's to know now. */
  submit(): void;
  /** Sends these bytes, as far as one operation can, when the socket has room for them. One at a time for each connection. */
  send(fd: number, connection: C, pieces: readonly Uint8Array[]): void;
  connect(fd: number, connection: C, sockaddr: Uint8Array): void;
  /** @param many go on until stopAccepting(); else one */
  startAccepting(fd: number, listener: L, family: number, many: boolean): void;
  stopAccepting(fd: number): void;
  /** Cancels everything of a descriptor that is about to be closed. Nothing is told of it any more. */
  forget(fd: number): void;
  /** Is this memory that the next wait receives into? */
  isBorrowed(bytes: Uint8Array): boolean;
}

/** Memory that each receive under way has, also of a connection that is silent. */
const RECEIVE_SIZE = 32_768;
/** What one operation sends at the most; the rest follows. */
const MOST_AT_ONCE = 1 << 20;

/** What is under way for a descriptor. */
class Stream<C, L> {
  wantsToReceive = false;
  receive: Operation | undefined;
  /** Whoever is accepted, another follows. */
  acceptsMany = false;
  family = 0;
  accept: Operation | undefined;
  write: Operation | undefined;

  constructor(readonly owner: C | L) {}
}

type Kind = 'receive' | 'accept' | 'send' | 'connect';

export class OperationStreams<C, L> implements Streams<C, L> {
  readonly #proactor: BaseProactor;
  readonly #streams = new Map<number, Stream<C, L>>();
  #news: {
    readonly kind: Kind;
    readonly fd: number;
    readonly stream: Stream<C, L>;
    readonly completion: Completion;
  }[] = [];

  constructor(proactor: BaseProactor) {
    this.#proactor = proactor;
  }

  get hasNews(): boolean {
    return this.#news.length > 0;
  }

  wait(timeout: number): boolean {
    return this.#proactor.turn(this.hasNews ? 0 : timeout);
  }

  dispatch(events: StreamEvents<C, L>): number {
    const news = this.#news;
    this.#news = [];
    for (const { kind, fd, stream, completion } of news) {
      // Of a descriptor that is closed by now, or another's: only an accepted connection is left of it, which nobody wants.
      if (this.#streams.get(fd) === stream) this.#tell(events, kind, fd, stream, completion);
      else if (kind === 'accept' && completion.result >= 0) events.accepted(stream.owner as L, completion.result, '');
    }
    return news.length;
  }

  startReceiving(fd: number, connection: C): void {
    const stream = this.#streamOf(fd, connection);
    stream.wantsToReceive = true;
    this.#receive(fd, stream);
  }

  stopReceiving(fd: number): void {
    const stream = this.#streams.get(fd);
    if (stream === undefined) return;
    stream.wantsToReceive = false;
    stream.receive?.cancel();
  }

  flush(batch: SendBatch): void {
    batch.refuse();
  }

  submit(): void {
    // Operations are started at once.
  }

  send(fd: number, connection: C, pieces: readonly Uint8Array[]): void {
    const stream = this.#streamOf(fd, connection);
    const bytes = pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces);
    stream.write = this.#begin('send', fd, stream, { kind: 'send', fd, bytes: bytes.subarray(0, MOST_AT_ONCE) });
  }

  connect(fd: number, connection: C, sockaddr: Uint8Array): void {
    const stream = this.#streamOf(fd, connection);
    stream.write = this.#begin('connect', fd, stream, { kind: 'connect', fd, sockaddr });
  }

  startAccepting(fd: number, listener: L, family: number, many: boolean): void {
    const stream = this.#streamOf(fd, listener);
    stream.acceptsMany = many;
    stream.family = family;
    this.#accept(fd, stream);
  }

  stopAccepting(fd: number): void {
    const stream = this.#streams.get(fd);
    if (stream === undefined) return;
    stream.acceptsMany = false;
    stream.accept?.cancel();
  }

  forget(fd: number): void {
    const stream = this.#streams.get(fd);
    if (stream === undefined) return;
    this.#streams.delete(fd);
    stream.receive?.cancel();
    stream.accept?.cancel();
    stream.write?.cancel();
    this.#proactor.letGo();
  }

  isBorrowed(): boolean {
    return false;
  }

  // --------------------------------------------------------------------------------------------------------------------

  #streamOf(fd: number, owner: C | L): Stream<C, L> {
    let stream = this.#streams.get(fd);
    if (stream === undefined) this.#streams.set(fd, (stream = new Stream<C, L>(owner)));
    return stream;
  }

  #begin(kind: Kind, fd: number, stream: Stream<C, L>, request: Parameters<BaseProactor['begin']>[0]): Operation {
    return this.#proactor.begin(request, (completion) => void this.#news.push({ kind, fd, stream, completion }));
  }

  #accept(fd: number, stream: Stream<C, L>): void {
    if (stream.accept !== undefined) return;
    const { family } = stream;
    stream.accept = this.#begin('accept', fd, stream, { kind: 'accept', fd, nonBlocking: true, family });
  }

  #receive(fd: number, stream: Stream<C, L>): void {
    if (stream.receive !== undefined || !stream.wantsToReceive) return;
    stream.receive = this.#begin('receive', fd, stream, { kind: 'recv', fd, size: RECEIVE_SIZE });
  }

  #tell(events: StreamEvents<C, L>, kind: Kind, fd: number, stream: Stream<C, L>, completion: Completion): void {
    const { result } = completion;
    switch (kind) {
      case 'receive':
        stream.receive = undefined;
        return this.#tellReceived(events, fd, stream, completion);
      case 'accept':
        stream.accept = undefined;
        if (result < 0) stream.acceptsMany = false;
        if (result !== CANCELED) events.accepted(stream.owner as L, result, packed(completion.sockaddr));
        if (stream.acceptsMany && this.#streams.get(fd) === stream) this.#accept(fd, stream);
        return;
      case 'send':
        stream.write = undefined;
        return events.sent(stream.owner as C, result);
      case 'connect':
        stream.write = undefined;
        return events.connected(stream.owner as C, result);
    }
  }

  #tellReceived(
    events: StreamEvents<C, L>,
    fd: number,
    stream: Stream<C, L>,
    { result, data, error }: Completion,
  ): void {
    const connection = stream.owner as C;
    if (result === CANCELED) return this.#receive(fd, stream);
    if (result <= 0) stream.wantsToReceive = false;
    if (result < 0) events.receiveFailed(connection, error ?? result);
    else if (data === undefined || data.length === 0) events.ended(connection);
    else events.received(connection, data);
    if (this.#streams.get(fd) === stream) this.#receive(fd, stream);
  }
}

function packed(sockaddr: Uint8Array | undefined): string {
  return sockaddr === undefined ? '' : Buffer.from(sockaddr).toString('latin1');
}
