/**
 * A server of any model, in threads and processes of its own, until a signal:
 *
 *   starting --listening--> serving --signal, or its own program has died--> closing --closed--> totals
 *                                                                            closing --signal--> ended at once
 */
import { once } from 'node:events';
import { type ServerModelRow, type ServerOptions, type ServerStats, createServer } from '../servers.js';
import { describeExit } from '../servers/protocol/messages.js';
import { parseServerOptions } from '../servers/server-options.js';
import { showAddress } from '../servers/worker/serve.js';
import { ENDING, endAtOnce, exitCodeOf, interrupted } from '../terminal/interrupt.js';
import type { ServeOptions } from './options.js';
import { print, printError } from './output.js';

/** The supervisor answers within this time, or is not asked any further. Milliseconds. */
const MAX_ANSWER = 500;
const STATS_EVERY = 1000;

function serverOptions({ app, host, port, ...options }: ServeOptions): ServerOptions {
  const own = ['mechanism', 'workers', 'accept', 'maxConnections', 'maxQueued'] as const;
  const given = own.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]);
  return { application: app, host, port, ...(Object.fromEntries(given) as ServerOptions) };
}

/** 'prefork, echo, epoll, lock, 2 workers' */
function describe({ name, mechanisms, options: own }: ServerModelRow, options: ServerOptions): string {
  const { application, accept, mechanism, workers } = parseServerOptions(name, options).settings;
  const best = accept === 'exclusive' ? 'epoll' : mechanisms[0];
  return [
    ...[name, application],
    ...(best === undefined ? [] : [mechanism ?? best]),
    ...(own.includes('accept') ? [accept] : []),
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
  const described = describe(row, given); // before it is started: afterwards it may have the last room for a ring
  const ending = new AbortController();
  let interruptedBy = null as NodeJS.Signals | null;
  const server = createServer(row.name, {
    ...given,
    onWorkerExit(exit) {
      printError(describeExit(exit));
      if (exit.role !== 'main') return;
      process.exitCode = 1; // there is no server any more
      ending.abort();
    },
  });
  const end = (signal: NodeJS.Signals): void => {
    for (const one of ENDING) process.off(one, onSignal);
    endAtOnce(signal);
  };
  const onSignal = interrupted(
    (signal) => {
      interruptedBy = signal;
      ending.abort();
      void server.close(); // also while it starts
    },
    (signal) => {
      setTimeout(() => end(signal), MAX_ANSWER);
      // Who answers has seen close() before, and so has told its processes to end.
      void server.workers().finally(() => end(signal));
    },
  );
  for (const signal of ENDING) process.on(signal, onSignal);
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
    ? setInterval(() => void server.stats().then((stats) => print(statsLine(stats))), STATS_EVERY)
    : undefined;
  if (!ending.signal.aborted) await once(ending.signal, 'abort');
  clearInterval(timer);
  await server.close();
  print(totalsLine(await server.stats()));
}
