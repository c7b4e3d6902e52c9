/** The process of the clients. Started by Load. */
import { type Connection, Reactor, createSelector } from '../../index.js';
import { native } from '../../native.js';
import { answerLines, say } from './line-child.js';
import { DEFAULT_WARM_UP, type LoadOptions, type LoadResult, latencyOf } from './load.js';

/** Where nothing has come back for so many milliseconds, the server is taken to serve no more. */
const LONGEST_SILENCE = 30_000;

/** Milliseconds since 1970. The clock of performance.now() does not jump, and this process is new. */
const wallClock = (): number => performance.timeOrigin + performance.now();

interface Progress {
  /** Of the message that is on its way. */
  received: number;
  left: number;
  sentAt: number;
}

/** Each byte of a message is another one than its neighbours: what is missing, or comes twice, is seen. */
function messageOf(size: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
}

class Clients {
  readonly #loop = new Reactor({ selector: createSelector() });
  readonly #options: LoadOptions;
  readonly #message: Buffer;
  readonly #connections: Connection<Progress>[] = [];
  #times = new Float64Array(0);
  #done = 0;
  #open = 0;
  #error: Error | null = null;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#message = messageOf(options.size);
  }

  connect(): void {
    const { port, connections, warmUp = DEFAULT_WARM_UP } = this.#options;
    for (let i = 0; i < connections; i++) {
      const connection = this.#loop.connect<Progress>(
        { host: '127.0.0.1', port },
        {
          borrowsChunks: true,
          open: () => this.#open++,
          data: (client, chunk) => this.#onData(client, chunk),
          close: (_, error) => {
            this.#error ??= error ?? new Error('the server has closed a connection');
          },
        },
      );
      connection.data = { received: 0, left: 0, sentAt: 0 };
      this.#connections.push(connection);
    }
    this.#turnUntil(() => this.#open === connections);
    this.#exchange(warmUp);
  }

  run(): LoadResult {
    const { connections, messages } = this.#options;
    const each = Math.ceil(messages / connections);
    const wallBegun = wallClock();
    const begun = native.monotonicMilliseconds();
    this.#exchange(each);
    const ended = native.monotonicMilliseconds();
    const wallEnded = wallClock();
    const all = each * connections;
    return {
      messages: all,
      messagesPerSecond: (1000 * all) / (ended - begun),
      latency: latencyOf(this.#times),
      begun,
      ended,
      wallClock: { begun: wallBegun, ended: wallEnded },
    };
  }

  /** So many messages of each connection. */
  #exchange(each: number): void {
    this.#times = new Float64Array(each * this.#connections.length);
    this.#done = 0;
    if (each === 0) return;
    for (const connection of this.#connections) {
      connection.data.left = each;
      this.#send(connection);
    }
    this.#turnUntil(() => this.#done === this.#times.length);
  }

  #send(client: Connection<Progress>): void {
    client.data.received = 0;
    client.data.sentAt = performance.now();
    client.write(this.#message);
  }

  #onData(client: Connection<Progress>, chunk: Buffer): void {
    const progress = client.data;
    const { received } = progress;
    const expected = this.#message.subarray(received, received + chunk.length);
    if (!expected.equals(chunk)) {
      this.#error ??= new Error(`what came back is not what was sent: ${chunk.length} bytes after ${received}`);
      return;
    }
    progress.received += chunk.length;
    if (progress.received < this.#message.length) return;
    this.#times[this.#done++] = 1000 * (performance.now() - progress.sentAt);
    if (--progress.left > 0) this.#send(client);
  }

  #turnUntil(isSo: () => boolean): void {
    while (!isSo()) {
      const since = performance.now();
      const events = this.#loop.runOnce(LONGEST_SILENCE);
      if (this.#error !== null) throw this.#error;
      if (events === 0 && performance.now() - since >= LONGEST_SILENCE)
        throw new Error(
          `the server was silent for ${LONGEST_SILENCE / 1000} seconds; ` +
            `${this.#open} connections were open, and ${this.#done} messages had come back`,
        );
    }
  }
}

async function main(): Promise<void> {
  const clients = new Clients(JSON.parse(process.argv[2] ?? '') as LoadOptions);
  clients.connect();
  say('ready');
  await answerLines(() => clients.run());
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
