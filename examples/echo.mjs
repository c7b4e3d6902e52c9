import { DefaultSelector, EVENT_READ, EVENT_WRITE, Socket } from 'selectors-native';

const selector = new DefaultSelector(); // epoll | kqueue | afd | devpoll > poll > select
const port = Number(process.env.PORT ?? 1234);
const listener = new Socket({ blocking: false }).bind({ host: '127.0.0.1', port }).listen();
selector.register(listener, EVENT_READ);

function accept() {
  const client = listener.accept();
  if (client !== null) selector.register(client, EVENT_READ, Buffer.alloc(0)); // its data: what is received and not sent
}

function echo({ fileobj: client, data: queued }) {
  const bytes = queued.length > 0 ? queued : client.recv(65_536); // nothing is received while something is queued
  if (bytes === null) return; // would block
  if (bytes.length === 0) return close(client); // end of the stream
  const unsent = bytes.subarray(client.send(bytes) ?? 0); // a short write leaves some; null: would block
  selector.modify(client, unsent.length > 0 ? EVENT_WRITE : EVENT_READ, unsent);
}

function close(client) {
  selector.unregister(client);
  client.close();
}

for (;;) {
  for (const [key] of selector.select()) {
    try {
      if (key.fileobj === listener) accept();
      else echo(key);
    } catch (error) {
      console.error(error.message); // ECONNRESET: an error costs one client
      if (key.fileobj !== listener) close(key.fileobj);
    }
  }
}
