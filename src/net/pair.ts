/** Two connected sockets where the system has no socketpair(2): over the loopback. */
import { namedError } from '../errors.js';
import type { SocketAddress } from '../syscalls/address.js';

/** The methods of Socket that loopbackPair() uses. */
interface StreamSocket<S> extends Disposable {
  bind(address: { readonly host: string; readonly port: number }): this;
  listen(backlog: number): this;
  connect(address: SocketAddress): unknown;
  accept(): S | null;
  close(): void;
  readonly localAddress: SocketAddress;
  readonly remoteAddress: SocketAddress;
}

/**
 * Connects two sockets over a listener on the loopback. Any program of this machine can connect to that listener while it is open, so the
 * accepted connection is compared with the one made here, and another program's is closed (python/cpython's socketpair, gh-122133).
 *
 * @param open makes an unconnected stream socket
 * @throws ECONNABORTED: another program connected first
 */
export function loopbackPair<S extends StreamSocket<S>>(open: () => S): [S, S] {
  using listener = open();
  listener.bind({ host: '127.0.0.1', port: 0 }).listen(1);
  const client = open();
  try {
    client.connect(listener.localAddress);
    const server = listener.accept();
    if (server === null) throw namedError('EAGAIN', 'accept');
    if (isSame(server.remoteAddress, client.localAddress) && isSame(server.localAddress, client.remoteAddress)) {
      return [client, server];
    }
    server.close();
    throw namedError('ECONNABORTED', 'socketpair');
  } catch (error) {
    client.close();
    throw error;
  }
}

function isSame(a: SocketAddress, b: SocketAddress): boolean {
  return 'port' in a && 'port' in b && a.host === b.host && a.port === b.port;
}
