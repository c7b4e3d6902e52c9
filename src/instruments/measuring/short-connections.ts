/** Clients that connect, send one message, receive it back and close. */
import { Client } from './client.js';

/** The work of the clients. */
export interface ShortConnectionsOptions {
  readonly port: number;
  /** Maximum number of connections over all clients. */
  readonly connections: number;
  /** Concurrent clients. Each connects again once its last connection is closed. */
  readonly concurrency: number;
  /** Milliseconds after which no connection is started, except for the first `minConnections`. Default: Infinity. */
  readonly maxDuration?: number;
  /** Connections that are made in any case. Default: 0. */
  readonly minConnections?: number;
}

/** What the clients measured. */
export interface ShortConnections {
  /** Milliseconds from connect() to the whole reply, per connection. */
  readonly times: readonly number[];
  /** Connections per second. */
  readonly perSecond: number;
}

const MESSAGE = Buffer.alloc(64, 'x');

/** Runs the clients against an echo server. @throws if a connection gets no reply */
export async function shortConnections(
  { port, connections, concurrency, maxDuration = Infinity, minConnections = 0 }: ShortConnectionsOptions,
  signal: AbortSignal,
): Promise<ShortConnections> {
  const times: number[] = [];
  const begun = performance.now();
  let started = 0;
  const runClient = async (): Promise<void> => {
    while (started < connections && (started < minConnections || performance.now() - begun < maxDuration)) {
      started++;
      times.push(await exchangeOne(port, signal));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, runClient));
  return { times, perSecond: (1000 * times.length) / (performance.now() - begun) };
}

/** @returns milliseconds from connect() to the whole reply */
async function exchangeOne(port: number, signal: AbortSignal): Promise<number> {
  const begun = performance.now();
  using client = await Client.connect(port, signal);
  client.send(MESSAGE);
  for (let length = 0; length < MESSAGE.length;) {
    const chunk = await client.receive();
    if (chunk === null) throw new Error('the server closed a connection without a reply');
    length += chunk.length;
  }
  const time = performance.now() - begun;
  await client.end();
  return time;
}
