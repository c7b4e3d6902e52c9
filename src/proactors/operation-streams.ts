/**
 * The streams of a loop (streams.ts) made of single operations, one after the other: a receive is started, and started again after each
 * completion. io_uring has better (io-uring-streams.ts).
 */
import { isInterrupted } from '../errors.js';
import { native } from '../native.js';
import type { SendBatch, Sender } from '../syscalls/turn.js';
import { CANCELED, type Completion, type Operation, type Request } from './operation.js';
import type { StreamEvents, Streams } from './streams.js';

/** What they need of a proactor. */
interface StreamProactor {
  begin(request: Request, done: (completion: Completion) => void): Operation;
  turn(timeout: number): boolean;
  flushCancels(): void;
  readonly hasCompletions: boolean;
}

/** Memory that each receive under way has, also of a connection that is silent. */
const RECEIVE_SIZE = 32_768;

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
  readonly #proactor: StreamProactor;
  readonly #sender: Sender | undefined;
  readonly #streams = new Map<number, Stream<C, L>>();
  #news: {
    readonly kind: Kind;
    readonly fd: number;
    readonly stream: Stream<C, L>;
    readonly completion: Completion;
  }[] = [];

  /** @param sender makes the calls of flush(), where the kernel does not; else everything is sent by operations */
  constructor(proactor: StreamProactor, sender?: Sender) {
    this.#proactor = proactor;
    this.#sender = sender;
  }

  get hasEvents(): boolean {
    return this.#news.length > 0 || this.#proactor.hasCompletions;
  }

  wait(timeout: number): boolean {
    return this.#proactor.turn(this.hasEvents ? 0 : timeout);
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
    if (this.#sender === undefined) batch.refuse();
    else batch.flush(this.#sender);
  }

  submit(): void {
    // Operations are started at once.
  }

  send(fd: number, connection: C, pieces: readonly Uint8Array[]): void {
    const stream = this.#streamOf(fd, connection);
    const bytes = pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces);
    stream.write = this.#begin('send', fd, stream, { kind: 'send', fd, bytes });
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
    this.#proactor.flushCancels();
  }

  close(): void {
    const news = this.#news;
    this.#news = [];
    for (const { kind, completion } of news)
      if (kind === 'accept' && completion.result >= 0) new native.Descriptor(completion.result).close();
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

  #begin(kind: Kind, fd: number, stream: Stream<C, L>, request: Request): Operation {
    return this.#proactor.begin(request, (completion) => {
      // What is known by the number of a new connection was closed by other code: nothing is told of it any more.
      if (kind === 'accept' && completion.result >= 0) this.forget(completion.result);
      this.#news.push({ kind, fd, stream, completion });
    });
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
    const outcome = completion.error ?? completion.result;
    switch (kind) {
      case 'receive':
        stream.receive = undefined;
        return this.#tellReceived(events, fd, stream, completion);
      case 'accept':
        stream.accept = undefined;
        // Cancelled, and wanted again since: it goes on.
        if (outcome !== CANCELED) {
          if (completion.result < 0) stream.acceptsMany = false;
          events.accepted(stream.owner as L, outcome, packed(completion.sockaddr));
        }
        if (stream.acceptsMany && this.#streams.get(fd) === stream) this.#accept(fd, stream);
        return;
      case 'send':
        stream.write = undefined;
        return events.sent(stream.owner as C, outcome);
      case 'connect':
        stream.write = undefined;
        return events.connected(stream.owner as C, outcome);
    }
  }

  #tellReceived(
    events: StreamEvents<C, L>,
    fd: number,
    stream: Stream<C, L>,
    { result, data, error }: Completion,
  ): void {
    const connection = stream.owner as C;
    if (result === CANCELED || isInterrupted(result)) return this.#receive(fd, stream);
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
