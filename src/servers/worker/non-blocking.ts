/** A connection whose calls never block: bytes that the kernel does not take are kept and tried again (post 004). */
import type { Socket } from '../../index.js';
import type { Application, Peer } from '../applications/application.js';
import { closeQuietly, isSocketError, setNoDelay } from './blocking.js';
import type { Row } from '../protocol/scoreboard.js';

/** Maximum bytes of one recv(2). A peer with this number of unsent bytes is not received from. */
const CHUNK = 65_536;
/** Shared by all peers: the application copies what it keeps. */
const receiveBuffer = Buffer.allocUnsafeSlow(CHUNK);

export class NonBlockingPeer implements Peer {
  data: unknown;
  isClosed = false;
  /** Bytes written that the kernel has not taken. */
  writableLength = 0;
  /** The same after the last send(2). */
  unsentLength = 0;
  readonly loop = { callSoon: (callback: () => void): void => void this.#deferred.push(callback) };
  #deferred: (() => void)[] = [];
  #isPaused = false;
  #unsent: Buffer[] = [];
  #peerHasEnded = false;
  #isEnding = false;
  #hasEnded = false;

  constructor(
    private readonly connection: Socket,
    private readonly application: Application,
    private readonly count: Row,
  ) {
    connection.blocking = false;
    setNoDelay(connection);
    count.opened++;
    application.open?.(this);
  }

  /** Sends and receives what is possible without blocking. @returns false: there was nothing to do */
  tryIo(): boolean {
    if (this.isClosed) return false; // another peer's turn has closed it: a slow member of a chat
    try {
      const hasSent = this.#send();
      const hasRun = this.#runDeferred();
      // Back-pressure: the replies to a peer that does not read would fill the memory.
      const wantsMore = this.writableLength < CHUNK && !this.#peerHasEnded && !this.#isPaused && !this.isClosed;
      const hasReceived = wantsMore && this.#receive();
      if (this.#peerHasEnded && this.#hasEnded) this.#close();
      return hasSent || hasRun || hasReceived;
    } catch (error) {
      if (!isSocketError(error)) throw error;
      this.#close(); // the peer has reset
      return true;
    }
  }

  write(bytes: Uint8Array | string): boolean {
    if (this.#isEnding || this.isClosed) return false;
    const copy = Buffer.from(bytes as Uint8Array); // the receive buffer is reused
    this.#unsent.push(copy);
    this.writableLength += copy.length;
    this.count.bytesOut += copy.length;
    return true;
  }

  end(): void {
    this.#isEnding = true;
  }

  destroy(): void {
    this.#close();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
  }

  /** Runs the callbacks that were deferred to this turn. @returns false: there were none */
  #runDeferred(): boolean {
    if (this.#deferred.length === 0) return false;
    const callbacks = this.#deferred;
    this.#deferred = [];
    for (const callback of callbacks) callback();
    return true;
  }

  #receive(): boolean {
    const received = this.connection.recvInto(receiveBuffer);
    if (received === null) return false;
    if (received === 0) {
      this.#peerHasEnded = true;
      this.end();
      return true;
    }
    this.count.bytesIn += received;
    this.application.data(this, receiveBuffer.subarray(0, received));
    return true;
  }

  /** Sends what the kernel takes, and after all bytes the end of the stream. @returns false: there was nothing to send */
  #send(): boolean {
    if (this.#unsent.length > 0) {
      const all = this.#unsent.length === 1 ? (this.#unsent[0] as Buffer) : Buffer.concat(this.#unsent);
      const sent = this.connection.send(all) ?? 0;
      this.unsentLength = this.writableLength -= sent;
      this.#unsent = sent < all.length ? [all.subarray(sent)] : [];
      return sent > 0;
    }
    if (!this.#isEnding || this.#hasEnded) return false;
    this.connection.shutdown('write');
    return (this.#hasEnded = true);
  }

  #close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    closeQuietly(this.connection);
    this.application.close?.(this);
    this.count.closed++;
  }
}
