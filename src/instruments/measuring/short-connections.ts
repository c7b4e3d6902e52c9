/** Clients that come, ask for one thing, and leave. */
import { Client } from './client.js';

export interface ShortConnectionsOptions {
  readonly port: number;
  /** In all, at the most. */
  readonly connections: number;
  /** So many clients come one after the other, each when the last one has gone. */
  readonly atOnce: number;
  /** Nobody comes any more after so many milliseconds, */
  readonly longest?: number;
  /** unless these have not come yet. */
  readonly fewest?: number;
}

export interface ShortConnections {
  /** Milliseconds from the first packet of each connection to its answer. */
  readonly times: readonly number[];
  readonly perSecond: number;
}

const MESSAGE = Buffer.alloc(64, 'x');

/** Over the echo application. @throws where a connection is not answered */
export async function shortConnections(
  { port, connections, atOnce, longest = Infinity, fewest = 0 }: ShortConnectionsOptions,
  signal: AbortSignal,
): Promise<ShortConnections> {
  const times: number[] = [];
  const begun = performance.now();
  let come = 0;
  const comeAndGo = async (): Promise<void> => {
    while (come < connections && (come < fewest || performance.now() - begun < longest)) {
      come++;
      times.push(await answeredIn(port, signal));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, comeAndGo));
  return { times, perSecond: (1000 * times.length) / (performance.now() - begun) };
}

async function answeredIn(port: number, signal: AbortSignal): Promise<number> {
  const begun = performance.now();
  using client = await Client.connect(port, signal);
  client.send(MESSAGE);
  for (let length = 0; length < MESSAGE.length;) {
    const chunk = await client.received();
    if (chunk === null) throw new Error('the server has ended a connection without an answer');
    length += chunk.length;
  }
  const answered = performance.now() - begun;
  await client.leave();
  return answered;
}
