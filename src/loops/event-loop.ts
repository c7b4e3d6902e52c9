/** What every loop offers. One handler object serves all connections, and the same object runs on every loop. */
import type { SocketAddress, SocketAddressInput } from '../syscalls/address.js';
import type { SocketOptionName } from '../net/sockopt.js';
import type { Socket } from '../net/socket.js';
import type { Mechanism } from '../syscalls/probe.js';
import type { Timer } from '../wait/timers.js';

/**
 * One connection of a loop.
 *
 * The write side is buffered: what write() is given in a turn is sent at the end of that turn, as much as the kernel takes, and the rest
 * when it takes more.
 *
 *   idle --write()--> queued --end of the turn--> idle | writing --the kernel has it all--> idle
 *   idle | queued | writing --end()--> draining --the kernel has it all, FIN--> finished
 *
 * It is closed when the peer has finished sending and the write side is finished; by destroy(); by an error; by a handler that throws.
 */
export interface Connection<D = unknown> {
  readonly loop: EventLoop;
  /** -1 once closed. */
  readonly fd: number;
  /** getsockname(2). @throws ERR_CLOSED where it was not asked for before the connection closed */
  readonly localAddress: SocketAddress;
  /**
   * Known for good once it is accepted, connected or adopted. While it connects: the address that is being tried; before that, where
   * Node's resolver looks up the name, what connect() was given.
   */
  readonly remoteAddress: SocketAddress;
  /** The caller's own state for this connection. */
  data: D;
  /** Bytes accepted by write() that the kernel does not have yet. */
  readonly writableLength: number;
  /**
   * setsockopt(2), as Socket.setOption(): by name with an int or a boolean, or by the OS's own numbers. While it connects, the sockets of
   * further attempts get it too.
   * @throws ENOPROTOOPT for an option that this OS lacks; ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE; ERR_CLOSED
   */
  setOption(name: SocketOptionName, value: number | boolean): this;
  setOption(level: number, option: number, value: number | Uint8Array): this;
  /**
   * getsockopt(2), as Socket.getOption(): by name as an int (SO_LINGER: seconds, -1 for off), or by number as the struct's bytes.
   * @throws ENOTCONN while Node's resolver looks up its name; others as setOption()
   */
  getOption(name: SocketOptionName): number;
  getOption(level: number, option: number, length: number): Buffer;
  /**
   * Sends, in the order of the calls. The bytes are the loop's until they are sent: do not change them before. A string is UTF-8.
   * Memory that is transferred away before it is sent costs the connection: it closes with ERR_INVALID_ARG_VALUE.
   *
   * A connection that is closed, or that was ended because its peer has finished, takes nothing: false, and no error, for a program
   * cannot know it before its `close` handler is called.
   *
   * @returns false: at least `highWaterMark` bytes wait by now, and `drain` will be called when they have become few
   * @throws ERR_INVALID_ARG_TYPE; ERR_INVALID_ARG_VALUE for detached memory; ERR_CLOSED after end()
   */
  write(bytes: Uint8Array | string): boolean;
  /**
   * Bytes that the peer is behind: `writableLength` from a flush that the system did not take as a whole until it has room again, else 0.
   * What was written since the last flush of a connection that keeps up does not count, for its peer has had no chance to read that.
   */
  readonly unsentLength: number;
  /** Finishes sending what is buffered, then sends FIN. Data can still be received. The second time nothing happens. */
  end(bytes?: Uint8Array | string): void;
  /** No `data` and no `end` until resume(): the kernel's buffer fills, and the peer has to wait. */
  pause(): void;
  resume(): void;
  /** Drops what is buffered and closes now; the `close` handler is called before the turn ends, with this error. */
  destroy(error?: Error): void;
}

/**
 * What a program does with its connections. A handler that throws costs its own connection, which is destroyed with what it threw; so
 * does one that is async and rejects. In a blocking run() the microtasks of an async handler run when run() has returned: what is behind
 * its first `await` belongs into start().
 * After `close` no handler is called for that connection.
 */
export interface ConnectionHandler<D = unknown> {
  /**
   * true: `data` uses its chunk only until it returns, and may give it to write(). The loop then receives into the same memory again, and
   * shows it by the same Buffer where it can: that saves a quarter of what a 64 KiB message costs, and a fifth of what the loop itself does for a
   * small one. Looked at once, by listen(), connect() or adopt().
   */
  readonly borrowsChunks?: boolean;
  /** Accepted, connected, or adopted. */
  open?(connection: Connection<D>): void;
  /**
   * `chunk` is the caller's to keep (unless `borrowsChunks`). From an accepted or adopted connection nothing is received while `highWaterMark` bytes or
   * more wait to be sent to it.
   */
  data?(connection: Connection<D>, chunk: Buffer): void;
  /** After a write() that said false: a quarter of `highWaterMark` or less waits to be sent. */
  drain?(connection: Connection<D>): void;
  /** The peer has finished sending. Without this handler the connection is ended too. */
  end?(connection: Connection<D>): void;
  /** Exactly once for each connection, also for one of connect() or adopt() that never opened; `error` says why, where the end was not a clean one. */
  close?(connection: Connection<D>, error: Error | null): void;
}

/** Of the sockets of a loop's connections. Ignored for Unix sockets. */
export interface ConnectionOptions {
  /** TCP_NODELAY: small messages are sent at once. false: the kernel may collect them (Nagle). Default: true. */
  readonly noDelay?: boolean;
  /**
   * SO_KEEPALIVE: finds out that a silent peer has vanished (ETIMEDOUT). A number: idle milliseconds before the first probe, 1 to 32,767,000,
   * rounded up to whole seconds (TCP_KEEPIDLE); true: as the system has it (mostly two hours). Default: false.
   */
  readonly keepAlive?: boolean | number;
  /** Bytes, 1 to 2^31 - 1. Default: 65536. */
  readonly highWaterMark?: number;
}

export type ConnectOptions = ConnectionOptions;
export type AdoptOptions = ConnectionOptions;

export interface ListenOptions extends ConnectionOptions {
  /**
   * IP address or name. A name is resolved by the system's resolver, which BLOCKS, also inside Node's loop; its first address counts. '': all
   * addresses of this machine, by one dual-stack IPv6 socket (`listener.address` is '::', and IPv4 clients are '::ffff:127.0.0.1'), or IPv4
   * alone on a system without IPv6. Default: '127.0.0.1'.
   */
  readonly host?: string;
  /** 0: any free one, which `listener.address` tells. 0 where nothing is said. */
  readonly port?: number;
  /**
   * A Unix socket instead: its path, or the bytes of it. close() removes its file, whatever the working directory is by then; a file
   * that has come in its place is somebody else's, and stays.
   */
  readonly path?: string | Uint8Array;
  /** How many connections may wait in the kernel to be accepted. SOMAXCONN where nothing is said. */
  readonly backlog?: number;
  /** Several sockets on one port, between which the kernel deals out the connections (SO_REUSEPORT; ENOPROTOOPT on Windows). */
  readonly reusePort?: boolean;
  /**
   * A stream socket that listens already, instead of all of the above: inherited, passed on, or shared with other processes and threads
   * (a duplicate of each one's own). The loop takes it over: it is closed for the caller when listen() returns, and closed by close();
   * others who share it go on listening. It is non-blocking then, for all of them (O_NONBLOCK is the file's: fcntl(2)). The file of a
   * Unix socket is whose it was: close() does not remove it.
   *
   * Of a shared one each client is accepted by one of those who share it. Whoever wakes up too late has had an empty turn, and no error.
   * Their loops wake up all the same (the thundering herd); with `reusePort` the kernel deals the clients out instead. iocp: one loop
   * alone, for a file stays with its port, and so do its duplicates (EINVAL).
   */
  readonly socket?: Socket;
  /** Reached: accepting pauses, further clients wait in the kernel's backlog. No limit where nothing is said. */
  readonly maxConnections?: number;
}

/** A socket that listens. close() stops accepting; connections that are open stay open. */
export interface Listener extends Disposable {
  readonly address: SocketAddress;
  /** How many connections are open that it has accepted. */
  readonly connections: number;
  close(): void;
}

/**
 * A single-threaded event loop over one multiplexer. A handler or callback that throws costs its own connection, the rest of
 * the batch is still served, and the error then goes to `onError`, or, where none was given, out of run()/runOnce()/start(); several of
 * one turn go out as one AggregateError. The loop can go on after that.
 *
 * Belongs to the thread that made it. A turn waits; then it calls what callSoon() was given before, what is ready (the read side of a
 * descriptor before its write side), and the timers that are due; then it sends what was written. What a callback adds is for the next turn.
 */
export interface EventLoop extends Disposable {
  readonly mechanism: Mechanism;
  /**
   * @throws EADDRINUSE, EADDRNOTAVAIL, EACCES; ENOTFOUND; ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; ERR_CLOSED. For `options.socket`, which
   *   then is the caller's as before: EINVAL where it does not listen (macOS does not tell it: nobody is accepted, and `onError` is told);
   *   ERR_INVALID_ARG_VALUE: it is no stream socket, or another option says what it has already; ERR_CLOSED; ERR_BUSY, ERR_KEY_EXISTS
   *   and the mechanism's refusals, as adopt()
   */
  listen<D>(options: ListenOptions, handler: ConnectionHandler<D>): Listener;
  /**
   * A connection to somebody else's listener. write() may be called at once; `open` tells when it is connected, `close` when that failed.
   *
   * A host's name may have several addresses. They are tried one after the other in the resolver's order, each with a socket of its own, until
   * one connects (Python's create_connection()); `close` is given the error of the last one. destroy() ends the attempts.
   *
   * Inside Node's loop, after start(), the name is looked up by Node's own resolver (dns.lookup()), which does not block: the connection has
   * no descriptor yet (`fd` is -1), and `close` is given ENOTFOUND. At all other times, also before start(), the system's resolver is asked
   * at once, and BLOCKS: ENOTFOUND is thrown.
   * @param options of its socket, and its highWaterMark; checked before anything is opened
   * @throws ENOTFOUND, EAI_*; EMFILE; ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE; ERR_CLOSED
   */
  connect<D>(address: SocketAddressInput, handler: ConnectionHandler<D>, options?: ConnectOptions): Connection<D>;
  /**
   * Serves a connection that was accepted elsewhere (asyncio's connect_accepted_socket): by another thread or process, by Socket.accept().
   * From now on it is as if this loop had accepted it. What the peer has sent already is received.
   *
   * `open` is called in the next turn, before any data: as of connect(), write() may be called at once, and is sent after it. Where it
   * closes before that, `close` is the only handler that is called.
   *
   * @param socket a connected stream socket; also an end of a pair. The loop takes it over: it is closed for the caller when adopt()
   *   returns, and non-blocking. Where adopt() throws, it is the caller's, and as it was
   * @throws ENOTCONN (macOS, after a reset: EINVAL): it is not connected, or the peer has reset it already. Close it, and serve the next.
   *   ERR_INVALID_ARG_TYPE; ERR_INVALID_ARG_VALUE: it is no stream socket; ERR_CLOSED: it, or the loop, is closed;
   *   ERR_BUSY: a proactor's operations are under way on it; ERR_KEY_EXISTS: the loop has its descriptor already (addReader(), a second
   *   object for the same number); the mechanism's refusals, as selector.register(): ERR_OUT_OF_RANGE where select's sets are full,
   *   ENOSPC. iocp: EINVAL where another proactor has had operations on it, for a handle stays with its port
   */
  adopt<D>(socket: Socket, handler: ConnectionHandler<D>, options?: AdoptOptions): Connection<D>;
  callSoon(callback: () => void): void;
  /** @param ms 0 or more (less counts as 0), at most 2^53; it is never called earlier. Equal times are called in the order of their calls */
  callLater(ms: number, callback: () => void): Timer;
  /** Monotonic milliseconds, as callLater counts them: a clock that somebody sets has no effect. */
  now(): number;
  /**
   * Calls back when the process is sent a signal, also in a blocking run(), where Node's own handlers cannot be called. Several between
   * two turns count as one. While somebody listens, the system's own answer (to end the process) is off. Any thread may listen; handlers
   * of `process.on()` are called too, in Node's own time. Windows: SIGINT (Ctrl-C), SIGBREAK, SIGHUP.
   * @returns what ends it
   * @throws ERR_INVALID_ARG_VALUE for a signal that this system does not have or nobody can handle
   */
  onSignal(signal: NodeJS.Signals, callback: () => void): Disposable;
  /**
   * BLOCKS this thread, turning until stop(): the plain loop of the textbooks. Node's own loop stands still meanwhile: no promise, no timer
   * of Node's goes on. @throws ERR_BUSY from within a callback
   */
  run(): void;
  /**
   * One turn, which waits up to `timeout` milliseconds (null: for ever) for something to do. BLOCKS.
   * @returns how many events it handled: ready descriptors, timers, callbacks, signals. 0: the time is over, or somebody woke it; or, in the
   *   main thread, another process has accepted the client that it woke up for
   */
  runOnce(timeout?: number | null): number;
  /**
   * The same loop living inside Node's: promises, timers and streams go on. Keeps Node alive. Resolves after stop() or close(); rejects
   * with what a handler threw, where there is no `onError`.
   */
  start(): Promise<void>;
  /** The turn under way is the last one. Before run() or start(): one turn, which does not wait. */
  stop(): void;
  /**
   * Closes all listeners and connections (their `close` handlers are called), and the multiplexer. In a callback: at the turn's end. What
   * was written is sent first, as much as the kernel takes at once.
   */
  close(): void;
}
