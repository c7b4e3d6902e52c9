import { DefaultSelector, EVENT_READ, Socket } from 'selectors-native';

type Handler = (socket: Socket) => void;

using selector = new DefaultSelector<Handler, Socket>(); // types key.data and key.fileobj
using listener = new Socket().bind({ host: '127.0.0.1', port: Number(process.env.PORT ?? 1234) }).listen();

selector.register(listener, EVENT_READ, (socket) => {
  using connection = socket.accept();
  connection?.sendAll('hello\n');
});
for (const [key] of selector.select()) key.data(key.fileobj);
