/** A client of an echo server that checks each byte that comes back. */
import { type Socket, connect } from 'node:net';

/** What a client saw. */
export type Seen = 'all' | 'part' | 'wrong bytes';

/** The sizes of a client's messages in bytes, in order. */
const MESSAGES = [1, 5, 100, 3000, 1, 20_000, 17];

/** Sends its messages, each after the echo of the previous one, and ends. The bytes are a sequence of the client's own. */
export class ExactClient {
  readonly #socket: Socket;
  readonly #seed: number;
  #sent = 0;
  #received = 0;
  #isWrong = false;
  #message = 0;
  readonly seen: Promise<Seen>;

  constructor(port: number, seed: number, patience: number) {
    this.#seed = seed;
    this.#socket = connect({ port, host: '127.0.0.1' });
    this.#socket.setTimeout(patience, () => this.#socket.destroy());
    this.#socket.on('data', (chunk) => this.#onData(chunk));
    this.#socket.on('error', () => undefined); // a reset is an end
    this.seen = new Promise((resolve) =>
      this.#socket.on('close', () => resolve(this.#isWrong ? 'wrong bytes' : this.#isComplete ? 'all' : 'part')),
    );
  }

  get #isComplete(): boolean {
    return this.#message === MESSAGES.length && this.#received === this.#sent;
  }

  #byte(index: number): number {
    return (this.#seed * 31 + index * 7 + (index >> 8)) & 0xff;
  }

  /** Sends the first message. */
  begin(): void {
    this.#next();
  }

  #next(): void {
    const size = MESSAGES[this.#message];
    if (size === undefined) return void this.#socket.end();
    this.#message++;
    this.#socket.write(Uint8Array.from({ length: size }, (_, i) => this.#byte(this.#sent + i)));
    this.#sent += size;
  }

  #onData(chunk: Uint8Array): void {
    for (const byte of chunk) this.#isWrong ||= byte !== this.#byte(this.#received++);
    if (this.#received > this.#sent) this.#isWrong = true;
    if (this.#received === this.#sent) this.#next();
  }
}
