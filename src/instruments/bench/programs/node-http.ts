/** The same over Node's `http`: the reply to GET is the path. */
import { type AddressInfo } from 'node:net';
import { createPathServer } from '../../measuring/node-http.js';

const server = createPathServer();
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  process.stdout.write(`listening on 127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
