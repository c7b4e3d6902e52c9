/** A client of the rpc application (post 001). */
import { FrameReader, frame } from '../../servers/applications/framing.js';
import { MAX_FRAME } from '../../servers/applications/rpc.js';
import { Client } from './client.js';

export interface Request {
  /** The method. */
  readonly in: string;
  readonly params?: unknown;
}

export interface Reply {
  /** 'pong', 'slept' */
  readonly out: string;
  readonly result: unknown;
}

export class RpcClient implements Disposable {
  readonly #client: Client;
  readonly #reader = new FrameReader(MAX_FRAME);
  readonly #replies: Reply[] = [];

  private constructor(client: Client) {
    this.#client = client;
  }

  /** @param signal destroys it */
  static async connect(port: number, signal: AbortSignal): Promise<RpcClient> {
    return new RpcClient(await Client.connect(port, signal));
  }

  /** Several in one write: pipelined. */
  send(...requests: readonly Request[]): void {
    this.#client.send(Buffer.concat(requests.map((request) => frame(JSON.stringify(request)))));
  }

  /** The next reply, in the order in which they come. @throws where the connection is over before */
  async reply(): Promise<Reply> {
    for (;;) {
      const reply = this.#replies.shift();
      if (reply !== undefined) return reply;
      const chunk = await this.#client.received();
      if (chunk === null) throw new Error('the server has ended a connection without an answer');
      this.#reader.read(chunk, (body) => this.#replies.push(JSON.parse(body.toString('utf8')) as Reply));
    }
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }
}
