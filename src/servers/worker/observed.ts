/** An application whose traffic an observer sees: to print it, or to count it. */
import type { Connection, ConnectionHandler } from '../../index.js';
import type { Application, Peer } from '../applications/application.js';

export interface ConnectionObserver {
  connected?(connection: Connection): void;
  /** Bytes from the peer; valid until it returns. */
  received(connection: Connection, chunk: Uint8Array): void;
  /** Bytes that the application writes. */
  sent(connection: Connection, bytes: Uint8Array | string): void;
  closed?(connection: Connection): void;
}

/** The application as a loop's handler; the observer is called before the application. */
export function observedHandler(
  application: Application,
  observer: ConnectionObserver,
): ConnectionHandler<ObservedPeer> {
  return {
    borrowsChunks: true,
    open(connection) {
      connection.data = new ObservedPeer(connection, observer);
      observer.connected?.(connection);
      application.open?.(connection.data);
    },
    data(connection, chunk) {
      observer.received(connection, chunk);
      application.data(connection.data, chunk);
    },
    end(connection) {
      if (application.end === undefined) connection.end();
      else application.end(connection.data);
    },
    close(connection) {
      observer.closed?.(connection);
      application.close?.(connection.data);
    },
  };
}

class ObservedPeer implements Peer {
  data: unknown;
  readonly #connection: Connection;
  readonly #observer: ConnectionObserver;

  constructor(connection: Connection, observer: ConnectionObserver) {
    this.#connection = connection;
    this.#observer = observer;
  }

  get loop(): Connection['loop'] {
    return this.#connection.loop;
  }

  get writableLength(): number {
    return this.#connection.writableLength;
  }

  get unsentLength(): number {
    return this.#connection.unsentLength;
  }

  write(bytes: Uint8Array | string): boolean {
    this.#observer.sent(this.#connection, bytes);
    return this.#connection.write(bytes);
  }

  end(): void {
    this.#connection.end();
  }

  destroy(error?: Error): void {
    this.#connection.destroy(error);
  }

  pause(): void {
    this.#connection.pause();
  }

  resume(): void {
    this.#connection.resume();
  }
}
