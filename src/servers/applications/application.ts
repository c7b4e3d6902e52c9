/**
 * An application: bytes in, bytes out, no socket (sans-I/O). So every server model can serve it, with blocking sockets as well as on a loop,
 * and a test needs neither.
 */

/** The other end of a connection, as an application sees it. A loop's Connection is a Peer. */
export interface Peer {
  /** The application's own state for this peer. */
  data: unknown;
  /** Bytes written that the kernel has not taken. */
  readonly writableLength: number;
  /**
   * How far a slow peer lags, in bytes: writableLength after a flush that the kernel took only in part, until it has taken all; else 0.
   * Default: writableLength.
   */
  readonly unsentLength?: number;
  /** @returns false: back-pressure, or the connection is ending. Most applications ignore it */
  write(bytes: Uint8Array | string): boolean;
  /** Half-close: nothing more will be written. Bytes that the peer still sends are passed to `data`. */
  end(): void;
  /** Closes the connection at once; unsent bytes are dropped. */
  destroy(error?: Error): void;
  /**
   * Calls back in a later turn, after other peers have been served; not after `close`. Without a loop, the application handles all of a chunk
   * at once.
   */
  readonly loop?: { callSoon(callback: () => void): void } | undefined;
  /** Receives nothing until resume(). No effect if the peer blocks: it receives nothing while a chunk is handled. */
  pause(): void;
  resume(): void;
}

/** One object serves all peers. It is a ConnectionHandler for a loop. */
export interface Application {
  /** `data` does not keep its chunk: the memory is reused when it returns. */
  readonly borrowsChunks: true;
  open?(peer: Peer): void;
  data(peer: Peer, chunk: Buffer): void;
  /** The peer has half-closed. Default: what is written is sent, and then the end of the stream. */
  end?(peer: Peer): void;
  close?(peer: Peer): void;
  /** Drops the requests that wait for a later turn: all peers are about to be ended. */
  stop?(): void;
}

/** Answers a request: peer.write(reply), synchronously or later. The request's memory is valid only until it returns. */
export type AnswerRequest = (peer: Peer, request: Buffer) => void;

/** Answers synchronously, in the thread that has received the request. */
export const answerInline =
  (answer: (request: Buffer) => Uint8Array): AnswerRequest =>
  (peer, request) =>
    void peer.write(answer(request));
