/**
 * An echo server over a selector with one deliberate bug, to test that the fault matrix finds it:
 *
 *   'drops-a-byte'     after a short send, the rest starts one byte too late
 *   'leaks-on-EMFILE'  the descriptor reserved for EMFILE is reopened, and the old one is leaked
 */
'use strict';
const path = require('node:path');
const selectors = require(path.join(__dirname, '../../dist/index.js'));
const syscalls = require(path.join(__dirname, '../../dist/syscalls.js'));

const { EVENT_READ, EVENT_WRITE } = selectors;

/** The part of an EventLoop that the server of the matrix needs. @param mistake one of those above */
function plantedLoop(mistake) {
  const selector = new selectors.DefaultSelector();
  let goesOn = true;
  const leaked = [];

  function accept(listener, handler) {
    try {
      const socket = listener.accept();
      if (socket === null) return;
      socket.blocking = false;
      const connection = {
        queue: [],
        write: (bytes) => void connection.queue.push(Buffer.from(bytes)),
        end: () => (connection.isEnding = true),
      };
      selector.register(socket, EVENT_READ, { serve: (events) => serve(socket, connection, handler, events) });
    } catch (error) {
      if (error.code !== 'EMFILE') throw error;
      if (mistake === 'leaks-on-EMFILE') leaked.push(new syscalls.Epoll());
    }
  }

  function close(socket) {
    selector.unregister(socket);
    socket.close();
  }

  function serve(socket, connection, handler, events) {
    try {
      if ((events & EVENT_READ) !== 0) {
        const chunk = socket.recv(65_536);
        if (chunk === null) return;
        if (chunk.length === 0) handler.end?.(connection);
        else handler.data(connection, chunk);
      }
      while (connection.queue.length > 0) {
        const [first] = connection.queue;
        const sent = socket.send(first);
        if (sent === null) break;
        const isShort = sent < first.length;
        if (isShort) connection.queue[0] = first.subarray(sent + (mistake === 'drops-a-byte' ? 1 : 0));
        else connection.queue.shift();
      }
    } catch (error) {
      if (error.code === undefined) throw error;
      return close(socket);
    }
    if (connection.queue.length === 0 && connection.isEnding) return close(socket);
    selector.modify(
      socket,
      connection.queue.length > 0 ? EVENT_READ | EVENT_WRITE : EVENT_READ,
      selector.getKey(socket).data,
    );
  }

  return {
    listen(_, handler) {
      const listener = new selectors.Socket({ blocking: false }).bind({ host: '127.0.0.1', port: 0 }).listen();
      selector.register(listener, EVENT_READ, { serve: () => accept(listener, handler) });
      return { address: listener.localAddress };
    },
    run() {
      while (goesOn) for (const [key, events] of selector.select()) key.data.serve(events);
    },
    stop: () => (goesOn = false),
    close() {
      for (const [, key] of [...selector.getMap()]) key.fileobj.close();
      selector.close();
    },
  };
}

module.exports = { plantedLoop };
