/** A client over Node's own net, so that no measured code measures itself. */
import { once, setMaxListeners } from 'node:events';
import { type Socket, connect } from 'node:net';
import { addAbortSignal } from 'node:stream';

/** One connection to the measured server. */
export class Client implements Disposable {
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;

  private constructor(port: number, signal: AbortSignal) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    this.#socket.on('error', () => undefined); // the pending read rejects with it
    setMaxListeners(0, signal); // each client adds a listener
    addAbortSignal(signal, this.#socket);
    this.#chunks = this.#socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** @param signal destroys the socket when aborted. @throws errors of connect(2) such as ECONNREFUSED; AbortError */
  static async connect(port: number, signal: AbortSignal): Promise<Client> {
    const client = new Client(port, signal);
    await once(client.#socket, 'connect');
    return client;
  }

  /** Writes without waiting: Node queues what the kernel does not take. */
  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Waits for the next bytes. null: end of stream. @throws errors of recv(2) such as ECONNRESET; AbortError */
  async receive(): Promise<Buffer | null> {
    const next = await this.#chunks.next();
    return next.done === true ? null : next.value;
  }

  /** Half-closes, and waits for the server's end of stream. */
  async end(): Promise<void> {
    this.#socket.end();
    while ((await this.receive()) !== null);
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
