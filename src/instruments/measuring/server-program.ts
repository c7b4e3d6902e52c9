/** The program in which a subject serves while it is measured. Started by MeasuredServer. */
import { type AddressInfo, type Server as NodeServer, createServer as createNodeServer } from 'node:net';
import { Reactor, createSelector } from '../../index.js';
import type { ServerOptions } from '../../servers.js';
import { createServer } from '../../servers.js';
import { createProactorLoop } from '../../servers/worker/proactor-loop.js';
import { httpGet } from './http.js';
import { answerLines, sendLine } from './line-child.js';
import { createPathServer } from './node-http.js';
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
function serveNodeNet(): Promise<Served> {
  const server = createNodeServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    socket.on('data', (chunk) => socket.write(chunk));
    socket.on('end', () => socket.end());
    socket.on('error', () => socket.destroy());
  });
  return serveNode(server);
}

async function serveNode(server: NodeServer): Promise<Served> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    answer: (request) => (request === 'cpu' ? ownCpu() : null),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** GET over Node's `http`, or over a loop inside Node's, so that both have the same loop below them. */
async function serveHttp({ http, mechanism }: Subject): Promise<Served> {
  if (http === 'node') return serveNode(createPathServer());
  const loop =
    http === 'proactor'
      ? createProactorLoop(mechanism, reportError)
      : new Reactor({ selector: createSelector(mechanism), onError: reportError });
  const listener = loop.listen({ host: '127.0.0.1', port: 0 }, httpGet);
  loop.start().catch((error: unknown) => {
    reportError(error);
    process.exit(1);
  });
  return {
    port: (listener.address as { readonly port: number }).port,
    answer: (request) => (request === 'cpu' ? ownCpu() : null),
    close: () => Promise.resolve(loop.close()),
  };
}

const reportError = (error: unknown): void => void process.stderr.write(`${String(error)}\n`);

/** Ctrl-C signals all processes of a terminal. This one exits when the parent ends its input, so that it can close the server first. */
function ignoreTerminationSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
}

function serve(start: ServerStart): Promise<Served> {
  const { model, http } = start.subject;
  if (http !== undefined) return serveHttp(start.subject);
  return model === null ? serveNodeNet() : serveModel(start);
}

async function main(): Promise<void> {
  ignoreTerminationSignals();
  const start = JSON.parse(process.argv[2] ?? '') as ServerStart;
  const served = await serve(start);
  sendLine({ port: served.port });
  await answerLines((request) => served.answer(request as ServerRequest));
  await served.close();
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
