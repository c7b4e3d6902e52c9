/**
 * What a loop asks of a proactor for its connections and listeners, by the numbers of their descriptors: to go on receiving and accepting
 * until it says stop, and to send. What has been done is told when the loop is ready to hear it.
 *
 * Made of single operations in operation-streams.ts; io_uring has better (io-uring-streams.ts).
 */
import type { SendBatch } from '../syscalls/turn.js';

/** A number, or what went wrong: the system's number, negative, or an error that is none of a socket's. */
export type Outcome = number | Error;

/** What a loop is told. C and L are its connections and listeners. */
export interface StreamEvents<C, L> {
  /** Is a chunk done with when received() returns? */
  borrowsChunks(connection: C): boolean;
  received(connection: C, chunk: Buffer): void;
  /** The peer has finished sending. */
  ended(connection: C): void;
  receiveFailed(connection: C, error: Outcome): void;
  /** What send() was given is over. @param sent how many bytes, or the error */
  sent(connection: C, sent: Outcome): void;
  /** @param result 0, or the error */
  connected(connection: C, result: Outcome): void;
  /**
   * @param peer the packed address of the other end (net/stream.ts); '' where nobody can tell any more
   * @param fd the connection's descriptor, the loop's to close; or the error, after which nothing is accepted
   */
  accepted(listener: L, fd: Outcome, peer: string): void;
}

export interface Streams<C, L> {
  /** Waits up to so many milliseconds (-1: for ever). @returns was it woken? */
  wait(timeout: number): boolean;
  /** Tells what the wait has found. @returns how many events that were */
  dispatch(events: StreamEvents<C, L>): number;
  /** Is there something to tell without a wait? */
  readonly hasEvents: boolean;

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
  /**
   * Cancels everything of a descriptor that is about to be closed. Nothing is told of it any more.
   * @param now the kernel is to let go before this returns; else at the latest with submit()
   */
  forget(fd: number, now: boolean): void;
  /** Lets go of what nobody has been told of. The proactor is closed already. */
  close(): void;
  /** Is this memory that the next wait receives into? */
  isBorrowed(bytes: Uint8Array): boolean;
}
