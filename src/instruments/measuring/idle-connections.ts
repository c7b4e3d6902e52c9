/** Connections on which nothing is sent. */
import { Socket } from '../../index.js';

/** Idle connections to one port of 127.0.0.1. */
export class IdleConnections implements Disposable {
  readonly #port: number;
  readonly #sockets: Socket[] = [];

  constructor(port: number) {
    this.#port = port;
  }

  /** Connects until there are `count` connections. Blocks during each handshake. @throws EMFILE */
  grow(count: number): void {
    while (this.#sockets.length < count) {
      const socket = new Socket();
      this.#sockets.push(socket);
      socket.connect({ host: '127.0.0.1', port: this.#port });
    }
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets.splice(0)) socket.close();
  }
}
