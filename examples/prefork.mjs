import { createServer } from 'selectors-native/servers';

const port = Number(process.env.PORT ?? 1234);
const server = createServer('prefork', { application: 'rpc', workers: 4, accept: 'lock', port });
try {
  console.log(await server.listen(), await server.stats());
} finally {
  await server.close();
}
