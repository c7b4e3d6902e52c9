/** A loop's streams (streams.ts) over single operations: a receive or accept is started again after each completion. */
import { isInterrupted } from '../errors.js';
import { native } from '../native.js';
import type { SendBatch, Sender } from '../syscalls/turn.js';
import { CANCELED, type Completion, type Operation, type Request } from './operation.js';
import type { StreamHandler, Streams } from './streams.js';

/** The methods of BaseProactor that it uses. */
interface StreamProactor {
  begin(request: Request, done: (completion: Completion) => void): Operation;
  turn(timeout: number): boolean;
  flushCancels(): void;
  readonly hasCompletions: boolean;
}

/** Bytes that each receive under way holds, also for an idle connection. */
const RECEIVE_SIZE = 32_768;

/** The operations under way for a descriptor. */
class Stream<C, L> {
  wantsToReceive = false;
  receive: Operation | undefined;
  /** The next accept is started after each completion. */
  acceptsMany = false;
  family = 0;
  accept: Operation | undefined;
  write: Operation | undefined;

  constructor(readonly owner: C | L) {}
}

type Kind = 'receive' | 'accept' | 'send' | 'connect';

/** A loop's streams over single operations. */
export class OperationStreams<C, L> implements Streams<C, L> {
  readonly #proactor: StreamProactor;
  readonly #sender: Sender | undefined;
  readonly #streams = new Map<number, Stream<C, L>>();
  /** Completions that were not dispatched yet. */
  #events: {
    readonly kind: Kind;
    readonly fd: number;
    readonly stream: Stream<C, L>;
    readonly completion: Completion;
  }[] = [];

  /** @param sender makes the system calls of flush(). undefined: everything is sent by operations */
  constructor(proactor: StreamProactor, sender?: Sender) {
    this.#proactor = proactor;
    this.#sender = sender;
  }

  get hasEvents(): boolean {
    return this.#events.length > 0 || this.#proactor.hasCompletions;
  }

  wait(timeout: number): boolean {
    return this.#proactor.turn(this.hasEvents ? 0 : timeout);
  }

  dispatch(handler: StreamHandler<C, L>): number {
    const events = this.#events;
    this.#events = [];
    for (const { kind, fd, stream, completion } of events) {
      // A stale event: its descriptor was closed. An accepted connection still has to be closed.
      if (this.#streams.get(fd) === stream) this.#dispatch(handler, kind, fd, stream, completion);
      else if (kind === 'accept' && completion.result >= 0)
        handler.onAccepted(stream.owner as L, completion.result, '');
    }
    return events.length;
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
    const events = this.#events;
    this.#events = [];
    for (const { kind, completion } of events)
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
      // A stream that has the number of a new connection is stale: other code has closed its descriptor.
      if (kind === 'accept' && completion.result >= 0) this.forget(completion.result);
      this.#events.push({ kind, fd, stream, completion });
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

  #dispatch(handler: StreamHandler<C, L>, kind: Kind, fd: number, stream: Stream<C, L>, completion: Completion): void {
    const outcome = completion.error ?? completion.result;
    switch (kind) {
      case 'receive':
        stream.receive = undefined;
        return this.#onReceived(handler, fd, stream, completion);
      case 'accept':
        stream.accept = undefined;
        // A cancelled accept may be wanted again since.
        if (outcome !== CANCELED) {
          if (completion.result < 0) stream.acceptsMany = false;
          handler.onAccepted(stream.owner as L, outcome, packed(completion.sockaddr));
        }
        if (stream.acceptsMany && this.#streams.get(fd) === stream) this.#accept(fd, stream);
        return;
      case 'send':
        stream.write = undefined;
        return handler.onSent(stream.owner as C, outcome);
      case 'connect':
        stream.write = undefined;
        return handler.onConnected(stream.owner as C, outcome);
    }
  }

  #onReceived(
    handler: StreamHandler<C, L>,
    fd: number,
    stream: Stream<C, L>,
    { result, data, error }: Completion,
  ): void {
    const connection = stream.owner as C;
    if (result === CANCELED || isInterrupted(result)) return this.#receive(fd, stream);
    if (result <= 0) stream.wantsToReceive = false;
    if (result < 0) handler.onReceiveError(connection, error ?? result);
    else if (data === undefined || data.length === 0) handler.onEnd(connection);
    else handler.onReceived(connection, data);
    if (this.#streams.get(fd) === stream) this.#receive(fd, stream);
  }
}

function packed(sockaddr: Uint8Array | undefined): string {
  return sockaddr === undefined ? '' : Buffer.from(sockaddr).toString('latin1');
}
