/** A client of the rpc application (post 001). */
import { FrameReader, frame } from '../../servers/applications/framing.js';
import { MAX_FRAME } from '../../servers/applications/rpc.js';
import { Client } from './client.js';

/** A request frame. */
export interface Request {
  /** Name of the method: 'ping', 'sleep'. */
  readonly in: string;
  readonly params?: unknown;
}

/** A reply frame. */
export interface Reply {
  /** What the method did: 'pong', 'slept'. */
  readonly out: string;
  readonly result: unknown;
}

/** One connection. */
export class RpcClient implements Disposable {
  readonly #client: Client;
  readonly #reader = new FrameReader(MAX_FRAME);
  readonly #replies: Reply[] = [];

  private constructor(client: Client) {
    this.#client = client;
  }

  /** @param signal destroys the socket when aborted. @throws as Client.connect() */
  static async connect(port: number, signal: AbortSignal): Promise<RpcClient> {
    return new RpcClient(await Client.connect(port, signal));
  }

  /** Sends the requests in one write: pipelined. */
  send(...requests: readonly Request[]): void {
    this.#client.send(Buffer.concat(requests.map((request) => frame(JSON.stringify(request)))));
  }

  /** Waits for the next reply, in order of arrival. @throws if the connection ends before */
  async reply(): Promise<Reply> {
    for (;;) {
      const reply = this.#replies.shift();
      if (reply !== undefined) return reply;
      const chunk = await this.#client.receive();
      if (chunk === null) throw new Error('the server closed a connection without a reply');
      this.#reader.read(chunk, (body) => this.#replies.push(JSON.parse(body.toString('utf8')) as Reply));
    }
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }
}
