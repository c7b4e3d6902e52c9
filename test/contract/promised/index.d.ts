/** What callers of `selectors-native` may rely on, by name and by meaning. The package may offer more. */
import type { Server as NetServer, Socket as NetSocket } from 'node:net';

// ---------------------------------------------------------------------------------------------------- file objects

/** A descriptor, or anything that has one: our own classes, `net.Socket`, `net.Server`, `process.stdin`, pipes, ttys. */
export type FileObject = number | { readonly fd: number } | { fileno(): number } | NetSocket | NetServer;

/** The descriptor of a file object. Throws ERR_INVALID_ARG_VALUE where there is none (closed, or not an OS handle). */
export function fileno(fileobj: FileObject): number;

// -------------------------------------------------------------------------------------------------------- selectors

export const EVENT_READ: 1;
export const EVENT_WRITE: 2;
/** EVENT_READ, EVENT_WRITE, or both or-ed together. */
export type EventMask = number;

export interface SelectorKey<D = unknown, F extends FileObject = FileObject> {
  readonly fileobj: F;
  readonly fd: number;
  readonly events: EventMask;
  readonly data: D;
}

/** One ready file object: its key, and which of the key's events are ready. */
export type ReadyEvent<D = unknown, F extends FileObject = FileObject> = readonly [key: SelectorKey<D, F>, events: EventMask];

export interface WaitOptions { readonly timeout?: number | null; readonly signal?: AbortSignal }

/** Readiness selectors, with the meaning of Python's `selectors` module. */
export abstract class BaseSelector<D = unknown, F extends FileObject = FileObject>
  implements Disposable, AsyncIterable<readonly ReadyEvent<D, F>[]> {
  /** Can this class be constructed here? Asked of the kernel, not of the platform's name. */
  static readonly isAvailable: boolean;
  /** 'select' | 'poll' | 'epoll' | 'kqueue' | 'afd' | 'devpoll' */
  readonly mechanism: Mechanism;
  /** Descriptor of the multiplexer itself where it has one (epoll, kqueue, devpoll), else undefined. */
  readonly fd: number | undefined;

  register(fileobj: F, events: EventMask, data?: D): SelectorKey<D, F>;
  /** Works after the file object was closed, and after its number was given to another file. */
  unregister(fileobj: FileObject): SelectorKey<D, F>;
  /** `data` alone costs no system call. A modify that the kernel refuses changes nothing. */
  modify(fileobj: FileObject, events: EventMask, data?: D): SelectorKey<D, F>;
  /** BLOCKS this thread until something is ready or the time is over. */
  select(timeout?: number | null): ReadyEvent<D, F>[];
  /** The same without blocking Node's own event loop. Rejects with AbortError when `signal` fires. */
  selectAsync(options?: WaitOptions): Promise<ReadyEvent<D, F>[]>;
  /** Batches of ready events for ever, without blocking Node's event loop; ends when the selector is closed. */
  [Symbol.asyncIterator](): AsyncIterator<readonly ReadyEvent<D, F>[]>;
  /** Makes the wait that is under way, or the next one, return early. Sticky: none is lost; many before one wait count as one. */
  wakeup(): void;
  /** For other threads: a number that they may be sent, and give to the function `wakeup` below. */
  readonly wakeupHandle: number;
  getKey(fileobj: FileObject): SelectorKey<D, F>;
  /** A live, read-only view: iterates descriptors, looks up by any file object. */
  getMap(): ReadonlyMap<FileObject, SelectorKey<D, F>>;
  close(): void;
  [Symbol.dispose](): void;
}

/** What `selector.wakeup()`, `proactor.wakeup()` and `loop.stop()` do, from any thread. */
export function wakeup(wakeupHandle: number): void;

export class SelectSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> { constructor() }
export class PollSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> { constructor() }
export class EpollSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> { constructor() }
export class KqueueSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> { constructor() }
export class AfdSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> { constructor() }

/** The best selector that works here: epoll | kqueue | afd | devpoll > poll > select. One of the classes above, not a wrapper. */
export const DefaultSelector: {
  new <D = unknown, F extends FileObject = FileObject>(): BaseSelector<D, F>;
  readonly isAvailable: true;
};
export type DefaultSelector<D = unknown, F extends FileObject = FileObject> = BaseSelector<D, F>;

// ---------------------------------------------------------------------------------------------------------- sockets

/** A number stands for the OS's own AF_*, SOCK_*: netlink, CAN, packet, vsock … */
export type SocketFamily = 'ipv4' | 'ipv6' | 'unix' | number;
export type SocketType = 'stream' | 'dgram' | 'seqpacket' | 'raw' | number;
export type SocketAddress =
  | { readonly host: string; readonly port: number }   // an IP address ('fe80::1%eth0' with its scope), or a name to be resolved (blocking)
  | { readonly path: string }                          // a Unix socket; '\0name' is Linux's abstract namespace
  | { readonly raw: Uint8Array };                      // any other family, or a path that is not UTF-8: the sockaddr as the OS lays it out
/** What calls take: also a Unix socket by the bytes of its path. */
export type SocketAddressInput = SocketAddress | { readonly path: Uint8Array };

export interface SocketOptions {
  readonly family?: SocketFamily; readonly type?: SocketType; readonly protocol?: number;
  readonly blocking?: boolean;
}

/** A socket of the operating system, blocking (the default, as in C and Python) or non-blocking; no buffering, no magic. */
export class Socket implements Disposable {
  constructor(options?: SocketOptions);
  /** Take over a descriptor that came from elsewhere (inherited, passed, `net.Socket`). */
  static fromFd(fd: number, options?: { readonly blocking?: boolean }): Socket;
  /** Two connected stream sockets: socketpair(2), or a loopback pair where the OS has none. */
  static pair(options?: SocketOptions): [Socket, Socket];

  readonly fd: number;                 // -1 once closed
  fileno(): number;
  readonly family: SocketFamily;
  readonly type: SocketType;
  /** false: calls answer null instead of waiting. */
  blocking: boolean;
  /** How long a blocking call waits before it throws ETIMEDOUT; null: for ever. Milliseconds. */
  timeout: number | null;

  bind(address: SocketAddressInput): this;
  listen(backlog?: number): this;
  /** The connection is blocking or not as this listener is. null: would block. */
  accept(): Socket | null;
  /** true: connected. false: in progress (non-blocking); wait for EVENT_WRITE, then ask `error()`. */
  connect(address: SocketAddressInput): boolean;
  /** SO_ERROR, read and cleared: the system error of a connect that was in progress, or null. */
  error(): NodeJS.ErrnoException | null;

  /** Up to `size` bytes; `flags` are the OS's MSG_*, from the entry `syscalls`. null: would block. Empty: the peer has finished sending. */
  recv(size: number, flags?: number): Buffer | null;
  recvInto(buffer: Uint8Array, offset?: number, length?: number): number | null;
  /** How many bytes the kernel took, which may be fewer than given. null: would block. Never raises SIGPIPE. */
  send(data: Uint8Array | string, offset?: number, length?: number): number | null;
  /** All of it, waiting as long as it takes, whether the socket blocks or not. */
  sendAll(data: Uint8Array | string): void;
  recvFrom(size: number): { readonly data: Buffer; readonly address: SocketAddress } | null;
  sendTo(data: Uint8Array | string, address: SocketAddressInput): number | null;
  /** Hand descriptors to the process at the other end of a Unix socket (SCM_RIGHTS), and take them. */
  sendFds(fds: readonly FileObject[], data?: Uint8Array): number | null;
  recvFds(maxFds: number, size?: number): { readonly fds: number[]; readonly data: Buffer } | null;
  /** Windows' way to the same end (WSADuplicateSocket): bytes that the process `pid`, and it alone, turns into this socket. */
  share(pid: number): Uint8Array;
  static fromShare(shared: Uint8Array): Socket;

  shutdown(how: 'read' | 'write' | 'both'): void;
  readonly localAddress: SocketAddress;
  readonly remoteAddress: SocketAddress;
  setOption(name: SocketOptionName, value: number | boolean): this;
  getOption(name: SocketOptionName): number;
  /** Any option by the OS's own numbers; the value as an int or as the struct's bytes (TCP_INFO …). */
  setOption(level: number, option: number, value: number | Uint8Array): this;
  getOption(level: number, option: number, length: number): Buffer;
  /** Give the descriptor away without closing it; this object is closed afterwards. */
  detach(): number;
  close(): void;
  [Symbol.dispose](): void;
}

/** The operating systems' own names; one that this OS lacks throws ENOPROTOOPT. */
export type SocketOptionName =
  | 'SO_REUSEADDR' | 'SO_REUSEPORT' | 'SO_KEEPALIVE' | 'SO_BROADCAST' | 'SO_SNDBUF' | 'SO_RCVBUF' | 'SO_LINGER'
  | 'TCP_NODELAY' | 'TCP_KEEPIDLE' | 'TCP_KEEPINTVL' | 'TCP_KEEPCNT' | 'IPV6_V6ONLY';

// -------------------------------------------------------------------------------------------------------- proactors

/**
 * One operation that the kernel carries out. Until it completes, it owns its buffer: the memory stays alive and in
 * place whatever the caller does (forgets it, closes the socket, closes the proactor).
 */
export interface Operation<T = unknown, D = unknown> {
  readonly kind: 'accept' | 'connect' | 'recv' | 'recvFrom' | 'send' | 'sendTo' | 'read' | 'write' | 'timeout';
  readonly pending: boolean;
  readonly data: D;
  /** Once completed: what came of it. A failed one has `error` instead (ECANCELED for a cancelled one). */
  readonly result: T | undefined;
  readonly error: NodeJS.ErrnoException | undefined;
  /** Ask the kernel to give it up. It still completes, once: with its result if that came first, else with ECANCELED. */
  cancel(): void;
}

/**
 * Completion ports: start operations, then collect those that the kernel has finished.
 * The mirror of a selector: `select()` says what CAN be done now, `wait()` says what HAS been done.
 */
export abstract class BaseProactor implements Disposable {
  static readonly isAvailable: boolean;
  readonly mechanism: Mechanism;
  /** true where the kernel itself moves the bytes (IOCP, io_uring); false where readiness plus a copy imitates it. */
  readonly isNative: boolean;
  /** Operations started and not yet collected. */
  readonly pending: number;

  accept<D>(listener: Socket, data?: D): Operation<Socket, D>;
  connect<D>(socket: Socket, address: SocketAddress, data?: D): Operation<void, D>;
  recv<D>(socket: Socket, size: number, data?: D): Operation<Buffer, D>;
  recvInto<D>(socket: Socket, buffer: Uint8Array, data?: D): Operation<number, D>;
  recvFrom<D>(socket: Socket, size: number, data?: D): Operation<{ data: Buffer; address: SocketAddress }, D>;
  send<D>(socket: Socket, bytes: Uint8Array | string, data?: D): Operation<number, D>;
  sendTo<D>(socket: Socket, bytes: Uint8Array | string, address: SocketAddress, data?: D): Operation<number, D>;
  /** Files too: true asynchronous file I/O at `position` (bytes from the start). */
  read<D>(file: FileObject, size: number, position: number, data?: D): Operation<Buffer, D>;
  write<D>(file: FileObject, bytes: Uint8Array, position: number, data?: D): Operation<number, D>;
  timeout<D>(ms: number, data?: D): Operation<void, D>;

  /** BLOCKS until at least one operation is finished or the time is over; every finished one is returned exactly once. */
  wait(timeout?: number | null): Operation[];
  waitAsync(options?: WaitOptions): Promise<Operation[]>;
  wakeup(): void;
  readonly wakeupHandle: number;
  /** Cancels what is pending and waits for the kernel to let go of every buffer. */
  close(): void;
  [Symbol.dispose](): void;
}

/** Linux: io_uring. */
export class IoUringProactor extends BaseProactor { constructor(options?: { readonly entries?: number }) }
/** Anywhere: the same contract imitated over a readiness selector, as asyncio does on Unix. */
export class EmulatedProactor extends BaseProactor { constructor(options?: { readonly selector?: BaseSelector }) }

/** IOCP on Windows; io_uring on Linux where the kernel allows it; else the emulation. */
export const DefaultProactor: { new (): BaseProactor; readonly isAvailable: true };

type Readiness = 'select' | 'poll' | 'epoll' | 'kqueue' | 'afd' | 'devpoll';
export type Mechanism = Readiness | 'iocp' | 'io_uring' | `emulated:${Readiness}`;
export function availableMechanisms(): ReadonlyArray<{ readonly mechanism: Mechanism; readonly available: boolean; readonly why: string }>;

// ------------------------------------------------------------------------------------------------------ event loops

/** One connection of a loop. The write side is buffered; `write` says false when the caller should wait for `drain`. */
export interface Connection<D = unknown> {
  readonly loop: EventLoop;
  readonly fd: number;
  readonly localAddress: SocketAddress;
  readonly remoteAddress: SocketAddress;
  /** The caller's own state for this connection. */
  data: D;
  /** Bytes accepted by write() that the kernel does not have yet. */
  readonly writableLength: number;
  /** Bytes that the peer is behind: `writableLength` from a flush that the kernel did not take as a whole until it has room again, else 0. */
  readonly unsentLength: number;
  /** setsockopt(2), as Socket.setOption(). While it connects, the sockets of further attempts get it too. */
  setOption(name: SocketOptionName, value: number | boolean): this;
  setOption(level: number, option: number, value: number | Uint8Array): this;
  getOption(name: SocketOptionName): number;
  getOption(level: number, option: number, length: number): Buffer;
  write(bytes: Uint8Array | string): boolean;
  /** Finish sending what is buffered, then send FIN. Data can still be received. */
  end(bytes?: Uint8Array | string): void;
  pause(): void;
  resume(): void;
  /** Drop what is buffered and close now. */
  destroy(error?: Error): void;
}

/** What a program does with its connections; one object serves them all. The SAME object runs on every loop. */
export interface ConnectionHandler<D = unknown> {
  open?(connection: Connection<D>): void;
  /** `chunk` is the caller's to keep. */
  data?(connection: Connection<D>, chunk: Buffer): void;
  drain?(connection: Connection<D>): void;
  /** The peer has finished sending. Without this handler the connection is ended too. */
  end?(connection: Connection<D>): void;
  /** Exactly once for each connection, and for a connect() that never opened; `error` says why, where the end was not a clean one. */
  close?(connection: Connection<D>, error: Error | null): void;
}

/** Of a loop's connections. `noDelay` and `keepAlive` are ignored for Unix sockets. */
export interface ConnectionOptions {
  readonly noDelay?: boolean;              // TCP_NODELAY; default: true
  readonly keepAlive?: boolean | number;   // SO_KEEPALIVE; a number: idle milliseconds before the first probe; default: false
  readonly highWaterMark?: number;         // bytes; default: 65536
}

export interface ListenOptions extends ConnectionOptions {
  readonly host?: string;              // default: '127.0.0.1', for a server is open to others only when asked to be; '': all addresses
  readonly port?: number;              // 0: any free one
  readonly path?: string | Uint8Array;
  readonly backlog?: number;
  readonly reusePort?: boolean;
  readonly maxConnections?: number;    // reached: accepting pauses, further clients wait in the kernel's backlog
}

export interface Listener extends Disposable { readonly address: SocketAddress; readonly connections: number; close(): void }
export interface Timer extends Disposable { cancel(): void }

/**
 * A single-threaded event loop over one multiplexer. A handler or callback that throws costs its own connection, the rest of
 * the batch is still served, and the error then goes to `onError`, or, where none was given, out of run()/runOnce()/start().
 */
export interface EventLoop extends Disposable {
  readonly mechanism: Mechanism;
  listen<D>(options: ListenOptions, handler: ConnectionHandler<D>): Listener;
  /** Tries all addresses of a name, one after the other. */
  connect<D>(address: SocketAddressInput, handler: ConnectionHandler<D>, options?: ConnectionOptions): Connection<D>;
  callSoon(callback: () => void): void;
  callLater(ms: number, callback: () => void): Timer;
  /** Monotonic milliseconds, as callLater counts them. */
  now(): number;
  onSignal(signal: NodeJS.Signals, callback: () => void): Disposable;
  /** BLOCKS this thread, turning until stop(): the plain loop of the textbooks. Node's own loop stands still meanwhile. */
  run(): void;
  /** One turn. Returns how many events it handled. */
  runOnce(timeout?: number | null): number;
  /** The same loop living inside Node's: promises, timers and streams go on. Resolves after stop(). */
  start(): Promise<void>;
  stop(): void;
  close(): void;
}

/** "Tell me when it is ready, I do it myself." */
export class Reactor implements EventLoop {
  constructor(options?: { readonly selector?: BaseSelector; readonly onError?: (error: unknown) => void });
  readonly selector: BaseSelector;
  addReader(fileobj: FileObject, callback: () => void): void;
  removeReader(fileobj: FileObject): boolean;
  addWriter(fileobj: FileObject, callback: () => void): void;
  removeWriter(fileobj: FileObject): boolean;
}
export interface Reactor extends EventLoop {}

/** "Do it, and tell me when it is done." */
export class ProactorLoop implements EventLoop {
  constructor(options?: { readonly proactor?: BaseProactor; readonly onError?: (error: unknown) => void });
  readonly proactor: BaseProactor;
}
export interface ProactorLoop extends EventLoop {}
