/** The resources of a test, closed at its end. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Socket, type SocketOptions } from '../../src/index.js';
import { temporaryFolder } from './folders.js';

export class Bench implements Disposable {
  readonly #undo: (() => void)[] = [];

  /** Closes the object at the end of the test, unless it is closed by then. */
  own<T extends { close(): void }>(closable: T): T {
    this.#undo.push(() => closable.close());
    return closable;
  }

  atEnd(undo: () => void): void {
    this.#undo.push(undo);
  }

  /** Two connected stream sockets, non-blocking. */
  pair(options: SocketOptions = { blocking: false }): [Socket, Socket] {
    const [a, b] = Socket.pair(options);
    return [this.own(a), this.own(b)];
  }

  /** A listening TCP socket on the loopback, non-blocking. */
  listener(options: SocketOptions = { blocking: false }): Socket {
    const listener = this.own(new Socket(options));
    return listener.bind({ host: '127.0.0.1', port: 0 }).listen();
  }

  /** Two connected TCP sockets, non-blocking: [client, server]. */
  tcpPair(): [Socket, Socket] {
    const listener = this.own(new Socket());
    listener.bind({ host: '127.0.0.1', port: 0 }).listen();
    const client = this.own(new Socket());
    client.connect(listener.localAddress);
    const server = this.own(listener.accept() as Socket);
    listener.close();
    client.blocking = server.blocking = false;
    return [client, server];
  }

  /** A loopback address without a listener. */
  unusedAddress(): { host: string; port: number } {
    const listener = this.listener();
    const address = listener.localAddress as { host: string; port: number };
    listener.close();
    return address;
  }

  /** Makes a temporary folder. @returns its path */
  folder(): string {
    return this.own(temporaryFolder()).path;
  }

  /** A FIFO's two ends: [read, write], non-blocking. POSIX. */
  pipe(): [Descriptor, Descriptor] {
    const path = join(this.folder(), 'fifo');
    execFileSync('mkfifo', [path]);
    const read = this.own(new Descriptor(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)));
    const write = this.own(new Descriptor(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)));
    return [read, write];
  }

  regularFile(): Descriptor {
    const path = join(this.folder(), 'file');
    writeFileSync(path, 'contents');
    return this.own(new Descriptor(openSync(path, 'r+')));
  }

  [Symbol.dispose](): void {
    for (const undo of this.#undo.reverse()) undo();
    this.#undo.length = 0;
  }
}

/** A file descriptor of Node's fs that is closed only once. */
export class Descriptor {
  #open = true;
  constructor(readonly fd: number) {}
  close(): void {
    if (this.#open) closeSync(this.fd);
    this.#open = false;
  }
}
