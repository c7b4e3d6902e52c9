/**
 * A listening socket of a loop.
 *
 *   listening --maxConnections are open--> full --one is closed--> listening
 *   listening --no descriptor is left (EMFILE …)--> backing off --a while, or one is closed--> listening
 *
 * While it is full or backing off, it has no interest registered: it stays readable as long as a client waits in the backlog, and would be
 * ready in every turn.
 */
import { systemError, systemErrorName } from '../errors.js';
import { isTransientAcceptError } from '../net/accept-errors.js';
import { assertListens, takeSocket } from '../net/given-socket.js';
import { Socket } from '../net/socket.js';
import type { SocketAddress, SocketFamily } from '../syscalls/address.js';
import { sharePort } from '../net/sockopt.js';
import { SocketFile } from '../net/socket-file.js';
import { type ResolvedAddress, resolveAddress } from '../net/stream.js';
import { WOULD_BLOCK } from '../syscalls/turn.js';
import type { Timer } from '../wait/timers.js';
import type { ConnectionHost, ConnectionSettings } from './connection.js';
import type { Listener } from './event-loop.js';
import type { ParsedHandler, ParsedListenOptions } from './options.js';

/** Accepts per turn at most, so that one listener does not starve the others and the connections (bpo-27906). */
const MAX_ACCEPTS = 64;
/** Milliseconds without accepting when no descriptor is left. */
const BACK_OFF = 100;

interface OpenedListener {
  readonly socket: Socket;
  /** Of a Unix socket that has one. */
  readonly file: SocketFile | null;
}

/** Errors where the kernel, or this network namespace, has no IPv6. */
const NO_IPV6 = new Set(['EAFNOSUPPORT', 'EPROTONOSUPPORT', 'EADDRNOTAVAIL', 'ENETUNREACH', 'ENOPROTOOPT']);

/** @throws the system's errors; nothing is open then, and no file is left */
function openListener(options: ParsedListenOptions): OpenedListener {
  const { address } = options;
  if (!('host' in address) || address.host !== '') return openAt(resolveAddress(address, 'bind'), options);
  try {
    return openAt({ family: 'ipv6', address }, options);
  } catch (error) {
    if (!NO_IPV6.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return openAt({ family: 'ipv4', address }, options);
  }
}

function openAt(
  { family, address }: Pick<ResolvedAddress, 'family' | 'address'>,
  { address: given, backlog, reusePort }: ParsedListenOptions,
): OpenedListener {
  const socket = new Socket({ family, blocking: false });
  let file: SocketFile | null = null;
  try {
    // A stopped server can start again at once. Windows needs no option for that, and has another meaning for it.
    if (family !== 'unix' && process.platform !== 'win32') socket.setOption('SO_REUSEADDR', true);
    if (reusePort) sharePort(socket);
    socket.bind(address);
    if ('path' in given && typeof given.path !== 'string') file = SocketFile.of(given.path);
    return { socket: socket.listen(backlog), file };
  } catch (error) {
    file?.remove();
    socket.close();
    throw error;
  }
}

/** What a listener needs of its loop. */
export interface ListenerHost extends ConnectionHost {
  /** @throws the mechanism's refusal of a descriptor that other code has opened */
  admit(fd: number): void;
  /** Begins to accept. @throws the mechanism's refusal */
  watch(listener: StreamListener): void;
  /** Stops accepting. @param isClosing its descriptor is about to be closed */
  unwatch(listener: StreamListener, isClosing: boolean): void;
  callLater(ms: number, callback: () => void): Timer;
  /** Reports that no descriptor is left. */
  warn(error: Error): void;
  /** A connection is closed: listeners may accept again. */
  onConnectionClosed(): void;
  listenerClosed(listener: StreamListener): void;
}

/** The Listener that listen() returns; the members that are marked as internal are for its loop. */
export class StreamListener implements Listener {
  readonly address: SocketAddress;
  connections = 0;
  /** @internal Of the connections that it accepts. */
  readonly settings: ConnectionSettings;
  readonly #host: ListenerHost;
  #socket: Socket;
  readonly #isGiven: boolean;
  /** The file that its own bind(2) has made; null for a socket that the caller has given. */
  readonly #file: SocketFile | null;
  readonly #maxConnections: number;
  #backOff: Timer | undefined;
  /** The error that it backs off from was reported. */
  #isReported = false;
  #watched = false;

  /** @throws the system's errors; nothing is open then, and a socket that was given is unchanged */
  constructor(host: ListenerHost, options: ParsedListenOptions, handler: ParsedHandler<unknown>) {
    const { socket } = options;
    if (socket !== undefined) assertListens(socket);
    this.#host = host;
    this.#isGiven = socket !== undefined;
    const opened = socket === undefined ? openListener(options) : { socket, file: null };
    this.#socket = opened.socket;
    this.#file = opened.file;
    this.#maxConnections = options.maxConnections;
    this.address = this.#socket.localAddress;
    const onClosed = (): void => {
      this.connections--;
      host.onConnectionClosed();
    };
    this.settings = { host, ...handler, ...options.connections, hasBackPressure: true, onClosed };
  }

  /** @internal -1 once closed. */
  get fd(): number {
    return this.#socket.fd;
  }

  /**
   * @internal Begins to accept for the first time. It owns a socket that was given from now on.
   * @throws where the multiplexer refuses the descriptor: its own socket is closed then, a given one is unchanged
   */
  begin(): void {
    try {
      if (!this.#isGiven) return this.listen();
      this.#socket = Socket.fromFd(
        takeSocket(this.#socket, () => {
          this.#host.admit(this.fd);
          this.listen();
        }),
        { blocking: false },
      );
    } catch (error) {
      if (!this.#isGiven) this.close();
      else if (this.#watched) this.#host.unwatch(this, true);
      throw error;
    }
  }

  /** @internal Begins, or goes on, to accept. @throws where the multiplexer refuses the descriptor */
  listen(): void {
    if (this.#watched || this.fd < 0 || this.connections >= this.#maxConnections) return;
    this.#host.watch(this);
    this.#watched = true;
  }

  /**
   * @internal Accepts the clients that wait. There may be none left: another process that shares the socket has accepted them.
   * @param accept accept(2) and what follows: returns 0, or a negative error; would-block also after backOff()
   * @returns how many were accepted, or failed
   */
  onReadable(accept: (listener: this) => number): number {
    let done = 0;
    for (; done < MAX_ACCEPTS && this.#watched; done++) {
      if (this.connections >= this.#maxConnections) {
        this.#unwatch();
        return done;
      }
      const result = accept(this);
      if (result === WOULD_BLOCK) return this.#backOff === undefined ? done : done + 1;
      if (result >= 0) this.#isReported = false;
      else if (!isTransientAcceptError(systemErrorName(result))) this.backOff(systemError(result, 'accept'));
    }
    return done;
  }

  /** @internal In a proactor loop: an accept has completed. @param result 0 or more, or the error, negative */
  onAccepted(result: number): void {
    if (result >= 0) this.#isReported = false;
    else if (!isTransientAcceptError(systemErrorName(result))) return this.backOff(systemError(result, 'accept'));
    if (!this.#watched) return;
    if (this.connections >= this.#maxConnections) return this.#unwatch();
    this.#host.watch(this);
  }

  /** @internal Has it a limit of connections? */
  get isLimited(): boolean {
    return this.#maxConnections !== Infinity;
  }

  /** @internal Of its address. */
  get family(): SocketFamily {
    return this.#socket.family;
  }

  /** @internal Stops accepting for BACK_OFF, and reports the error. */
  backOff(error: Error): void {
    if (this.#backOff !== undefined || this.fd < 0) return;
    this.#unwatch();
    this.#backOff = this.#host.callLater(BACK_OFF, () => this.#listenAgain());
    // Once, not ten times a second.
    if (!this.#isReported) this.#host.warn(error);
    this.#isReported = true;
  }

  /** @internal A connection of the loop is closed: it may accept again. */
  onConnectionClosed(): void {
    if (!this.#watched) this.#listenAgain();
  }

  close(): void {
    if (this.fd < 0) return;
    this.#backOff?.cancel();
    this.#watched = false;
    this.#host.unwatch(this, true);
    const removed = this.#file?.remove();
    this.#socket.close();
    this.#host.listenerClosed(this);
    // Windows may refuse to remove the file of an open socket.
    const error = removed instanceof Error ? this.#file?.remove() : removed;
    if (error instanceof Error) throw error;
  }

  /** @internal Other code has closed its descriptor, and the number is another file's, which stays open. */
  descriptorLost(): void {
    if (this.fd < 0) return;
    this.#backOff?.cancel();
    this.#watched = false;
    this.#host.unwatch(this, true);
    this.#socket.detach();
    this.#host.listenerClosed(this);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #listenAgain(): void {
    this.#backOff?.cancel();
    this.#backOff = undefined;
    try {
      this.listen();
    } catch (error) {
      this.backOff(error as Error); // the multiplexer has no room for it now
    }
  }

  #unwatch(): void {
    if (!this.#watched) return;
    this.#watched = false;
    this.#host.unwatch(this, false);
  }
}
