/**
 * One connection of a server, with a queue of what the kernel would not take yet.
 *
 *   reading --send() leaves something over--> writing --queue empty--> reading
 *   reading | writing --end()--> draining --queue empty--> closed
 *
 * Write interest is registered only while something is queued: a socket that can be written, which it nearly always can, would
 * otherwise be ready in every turn (post 004).
 */
import { type BaseSelector, EVENT_READ, EVENT_WRITE, type Socket, type SocketAddress } from '../index.js';

/** What a selector of the demos keeps with each key: who to call when the file object is ready. */
export type Handler = (events: number) => void;

/** Told of everything that goes over the wire. */
export type Say = (who: string, what: string, bytes?: Uint8Array) => void;

/** A peer that reads nothing for so long is let go, before its queue eats the memory. */
const MOST_QUEUED = 1 << 20;

export class Peer {
  readonly name: string;
  #queue: Uint8Array[] = [];
  #queued = 0;
  #ending = false;

  constructor(
    readonly selector: BaseSelector<Handler>,
    readonly socket: Socket,
    readonly onReadable: (peer: Peer) => void,
    readonly say: Say,
    readonly onClose: (peer: Peer) => void = () => undefined,
  ) {
    this.name = show(socket.remoteAddress);
    selector.register(socket, EVENT_READ, (events) => this.#onReady(events));
    say(this.name, 'connected');
  }

  get isOpen(): boolean {
    return this.socket.fd >= 0;
  }

  /** What has arrived; null: nothing; empty: the peer has finished sending. */
  receive(): Buffer | null {
    const bytes = this.socket.recv(65_536);
    if (bytes !== null && bytes.length > 0) this.say(this.name, 'sent', bytes);
    return bytes;
  }

  /** Sends now what the kernel takes, the rest when it takes more. */
  send(bytes: Uint8Array): void {
    if (!this.isOpen || this.#ending) return;
    this.say(this.name, 'gets', bytes);
    this.#queue.push(bytes);
    this.#queued += bytes.length;
    if (this.#queued > MOST_QUEUED) this.close('reads too slowly');
    else this.#orClose(() => this.#flush());
  }

  /** Closes once everything queued is sent. */
  end(): void {
    this.#ending = true;
    this.#orClose(() => this.#flush());
  }

  close(why = 'closed'): void {
    if (!this.isOpen) return;
    this.selector.unregister(this.socket);
    this.socket.close();
    this.say(this.name, why);
    this.onClose(this);
  }

  #onReady(events: number): void {
    this.#orClose(() => {
      if ((events & EVENT_WRITE) !== 0) this.#flush();
      if ((events & EVENT_READ) !== 0 && this.isOpen && !this.#ending) this.onReadable(this);
    });
  }

  /** ECONNRESET, EPIPE: this connection's trouble alone, also where another one's message was on its way to it. */
  #orClose(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.close((error as Error).message);
    }
  }

  #flush(): void {
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      const sent = this.socket.send(first);
      if (sent === null) break;
      this.#queued -= sent;
      if (sent < first.length) this.#queue[0] = first.subarray(sent);
      else this.#queue.shift();
    }
    if (this.#queue.length === 0 && this.#ending) return this.close();
    // With something queued, the peer has to read before it may send more.
    const { data } = this.selector.getKey(this.socket);
    this.selector.modify(this.socket, this.#queue.length === 0 ? EVENT_READ : EVENT_WRITE, data);
  }
}

/** '127.0.0.1:1234', '[::1]:1234', or a path. */
export function show(address: SocketAddress): string {
  if ('path' in address) return address.path;
  if ('raw' in address) return 'an address of another family';
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
