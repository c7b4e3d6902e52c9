import { DefaultSelector, EVENT_READ, EVENT_WRITE, Socket } from 'selectors-native';

const selector = new DefaultSelector(); // epoll | kqueue > poll > select
const port = Number(process.env.PORT ?? 1234);
const listener = new Socket({ blocking: false }).bind({ host: '127.0.0.1', port }).listen();

function accept() {
  const connection = listener.accept();
  if (connection !== null) selector.register(connection, EVENT_READ, echo(connection));
}

function echo(connection) {
  let unsent = Buffer.alloc(0); // what the kernel has not taken; nothing is received until it has
  return function onReady() {
    if (unsent.length === 0) {
      const chunk = connection.recv(65_536);
      if (chunk === null) return; // it was not ready after all
      if (chunk.length === 0) return close(connection); // the client has finished
      unsent = chunk;
    }
    unsent = unsent.subarray(connection.send(unsent) ?? 0);
    selector.modify(connection, unsent.length > 0 ? EVENT_WRITE : EVENT_READ, onReady);
  };
}

function close(connection) {
  selector.unregister(connection);
  connection.close();
}

selector.register(listener, EVENT_READ, accept);
for (;;) {
  for (const [key] of selector.select()) {
    try {
      key.data();
    } catch (error) {
      console.error(error.message); // a reset costs its own connection
      if (key.fileobj !== listener) close(key.fileobj);
    }
  }
}
