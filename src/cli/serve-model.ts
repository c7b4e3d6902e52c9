/**
 * A server of any model, in threads and processes of its own, until a signal:
 *
 *   starting --listening--> serving --signal, or its first thread exits--> closing --closed--> prints the totals
 *                                                                          closing --signal--> ends at once
 */
import { once } from 'node:events';
import {
  type AcceptStrategy,
  type ServerModelRow,
  type ServerOptions,
  type ServerStats,
  createServer,
} from '../servers.js';
import { describeExit } from '../servers/protocol/messages.js';
import { parseServerOptions } from '../servers/server-options.js';
import { showAddress } from '../servers/worker/serve.js';
import { TERMINATION_SIGNALS, endAtOnce, exitCodeOf, interrupted } from '../terminal/interrupt.js';
import type { ServeOptions } from './options.js';
import { print, printError } from './output.js';

/** How long a second signal waits for the supervisor's reply. */
const MAX_REPLY_MS = 500;
const STATS_INTERVAL_MS = 1000;

function serverOptions({ app, host, port, ...options }: ServeOptions): ServerOptions {
  const own = ['mechanism', 'workers', 'accept', 'maxConnections', 'maxQueued'] as const;
  const given = own.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]);
  return { application: app, host, port, ...(Object.fromEntries(given) as ServerOptions) };
}

/** The multiplexer in which it waits; undefined: it has none. */
function multiplexerOf(
  { mechanisms }: ServerModelRow,
  accept: AcceptStrategy | null,
  chosen?: string,
): string | undefined {
  if (accept === 'blocking') return undefined;
  return accept === 'exclusive' ? 'epoll' : (chosen ?? mechanisms[0]);
}

/** 'prefork, echo, epoll, lock, 2 workers' */
function describe(model: ServerModelRow, options: ServerOptions): string {
  const { name, options: own } = model;
  const { application, accept, mechanism, workers } = parseServerOptions(name, options).settings;
  const multiplexer = multiplexerOf(model, accept, mechanism);
  return [
    ...[name, application],
    ...(multiplexer === undefined ? [] : [multiplexer]),
    ...(accept === null ? [] : [accept]),
    ...(own.includes('workers') ? [workers === 1 ? '1 worker' : `${workers} workers`] : []),
  ].join(', ');
}

const wakeupsOf = ({ wakeups, emptyWakeups }: ServerStats): string => `${wakeups} wake-ups (${emptyWakeups} empty)`;

function statsLine(stats: ServerStats): string {
  const { open, accepted, queued } = stats;
  return `${open} open, ${accepted} accepted, ${queued} queued, ${wakeupsOf(stats)}`;
}

function totalsLine(stats: ServerStats): string {
  const { accepted, bytesIn, bytesOut, rejected, lost } = stats;
  const bytes = `${bytesIn} bytes in, ${bytesOut} bytes out`;
  return `closed: ${accepted} accepted, ${bytes}, ${wakeupsOf(stats)}, ${rejected} rejected, ${lost} lost`;
}

export async function serveModel(row: ServerModelRow, options: ServeOptions): Promise<void> {
  const given = serverOptions(options);
  const described = describe(row, given); // before the start, which may use up the memory that a probe of io_uring needs
  const ending = new AbortController();
  let interruptedBy = null as NodeJS.Signals | null;
  const server = createServer(row.name, {
    ...given,
    onWorkerExit(exit) {
      printError(describeExit(exit));
      if (exit.role !== 'main') return;
      process.exitCode = 1; // the server has ended
      ending.abort();
    },
  });
  const end = (signal: NodeJS.Signals): void => {
    for (const one of TERMINATION_SIGNALS) process.off(one, onSignal);
    endAtOnce(signal);
  };
  const onSignal = interrupted(
    (signal) => {
      interruptedBy = signal;
      ending.abort();
      void server.close(); // now, since listen() may not have returned
    },
    (signal) => {
      setTimeout(() => end(signal), MAX_REPLY_MS);
      // The supervisor handles requests in order: when it replies, it has sent SIGTERM to its processes, as close() demands.
      void server.workers().finally(() => end(signal));
    },
  );
  for (const signal of TERMINATION_SIGNALS) process.on(signal, onSignal);
  const address = await server.listen().catch(async (error: unknown) => {
    if (interruptedBy === null) throw error;
    await server.close();
    return null;
  });
  if (address === null) {
    process.exitCode = exitCodeOf(interruptedBy ?? 'SIGTERM');
    return;
  }
  const { host, port } = address;
  print(`listening on ${showAddress({ host, port })} (${described}); Ctrl-C ends it`);
  const timer = options.stats
    ? setInterval(() => void server.stats().then((stats) => print(statsLine(stats))), STATS_INTERVAL_MS)
    : undefined;
  if (!ending.signal.aborted) await once(ending.signal, 'abort');
  clearInterval(timer);
  await server.close();
  print(totalsLine(await server.stats()));
}
