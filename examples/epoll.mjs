import { Socket } from 'selectors-native';
import { Epoll, EPOLLET, EPOLLIN, constants } from 'selectors-native/syscalls';

const port = Number(process.env.PORT ?? 1234);
const socket = new Socket().bind({ host: '127.0.0.1', port }).listen();
const epoll = new Epoll();
epoll.add(socket.fd, EPOLLIN | EPOLLET);
for (const { data, events } of epoll.wait(64, 60_000)) console.log(`descriptor ${data}: 0x${events.toString(16)}`);
const info = socket.getOption(constants.IPPROTO_TCP, constants.TCP_INFO, 104); // struct tcp_info
console.log(`${info.readUInt32LE(24)} in the backlog`); // tcpi_unacked
