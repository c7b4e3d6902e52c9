/**
 * What a proactor does for the connections and listeners of its loop, by the numbers of their descriptors: it receives and accepts until it
 * is stopped, and it sends. The completions are kept until the loop dispatches them.
 *
 * Two implementations: operation-streams.ts over single operations, io-uring-streams.ts over multishot ones.
 */
import type { SendBatch } from '../syscalls/turn.js';

/** A result, or the system's error number, negative; or an error that has no number of a socket's. */
export type Outcome = number | Error;

/** The loop's callbacks. C and L are its connections and listeners. */
export interface StreamHandler<C, L> {
  /** Is a chunk used only until onReceived() returns? */
  borrowsChunks(connection: C): boolean;
  onReceived(connection: C, chunk: Buffer): void;
  /** The peer has finished sending. */
  onEnd(connection: C): void;
  onReceiveError(connection: C, error: Outcome): void;
  /** The operation of send() has completed. @param sent how many bytes, or the error */
  onSent(connection: C, sent: Outcome): void;
  /** @param result 0, or the error */
  onConnected(connection: C, result: Outcome): void;
  /**
   * @param fd the connection's descriptor, for the loop to close; or the error, after which nothing is accepted
   * @param peer the packed address of the other end (net/stream.ts); '' where it is not known any more
   */
  onAccepted(listener: L, fd: Outcome, peer: string): void;
}

/** The streams of a loop. C and L are its connections and listeners. */
export interface Streams<C, L> {
  /** Waits up to `timeout` milliseconds (-1: forever). @returns was it woken? */
  wait(timeout: number): boolean;
  /** Calls `handler` for the events of the wait. @returns how many there were */
  dispatch(handler: StreamHandler<C, L>): number;
  /** Is there an event that needs no wait? */
  readonly hasEvents: boolean;

  /** Receives from now on. */
  startReceiving(fd: number, connection: C): void;
  /** What arrives before the kernel has stopped is still delivered. */
  stopReceiving(fd: number): void;
  /** Sends what it can of the batch at once; the results are in the batch. */
  flush(batch: SendBatch): void;
  /** The end of a turn: passes everything that was requested to the kernel. */
  submit(): void;
  /** Sends these bytes, as many as one operation can, when the socket has room. One at a time per connection. */
  send(fd: number, connection: C, pieces: readonly Uint8Array[]): void;
  /** Connects to a sockaddr. */
  connect(fd: number, connection: C, sockaddr: Uint8Array): void;
  /** Accepts. @param many until stopAccepting(); else one */
  startAccepting(fd: number, listener: L, family: number, many: boolean): void;
  /** Clients that arrive before the kernel has stopped are still accepted. */
  stopAccepting(fd: number): void;
  /**
   * Cancels everything of a descriptor that is about to be closed. Its later events are dropped.
   * @param now the kernel releases the descriptor before this returns; else with submit() at the latest
   */
  forget(fd: number, now: boolean): void;
  /** Closes what was accepted and not dispatched. The proactor is closed already. */
  close(): void;
  /** Does the next wait receive into this memory? */
  isBorrowed(bytes: Uint8Array): boolean;
}
