/**
 * An application on a loop, from the listener to its clean end:
 *
 *   serving --stop()--> ending: no more clients, FIN behind what is buffered --all have closed, or time is over--> stopped
 *
 * A peer that has been sent everything gets a moment to close on its side, since a reset would take away what it has not read yet; one
 * that still sends, or reads slowly, more than that.
 */
import type { Connection, ConnectionHandler, EventLoop, ListenOptions, Listener } from '../loops/event-loop.js';
import type { SocketAddress } from '../net/address.js';
import type { Application, Peer } from './applications/application.js';
import { type ApplicationName, applications } from './applications/index.js';

/** So long nothing has moved: what was sent has arrived, or will not. Milliseconds. */
const MOMENT = 250;
const LONGEST = 5000;
const LOOK = 20;

/** Told of everything that goes over the wire. */
export type Say = (who: string, what: string, bytes?: Uint8Array) => void;

export interface LoopServer {
  readonly listener: Listener;
  /** Begins to end: the loop is stopped when that is done. The second time it is stopped at once. */
  stop(): void;
}

/** @param options.say told of all connections and bytes; costs time */
export function serveOn(
  loop: EventLoop,
  listen: ListenOptions,
  application: ApplicationName,
  options: { readonly say?: Say } = {},
): LoopServer {
  const created: Application = applications[application].create();
  const served = options.say === undefined ? created : new Spoken(created, options.say);
  const open = new Set<Connection>();
  /** When it began to end, and when a peer was last seen to send or to read, on the loop's clock. */
  let begun = -1;
  let moved = -1;
  const handler: ConnectionHandler = {
    borrowsChunks: true,
    open(connection) {
      open.add(connection);
      served.open?.(connection);
    },
    data(connection, chunk) {
      // What still comes is read, and so the end behind it; nobody is answered any more.
      if (begun >= 0) moved = loop.now();
      else served.data(connection, chunk);
    },
    close(connection) {
      open.delete(connection);
      served.close?.(connection);
    },
  };
  const listener = loop.listen(listen, handler);

  const look = (): void => {
    const now = loop.now();
    if ([...open].some(({ writableLength }) => writableLength > 0)) moved = now;
    if (open.size === 0 || now - moved > MOMENT || now - begun > LONGEST) loop.stop();
    else loop.callLater(LOOK, look);
  };
  const stop = (): void => {
    if (begun >= 0) return loop.stop();
    begun = moved = loop.now();
    listener.close();
    for (const connection of open) connection.end();
    look();
  };
  return { listener, stop };
}

/** '127.0.0.1:1234', '[::1]:1234', or a path. */
export function showAddress(address: SocketAddress): string {
  if ('path' in address) return address.path;
  if ('raw' in address) return 'an address of another family';
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** An application that says what goes over the wire. */
class Spoken implements Application {
  readonly borrowsChunks = true;
  readonly #application: Application;
  readonly #say: Say;
  readonly #peers = new Map<Peer, SpokenPeer>();

  constructor(application: Application, say: Say) {
    this.#application = application;
    this.#say = say;
  }

  open(connection: Peer): void {
    const peer = new SpokenPeer(connection, showAddress((connection as Connection).remoteAddress), this.#say);
    this.#peers.set(connection, peer);
    this.#say(peer.name, 'connected');
    this.#application.open?.(peer);
  }

  data(connection: Peer, chunk: Buffer): void {
    const peer = this.#peers.get(connection);
    if (peer === undefined) return;
    this.#say(peer.name, 'sent', chunk);
    this.#application.data(peer, chunk);
  }

  close(connection: Peer): void {
    const peer = this.#peers.get(connection);
    if (peer === undefined) return;
    this.#peers.delete(connection);
    this.#say(peer.name, 'closed');
    this.#application.close?.(peer);
  }
}

class SpokenPeer implements Peer {
  data: unknown;
  readonly #peer: Peer;
  readonly #say: Say;

  constructor(
    peer: Peer,
    readonly name: string,
    say: Say,
  ) {
    this.#peer = peer;
    this.#say = say;
  }

  get writableLength(): number {
    return this.#peer.writableLength;
  }

  write(bytes: Uint8Array | string): boolean {
    this.#say(this.name, 'gets', typeof bytes === 'string' ? Buffer.from(bytes) : bytes);
    return this.#peer.write(bytes);
  }

  end(): void {
    this.#peer.end();
  }

  destroy(error?: Error): void {
    this.#peer.destroy(error);
  }
}
