/** One client: a socket of Node's own, so that nothing of what is measured measures itself. */
import { once, setMaxListeners } from 'node:events';
import { type Socket, connect } from 'node:net';
import { addAbortSignal } from 'node:stream';

export class Client implements Disposable {
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;

  private constructor(port: number, signal: AbortSignal) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    this.#socket.on('error', () => undefined); // who waits is told
    setMaxListeners(0, signal); // however many clients there are
    addAbortSignal(signal, this.#socket);
    this.#chunks = this.#socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** @param signal destroys it. @throws ECONNREFUSED and the like; AbortError */
  static async connect(port: number, signal: AbortSignal): Promise<Client> {
    const client = new Client(port, signal);
    await once(client.#socket, 'connect');
    return client;
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** The next bytes. null: the server has finished. @throws ECONNRESET and the like; AbortError */
  async received(): Promise<Buffer | null> {
    const next = await this.#chunks.next();
    return next.done === true ? null : next.value;
  }

  /** Half-closes, and waits for the server's end. */
  async leave(): Promise<void> {
    this.#socket.end();
    while ((await this.received()) !== null);
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
