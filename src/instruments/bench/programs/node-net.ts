/** Serves this package's applications over Node's own `net`: node-net echo|chat|rpc */
import { type AddressInfo, type Socket, createServer } from 'node:net';
import type { Peer } from '../../../servers/applications/application.js';
import { type ApplicationName, applicationRow, applications } from '../../../servers/applications/index.js';

const [name = ''] = process.argv.slice(2);
if (!Object.hasOwn(applications, name)) {
  process.stderr.write('usage: node-net echo|chat|rpc\n');
  process.exit(2);
}
const application = applicationRow(name as ApplicationName).create();

/** net.Socket has everything that an application needs of a peer except a place for its state. */
class SocketPeer implements Peer {
  data: unknown;
  constructor(readonly socket: Socket) {}
  get writableLength(): number {
    return this.socket.writableLength;
  }
  write(bytes: Uint8Array | string): boolean {
    return this.socket.write(bytes);
  }
  end(): void {
    this.socket.end();
  }
  destroy(error?: Error): void {
    this.socket.destroy(error);
  }
  pause(): void {
    this.socket.pause();
  }
  resume(): void {
    this.socket.resume();
  }
}

const server = createServer({ noDelay: true }, (socket) => {
  const peer = new SocketPeer(socket);
  socket.on('data', (chunk) => application.data(peer, chunk));
  socket.on('error', () => socket.destroy());
  socket.on('close', () => application.close?.(peer));
  application.open?.(peer);
});
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  process.stdout.write(`listening on 127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
