import { EchoServer } from 'selectors-native/servers';

const server = new EchoServer('127.0.0.1', Number(process.env.PORT ?? 1234)); // or: { model: 'thread-pool' }
server.run();
