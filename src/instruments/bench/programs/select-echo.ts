/**
 * Post 004's server in the style of Python's `selectors`: `select()` reports the ready keys, and `key.data`, the callback, receives and sends.
 * After a short write the rest is queued, and nothing is received until it is sent.
 *
 *   select-echo [select | poll | epoll | kqueue]
 */
import { EVENT_READ, EVENT_WRITE, type SelectorKey, Socket, createSelector } from '../../../index.js';

type Callback = (key: SelectorKey<Callback>) => void;

const selector = createSelector<Callback>(process.argv[2]);
const listener = new Socket({ blocking: false });
const buffer = Buffer.allocUnsafeSlow(65_536);
const unsent = new Map<Socket, Buffer>();

function accept(): void {
  for (let connection = listener.accept(); connection !== null; connection = listener.accept()) {
    connection.setOption('TCP_NODELAY', true);
    selector.register(connection, EVENT_READ, echo);
  }
}

function echo(key: SelectorKey<Callback>): void {
  const connection = key.fileobj as Socket;
  try {
    const length = connection.recvInto(buffer);
    if (length === null) return; // it was not ready after all
    if (length === 0) return close(connection);
    const sent = connection.send(buffer, 0, length) ?? 0;
    if (sent === length) return;
    unsent.set(connection, Buffer.from(buffer.subarray(sent, length)));
    selector.modify(connection, EVENT_WRITE, sendRest);
  } catch {
    close(connection); // reset by its peer
  }
}

function sendRest(key: SelectorKey<Callback>): void {
  const connection = key.fileobj as Socket;
  try {
    const rest = unsent.get(connection) as Buffer;
    const sent = connection.send(rest) ?? 0;
    if (sent < rest.length) return void unsent.set(connection, rest.subarray(sent));
    unsent.delete(connection);
    selector.modify(connection, EVENT_READ, echo);
  } catch {
    close(connection);
  }
}

function close(connection: Socket): void {
  selector.unregister(connection);
  unsent.delete(connection);
  connection.close();
}

listener.bind({ host: '127.0.0.1', port: 0 }).listen(4096);
selector.register(listener, EVENT_READ, accept);
const { port } = listener.localAddress as { readonly port: number };
process.stdout.write(`listening on 127.0.0.1:${port}\n`, () => {
  for (;;) {
    for (const [key] of selector.select()) key.data(key);
  }
});
