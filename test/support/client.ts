/** One client for the servers of all models: a socket of node:net, so that the package does not test itself. */
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { inTime } from './servers.js';

export class Client {
  readonly socket: Socket;
  /** Whether the peer has finished sending. */
  hasEnded = false;
  isClosed = false;
  error: NodeJS.ErrnoException | null = null;
  #chunks: Buffer[] = [];
  #length = 0;
  /** Called after each event. */
  #onNews: (() => void)[] = [];

  private constructor(reads: boolean) {
    this.socket = new Socket({ allowHalfOpen: true });
    this.socket.setNoDelay(true); // each write is a separate packet
    if (reads) this.read();
    this.socket.on('end', () => {
      this.hasEnded = true;
      this.#tell();
    });
    this.socket.on('error', (error) => {
      this.error = error;
      this.#tell();
    });
    this.socket.on('close', () => {
      this.isClosed = true;
      this.#tell();
    });
  }

  /** @param options.reads false: receives nothing until read() */
  static async connect(
    address: { readonly host: string; readonly port: number },
    { reads = true }: { readonly reads?: boolean } = {},
  ): Promise<Client> {
    const client = new Client(reads);
    let isConnected = false;
    client.socket.connect(address, () => {
      isConnected = true;
      client.#tell();
    });
    await client.#until('a connection', () => isConnected);
    return client;
  }

  get length(): number {
    return this.#length;
  }

  get bytes(): Buffer {
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }

  /** Starts to receive. */
  read(): void {
    this.socket.on('data', (chunk) => {
      this.#chunks.push(chunk);
      this.#length += chunk.length;
      this.#tell();
    });
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Writes each byte separately: the next one when the system has taken this one. */
  async writeByteByByte(bytes: Uint8Array): Promise<void> {
    for (const byte of bytes)
      await inTime('a byte to go', new Promise<void>((sent) => this.socket.write(Buffer.of(byte), () => sent())));
  }

  /** Sends data to an echo server, and waits for the echo. */
  async echoes(text: string): Promise<void> {
    const { length } = this;
    this.write(Buffer.from(text));
    await this.received(length + Buffer.byteLength(text));
    assert.equal(this.bytes.toString('utf8', length), text);
  }

  /** Half-closes, and waits for the end of the stream. */
  async leave(): Promise<void> {
    this.end();
    await this.over();
    if (this.error !== null) throw this.error;
    this.close();
  }

  /** Half-closes. */
  end(): void {
    this.socket.end();
  }

  /** Closes with a reset. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  close(): void {
    this.socket.destroy();
  }

  /** Waits until `length` bytes have arrived in total. @throws if the connection ends before that */
  async received(length: number): Promise<void> {
    await this.#until(`${length} bytes`, () => {
      if (this.#length < length && (this.isClosed || this.hasEnded))
        throw this.error ?? new Error(`the connection is over after ${this.#length} of ${length} bytes`);
      return this.#length >= length;
    });
  }

  /** Waits until the received data satisfies the condition. */
  async receivedWhere(what: string, isSo: (bytes: Buffer) => boolean): Promise<void> {
    await this.#until(what, () => {
      if (isSo(this.bytes)) return true;
      if (this.isClosed || this.hasEnded)
        throw this.error ?? new Error(`the connection is over; still waiting: ${what}`);
      return false;
    });
  }

  /** Waits until the peer has finished sending, or has reset the connection. */
  async over(): Promise<void> {
    await this.#until('the end', () => this.hasEnded || this.isClosed);
  }

  async #until(what: string, isSo: () => boolean): Promise<void> {
    await inTime(
      `${what} (${this.#length} bytes have come)`,
      new Promise<void>((resolve, reject) => {
        const look = (): void => {
          try {
            if (!isSo()) {
              if (this.error !== null) throw this.error;
              return;
            }
            resolve();
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          }
          this.#onNews = this.#onNews.filter((one) => one !== look);
        };
        this.#onNews.push(look);
        look();
      }),
    );
  }

  #tell(): void {
    for (const look of this.#onNews) look();
  }
}
