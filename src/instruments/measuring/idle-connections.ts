/** Clients that connect, and say nothing. */
import { Socket } from '../../index.js';

export class IdleConnections implements Disposable {
  readonly #port: number;
  readonly #sockets: Socket[] = [];

  constructor(port: number) {
    this.#port = port;
  }

  /** More of them, until there are so many. BLOCKS until the kernel has shaken hands. @throws EMFILE */
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
