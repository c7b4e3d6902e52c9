import { DefaultSelector, EVENT_READ, Socket } from 'selectors-native';

const selector = new DefaultSelector();
const [sender, receiver] = Socket.pair({ blocking: false });
selector.register(receiver, EVENT_READ, ({ fileobj }) => {
  const chunk = fileobj.recv(1024);
  if (chunk === null) return;
  if (chunk.length === 0) return selector.close(); // and the loop below ends
  console.log(`received: ${chunk}`);
});
setTimeout(() => sender.send('hello'), 10);
setTimeout(() => sender.close(), 20);

// #region loop
for await (const batch of selector) {
  for (const [key, events] of batch) key.data(key, events);
}
// #endregion
