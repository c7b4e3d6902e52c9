/** The program in which a subject serves while it is measured. Started by MeasuredServer. */
import { type AddressInfo, createServer as createNodeServer } from 'node:net';
import type { ServerOptions } from '../../servers.js';
import { createServer } from '../../servers.js';
import { answerLines, sendLine } from './line-child.js';
import type { Subject } from './subjects.js';

/** The argument of this program. */
export interface ServerStart {
  readonly subject: Subject;
  readonly options: Pick<ServerOptions, 'application' | 'workers' | 'maxConnections' | 'maxQueued'>;
}

export type ServerRequest = 'cpu' | 'stats' | 'workers' | 'kill';

interface Served {
  readonly port: number;
  answer(request: ServerRequest): unknown;
  close(): Promise<void>;
}

/** CPU time of this process and all its threads, in microseconds. */
function ownCpu(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

async function serveModel({ subject, options }: ServerStart): Promise<Served> {
  const { model, mechanism, accept } = subject;
  const server = createServer(model ?? 'reactor', {
    ...options,
    ...(mechanism === undefined ? {} : { mechanism }),
    ...(accept === undefined ? {} : { accept }),
  });
  const { port } = await server.listen();
  return {
    port,
    answer: (request) => (request === 'cpu' ? ownCpu() : request === 'workers' ? server.workers() : server.stats()),
    close: () => server.close(),
  };
}

/** The textbook echo server over node:net. */
async function serveNodeNet(): Promise<Served> {
  const server = createNodeServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    socket.on('data', (chunk) => socket.write(chunk));
    socket.on('end', () => socket.end());
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    answer: (request) => (request === 'cpu' ? ownCpu() : null),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** Ctrl-C signals all processes of a terminal. This one exits when the parent ends its input, so that it can close the server first. */
function ignoreTerminationSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
}

async function main(): Promise<void> {
  ignoreTerminationSignals();
  const start = JSON.parse(process.argv[2] ?? '') as ServerStart;
  const served = start.subject.model === null ? await serveNodeNet() : await serveModel(start);
  sendLine({ port: served.port });
  await answerLines((request) => served.answer(request as ServerRequest));
  await served.close();
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
