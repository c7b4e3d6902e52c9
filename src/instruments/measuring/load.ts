/** Clients in a process of their own, that all ask at once and check each byte of what comes back. */
import { join } from 'node:path';
import { LineChild } from './line-child.js';

export interface LoadOptions {
  readonly port: number;
  /** So many connections are open at the same time; each sends its next message when the last one has come back whole. */
  readonly connections: number;
  /** In all. Rounded up to a multiple of the connections. */
  readonly messages: number;
  /** Of a message, in bytes. */
  readonly size: number;
  /** So many messages a connection before the time begins to count. 10 where nothing is said. */
  readonly warmUp?: number;
}

export const DEFAULT_WARM_UP = 10;

/** Times of round trips, in microseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface LoadResult {
  readonly messages: number;
  readonly messagesPerSecond: number;
  readonly latency: Latency;
  /** When the first message was sent, and the last one had come back: milliseconds of the clock that traces have. */
  readonly begun: number;
  readonly ended: number;
  /** The same by the wall clock: milliseconds since 1970, as `strace -ttt` prints them. */
  readonly wallClock: { readonly begun: number; readonly ended: number };
}

/** What the clients are asked for: to connect and warm up, and then to begin. */
export class Load implements AsyncDisposable {
  readonly #child: LineChild;
  readonly #signal: AbortSignal | undefined;

  private constructor(options: LoadOptions, signal: AbortSignal | undefined) {
    this.#child = new LineChild(join(__dirname, 'load-program.js'), options, { signal });
    this.#signal = signal;
  }

  /**
   * All are connected, and warm.
   * @param signal aborted: no result is waited for any more
   * @throws what went wrong; the signal's reason
   */
  static async ready(options: LoadOptions, signal?: AbortSignal): Promise<Load> {
    const load = new Load(options, signal);
    try {
      await load.#child.answer();
      return load;
    } catch (error) {
      await load[Symbol.asyncDispose]();
      throw error;
    }
  }

  async run(): Promise<LoadResult> {
    return (await this.#child.ask('begin')) as LoadResult;
  }

  /** Before they have ended. */
  kill(): void {
    this.#child.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#signal?.aborted) this.kill(); // in the midst of its work it does not hear that its input ends
    await this.#child[Symbol.asyncDispose]();
  }
}

/** @param times will be sorted */
export function latencyOf(times: Float64Array): Latency {
  times.sort();
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? NaN;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
