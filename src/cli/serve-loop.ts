/** A reactor or a proactor on the main thread: blocking it, as in the textbooks, or inside Node's event loop. */
import { type EventLoop, Reactor, createSelector } from '../index.js';
import type { ServerModelRow } from '../servers.js';
import { createProactorLoop } from '../servers/worker/proactor-loop.js';
import { type LogTraffic, serveOn, showAddress } from '../servers/worker/serve.js';
import { endOnRepeat } from '../syscalls/end-on-repeat.js';
import { TERMINATION_SIGNALS, REPEAT_WINDOW_MS, interrupted } from '../terminal/interrupt.js';
import type { ServeOptions } from './options.js';
import { print, printError, showBytes } from './output.js';

function createLoop(name: string, mechanism: string | undefined): EventLoop {
  return name === 'proactor'
    ? createProactorLoop(mechanism, printError)
    : new Reactor({ selector: createSelector(mechanism), onError: printError });
}

const count = (connections: number): string => (connections === 1 ? '1 connection' : `${connections} connections`);

export async function serveLoop({ name }: ServerModelRow, options: ServeOptions): Promise<void> {
  const { app, host, port, mechanism, maxConnections, insideNode, verbose } = options;
  using loop = createLoop(name, mechanism);
  const log: LogTraffic = (peer, event, bytes) =>
    print(`${peer} ${event}${bytes === undefined ? '' : ` ${showBytes(bytes)}`}`);
  const server = serveOn(loop, { host, port, ...(maxConnections === undefined ? {} : { maxConnections }) }, app, {
    ...(verbose ? { log } : {}),
    onSlowStop: (connections) =>
      print(`waiting up to two seconds for ${count(connections)}; another Ctrl-C ends the server at once`),
  });
  const stop = (): void => server.stop();
  const onSignal = interrupted(stop, stop);
  for (const signal of TERMINATION_SIGNALS) loop.onSignal(signal, () => onSignal(signal));
  // A request may block this thread, and the callbacks of signals with it. So the native signal handler ends the process on a repeated signal.
  endOnRepeat(REPEAT_WINDOW_MS);
  const address = showAddress(server.listener.address);
  print(`listening on ${address} (${name}, ${app}, ${loop.mechanism}); Ctrl-C ends it`);
  if (insideNode) await loop.start();
  else loop.run();
}
