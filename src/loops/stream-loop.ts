/**
 * The base of loops with listeners and connections, over a selector or a proactor.
 *
 * Two queues are processed at the end of a turn and not at once: connections with something to send, and connections whose interest may have
 * changed. So everything that was written in a turn is sent by one call, and a connection that is paused and resumed within a turn costs no
 * system call.
 */
import { keyExists, staleKey, systemError } from '../errors.js';
import { givenStream, packedPeer, peerOf, takeSocket } from '../net/given-socket.js';
import type { Socket } from '../net/socket.js';
import { type HostName, type SocketAddressInput, type SocketFamily, hostNameOf, lookUp } from '../syscalls/address.js';
import {
  type ResolvedAddress,
  finishSending,
  openStream,
  ownDescriptors,
  packAddress,
  resolveAddresses,
  resolvedOf,
  setStreamOptions,
} from '../net/stream.js';
import { SendBatch } from '../syscalls/turn.js';
import { fieldsOf } from '../validate.js';
import { BaseLoop } from './base-loop.js';
import { StreamConnection } from './connection.js';
import type {
  AdoptOptions,
  ConnectOptions,
  Connection,
  ConnectionHandler,
  EventLoop,
  ListenOptions,
  Listener,
} from './event-loop.js';
import { type ListenerHost, StreamListener } from './listener.js';
import {
  CONNECTION_OPTIONS,
  type ParsedConnectionOptions,
  connectionOptionsOf,
  handlerOf,
  parseListenOptions,
} from './options.js';

/**
 * The attempts of a connect() by name. Its connection is in the state connecting until they end.
 *
 *   resolving --found--> attempting --connected--> open
 *                        attempting --failed--> attempting the next address, with a socket of its own
 *   resolving --not found--> closed; attempting --the last one failed--> closed; any --destroy()--> closed
 */
interface Attempts {
  readonly stream: ParsedConnectionOptions['stream'];
  /** Not tried yet. */
  addresses: ResolvedAddress[];
  /** The options of setOption() so far: each socket gets them. */
  readonly options: ((fd: number) => void)[];
}

/** A loop with listeners and connections. Reactor and ProactorLoop add the mechanism. */
export abstract class StreamLoop extends BaseLoop implements EventLoop {
  readonly #sends = new SendBatch();
  readonly #descriptors = ownDescriptors();
  readonly #listeners = new Set<StreamListener>();
  /** The open ones, by descriptor. One that is paused and has nothing to send has no interest registered. */
  readonly #connections = new Map<number, StreamConnection>();
  /** Of connections whose connect() may need another attempt. */
  readonly #attempts = new WeakMap<StreamConnection, Attempts>();
  /** Connections without a descriptor: Node's resolver looks up their name. */
  readonly #resolving = new Map<StreamConnection, HostName>();
  #flushQueue: StreamConnection[] = [];
  #watchQueue: StreamConnection[] = [];
  /** Their `close` handlers are called before the turn ends. */
  #closedConnections: { readonly connection: StreamConnection; readonly error: Error | null }[] = [];

  // ------------------------------------------------------------------------------------------------ what a loop provides

  /** connect(2); later opened() or notConnected(). */
  protected abstract startConnecting(connection: StreamConnection, packed: string): void;
  /** Sends what it can of the batch at once. */
  protected abstract send(batch: SendBatch): void;
  /** Does the next turn receive into this memory? */
  protected abstract isBorrowed(bytes: Uint8Array): boolean;
  /** Before it serves a descriptor that other code has opened. @throws where the mechanism already knows that it refuses it */
  protected abstract admit(fd: number): void;
  /** Registers the connection's interest with the mechanism. @throws the mechanism's refusal */
  protected abstract watchConnection(connection: StreamConnection): void;
  /** Removes the connection from the mechanism: its descriptor is about to be closed. */
  protected abstract forgetConnection(connection: StreamConnection, fd: number): void;
  /** Begins to accept. @throws the mechanism's refusal */
  protected abstract watchListener(listener: StreamListener): void;
  /** Stops accepting. @param isClosing its descriptor is about to be closed */
  protected abstract forgetListener(listener: StreamListener, isClosing: boolean): void;
  /** Closes the selector or proactor. */
  protected abstract closeMechanism(): void;
  /** The number belongs to another file now: drops the stale registration under it. @returns was there one? */
  protected abstract dropStale(fd: number): boolean;
  /** Is it certain that the number was registered for a file that is closed now? */
  protected abstract isStale(fd: number): boolean;

  // ----------------------------------------------------------------------------------------------------- the public API

  listen<D>(options: ListenOptions, handler: ConnectionHandler<D>): Listener {
    this.assertGoingOn();
    const parsed = parseListenOptions(options);
    const parsedHandler = handlerOf<unknown>(handler);
    this.assertGoingOn(); // again: their getters are the caller's
    if (parsed.socket !== undefined) this.#assertNotOurs(givenStream(parsed.socket));
    const listener = new StreamListener(this.#host, parsed, parsedHandler);
    if (parsed.socket === undefined) this.claim(listener.fd);
    listener.begin();
    this.#listeners.add(listener);
    return listener;
  }

  connect<D>(address: SocketAddressInput, handler: ConnectionHandler<D>, options?: ConnectOptions): Connection<D> {
    this.assertGoingOn();
    const given = fieldsOf('address', address, ['host', 'port', 'path', 'raw']);
    const name = this.isInsideNode ? hostNameOf(given) : null;
    const addresses = name === null ? resolveAddresses(given, 'connect') : [];
    const parsedHandler = handlerOf<unknown>(handler);
    const parsed = parseConnectionOptions(options);
    this.assertGoingOn();
    const settings = {
      ...{
        host: this.#host,
        ...parsedHandler,
        ...parsed,
        hasBackPressure: false,
        onClosed: () => this.#onConnectionClosed(),
      },
      ...(name === null ? {} : { requestedAddress: name }),
    };
    const connection = new StreamConnection<D>(settings, -1, '', 'connecting');
    const own = connection as StreamConnection;
    const attempts = { stream: parsed.stream, addresses, options: [] };
    if (addresses.length !== 1) this.#attempts.set(own, attempts);
    if (name === null) {
      const failed = this.#attempt(own, attempts);
      if (failed !== null) throw failed;
      return connection;
    }
    this.#resolving.set(own, name);
    lookUp(name, (error, found) => {
      if (this.#resolving.delete(own)) this.#resolved(own, error, found.map(resolvedOf));
    });
    return connection;
  }

  /** Starts to connect to the next address whose socket can be opened. @returns the last error of socket(2): none could; null: started */
  #attempt(connection: StreamConnection, attempts: Attempts): Error | null {
    let failed: Error | null = null;
    for (let next = attempts.addresses.shift(); next !== undefined; next = attempts.addresses.shift()) {
      const { family, packed } = next;
      const fd = openStream(family);
      if (fd >= 0) {
        this.#startAttempt(connection, fd, packed, attempts, family);
        return null;
      }
      failed = systemError(fd, 'socket'); // EAFNOSUPPORT: this system has no IPv6
    }
    return failed;
  }

  #startAttempt(
    connection: StreamConnection,
    fd: number,
    packed: string,
    attempts: Attempts,
    family: SocketFamily,
  ): void {
    this.claim(fd);
    this.#descriptors.add(fd);
    connection.useSocket(fd, packed);
    this.#add(connection);
    try {
      if (family !== 'unix') setStreamOptions(fd, attempts.stream);
      for (const set of attempts.options) set(fd);
      this.startConnecting(connection, packed);
    } catch (error) {
      this.#abandon(connection);
      throw error;
    }
  }

  /** Ends its attempt, and closes the descriptor. */
  #abandon(connection: StreamConnection): void {
    const { fd } = connection;
    if (fd < 0) return;
    this.#remove(connection, fd);
    this.forgetConnection(connection, fd);
    this.#descriptors.close(fd);
    connection.useSocket(-1, connection.peer);
  }

  /** Node's resolver has answered. */
  #resolved(connection: StreamConnection, error: Error | null, addresses: ResolvedAddress[]): void {
    const attempts = this.#attempts.get(connection);
    if (connection.isClosed || attempts === undefined) return;
    if (error !== null) return connection.fail(error);
    attempts.addresses = addresses;
    try {
      const failed = this.#attempt(connection, attempts);
      if (failed !== null) connection.fail(failed);
    } catch (thrown) {
      connection.fail(thrown as Error); // the mechanism refuses the descriptor, or this family lacks an option
    }
    this.kick();
  }

  protected override beforeBlocking(): void {
    if (this.#resolving.size === 0) return;
    const resolving = [...this.#resolving];
    this.#resolving.clear();
    for (const [connection, name] of resolving) {
      try {
        this.#resolved(connection, null, resolveAddresses(name, 'connect'));
      } catch (error) {
        this.#resolved(connection, error as Error, []);
      }
    }
  }

  adopt<D>(socket: Socket, handler: ConnectionHandler<D>, options?: AdoptOptions): Connection<D> {
    this.assertGoingOn();
    const parsedHandler = handlerOf<unknown>(handler);
    const parsed = parseConnectionOptions(options);
    const given = givenStream(socket);
    this.assertGoingOn();
    const { fd } = given;
    this.#assertNotOurs(given);
    const peer = peerOf(given);
    const settings = {
      host: this.#host,
      ...parsedHandler,
      ...parsed,
      hasBackPressure: true,
      onClosed: () => this.#onConnectionClosed(),
    };
    const connection = new StreamConnection<D>(settings, fd, peer, 'adopted');
    const own = connection as StreamConnection;
    try {
      takeSocket(given, () => {
        this.admit(fd);
        this.watchConnection(own);
      });
    } catch (error) {
      this.forgetConnection(own, fd);
      throw error;
    }
    this.#descriptors.add(fd);
    this.#add(own);
    if (given.family !== 'unix') setStreamOptions(fd, parsed.stream);
    // Not at once, for the caller does not have the connection yet; in the next turn callSoon() runs before the I/O handlers.
    this.callSoon(() => own.isClosed || own.opened());
    return connection;
  }

  #add(connection: StreamConnection): void {
    this.#connections.set(connection.fd, connection);
  }

  /** Another connection may have the number by now. */
  #remove(connection: StreamConnection, fd: number): void {
    if (this.#connections.get(fd) === connection) this.#connections.delete(fd);
  }

  /** @throws ERR_KEY_EXISTS: the loop has the descriptor already, by another object */
  #assertNotOurs(given: Socket): void {
    const { fd } = given;
    const connection = this.#connections.get(fd);
    const listener = this.#listenerOf(fd);
    if (connection === undefined && listener === undefined) return;
    const isSame = connection === undefined ? sameAddress(listener, given) : connection.peer === packedPeer(given);
    if (isSame && !this.isStale(fd)) throw keyExists(`descriptor ${fd}`);
    this.claim(fd);
  }

  #listenerOf(fd: number): StreamListener | undefined {
    for (const listener of this.#listeners) if (listener.fd === fd) return listener;
    return undefined;
  }

  /**
   * The system has just given out this number, so a registration under it is stale: its file was closed without removeReader(), or by its
   * number. It is dropped; otherwise it would stand in the way of the new file's registration (asyncio loses that client).
   */
  protected claim(fd: number): void {
    this.#connections.get(fd)?.descriptorLost();
    const listener = this.#listenerOf(fd);
    listener?.descriptorLost();
    if (this.dropStale(fd) || listener !== undefined) this.warn(staleKey(fd));
  }

  // --------------------------------------------------------------------------------------------------------------- a turn

  protected override hasWork(): boolean {
    return this.#flushQueue.length > 0 || this.#closedConnections.length > 0;
  }

  protected override settle(): void {
    this.#callCloseHandlers();
    if (this.#flushQueue.length > 0) {
      this.#flush();
      this.#callCloseHandlers();
    }
    this.watchChanged();
  }

  protected override closeAll(): void {
    for (const listener of this.#listeners) this.guarded(() => listener.close());
    if (this.#flushQueue.length > 0) this.#flush();
    this.watchChanged(); // starts the operations that send the rest
    for (const connection of this.#connections.values()) connection.fail(null);
    for (const connection of this.#resolving.keys()) connection.fail(null);
    while (this.#closedConnections.length > 0) this.#callCloseHandlers();
    this.#flushQueue = [];
    this.#watchQueue = [];
    this.guarded(() => this.closeMechanism());
    this.#descriptors.closeAll();
  }

  /** Registers the interest of the connections where it may have changed. */
  protected watchChanged(): void {
    if (this.#watchQueue.length === 0) return;
    const changed = this.#watchQueue;
    this.#watchQueue = [];
    for (const connection of changed) {
      connection.watchDequeued();
      if (connection.fd < 0) continue; // closed, or its name is being resolved
      try {
        this.watchConnection(connection);
      } catch (error) {
        connection.fail(error as Error);
      }
    }
  }

  #flush(): void {
    const sends = this.#sends;
    const flushed = this.#flushQueue;
    this.#flushQueue = [];
    for (const connection of flushed) connection.addTo(sends);
    this.send(sends);
    // First everything that needs the slab, then the handlers, which write to it again.
    let followUps = 0;
    for (const connection of flushed) if (connection.flushed(sends)) flushed[followUps++] = connection;
    sends.clear();
    for (let i = 0; i < followUps; i++) (flushed[i] as StreamConnection).afterFlush();
  }

  /** Calls the `close` handlers. What these close themselves is for the next turn: a handler that reconnects could prolong this one forever. */
  #callCloseHandlers(): void {
    const closed = this.#closedConnections;
    if (closed.length === 0) return;
    this.#closedConnections = [];
    for (const { connection, error } of closed) connection.callClose(error);
  }

  // ------------------------------------------------------------------------------------------------------ for the loops

  /** Is it a connection, of any loop? */
  protected isConnection(owner: unknown): owner is StreamConnection {
    return owner instanceof StreamConnection;
  }

  /** Does a connection of this loop have the descriptor? */
  protected hasConnection(fd: number): boolean {
    return this.#connections.has(fd);
  }

  /** A connect has failed: tries the next address, or closes the connection. @param error negative */
  protected notConnected(connection: StreamConnection, error: number): void {
    const attempts = this.#attempts.get(connection);
    if (attempts !== undefined && attempts.addresses.length > 0) {
      this.#abandon(connection);
      try {
        if (this.#attempt(connection, attempts) === null) return;
      } catch (thrown) {
        return connection.fail(thrown as Error);
      }
    }
    const address = connection.remoteAddress;
    const context =
      'host' in address ? { address: address.host, port: address.port } : 'path' in address ? address : {};
    connection.fail(systemError(error, 'connect', context));
  }

  /** Serves an accepted connection. @returns false: the mechanism has no room for it, and it is closed */
  protected welcome(listener: StreamListener, fd: number, peer: string): boolean {
    this.claim(fd);
    this.#descriptors.add(fd);
    if (listener.family !== 'unix') setStreamOptions(fd, listener.settings.stream);
    const connection = new StreamConnection(listener.settings, fd, peer, 'accepted');
    try {
      this.watchConnection(connection);
    } catch (error) {
      this.forgetConnection(connection, fd);
      // ENOSPC, ENOMEM
      this.#descriptors.close(fd);
      listener.backOff(error as Error);
      return false;
    }
    this.#add(connection);
    listener.connections++;
    connection.opened();
    return true;
  }

  /** Closes an accepted descriptor whose listener is closed. */
  protected discard(fd: number): void {
    this.#descriptors.add(fd);
    this.#descriptors.close(fd);
  }

  /** The loop, as its listeners and connections see it. */
  readonly #host: ListenerHost = {
    loop: this,
    sends: this.#sends,
    isBorrowed: (bytes) => this.isBorrowed(bytes),
    queueFlush: (connection) => {
      this.#flushQueue.push(connection);
      this.kick();
    },
    queueWatch: (connection) => {
      this.#watchQueue.push(connection);
      this.kick();
    },
    finishSending: (connection) => {
      const result = finishSending(connection.fd);
      if (result < 0) connection.callFailed(systemError(result, 'shutdown'));
    },
    optionSet: (connection, set) => void this.#attempts.get(connection)?.options.push(set),
    connectionClosed: (connection, fd, error, isLost) => {
      this.#resolving.delete(connection);
      if (fd >= 0) {
        this.#remove(connection, fd);
        this.forgetConnection(connection, fd);
        if (isLost) this.#descriptors.remove(fd);
        // Ignored: errors of close(2) (ECONNRESET), because the connection ends anyway.
        else this.#descriptors.close(fd);
      }
      this.#closedConnections.push({ connection, error });
      this.kick();
    },
    callSoon: (callback) => this.callSoon(callback),
    report: (error) => this.report(error),
    admit: (fd) => this.admit(fd),
    watch: (listener) => this.watchListener(listener),
    unwatch: (listener, isClosing) => this.forgetListener(listener, isClosing),
    callLater: (ms, callback) => this.callLater(ms, callback),
    warn: (error) => this.warn(error),
    onConnectionClosed: () => this.#onConnectionClosed(),
    listenerClosed: (listener) => this.#listeners.delete(listener),
  };

  #onConnectionClosed(): void {
    for (const listener of this.#listeners) this.guarded(() => listener.onConnectionClosed());
  }
}

function parseConnectionOptions(options: unknown): ParsedConnectionOptions {
  return connectionOptionsOf(options === undefined ? undefined : fieldsOf('options', options, CONNECTION_OPTIONS));
}

/** Has the socket the listener's address, as a second object for its descriptor has? */
function sameAddress(listener: StreamListener | undefined, { localAddress }: Socket): boolean {
  return listener !== undefined && packAddress(listener.address) === packAddress(localAddress);
}
