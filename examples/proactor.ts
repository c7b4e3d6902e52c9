// A whole proactor on one screen: the echo server of reactor.ts over completions.
//
//   start     an operation is handed to the kernel, with the function that is to have its outcome
//   wait      wait() blocks until operations have completed (DefaultProactor: io_uring, IOCP, or an emulation over a selector)
//   dispatch  each completed operation calls its function, with the result or the error
//   go on     that function starts the next operation: accept → recv → send → recv → … → close
//
// A reactor's handler is called when a socket is ready, and does the I/O itself. Here the I/O is done when the function is called.
import { DefaultProactor, type Operation, Socket } from 'selectors-native';

/** What an operation carries as its `data`: called once, when the operation has completed. */
type Completed = (operation: Operation) => void;

const proactor = new DefaultProactor();

class Acceptor {
  readonly #listener: Socket;

  constructor(port: number) {
    this.#listener = new Socket().bind({ host: '127.0.0.1', port }).listen();
    this.#accept();
  }

  #accept(): void {
    proactor.accept<Completed>(this.#listener, ({ result, error }) => {
      if (result instanceof Socket) new Connection(result).receive();
      else console.error('accept:', error); // the server goes on; after EMFILE the library's ProactorLoop pauses, too
      this.#accept();
    });
  }
}

class Connection {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  receive(): void {
    proactor.recv<Completed>(this.#socket, 65_536, ({ result, error }) => {
      if (error !== undefined) return this.#socket.close(); // ECONNRESET: an error costs this client and no other
      const chunk = result as Buffer;
      if (chunk.length === 0)
        this.#socket.close(); // end of the stream, and everything is sent
      else this.#send(chunk);
    });
  }

  /** Back-pressure: the next recv starts when all of this is sent. A client that never reads costs one buffer. */
  #send(chunk: Buffer): void {
    proactor.send<Completed>(this.#socket, chunk, ({ result, error }) => {
      if (error !== undefined) return this.#socket.close(); // ECONNRESET, EPIPE
      const unsent = chunk.subarray(result as number); // a short write leaves some
      if (unsent.length > 0) this.#send(unsent);
      else this.receive();
    });
  }
}

new Acceptor(Number(process.env.PORT ?? 1234));
for (;;) {
  for (const operation of proactor.wait()) (operation.data as Completed)(operation);
}
