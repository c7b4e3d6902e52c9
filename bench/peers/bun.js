/**
 * Bun's own sockets. `write` accepts only what the kernel takes and queues nothing. The rest is queued here until `drain` reports room, and
 * the connection is not read until then. The backlog is always 512.
 */
import { applications, joined } from './applications.mjs';

const name = process.argv[2];
if (!Object.hasOwn(applications, name)) {
  console.error(`${name}: not one of ${Object.keys(applications).join(', ')}`);
  process.exit(2);
}
const application = applications[name];
const room = new Set();

function send(socket, bytes) {
  const connection = socket.data;
  if (connection.waiting !== null) {
    connection.waiting.push(bytes);
    return;
  }
  const written = socket.write(bytes);
  if (written < 0 || written === bytes.length) return; // -1: it is closed, and `close` is called
  connection.waiting = [bytes.subarray(written)];
  socket.pause();
}

const listener = Bun.listen({
  hostname: '127.0.0.1',
  port: 0,
  socket: {
    open(socket) {
      socket.setNoDelay(true);
      socket.data = { answer: application(), waiting: null };
      room.add(socket);
    },
    data(socket, chunk) {
      let answer;
      try {
        answer = socket.data.answer(chunk);
      } catch {
        socket.terminate();
        return;
      }
      if (answer.length === 0) return;
      if (application !== applications.chat) send(socket, answer);
      else for (const peer of room) send(peer, answer);
    },
    drain(socket) {
      const connection = socket.data;
      if (connection.waiting === null) return;
      const bytes = joined(connection.waiting);
      connection.waiting = null;
      send(socket, bytes);
      if (connection.waiting === null) socket.resume();
    },
    close(socket) {
      room.delete(socket);
    },
    error(socket) {
      socket.terminate();
    },
  },
});
console.log(`listening on 127.0.0.1:${listener.port}`);
