/** Clients in a process of their own, which all send at once and check each byte of the replies. */
import { distPath } from '../../package-folder.js';
import { LineChild } from './line-child.js';

/** The work of the clients. */
export interface LoadOptions {
  /** TCP port on 127.0.0.1. */
  readonly port: number;
  /** Concurrent connections. Each sends its next message once the reply to the last one is complete. */
  readonly connections: number;
  /** Messages over all connections, rounded up to a multiple of `connections`. */
  readonly messages: number;
  /** Size of a message, in bytes. */
  readonly size: number;
  /** Each message is a GET of a path of `size` bytes, and its reply the path (http.ts). Default: false, an echo. */
  readonly isHttp?: boolean;
  /** Messages per connection before the measurement. Default: 10. */
  readonly warmUp?: number;
}

export const DEFAULT_WARM_UP = 10;

/** Round-trip times in microseconds: median, 99th percentile and maximum. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** What the clients measured. */
export interface LoadResult {
  readonly messages: number;
  readonly messagesPerSecond: number;
  readonly latency: Latency;
  /** When the first message was sent: milliseconds of the monotonic clock that traces use. */
  readonly begun: number;
  /** When the last reply was complete, on the same clock. */
  readonly ended: number;
  /** The same on the wall clock, as `strace -ttt` prints it: milliseconds since 1970. */
  readonly wallClock: { readonly begun: number; readonly ended: number };
}

/** The process of the clients: ready() connects and warms up, run() measures. */
export class Load implements AsyncDisposable {
  readonly #child: LineChild;
  readonly #signal: AbortSignal | undefined;

  private constructor(options: LoadOptions, signal: AbortSignal | undefined) {
    this.#child = new LineChild(distPath('instruments/measuring/load-program.js'), options, { signal });
    this.#signal = signal;
  }

  /**
   * Resolves once all clients are connected and warmed up.
   * @param signal aborted: ready() and run() reject with its reason
   * @throws Error with the clients' error text; the signal's reason
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

  /** Exchanges the messages. @throws as ready() */
  async run(): Promise<LoadResult> {
    return (await this.#child.ask('begin')) as LoadResult;
  }

  /** Kills the process before it has finished. */
  kill(): void {
    this.#child.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#signal?.aborted) this.kill(); // while it works it does not read its input
    await this.#child[Symbol.asyncDispose]();
  }
}

/** @param times round trips in microseconds, at least one: sorted in place */
export function latencyOf(times: Float64Array): Latency {
  times.sort();
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? NaN;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
