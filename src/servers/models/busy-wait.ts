import type { Socket } from '../../index.js';
import type { Application, Peer } from '../applications/application.js';
import { closeQuietly, isOfConnection } from '../blocking.js';
import { EVERYTHING, type Model } from '../model.js';
import type { Row } from '../scoreboard.js';

/** Post 004: every socket is non-blocking, and each is tried in turn, for ever. */
export const busyWait: Model = {
  name: 'busy-wait',
  summary: 'non-blocking sockets, each tried in turn, without any multiplexer (post 004)',
  strengths: 'one thread serves many clients with nothing but recv and send',
  weaknesses: 'burns a whole core, idle or not: nearly all of the time goes into asking sockets that have nothing',
  applications: EVERYTHING,
  mechanisms: [],
  workers: null,
  options: ['maxConnections'],
  maxConnections: 1000,

  main(server) {
    const { application, count } = server;
    const listener = server.listen();
    listener.blocking = false;
    const conversations = new Set<Conversation>();
    while (!server.isClosing) {
      let found = 0;
      const connection = conversations.size < server.settings.maxConnections ? server.tryAccept(listener) : null;
      if (connection !== null) {
        conversations.add(new Conversation(connection, application, count));
        found++;
      }
      for (const conversation of conversations) {
        if (conversation.attempt()) found++;
        if (conversation.isOver) conversations.delete(conversation);
      }
      count.wakeups++;
      if (found === 0) count.emptyWakeups++;
    }
  },
};

const CHUNK = 65_536;
const buffer = Buffer.allocUnsafeSlow(CHUNK);

/** One connection: what it sends is served, and what the kernel does not take of the answers is tried again. */
class Conversation implements Peer {
  data: unknown;
  isOver = false;
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
    count.opened++;
    application.open?.(this);
  }

  /** Tries to send, and to receive. @returns was there anything? */
  attempt(): boolean {
    if (this.isOver) return false; // another one's turn has ended it: a member of a chat that does not read
    try {
      const hasSent = this.#send();
      // No more is received from who does not read: its answers would fill the memory.
      const hasReceived = this.writableLength < CHUNK && !this.#hasPeerEnded && this.#receive();
      if (this.#hasPeerEnded && this.#hasEnded) this.#close();
      return hasSent || hasReceived;
    } catch (error) {
      if (!isOfConnection(error)) throw error;
      this.#close(); // it has reset
      return true;
    }
  }

  get writableLength(): number {
    return this.#unsent.reduce((sum, { length }) => sum + length, 0);
  }

  write(bytes: Uint8Array | string): boolean {
    if (this.#isEnding || this.isOver) return false;
    this.#unsent.push(Buffer.from(bytes as Uint8Array)); // a copy: the buffer is received into again
    return true;
  }

  end(): void {
    this.#isEnding = true;
  }

  destroy(): void {
    this.#close();
  }

  pause(): void {
    // Its answers are there when write() has returned.
  }

  resume(): void {
    // As above.
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

  #send(): boolean {
    const [first] = this.#unsent;
    if (first === undefined) {
      if (!this.#isEnding || this.#hasEnded) return false;
      this.connection.shutdown('write');
      return (this.#hasEnded = true);
    }
    const sent = this.connection.send(first);
    if (sent === null) return false;
    this.count.bytesOut += sent;
    if (sent < first.length) this.#unsent[0] = first.subarray(sent);
    else this.#unsent.shift();
    return true;
  }

  #close(): void {
    if (this.isOver) return;
    this.isOver = true;
    closeQuietly(this.connection);
    this.application.close?.(this);
    this.count.closed++;
  }
}
