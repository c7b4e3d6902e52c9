/**
 * The reactor: "tell me when it is ready, I do it myself" (post 002). An event loop over any selector.
 *
 * A turn receives from all connections that are ready in one call of the addon, and sends all that was written in another
 * (syscalls/turn.ts). Two lists are worked off at its end and not at once, for things often change there and back within a turn: who has
 * something to send, and whose interest is another now. So write interest is registered only for what the kernel did not take
 * (post 004), and a connection that is paused and resumed costs no system call.
 */
import { check, invalidType, keyExists, outOfRange, systemError } from '../errors.js';
import type { SocketAddress } from '../net/address.js';
import {
  IN_PROGRESS,
  acceptStream,
  connectError,
  connectStream,
  finishSending,
  lastPeer,
  openStream,
  ownDescriptors,
  resolveAddress,
  setNoDelay,
} from '../net/stream.js';
import { BaseSelector, EVENT_READ, EVENT_WRITE, type SelectorKey, type TurnFound } from '../selectors/base.js';
import { DefaultSelector } from '../selectors/default.js';
import { type FileObject, fileno } from '../syscalls/file-object.js';
import type { Mechanism } from '../syscalls/probe.js';
import { NOT_RECEIVED, ReceiveBatch, SendBatch, WOULD_BLOCK } from '../syscalls/turn.js';
import { fieldsOf, guarded } from '../validate.js';
import type { Attachment } from '../wait/attachment.js';
import { BaseLoop, callbackOf, handlerOf, onErrorOf } from './base-loop.js';
import { DEFAULT_HIGH_WATER_MARK, StreamConnection } from './connection.js';
import type { Connection, ConnectionHandler, EventLoop, ListenOptions, Listener } from './event-loop.js';
import { type ListenerHost, StreamListener, openListener, parseListenOptions } from './listener.js';

export interface ReactorOptions {
  /** A DefaultSelector where nothing is said. It is the loop's from now on: close() closes it. */
  readonly selector?: BaseSelector;
  /** Told of what handlers and callbacks throw, and of listeners that pause for want of descriptors. */
  readonly onError?: (error: unknown) => void;
}

/** A callback of addReader or addWriter, until it is replaced or removed. */
interface Handle {
  readonly callback: () => void;
  cancelled: boolean;
}

/** What is kept for a descriptor of addReader and addWriter. A record: what the wait has found is called as it was then. */
class Watch {
  constructor(
    readonly reader: Handle | undefined,
    readonly writer: Handle | undefined,
  ) {}

  get events(): number {
    return (this.reader === undefined ? 0 : EVENT_READ) | (this.writer === undefined ? 0 : EVENT_WRITE);
  }
}

const NOT_WATCHED = new Watch(undefined, undefined);

/** What the wait has found for a callback that is no more is not called. */
function cancelReplaced(old: Watch, watch: Watch): void {
  if (old.reader !== undefined && old.reader !== watch.reader) old.reader.cancelled = true;
  if (old.writer !== undefined && old.writer !== watch.writer) old.writer.cancelled = true;
}

export class Reactor extends BaseLoop implements EventLoop {
  readonly selector: BaseSelector;
  readonly #received = new ReceiveBatch<unknown>();
  readonly #sends = new SendBatch();
  readonly #found: TurnFound<unknown> = { owners: [], count: 0, woken: false };
  readonly #descriptors = ownDescriptors();
  readonly #listeners = new Set<StreamListener>();
  /** All that are open. Not each is registered: one that is paused, with nothing to send, is not. */
  readonly #connections = new Set<StreamConnection>();
  #toFlush: StreamConnection[] = [];
  #toWatch: StreamConnection[] = [];
  #closedConnections: { readonly connection: StreamConnection; readonly error: Error | null }[] = [];

  constructor(options: ReactorOptions = {}) {
    const { selector, onError } = fieldsOf('options', options, ['selector', 'onError']);
    if (selector !== undefined && !guarded('selector', () => selector instanceof BaseSelector))
      throw invalidType('selector', 'a selector', selector);
    super(onErrorOf(onError));
    this.selector = (selector as BaseSelector | undefined) ?? new DefaultSelector();
  }

  get mechanism(): Mechanism {
    return this.selector.mechanism;
  }

  listen<D>(options: ListenOptions, handler: ConnectionHandler<D>): Listener {
    this.assertGoingOn();
    const parsed = parseListenOptions(options);
    const known = handlerOf<unknown>(handler);
    this.assertGoingOn(); // again: their getters are the caller's
    const listener = new StreamListener(this.#host, openListener(parsed), parsed, known);
    this.#listeners.add(listener);
    try {
      listener.listen();
    } catch (error) {
      listener.close();
      throw error;
    }
    return listener;
  }

  connect<D>(address: SocketAddress, handler: ConnectionHandler<D>): Connection<D> {
    this.assertGoingOn();
    const resolved = resolveAddress(address, 'connect');
    const known = handlerOf<unknown>(handler);
    this.assertGoingOn();
    const fd = check(openStream(resolved.family), 'socket');
    this.#descriptors.add(fd);
    if (resolved.family !== 'unix') setNoDelay(fd);
    const result = connectStream(fd, resolved.packed);
    const connection = new StreamConnection<D>(
      {
        host: this.#host,
        ...known,
        highWaterMark: DEFAULT_HIGH_WATER_MARK,
        holdsBack: false,
        onClosed: () => this.#onRoom(),
      },
      fd,
      resolved.packed,
      true,
    );
    const own = connection as StreamConnection;
    this.#connections.add(own);
    if (result === IN_PROGRESS) own.watchSoon();
    else if (result >= 0) this.callSoon(() => own.isClosed || own.opened());
    else this.#notConnected(own, result);
    return connection;
  }

  /**
   * Calls back whenever the descriptor can be read, until removeReader(). Plain readiness: the callback reads by itself.
   * Asked for again, the new callback takes the place of the old one, which is not called any more.
   * @throws ERR_KEY_EXISTS for a connection or listener of this loop; ERR_INVALID_ARG_VALUE for what has no descriptor; the kernel's
   *   refusals, as selector.register()
   */
  addReader(fileobj: FileObject, callback: () => void): void {
    this.#watch(fileobj, callback, ({ writer }, handle) => new Watch(handle, writer));
  }

  /** @returns false: it had none */
  removeReader(fileobj: FileObject): boolean {
    return this.#unwatch(fileobj, ({ writer }) => new Watch(undefined, writer));
  }

  /** The same for writing. A descriptor can be written to nearly always: remove the callback when there is nothing to write. */
  addWriter(fileobj: FileObject, callback: () => void): void {
    this.#watch(fileobj, callback, ({ reader }, handle) => new Watch(reader, handle));
  }

  /** @returns false: it had none */
  removeWriter(fileobj: FileObject): boolean {
    return this.#unwatch(fileobj, ({ reader }) => new Watch(reader, undefined));
  }

  // --------------------------------------------------------------------------------------------------------------- a turn

  protected override get wakeupHandle(): number {
    return this.selector.wakeupHandle;
  }

  protected override wake(): void {
    if (!this.selector.closed) this.selector.wakeup();
  }

  protected override hasWork(): boolean {
    return this.#toFlush.length > 0 || this.#closedConnections.length > 0;
  }

  protected override wait(timeout: number): boolean {
    this.#watchChanged();
    // A connection that the multiplexer would not watch is closed by now.
    this.selector.turn(this.#received, this.hasWork() ? 0 : timeout, this.#found);
    return this.#found.woken;
  }

  protected override dispatch(): number {
    const { owners, count } = this.#found;
    let handled = 0;
    for (let record = 0; record < count; record++) {
      const owner = owners[record];
      if (owner === undefined) continue;
      owners[record] = undefined;
      handled++;
      if (owner instanceof StreamConnection) this.#onConnection(owner, record);
      else if (owner instanceof Watch) this.#onWatch(owner, this.#received.events(record));
      else if (owner instanceof StreamListener) this.guarded(() => owner.onReadable());
      else this.report(keyExists("a descriptor of somebody else's on the loop's selector (addReader() is the way)"));
    }
    this.#found.count = 0;
    return handled;
  }

  protected override settle(): void {
    this.#tellClosed();
    if (this.#toFlush.length > 0) {
      this.#flush();
      this.#tellClosed();
    }
    this.#watchChanged();
  }

  protected override attach(onReady: () => void): Attachment {
    return this.selector.attach(onReady);
  }

  protected override closeAll(): void {
    for (const listener of this.#listeners) this.guarded(() => listener.close());
    if (this.#toFlush.length > 0) this.#flush();
    for (const connection of this.#connections) connection.fail(null);
    while (this.#closedConnections.length > 0) this.#tellClosed();
    this.#toFlush = [];
    this.#toWatch = [];
    this.selector.close();
    this.#descriptors.closeAll();
  }

  // ---------------------------------------------------------------------------------------------------------- connections

  #onConnection(connection: StreamConnection, record: number): void {
    // Closed since the wait: what was received belongs to nobody.
    if (connection.isClosed) return;
    if (connection.isConnecting) return this.#onConnected(connection);
    const batch = this.#received;
    const received = batch.received(record);
    if (received > 0) connection.received(batch.chunk(record, connection.borrows));
    else if (received === 0) connection.peerEnded();
    else if (received === NOT_RECEIVED) this.#receiveAlone(connection, batch.events(record));
    else if (received !== WOULD_BLOCK) connection.fail(systemError(received, 'recv'));
    if ((batch.events(record) & EVENT_WRITE) !== 0) connection.writable();
  }

  /** One for which the batch had no room, or whose number is too high for it. */
  #receiveAlone(connection: StreamConnection, events: number): void {
    if ((events & EVENT_READ) === 0 || !connection.wantsToReceive) return;
    const received = this.#received.receive(connection.fd);
    if (typeof received !== 'number') {
      if (received.length > 0) connection.received(received);
      else connection.peerEnded();
    } else if (received !== WOULD_BLOCK) {
      connection.fail(systemError(received, 'recv'));
    }
  }

  #onConnected(connection: StreamConnection): void {
    const error = connectError(connection.fd);
    if (error === 0) connection.opened();
    else this.#notConnected(connection, error);
  }

  #notConnected(connection: StreamConnection, error: number): void {
    const address = connection.remoteAddress;
    const context =
      'host' in address ? { address: address.host, port: address.port } : 'path' in address ? address : {};
    connection.fail(systemError(error, 'connect', context));
  }

  #flush(): void {
    const sends = this.#sends;
    const flushed = this.#toFlush;
    this.#toFlush = [];
    for (const connection of flushed) connection.collect(sends);
    sends.flush();
    // First all that the slab is needed for, then the handlers, which write to it again.
    let attention = 0;
    for (const connection of flushed) if (connection.flushed(sends)) flushed[attention++] = connection;
    sends.clear();
    for (let i = 0; i < attention; i++) (flushed[i] as StreamConnection).afterFlush();
  }

  /** The `close` handlers. What they close themselves is told in the next turn, or a reconnecting one would never end this one. */
  #tellClosed(): void {
    const closed = this.#closedConnections;
    if (closed.length === 0) return;
    this.#closedConnections = [];
    for (const { connection, error } of closed) connection.tellClosed(error);
  }

  /** Tells the multiplexer what is different since it was told last. */
  #watchChanged(): void {
    if (this.#toWatch.length === 0) return;
    const changed = this.#toWatch;
    this.#toWatch = [];
    for (const connection of changed) {
      connection.watchedAgain();
      if (connection.isClosed) continue;
      try {
        this.#watchConnection(connection);
      } catch (error) {
        connection.fail(error as Error);
      }
    }
  }

  #watchConnection(connection: StreamConnection): void {
    const { fd, watched } = connection;
    const reading = connection.wantsToReceive ? EVENT_READ : 0;
    const events = reading | (connection.wantsToSend ? EVENT_WRITE : 0);
    if (events === watched) return;
    if (events === 0) this.#forget(fd);
    else if (watched === 0) this.selector.register(connection, events, connection);
    else this.selector.modify(connection, events, connection);
    connection.watched = events;
    if (reading === 0) this.#received.stopReceiving(fd);
    else this.#received.startReceiving(fd, this.selector.generationOf(fd), connection);
  }

  /** Also where somebody has closed the selector by now, or unregistered from it: what is closed must be closed all the same. */
  #forget(fd: number): void {
    if (this.selector.generationOf(fd) !== 0) this.selector.unregister(fd);
  }

  // ------------------------------------------------------------------------------------------------------------ listeners

  #accept(listener: StreamListener): number {
    if (!this.selector.hasRoom()) {
      listener.backOff(
        outOfRange('the number of descriptors', `what ${this.mechanism} can watch`, this.selector.getMap().size),
      );
      return WOULD_BLOCK;
    }
    const fd = acceptStream(listener.fd);
    if (fd < 0) return fd;
    this.#descriptors.add(fd);
    if (!('path' in listener.address)) setNoDelay(fd);
    const connection = new StreamConnection(listener.settings, fd, lastPeer(), false);
    try {
      this.#watchConnection(connection);
    } catch (error) {
      // ENOSPC, ENOMEM: the multiplexer has no room for it.
      this.#descriptors.close(fd);
      listener.backOff(error as Error);
      return WOULD_BLOCK;
    }
    this.#connections.add(connection);
    listener.connections++;
    connection.opened();
    return 0;
  }

  /** What listeners and connections ask of the loop. */
  readonly #host: ListenerHost = {
    loop: this,
    sends: this.#sends,
    isBorrowed: (bytes) => this.#received.isBorrowed(bytes),
    toFlush: (connection) => {
      this.#toFlush.push(connection);
      this.kick();
    },
    toWatch: (connection) => {
      this.#toWatch.push(connection);
      this.kick();
    },
    finishSending: (connection) => {
      const result = finishSending(connection.fd);
      if (result < 0) connection.fail(systemError(result, 'shutdown'));
    },
    closed: (connection, fd, error) => {
      this.#received.stopReceiving(fd);
      this.#connections.delete(connection);
      if (connection.watched !== 0) this.#forget(fd);
      // Ignored: what close(2) has to tell of a connection that is given up (ECONNRESET) is not news.
      this.#descriptors.close(fd);
      this.#closedConnections.push({ connection, error });
      this.kick();
    },
    callSoon: (callback) => this.callSoon(callback),
    report: (error) => this.report(error),
    accept: (listener) => this.#accept(listener),
    watch: (listener) => void this.selector.register(listener, EVENT_READ, listener),
    unwatch: (listener) => this.#forget(listener.fd),
    callLater: (ms, callback) => this.callLater(ms, callback),
    exhausted: (error) => this.warn(error),
    onRoom: () => this.#onRoom(),
    listenerClosed: (listener) => this.#listeners.delete(listener),
  };

  #onRoom(): void {
    for (const listener of this.#listeners) this.guarded(() => listener.onRoom());
  }

  // ------------------------------------------------------------------------------------------------- addReader, addWriter

  #onWatch({ reader, writer }: Watch, events: number): void {
    if ((events & EVENT_READ) !== 0 && reader?.cancelled === false) this.guarded(reader.callback);
    if ((events & EVENT_WRITE) !== 0 && writer?.cancelled === false) this.guarded(writer.callback);
  }

  #watch(fileobj: FileObject, callback: () => void, change: (old: Watch, handle: Handle) => Watch): void {
    this.assertGoingOn();
    const handle = { callback: callbackOf('callback', callback), cancelled: false };
    const fd = fileno(fileobj);
    this.assertGoingOn(); // again: a fileno() of the caller's may have closed this loop
    const key = this.#keyOf(fd);
    const isPaused = key === undefined && [...this.#connections].some((connection) => connection.fd === fd);
    if (isPaused || !(key === undefined || key.data instanceof Watch)) throw keyExists(`descriptor ${fd}`);
    const old = key?.data instanceof Watch ? key.data : NOT_WATCHED;
    const watch = change(old, handle);
    if (key === undefined) this.selector.register(fileobj, watch.events, watch);
    else this.selector.modify(fd, watch.events, watch);
    cancelReplaced(old, watch);
  }

  #unwatch(fileobj: FileObject, change: (watch: Watch) => Watch): boolean {
    this.assertGoingOn();
    const key = this.#keyOf(fileobj);
    if (!(key?.data instanceof Watch)) return false;
    const watch = change(key.data);
    if (watch.events === key.data.events) return false;
    if (watch.events === 0) this.selector.unregister(key.fd);
    else this.selector.modify(key.fd, watch.events, watch);
    cancelReplaced(key.data, watch);
    return true;
  }

  /** Of a file object that is registered, also where it was closed since. */
  #keyOf(fileobj: FileObject): SelectorKey | undefined {
    try {
      return this.selector.getKey(fileobj);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ERR_KEY_NOT_FOUND' || code === 'ERR_INVALID_ARG_VALUE') return undefined;
      throw error;
    }
  }
}
