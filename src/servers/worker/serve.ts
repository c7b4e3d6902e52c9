/**
 * An application on a loop, from listen to a graceful end:
 *
 *   serving --stop()--> stopping: closes the listener, sends FIN after what is buffered --all have closed, or timeout--> stopped
 *
 * After FIN, each peer has a moment to close: closing the connection at once could reset it, and the peer would lose what it has not read.
 * Peers that still send or read slowly have more time.
 */
import type { Connection, ConnectionHandler, EventLoop, ListenOptions, Listener, SocketAddress } from '../../index.js';
import type { Application } from '../applications/application.js';
import { unixPathOf } from '../../syscalls/address.js';
import { type ApplicationName, applicationRow } from '../applications/index.js';
import { type ConnectionObserver, observedHandler } from './observed.js';

/** stop() ends when no peer has sent or read anything for this time. */
const QUIET_MS = 250;
/** stop() ends after this time even if a client goes on sending. LoopServer.stop() documents two seconds. */
const MAX_STOPPING_MS = 1500;
const POLL_INTERVAL_MS = 20;

/** @param event 'connected', 'sent' (the peer sent bytes), 'gets' (the application wrote bytes) or 'closed' */
export type LogTraffic = (peer: string, event: string, bytes?: Uint8Array) => void;

export interface LoopServer {
  readonly listener: Listener;
  /** Stops the loop after a graceful end, within two seconds. A second call stops it at once. */
  stop(): void;
}

/**
 * Serves an application on a loop. The caller runs the loop.
 * @param application its name, or an application of one's own
 * @param options.log called for each connection and each chunk; costs time
 * @param options.onSlowStop called once when stop() has to wait for clients that go on sending or read slowly
 */
export function serveOn(
  loop: EventLoop,
  listen: ListenOptions,
  application: ApplicationName | Application,
  options: { readonly log?: LogTraffic; readonly onSlowStop?: (connections: number) => void } = {},
): LoopServer {
  const created = typeof application === 'string' ? applicationRow(application).create() : application;
  const served: ConnectionHandler =
    options.log === undefined ? created : observedHandler(created, loggingObserver(options.log));
  const open = new Set<Connection>();
  /** The first call of stop(), and the last time that a peer has sent or read, on the loop's clock; -1: not stopping. */
  let stoppingSince = -1;
  let lastActivity = -1;
  let isSlow = false;
  const handler: ConnectionHandler = {
    borrowsChunks: true,
    open(connection) {
      open.add(connection);
      served.open?.(connection);
    },
    data(connection, chunk) {
      // While stopping, bytes are read, in order to see the end of the stream, and dropped.
      if (stoppingSince >= 0) lastActivity = loop.now();
      else served.data?.(connection, chunk);
    },
    close(connection, error) {
      open.delete(connection);
      served.close?.(connection, error);
    },
  };
  const listener = loop.listen(listen, handler);

  const checkStopped = (): void => {
    const now = loop.now();
    if ([...open].some(({ writableLength }) => writableLength > 0)) lastActivity = now;
    if (open.size === 0 || now - lastActivity > QUIET_MS || now - stoppingSince > MAX_STOPPING_MS) return loop.stop();
    if (!isSlow && now - stoppingSince > QUIET_MS) {
      isSlow = true;
      options.onSlowStop?.(open.size);
    }
    loop.callLater(POLL_INTERVAL_MS, checkStopped);
  };
  const stop = (): void => {
    if (stoppingSince >= 0) return loop.stop();
    stoppingSince = lastActivity = loop.now();
    listener.close();
    created.stop?.();
    for (const connection of open) connection.end();
    checkStopped();
  };
  return { listener, stop };
}

/** '127.0.0.1:1234', '[::1]:1234', or a path, in which bytes that a terminal cannot show are `\xNN`. */
export function showAddress(address: SocketAddress): string {
  if ('path' in address) return escaped(address.path, /[\p{Cc}\p{Cf}]/gu, 'utf8');
  if ('raw' in address) {
    const path = unixPathOf(address.raw);
    return path === null ? 'an address of another family' : escaped(path.toString('latin1'), /[^ -~]/g, 'latin1');
  }
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

const escaped = (text: string, characters: RegExp, encoding: 'utf8' | 'latin1'): string =>
  text.replace(characters, (one) => Buffer.from(one, encoding).toString('hex').replace(/../g, '\\x$&'));

function loggingObserver(log: LogTraffic): ConnectionObserver {
  const peerOf = (connection: Connection): string => showAddress(connection.remoteAddress);
  return {
    connected: (connection) => log(peerOf(connection), 'connected'),
    received: (connection, chunk) => log(peerOf(connection), 'sent', chunk),
    sent: (connection, bytes) =>
      log(peerOf(connection), 'gets', typeof bytes === 'string' ? Buffer.from(bytes) : bytes),
    closed: (connection) => log(peerOf(connection), 'closed'),
  };
}
