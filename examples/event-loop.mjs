import { Reactor } from 'selectors-native';

const loop = new Reactor(); // new Reactor({ selector: new PollSelector() })
const echo = {
  data(connection, chunk) {
    connection.write(chunk);
  },
};
loop.listen({ port: Number(process.env.PORT ?? 1234) }, echo);
loop.onSignal('SIGINT', () => loop.stop());
loop.run(); // blocks, as in the textbooks; or: await loop.start(), inside Node's own loop
loop.close();
