/** The clients of one-core: they send the same request again and again, and only count the bytes of the replies. Started by one-core. */
import { type Connection, Reactor, createSelector } from '../../index.js';
import { frame } from '../../servers/applications/framing.js';
import { answerLines, sendLine } from '../measuring/line-child.js';

/** The argument of this program. */
export interface OneCoreClients {
  /** TCP port on 127.0.0.1 of an rpc server. */
  readonly port: number;
  /** Concurrent connections. Each sends its next request once the reply to the last one is complete. */
  readonly connections: number;
  /** Depth of the nested lists in a request. */
  readonly depth: number;
}

/** The answer to a request, which is a number of milliseconds: the clients send for as long, then wait for the last replies. */
export interface OneCoreRun {
  readonly replies: number;
  /** Milliseconds from the first request to the last reply. */
  readonly elapsed: number;
  /** CPU time of this process, in milliseconds. */
  readonly cpu: number;
}

/** Milliseconds without a reply after which the server counts as failed. */
const MAX_SILENCE = 30_000;

interface Progress {
  /** Bytes received of the current reply. */
  received: number;
}

class Clients {
  readonly #loop = new Reactor({ selector: createSelector() });
  readonly #request: Buffer;
  readonly #reply: Buffer;
  readonly #connections: readonly Connection<Progress>[];
  #open = 0;
  #waiting = 0;
  #replies = 0;
  #deadline = 0;
  #error: Error | null = null;

  constructor({ port, connections, depth }: OneCoreClients) {
    const nested = `${'['.repeat(depth)}${']'.repeat(depth)}`;
    this.#request = frame(`{"in":"ping","params":${nested}}`);
    this.#reply = frame(`{"out":"pong","result":${nested}}`);
    this.#connections = Array.from({ length: connections }, () => {
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
      connection.data = { received: 0 };
      return connection;
    });
    this.#runUntil(() => this.#open === connections);
  }

  /** @param duration in milliseconds; 0: one request per connection */
  run(duration: number): OneCoreRun {
    const cpuBefore = process.cpuUsage();
    const begun = performance.now();
    this.#deadline = begun + duration;
    this.#replies = 0;
    for (const connection of this.#connections) this.#send(connection);
    this.#runUntil(() => this.#waiting === 0);
    const elapsed = performance.now() - begun;
    const { user, system } = process.cpuUsage(cpuBefore);
    return { replies: this.#replies, elapsed, cpu: (user + system) / 1000 };
  }

  #send(client: Connection<Progress>): void {
    this.#waiting++;
    client.data.received = 0;
    client.write(this.#request);
  }

  #onData(client: Connection<Progress>, chunk: Buffer): void {
    const progress = client.data;
    // The first byte of a chunk is checked, so that an error reply of the same length is detected at little cost.
    if (chunk[0] !== this.#reply[progress.received]) this.#error ??= new Error('a reply is not that to the request');
    progress.received += chunk.length;
    if (progress.received < this.#reply.length) return;
    this.#waiting--;
    this.#replies++;
    if (performance.now() < this.#deadline) this.#send(client);
  }

  #runUntil(condition: () => boolean): void {
    while (!condition()) {
      const since = performance.now();
      const events = this.#loop.runOnce(MAX_SILENCE);
      if (this.#error !== null) throw this.#error;
      if (events === 0 && performance.now() - since >= MAX_SILENCE)
        throw new Error(`the server was silent for ${MAX_SILENCE / 1000} seconds`);
    }
  }
}

async function main(): Promise<void> {
  const clients = new Clients(JSON.parse(process.argv[2] ?? '') as OneCoreClients);
  sendLine('ready');
  await answerLines((duration) => clients.run(duration as number));
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
