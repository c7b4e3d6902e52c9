import { createServer } from 'selectors-native/servers';

const port = Number(process.env.PORT ?? 1234);
const server = createServer('thread-pool', { workers: 4, port }); // never blocks Node's own loop
await server.listen();
console.log(await server.stats()); // accepted, open, bytesIn, wakeups, emptyWakeups, …
await server.close();
