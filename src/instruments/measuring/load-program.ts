/** The program that runs the clients. Started by Load. */
import { type Connection, Reactor, createSelector } from '../../index.js';
import { native } from '../../native.js';
import { answerLines, sendLine } from './line-child.js';
import { DEFAULT_WARM_UP, type LoadOptions, type LoadResult, latencyOf } from './load.js';

/** Milliseconds without a reply after which the server counts as failed. */
const MAX_SILENCE = 30_000;
const NOTHING = Buffer.alloc(0);

/** Milliseconds since 1970. performance.now() is monotonic, and this process is too new for the two clocks to differ. */
const wallClock = (): number => performance.timeOrigin + performance.now();

interface Progress {
  /** Bytes received of the current message. */
  received: number;
  /** HTTP: the bytes themselves. */
  reply: Buffer;
  /** Messages still to be exchanged. */
  left: number;
  /** When the current message was sent: performance.now(). */
  sentAt: number;
}

/** Neighbouring bytes differ, so that a lost or repeated byte is detected. */
function messageOf(size: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
}

/** What the clients send, and how they check the reply. */
interface Exchange {
  readonly request: Buffer;
  /** @returns the reply is complete. @throws if it is wrong */
  receive(progress: Progress, chunk: Buffer): boolean;
}

function echoOf(request: Buffer): Exchange {
  return {
    request,
    receive(progress, chunk) {
      const { received } = progress;
      if (!request.subarray(received, received + chunk.length).equals(chunk))
        throw new Error(`the reply differs from the message: ${chunk.length} bytes after ${received}`);
      progress.received += chunk.length;
      return progress.received === request.length;
    },
  };
}

const HEAD_END = '\r\n\r\n';

/** A GET of a path of this size. Servers have different heads: the status, the length and the body are checked. */
function getOf(size: number): Exchange {
  const path = Buffer.from(`/${'x'.repeat(size - 1)}`);
  return {
    request: Buffer.from(`GET ${path.toString()} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`),
    receive(progress, chunk) {
      const reply = progress.reply.length === 0 ? chunk : Buffer.concat([progress.reply, chunk]);
      const end = reply.indexOf(HEAD_END);
      const head = end < 0 ? '' : reply.toString('latin1', 0, end);
      const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? NaN);
      if (end >= 0 && (!head.startsWith('HTTP/1.1 200 ') || length !== size))
        throw new Error(`the reply is no 200 with ${size} bytes: ${head}`);
      const body = end + HEAD_END.length;
      const isComplete = end >= 0 && reply.length >= body + size;
      if (isComplete && !reply.subarray(body).equals(path)) throw new Error('the body of the reply is not the path');
      progress.reply = isComplete ? NOTHING : Buffer.from(reply);
      return isComplete;
    },
  };
}

/** All clients on one reactor; each sends its next message once the reply is complete. */
class Clients {
  readonly #loop = new Reactor({ selector: createSelector() });
  readonly #options: LoadOptions;
  readonly #exchanged: Exchange;
  readonly #connections: Connection<Progress>[] = [];
  #roundTrips = new Float64Array(0);
  #done = 0;
  #open = 0;
  #error: Error | null = null;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#exchanged = options.isHttp ? getOf(options.size) : echoOf(messageOf(options.size));
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
            this.#error ??= error ?? new Error('the server closed a connection');
          },
        },
      );
      connection.data = { received: 0, reply: NOTHING, left: 0, sentAt: 0 };
      this.#connections.push(connection);
    }
    this.#runUntil(() => this.#open === connections);
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
      latency: latencyOf(this.#roundTrips),
      begun,
      ended,
      wallClock: { begun: wallBegun, ended: wallEnded },
    };
  }

  /** Exchanges `each` messages on every connection. */
  #exchange(each: number): void {
    this.#roundTrips = new Float64Array(each * this.#connections.length);
    this.#done = 0;
    if (each === 0) return;
    for (const connection of this.#connections) {
      connection.data.left = each;
      this.#send(connection);
    }
    this.#runUntil(() => this.#done === this.#roundTrips.length);
  }

  #send(client: Connection<Progress>): void {
    client.data.received = 0;
    client.data.sentAt = performance.now();
    client.write(this.#exchanged.request);
  }

  #onData(client: Connection<Progress>, chunk: Buffer): void {
    const progress = client.data;
    try {
      if (!this.#exchanged.receive(progress, chunk)) return;
    } catch (error) {
      this.#error ??= error as Error;
      return;
    }
    this.#roundTrips[this.#done++] = 1000 * (performance.now() - progress.sentAt);
    if (--progress.left > 0) this.#send(client);
  }

  #runUntil(condition: () => boolean): void {
    while (!condition()) {
      const since = performance.now();
      const events = this.#loop.runOnce(MAX_SILENCE);
      if (this.#error !== null) throw this.#error;
      if (events === 0 && performance.now() - since >= MAX_SILENCE)
        throw new Error(
          `the server was silent for ${MAX_SILENCE / 1000} seconds; ` +
            `${this.#open} connections were open, and ${this.#done} replies had arrived`,
        );
    }
  }
}

async function main(): Promise<void> {
  const clients = new Clients(JSON.parse(process.argv[2] ?? '') as LoadOptions);
  clients.connect();
  sendLine('ready');
  await answerLines(() => clients.run());
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
