/** Makes a server ready: its workers have started, and each has served once. */
import { Client } from './client.js';
import type { MeasuredServer } from './measured-server.js';
import { until } from './until.js';

/**
 * Occupies all workers at once, and waits until all are idle again. Without it the first client waits for the start of a worker.
 * @param workers of an echo server, each of which serves one connection at a time
 * @throws the signal's reason
 */
export async function warmUp(server: MeasuredServer, workers: number, signal: AbortSignal): Promise<void> {
  const clients = await Promise.all(Array.from({ length: workers }, () => Client.connect(server.port, signal)));
  try {
    for (const client of clients) client.send(Buffer.of(0));
    await Promise.all(clients.map((client) => client.receive()));
  } finally {
    for (const client of clients) client[Symbol.dispose]();
  }
  await until('all connections are closed', async () => ((await server.stats())?.open ?? 0) === 0, signal);
}
