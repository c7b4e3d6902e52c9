/**
 * What a server serves: bytes in, bytes out, no socket. So every server model can serve every application, over threads and blocking
 * sockets as over a loop, and a test can do without either.
 */

/** Whoever is at the other end. A loop's Connection is one. */
export interface Peer {
  /** The application's own state for this peer. */
  data: unknown;
  /** Bytes written that are not on their way yet. */
  readonly writableLength: number;
  /** Bytes that the peer is behind: not those written since a flush that the system took as a whole. Default: writableLength. */
  readonly unsentLength?: number;
  write(bytes: Uint8Array | string): boolean;
  /** Nothing more will be written. What the peer still sends is told to `data`. */
  end(): void;
  destroy(error?: Error): void;
  /**
   * Its loop, or what stands for one: calls back in a later turn, when others have been served. Not called after `close`. Without it, all
   * that a chunk holds is handled at once.
   */
  readonly loop?: { callSoon(callback: () => void): void } | undefined;
  /** Receives nothing until resume(), where what it sends would not wait by itself. */
  pause(): void;
  resume(): void;
}

/** One object serves all peers. It is a handler for a loop as it is. */
export interface Application {
  /** `data` is done with its chunk when it returns. */
  readonly borrowsChunks: true;
  open?(peer: Peer): void;
  data(peer: Peer, chunk: Buffer): void;
  /** The peer has finished sending. Without this, it is sent what is written by now, and then the end. */
  end?(peer: Peer): void;
  close?(peer: Peer): void;
  /** Drops the requests that wait for a later turn: all peers are about to be ended. */
  stop?(): void;
}

/** Has a request answered: peer.write(answer), now or later. The request's memory is another's when it returns. */
export type Work = (peer: Peer, request: Buffer) => void;

/** Here and now. */
export const answering =
  (answer: (request: Buffer) => Uint8Array): Work =>
  (peer, request) =>
    void peer.write(answer(request));
