/** The interface of both loops, the reactor and the proactor loop. One handler object serves all connections, on either loop. */
import type { SocketAddress, SocketAddressInput } from '../syscalls/address.js';
import type { SocketOptionName } from '../net/sockopt.js';
import type { Socket } from '../net/socket.js';
import type { Mechanism } from '../syscalls/probe.js';
import type { Timer } from '../wait/timers.js';

/**
 * One connection of a loop.
 *
 * The write side is buffered: what is written in a turn is sent at the end of that turn. After a short write the rest is sent when the kernel
 * takes more.
 *
 *   idle --write()--> queued --end of the turn--> idle | writing --the kernel has taken all--> idle
 *   idle | queued | writing --end()--> draining --the kernel has taken all, FIN--> finished
 *
 * It closes when the peer has finished sending and the write side is finished; by destroy(); by an error; by a handler that throws.
 */
export interface Connection<D = unknown> {
  /** The loop that serves it. */
  readonly loop: EventLoop;
  /** Its descriptor; -1 once closed, and while Node's resolver looks up the name of its host. */
  readonly fd: number;
  /** getsockname(2), called once. @throws ERR_CLOSED: the connection was closed before the first access */
  readonly localAddress: SocketAddress;
  /**
   * The peer's address. While it connects: the address that is being tried; before that, while Node's resolver looks up the name, what
   * connect() was given.
   */
  readonly remoteAddress: SocketAddress;
  /** The caller's own state for this connection. Default: undefined. */
  data: D;
  /** Bytes given to write() that the kernel has not taken yet. */
  readonly writableLength: number;
  /**
   * setsockopt(2), as Socket.setOption(): by name with an int or a boolean. While it connects, the sockets of further attempts get it too.
   * @throws ENOPROTOOPT for an option that this OS lacks; ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE; ERR_CLOSED
   */
  setOption(name: SocketOptionName, value: number | boolean): this;
  /** setsockopt(2) by the OS's own numbers, with an int or the struct's bytes. @throws as by name */
  setOption(level: number, option: number, value: number | Uint8Array): this;
  /**
   * getsockopt(2), as Socket.getOption(): by name as an int (SO_LINGER: seconds; -1: off).
   * @throws ENOTCONN while Node's resolver looks up its name; others as setOption()
   */
  getOption(name: SocketOptionName): number;
  /** getsockopt(2) by the OS's own numbers: the struct's bytes, `length` at most. @throws as by name */
  getOption(level: number, option: number, length: number): Buffer;
  /**
   * Sends, in the order of the calls. A string is UTF-8. Do not change the bytes before they are sent: large ones are not copied. Detaching
   * them before that (ArrayBuffer.prototype.transfer) closes the connection with ERR_INVALID_ARG_VALUE.
   *
   * On a connection that is closed, or was ended because its peer has finished sending, write() returns false and drops the bytes: a program
   * cannot know that before its `close` handler is called.
   *
   * @returns false: `highWaterMark` bytes (default: 65536) or more are unsent; `drain` is called when a quarter of that or less is
   * @throws ERR_INVALID_ARG_TYPE; ERR_INVALID_ARG_VALUE for detached memory; ERR_CLOSED after end()
   */
  write(bytes: Uint8Array | string): boolean;
  /**
   * Bytes that a slow peer is behind: `writableLength` from a short write until the kernel takes more, else 0. What was written since the
   * last flush does not count: the peer has had no chance to read it.
   */
  readonly unsentLength: number;
  /** Half-close: sends what is buffered, then FIN. Data can still be received. A second end() does nothing. @param bytes written first */
  end(bytes?: Uint8Array | string): void;
  /** Calls neither `data` nor `end` until resume(). The kernel's buffer fills, and TCP makes the peer wait. */
  pause(): void;
  /** Ends pause(). What was received meanwhile is delivered in the next turn. */
  resume(): void;
  /** Drops what is buffered and closes now. The `close` handler is called before the turn ends. @param error for `close`. Default: null */
  destroy(error?: Error): void;
}

/**
 * A program's callbacks for its connections; each is optional. Where a handler throws, or is async and rejects, its connection is destroyed
 * with that error. In a blocking run() microtasks do not run before run() returns, so use async handlers with start(). After `close` no
 * handler of that connection is called.
 */
export interface ConnectionHandler<D = unknown> {
  /**
   * true: `data` uses its chunk only until it returns, and may pass it to write(). The loop then receives into the same memory again, and
   * reuses the Buffer object where it can. That saves a quarter of the cost of a 64 KiB message, and a fifth of the loop's own work for a
   * small one. Read once, by listen(), connect() or adopt(). Default: false.
   */
  readonly borrowsChunks?: boolean;
  /** The connection is accepted, connected, or adopted. */
  open?(connection: Connection<D>): void;
  /**
   * Bytes were received. The handler may keep `chunk` (unless `borrowsChunks`). Back-pressure: nothing is received from an accepted or
   * adopted connection while `highWaterMark` bytes or more are unsent.
   */
  data?(connection: Connection<D>, chunk: Buffer): void;
  /** After a write() that returned false: a quarter of `highWaterMark` or less is unsent. */
  drain?(connection: Connection<D>): void;
  /** The peer has finished sending (FIN). Without this handler the loop calls connection.end(). */
  end?(connection: Connection<D>): void;
  /** The connection is closed. Called exactly once, also where connect() or adopt() never opened. @param error null: a clean end */
  close?(connection: Connection<D>, error: Error | null): void;
}

/** Options of a loop's connections. noDelay and keepAlive are ignored for Unix sockets. */
export interface ConnectionOptions {
  /** TCP_NODELAY: small messages are sent at once. false: the kernel may delay them (Nagle's algorithm). Default: true. */
  readonly noDelay?: boolean;
  /**
   * SO_KEEPALIVE: detects that a silent peer has vanished (ETIMEDOUT). A number: idle milliseconds before the first probe, 1 to 32,767,000,
   * rounded up to whole seconds (TCP_KEEPIDLE). true: the system's own time (mostly two hours). Default: false.
   */
  readonly keepAlive?: boolean | number;
  /**
   * The limit of unsent bytes from which on write() returns false, and nothing more is received from an accepted or adopted connection; both
   * end at a quarter of it. 1 to 2^31 - 1. Default: 65536.
   */
  readonly highWaterMark?: number;
}

/** Options of connect(). */
export type ConnectOptions = ConnectionOptions;
/** Options of adopt(). */
export type AdoptOptions = ConnectionOptions;

/** Options of listen(): the address, and those of its connections. */
export interface ListenOptions extends ConnectionOptions {
  /**
   * IP address or name. A name is looked up by the system's resolver, which BLOCKS, also inside Node's loop; its first address is used. '':
   * all addresses of this machine, by one dual-stack IPv6 socket (`listener.address` is '::', and IPv4 clients are '::ffff:127.0.0.1'), or
   * of IPv4 alone on a system without IPv6. Default: '127.0.0.1'.
   */
  readonly host?: string;
  /** 0 to 65535. Default: 0, which stands for any free port; `listener.address` has it. */
  readonly port?: number;
  /**
   * A Unix socket instead: its path, or the bytes of it. close() removes its file, whatever the working directory is by then, but not another
   * file that has replaced it.
   */
  readonly path?: string | Uint8Array;
  /** How many connections may wait in the kernel to be accepted. Default: SOMAXCONN. */
  readonly backlog?: number;
  /**
   * SO_REUSEPORT (FreeBSD: SO_REUSEPORT_LB): several sockets on one port, among which the kernel distributes connections. ENOPROTOOPT on
   * Windows. Default: false.
   */
  readonly reusePort?: boolean;
  /**
   * A stream socket that listens already, instead of all of the above: inherited, passed, or shared with other processes and threads (each
   * with a duplicate). The loop takes it over: it is closed for the caller when listen() returns, and close() closes it; other owners of a
   * duplicate go on listening. It becomes non-blocking, for all of them (O_NONBLOCK belongs to the open file: fcntl(2)). close() does not
   * remove the file of such a Unix socket.
   *
   * Each client of a shared socket is accepted by one of its owners. All their loops wake up (the thundering herd), and one that comes too
   * late has an empty turn, and no error. With `reusePort` the kernel distributes the clients instead. iocp: one loop only, because an open
   * file stays associated with its port, and so do its duplicates (EINVAL).
   */
  readonly socket?: Socket;
  /** At that many open connections accepting pauses, and further clients wait in the kernel's backlog. 1 to 2^31 - 1. Default: no limit. */
  readonly maxConnections?: number;
}

/** A socket that listens. close() stops accepting; connections that are open stay open. */
export interface Listener extends Disposable {
  /** Where it listens: with the port that the system has chosen for 0. */
  readonly address: SocketAddress;
  /** Open connections that it has accepted. */
  readonly connections: number;
  /** Stops listening, and removes the file of its own Unix socket. @throws the system's error where that file cannot be removed */
  close(): void;
}

/**
 * A single-threaded event loop over one multiplexer. Where a handler or callback throws, the rest of the turn still runs; then the error goes
 * to `onError`, or, without that, out of run(), runOnce() or start(), several of one turn as one AggregateError. The loop can be run again
 * after that.
 *
 * Belongs to the thread that made it. A turn waits; then it calls the callbacks of callSoon(), the handlers of what is ready (the read side
 * of a descriptor before its write side), and the timers that are due; then it sends what was written. What a callback adds runs in the next
 * turn.
 */
export interface EventLoop extends Disposable {
  /** The mechanism that waits: 'epoll', 'kqueue', 'io_uring', 'emulated:epoll' … */
  readonly mechanism: Mechanism;
  /**
   * Accepts connections, and serves them by `handler`.
   * @throws EADDRINUSE, EADDRNOTAVAIL, EACCES; ENOTFOUND; ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; ERR_CLOSED. For `options.socket`, which
   *   is then still the caller's: EINVAL where it does not listen (macOS does not report that: nothing is accepted, and `onError` is called);
   *   ERR_INVALID_ARG_VALUE: it is no stream socket, or an option is given that the socket already has; ERR_CLOSED; ERR_BUSY,
   *   ERR_KEY_EXISTS and the mechanism's refusals, as adopt()
   */
  listen<D>(options: ListenOptions, handler: ConnectionHandler<D>): Listener;
  /**
   * Connects to another program's listener. write() may be called at once. `open` is called when it is connected, `close` when that failed.
   *
   * A host's name may have several addresses. They are tried one after the other in the resolver's order, each with a socket of its own,
   * until one connects (Python's create_connection()); `close` gets the error of the last one. destroy() ends the attempts.
   *
   * Inside Node's loop, after start(), Node's own resolver (dns.lookup()) looks up the name and does not block: the connection has no
   * descriptor yet (`fd` is -1), and `close` gets ENOTFOUND. Otherwise, also before start(), the system's resolver is called synchronously
   * and BLOCKS: ENOTFOUND is thrown.
   * @param options checked before anything is opened
   * @throws ENOTFOUND, EAI_*; EMFILE; ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE; ERR_CLOSED
   */
  connect<D>(address: SocketAddressInput, handler: ConnectionHandler<D>, options?: ConnectOptions): Connection<D>;
  /**
   * Serves a connection that was accepted elsewhere (asyncio's connect_accepted_socket): by another thread or process, by Socket.accept().
   * From then on it behaves as if this loop had accepted it. What the peer has sent already is received.
   *
   * `open` is called in the next turn, before any data. write() may be called at once, and its bytes are sent after `open`. Where the
   * connection closes before that, `close` is the only handler that is called.
   *
   * @param socket a connected stream socket, also one of a pair. The loop takes it over: it is closed for the caller when adopt() returns,
   *   and non-blocking. Where adopt() throws, it is still the caller's, unchanged
   * @throws ENOTCONN (macOS, after a reset: EINVAL): it is not connected, or the peer has reset it: close it, and serve the next.
   *   ERR_INVALID_ARG_TYPE; ERR_INVALID_ARG_VALUE: it is no stream socket; ERR_CLOSED: it, or the loop, is closed;
   *   ERR_BUSY: a proactor's operations are under way on it; ERR_KEY_EXISTS: the loop has its descriptor already (addReader(), a second
   *   object for the same number); the mechanism's refusals, as selector.register(): ERR_OUT_OF_RANGE where select's sets are full,
   *   ENOSPC. iocp: EINVAL where another proactor has had operations on it, because a handle stays associated with its port
   */
  adopt<D>(socket: Socket, handler: ConnectionHandler<D>, options?: AdoptOptions): Connection<D>;
  /** Calls back in the next turn, before its I/O handlers; in the order of the calls. @throws ERR_INVALID_ARG_TYPE, ERR_CLOSED */
  callSoon(callback: () => void): void;
  /**
   * Calls back once, after `ms` milliseconds, never earlier. Timers of equal times run in the order of the calls.
   * @param ms at most 2^53; less than 0 counts as 0
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, ERR_CLOSED
   */
  callLater(ms: number, callback: () => void): Timer;
  /** The loop's clock, which callLater() uses: monotonic milliseconds, unaffected by changes of the system's time. */
  now(): number;
  /**
   * Calls back when the process receives a signal, also in a blocking run(), where Node's own handlers cannot be called. Several between two
   * turns count as one. While a callback is registered, the signal's default action (to end the process) is off. Any thread may register
   * one. Handlers of `process.on()` are called too, in Node's own time. Windows: SIGINT (Ctrl-C), SIGBREAK, SIGHUP.
   * @returns its disposal removes the callback
   * @throws ERR_INVALID_ARG_VALUE for a signal that this system does not have or that cannot be handled
   */
  onSignal(signal: NodeJS.Signals, callback: () => void): Disposable;
  /**
   * Runs turns until stop(), and BLOCKS this thread: the plain loop of the textbooks. Node's own loop stands still meanwhile, with its
   * promises and timers.
   * @throws ERR_BUSY: the loop runs already (from within a callback, after start()); ERR_CLOSED; what handlers threw, without `onError`
   */
  run(): void;
  /**
   * Runs one turn, which waits up to `timeout` milliseconds for something to do. BLOCKS.
   * @param timeout 0: does not wait. Default, also for null: forever
   * @returns how many events it handled: ready descriptors, timers, callbacks, signals. 0: the timeout is over, or the loop was woken; or, in
   *   the main thread, another process has accepted the client that woke it
   */
  runOnce(timeout?: number | null): number;
  /**
   * Runs turns inside Node's event loop, whose promises, timers and streams go on. Keeps Node alive. Resolves after stop() or close();
   * rejects with what a handler threw, without `onError`.
   */
  start(): Promise<void>;
  /** Ends run() or start() after the turn under way. Before run() or start(): they run one turn, which does not wait. */
  stop(): void;
  /**
   * Closes all listeners and connections (their `close` handlers are called), and the multiplexer. In a callback: at the end of the turn.
   * What was written is sent first, as much as the kernel takes at once.
   */
  close(): void;
}
