// A whole reactor on one screen: an echo server that serves all its clients on one thread.
//
//   wait      select() blocks until a registered socket is ready (DefaultSelector: epoll, kqueue, afd, poll or select)
//   dispatch  each ready socket has a handler, and the loop calls it
//   read      the handler receives what has arrived; its sockets are non-blocking, so it never waits for one client
//   write     what the kernel does not take now is queued; write interest lasts only while something is queued
import { DefaultSelector, EVENT_READ, EVENT_WRITE, Socket } from 'selectors-native';

/** What the loop knows of a socket. */
interface Handler {
  onReady(): void;
  onError(error: unknown): void;
}

const selector = new DefaultSelector<Handler, Socket>();

class Acceptor implements Handler {
  readonly #listener: Socket;

  constructor(port: number) {
    this.#listener = new Socket({ blocking: false }).bind({ host: '127.0.0.1', port }).listen();
    selector.register(this.#listener, EVENT_READ, this);
  }

  onReady(): void {
    const socket = this.#listener.accept(); // null: the client has left the backlog again
    if (socket !== null) selector.register(socket, EVENT_READ, new Connection(socket));
  }

  onError(error: unknown): void {
    console.error('accept:', error); // the server goes on; after EMFILE the library's Reactor pauses, too
  }
}

class Connection implements Handler {
  readonly #socket: Socket;
  #queued: Buffer = Buffer.alloc(0); // received, and not sent yet

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  onReady(): void {
    if (this.#queued.length === 0) {
      const chunk = this.#socket.recv(65_536);
      if (chunk === null) return; // would block: a spurious wake-up
      if (chunk.length === 0) return this.#close(); // end of the stream, and everything is sent
      this.#queued = chunk;
    }
    const sent = this.#socket.send(this.#queued) ?? 0; // null: would block; fewer than given: a short write
    this.#queued = this.#queued.subarray(sent);
    // Back-pressure: while something is queued, nothing is received. A client that never reads costs one buffer.
    selector.modify(this.#socket, this.#queued.length > 0 ? EVENT_WRITE : EVENT_READ, this);
  }

  onError(): void {
    this.#close(); // ECONNRESET, EPIPE: an error costs this client and no other
  }

  #close(): void {
    selector.unregister(this.#socket);
    this.#socket.close();
  }
}

new Acceptor(Number(process.env.PORT ?? 1234));
for (;;) {
  for (const [{ data: handler }] of selector.select()) {
    try {
      handler.onReady();
    } catch (error) {
      handler.onError(error);
    }
  }
}
