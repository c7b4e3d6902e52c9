/** A connection that never waits: what it sends is served, and what the kernel does not take of the answers is tried again (post 004). */
import type { Socket } from '../../index.js';
import type { Application, Peer } from '../applications/application.js';
import { closeQuietly, isSocketError, sendAtOnce } from './blocking.js';
import type { Row } from '../protocol/scoreboard.js';

const CHUNK = 65_536;
const buffer = Buffer.allocUnsafeSlow(CHUNK);

export class NonBlockingPeer implements Peer {
  data: unknown;
  isOver = false;
  /** Bytes that the kernel does not have yet. */
  writableLength = 0;
  unsentLength = 0;
  readonly loop = { callSoon: (callback: () => void): void => void this.#soon.push(callback) };
  #soon: (() => void)[] = [];
  #isPaused = false;
  #unsent: Buffer[] = [];
  #hasPeerEnded = false;
  #isEnding = false;
  #hasEnded = false;

  constructor(
    private readonly connection: Socket,
    private readonly application: Application,
    private readonly count: Row,
  ) {
    connection.blocking = false;
    sendAtOnce(connection);
    count.opened++;
    application.open?.(this);
  }

  /** Tries to send, and to receive. @returns was there anything? */
  attempt(): boolean {
    if (this.isOver) return false; // another one's turn has ended it: a member of a chat that does not read
    try {
      const hasSent = this.#send();
      const hasGoneOn = this.#goOn();
      // No more is received from who does not read: its answers would fill the memory.
      const wantsMore = this.writableLength < CHUNK && !this.#hasPeerEnded && !this.#isPaused && !this.isOver;
      const hasReceived = wantsMore && this.#receive();
      if (this.#hasPeerEnded && this.#hasEnded) this.#close();
      return hasSent || hasGoneOn || hasReceived;
    } catch (error) {
      if (!isSocketError(error)) throw error;
      this.#close(); // it has reset
      return true;
    }
  }

  write(bytes: Uint8Array | string): boolean {
    if (this.#isEnding || this.isOver) return false;
    const copy = Buffer.from(bytes as Uint8Array); // the buffer is received into again
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

  /** What was left over for this turn. @returns was there anything? */
  #goOn(): boolean {
    if (this.#soon.length === 0) return false;
    const soon = this.#soon;
    this.#soon = [];
    for (const callback of soon) callback();
    return true;
  }

  #receive(): boolean {
    const received = this.connection.recvInto(buffer);
    if (received === null) return false;
    if (received === 0) {
      this.#hasPeerEnded = true;
      this.end();
      return true;
    }
    this.count.bytesIn += received;
    this.application.data(this, buffer.subarray(0, received));
    return true;
  }

  /** All that the kernel takes, and behind it the end. */
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
    if (this.isOver) return;
    this.isOver = true;
    closeQuietly(this.connection);
    this.application.close?.(this);
    this.count.closed++;
  }
}
