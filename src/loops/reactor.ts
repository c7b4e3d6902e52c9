/**
 * The reactor: "call me when it is ready, I do the I/O myself" (post 002). An event loop over any selector.
 *
 * A turn receives from all ready connections in one call of the addon, and sends everything that was written in another (syscalls/turn.ts).
 * Write interest is registered only after a short write (post 004).
 */
import { invalidType, keyExists, outOfRange, staleKey, systemError } from '../errors.js';
import { native } from '../native.js';
import { IN_PROGRESS, acceptStream, connectError, connectStream, lastPeer } from '../net/stream.js';
import { BaseSelector, loopWaitOf, watchSetOf } from '../selectors/base.js';
import { EVENT_READ, EVENT_WRITE, type SelectorKey } from '../selectors/key.js';
import { DefaultSelector } from '../selectors/default.js';
import type { LoopWait, TurnResult } from '../selectors/loop-wait.js';
import type { WatchSet } from '../selectors/watch-set.js';
import { type FileObject, fileno } from '../syscalls/file-object.js';
import type { Mechanism } from '../syscalls/probe.js';
import { NOT_RECEIVED, type ReceiveBatch, type SendBatch, WOULD_BLOCK } from '../syscalls/turn.js';
import { fieldsOf, guarded } from '../validate.js';
import type { Attachment } from '../wait/attachment.js';
import type { StreamConnection } from './connection.js';
import type { EventLoop } from './event-loop.js';
import { StreamListener } from './listener.js';
import { callbackOf, onErrorOf } from './options.js';
import { StreamLoop } from './stream-loop.js';

/** Options of a Reactor. */
export interface ReactorOptions {
  /** The selector that waits. The loop owns it from now on, and close() closes it. Default: a DefaultSelector. */
  readonly selector?: BaseSelector;
  /**
   * Called with what handlers and callbacks throw, and with the errors of listeners that pause because no descriptor is left. Default:
   * run(), runOnce() or start() fails with the error; a paused listener is a warning.
   */
  readonly onError?: (error: unknown) => void;
}

/** A callback of addReader or addWriter, until it is replaced or removed. */
interface Handle {
  readonly callback: () => void;
  cancelled: boolean;
}

/** The callbacks of a descriptor. Immutable: events are dispatched to the callbacks that were registered when the wait found them. */
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

/** Cancels the callbacks of `old` that `watch` does not have, so that events already dequeued for them are dropped. */
function cancelReplaced(old: Watch, watch: Watch): void {
  if (old.reader !== undefined && old.reader !== watch.reader) old.reader.cancelled = true;
  if (old.writer !== undefined && old.writer !== watch.writer) old.writer.cancelled = true;
}

/** An event loop over a selector (POSA: Reactor). */
export class Reactor extends StreamLoop implements EventLoop {
  /** The selector that waits. Use addReader() and addWriter() in place of its register(). */
  readonly selector: BaseSelector;
  readonly #watchSet: WatchSet<unknown, FileObject>;
  readonly #loopWait: LoopWait<unknown, FileObject>;
  readonly #received: ReceiveBatch<unknown>;
  readonly #found: TurnResult<unknown> = { owners: [], count: 0, woken: false };

  /** @throws ERR_INVALID_ARG_TYPE; EMFILE, where it makes the selector */
  constructor(options: ReactorOptions = {}) {
    const { selector, onError } = fieldsOf('options', options, ['selector', 'onError']);
    if (selector !== undefined && !guarded('selector', () => selector instanceof BaseSelector))
      throw invalidType('selector', 'a selector', selector);
    super(onErrorOf(onError));
    this.selector = (selector as BaseSelector | undefined) ?? new DefaultSelector();
    this.#watchSet = watchSetOf(this.selector);
    this.#loopWait = loopWaitOf(this.selector);
    this.#received = this.#loopWait.receiveBatch();
  }

  /** The selector's mechanism. */
  get mechanism(): Mechanism {
    return this.selector.mechanism;
  }

  /**
   * Calls back in each turn in which the descriptor is readable, until removeReader(): the callback does the I/O. A second call replaces the
   * callback.
   * @throws ERR_KEY_EXISTS for a connection or listener of this loop; ERR_INVALID_ARG_VALUE for what has no descriptor; the kernel's
   *   refusals, as selector.register(); ERR_INVALID_ARG_TYPE, ERR_CLOSED
   */
  addReader(fileobj: FileObject, callback: () => void): void {
    this.#watch(fileobj, callback, ({ writer }, handle) => new Watch(handle, writer));
  }

  /** Removes the callback of addReader(). @returns false: there was none. @throws ERR_CLOSED */
  removeReader(fileobj: FileObject): boolean {
    return this.#unwatch(fileobj, ({ writer }) => new Watch(undefined, writer));
  }

  /** addReader() for writing. A descriptor is writable nearly always: remove the callback when there is nothing to write. */
  addWriter(fileobj: FileObject, callback: () => void): void {
    this.#watch(fileobj, callback, ({ reader }, handle) => new Watch(reader, handle));
  }

  /** Removes the callback of addWriter(). @returns false: there was none. @throws ERR_CLOSED */
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

  protected override wait(timeout: number): boolean {
    this.watchChanged();
    // watchChanged() may have closed connections that the multiplexer refused: their handlers run now, so the turn does not wait.
    this.#loopWait.turn(this.#received, this.hasWork() ? 0 : timeout, this.#found);
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
      if (this.isConnection(owner)) this.#onConnection(owner, record);
      else if (owner instanceof Watch) this.#onWatch(owner, this.#received.events(record));
      else if (owner instanceof StreamListener) handled -= Number(!this.#onListener(owner));
      else this.report(keyExists("a descriptor of other code on the loop's selector (use addReader())"));
    }
    this.#found.count = 0;
    return handled;
  }

  protected override attach(onReady: () => void): Attachment {
    return this.#loopWait.attach(onReady);
  }

  protected override closeMechanism(): void {
    this.selector.close();
  }

  // ---------------------------------------------------------------------------------------------------------- connections

  #onConnection(connection: StreamConnection, record: number): void {
    // Closed since the wait: the event is stale.
    if (connection.isClosed) return;
    if (connection.isConnecting) return this.#onConnected(connection);
    const batch = this.#received;
    const received = batch.received(record);
    if (received > 0) connection.received(batch.chunk(record, connection.borrowsChunks));
    else if (received === 0) connection.peerEnded();
    else if (received === NOT_RECEIVED) this.#receiveAlone(connection, batch.events(record));
    else if (received !== WOULD_BLOCK) connection.callFailed(systemError(received, 'recv'));
    if ((batch.events(record) & EVENT_WRITE) !== 0) connection.writable();
  }

  /** Receives from a connection for which the batch had no room, or whose number is too high for it. */
  #receiveAlone(connection: StreamConnection, events: number): void {
    if ((events & EVENT_READ) === 0 || !connection.wantsToReceive) return;
    const received = this.#received.receive(connection.fd);
    if (typeof received !== 'number') {
      if (received.length > 0) connection.received(received);
      else connection.peerEnded();
    } else if (received !== WOULD_BLOCK) {
      connection.callFailed(systemError(received, 'recv'));
    }
  }

  protected override startConnecting(connection: StreamConnection, packed: string): void {
    const result = connectStream(connection.fd, packed);
    if (result === IN_PROGRESS) connection.watchSoon();
    else if (result >= 0) this.callSoon(() => connection.isClosed || connection.opened());
    else this.notConnected(connection, result);
  }

  #onConnected(connection: StreamConnection): void {
    const error = connectError(connection.fd);
    if (error === 0) connection.opened();
    else this.notConnected(connection, error);
  }

  protected override send(batch: SendBatch): void {
    batch.flush(native);
  }

  protected override isBorrowed(bytes: Uint8Array): boolean {
    return this.#received.isBorrowed(bytes);
  }

  protected override admit(fd: number): void {
    // Only drops a stale registration; watchConnection(), which follows, registers the descriptor or throws.
    if (this.isStale(fd)) this.#dropStaleKey(fd);
  }

  protected override isStale(fd: number): boolean {
    return this.#watchSet.isStale(fd);
  }

  protected override dropStale(fd: number): boolean {
    if (this.#watchSet.generationOf(fd) === 0) return false;
    const { data } = this.selector.unregister(fd);
    if (data instanceof Watch) cancelReplaced(data, NOT_WATCHED);
    return true;
  }

  #dropStaleKey(fd: number): void {
    this.dropStale(fd);
    this.warn(staleKey(fd));
  }

  protected override watchConnection(connection: StreamConnection): void {
    const { fd, watched } = connection;
    const reading = connection.wantsToReceive ? EVENT_READ : 0;
    const events = reading | (connection.wantsToSend ? EVENT_WRITE : 0);
    if (events === watched) return;
    if (events === 0) this.#forget(fd);
    else if (watched === 0) this.selector.register(connection, events, connection);
    else this.selector.modify(connection, events, connection);
    connection.watched = events;
    if (reading === 0) this.#received.stopReceiving(fd);
    else this.#received.startReceiving(fd, this.#watchSet.generationOf(fd), connection, connection.borrowsChunks);
  }

  protected override forgetConnection(connection: StreamConnection, fd: number): void {
    this.#received.stopReceiving(fd);
    if (connection.watched !== 0) this.#forget(fd);
  }

  /** Does nothing if other code has closed the selector or unregistered the descriptor, so that the connection can still be closed. */
  #forget(fd: number): void {
    if (this.#watchSet.generationOf(fd) !== 0) this.selector.unregister(fd);
  }

  // ------------------------------------------------------------------------------------------------------------ listeners

  protected override watchListener(listener: StreamListener): void {
    this.selector.register(listener, EVENT_READ, listener);
  }

  protected override forgetListener(listener: StreamListener): void {
    this.#forget(listener.fd);
  }

  /** @returns false: no client was left, for another process that shares the socket has accepted it */
  #onListener(listener: StreamListener): boolean {
    let done = 1;
    this.guarded(() => (done = listener.onReadable(this.#accept)));
    return done > 0;
  }

  readonly #accept = (listener: StreamListener): number => {
    if (!this.#watchSet.canRegister()) {
      listener.backOff(
        outOfRange('the number of descriptors', `what ${this.mechanism} can watch`, this.selector.getMap().size),
      );
      return WOULD_BLOCK;
    }
    const fd = acceptStream(listener.fd);
    if (fd < 0) return fd;
    return this.welcome(listener, fd, lastPeer()) ? 0 : WOULD_BLOCK;
  };

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
    const registered = this.#keyOf(fd);
    const isStale = registered !== undefined && this.isStale(fd);
    if (isStale) this.claim(fd);
    const key = isStale ? undefined : registered;
    const isPaused = key === undefined && this.hasConnection(fd);
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

  /** The key of a file object, also where that was closed since; undefined: it is not registered. */
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
