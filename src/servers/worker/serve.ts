/**
 * An application on a loop, from the listener to its clean end:
 *
 *   serving --stop()--> ending: no more clients, FIN behind what is buffered --all have closed, or time is over--> stopped
 *
 * A peer that has been sent everything gets a moment to close on its side, since a reset would take away what it has not read yet; one
 * that still sends, or reads slowly, more than that.
 */
import type { Connection, ConnectionHandler, EventLoop, ListenOptions, Listener, SocketAddress } from '../../index.js';
import type { Application } from '../applications/application.js';
import { unixPathOf } from '../../syscalls/address.js';
import { type ApplicationName, applicationRow } from '../applications/index.js';
import { type Observer, observed } from './observed.js';

/** So long nothing has moved: what was sent has arrived, or will not. Milliseconds. */
const MOMENT = 250;
/** The longest that the end takes, with a client that goes on sending. `stop` promises two seconds. */
const MAX_ENDING = 1500;
const LOOK = 20;

/** Told of everything that goes over the wire. */
export type Say = (who: string, what: string, bytes?: Uint8Array) => void;

export interface LoopServer {
  readonly listener: Listener;
  /** Begins to end: the loop is stopped when that is done, within two seconds. The second time it is stopped at once. */
  stop(): void;
}

/**
 * @param options.say told of all connections and bytes; costs time
 * @param options.onLongEnd called once when stop() has to wait for clients that go on sending, or read slowly
 */
export function serveOn(
  loop: EventLoop,
  listen: ListenOptions,
  application: ApplicationName,
  options: { readonly say?: Say; readonly onLongEnd?: (connections: number) => void } = {},
): LoopServer {
  const created: Application = applicationRow(application).create();
  const served: ConnectionHandler = options.say === undefined ? created : observed(created, spoken(options.say));
  const open = new Set<Connection>();
  /** When it began to end, and when a peer was last seen to send or to read, on the loop's clock. */
  let begun = -1;
  let moved = -1;
  let isLong = false;
  const handler: ConnectionHandler = {
    borrowsChunks: true,
    open(connection) {
      open.add(connection);
      served.open?.(connection);
    },
    data(connection, chunk) {
      // What still comes is read, and so the end behind it; nobody is answered any more.
      if (begun >= 0) moved = loop.now();
      else served.data?.(connection, chunk);
    },
    close(connection, error) {
      open.delete(connection);
      served.close?.(connection, error);
    },
  };
  const listener = loop.listen(listen, handler);

  const look = (): void => {
    const now = loop.now();
    if ([...open].some(({ writableLength }) => writableLength > 0)) moved = now;
    if (open.size === 0 || now - moved > MOMENT || now - begun > MAX_ENDING) return loop.stop();
    if (!isLong && now - begun > MOMENT) {
      isLong = true;
      options.onLongEnd?.(open.size);
    }
    loop.callLater(LOOK, look);
  };
  const stop = (): void => {
    if (begun >= 0) return loop.stop();
    begun = moved = loop.now();
    listener.close();
    created.stop?.();
    for (const connection of open) connection.end();
    look();
  };
  return { listener, stop };
}

/** '127.0.0.1:1234', '[::1]:1234', or a path; bytes of it that a terminal cannot show as `\xNN`. */
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

function spoken(say: Say): Observer {
  const who = (connection: Connection): string => showAddress(connection.remoteAddress);
  return {
    connected: (connection) => say(who(connection), 'connected'),
    received: (connection, chunk) => say(who(connection), 'sent', chunk),
    sent: (connection, bytes) => say(who(connection), 'gets', typeof bytes === 'string' ? Buffer.from(bytes) : bytes),
    closed: (connection) => say(who(connection), 'closed'),
  };
}
