/**
 * The proactor's loop: "do it, and tell me when it is done" (post 002). The very handlers of the reactor, over any proactor.
 *
 * Each connection is received from all the time, without being asked whether there is anything; what was written in a turn is sent at its
 * end, and what the kernel does not take then is sent by an operation that waits for room.
 */
import { invalidType, isTransientTransfer, systemError } from '../errors.js';
import { packAddress } from '../net/stream.js';
import { familyNumber } from '../syscalls/address.js';
import { BaseProactor } from '../proactors/base.js';
import { type Operation } from '../proactors/operation.js';
import { DefaultProactor, emulationInstead } from '../proactors/default.js';
import type { Outcome, StreamEvents, Streams } from '../proactors/streams.js';
import type { Mechanism } from '../syscalls/probe.js';
import type { SendBatch } from '../syscalls/turn.js';
import { fieldsOf, guarded } from '../validate.js';
import type { Attachment } from '../wait/attachment.js';
import { callbackOf, onErrorOf } from './base-loop.js';
import type { StreamConnection } from './connection.js';
import type { EventLoop } from './event-loop.js';
import type { StreamListener } from './listener.js';
import { StreamLoop } from './stream-loop.js';

export interface ProactorLoopOptions {
  /** A DefaultProactor where nothing is said. It is the loop's from now on: close() closes it. */
  readonly proactor?: BaseProactor;
  /** Told of what handlers and callbacks throw, and of listeners that pause for want of descriptors. */
  readonly onError?: (error: unknown) => void;
}

/** In `watched` of a connection. */
const RECEIVING = 1;
const SENDING = 2;

export class ProactorLoop extends StreamLoop implements EventLoop {
  /** Operations that are started on it complete in the loop's turns: see whenDone(). */
  readonly proactor: BaseProactor;
  readonly #streams: Streams<StreamConnection, StreamListener>;

  constructor(options: ProactorLoopOptions = {}) {
    const { proactor, onError } = fieldsOf('options', options, ['proactor', 'onError']);
    if (proactor !== undefined && !guarded('proactor', () => proactor instanceof BaseProactor))
      throw invalidType('proactor', 'a proactor', proactor);
    super(onErrorOf(onError));
    let used = (proactor as BaseProactor | undefined) ?? new DefaultProactor();
    try {
      this.#streams = used.streams();
    } catch (error) {
      if (proactor !== undefined) throw error;
      used.close();
      used = emulationInstead(error); // no room for the buffers beside the ring
      this.#streams = used.streams();
    }
    this.proactor = used;
  }

  get mechanism(): Mechanism {
    return this.proactor.mechanism;
  }

  /**
   * Calls back in the turn in which an operation of `proactor` is completed; once. Others are for `proactor.wait()` and `waitAsync()`, as
   * without a loop. Asked for again, the new callback takes the place of the old one.
   * @throws ERR_INVALID_ARG_TYPE for what is no operation; ERR_INVALID_ARG_VALUE for one that is completed already, or is another proactor's
   */
  whenDone(operation: Operation, callback: () => void): void {
    this.assertGoingOn();
    this.proactor.whenDone(operation, callbackOf('callback', callback));
  }

  // --------------------------------------------------------------------------------------------------------------- a turn

  protected override get wakeupHandle(): number {
    return this.proactor.wakeupHandle;
  }

  protected override wake(): void {
    if (!this.proactor.closed) this.proactor.wakeup();
  }

  protected override hasWork(): boolean {
    return super.hasWork() || this.#streams.hasEvents;
  }

  protected override nextDue(): number {
    return Math.min(super.nextDue(), this.proactor.nextDue());
  }

  protected override wait(timeout: number): boolean {
    this.watchChanged();
    return this.#streams.wait(this.hasWork() ? 0 : timeout);
  }

  protected override dispatch(): number {
    const handled = this.#streams.dispatch(this.#events);
    const callbacks = this.proactor.takeCallbacks();
    for (const callback of callbacks) this.guarded(callback);
    return handled + callbacks.length;
  }

  protected override settle(): void {
    super.settle();
    this.#streams.submit();
  }

  protected override attach(onReady: () => void): Attachment {
    return this.proactor.attach(onReady);
  }

  protected override closeMechanism(): void {
    // Afterwards: an accept may complete while the proactor closes.
    try {
      this.proactor.close();
    } finally {
      this.#streams.close();
    }
  }

  /** What the wait has found. */
  readonly #events: StreamEvents<StreamConnection, StreamListener> = {
    borrowsChunks: (connection) => connection.borrowsChunks,
    received: (connection, chunk) => connection.received(chunk),
    ended: (connection) => connection.peerEnded(),
    receiveFailed: (connection, error) => connection.callFailed(errorOf(error, 'recv')),
    sent: (connection, sent) => {
      if (typeof sent === 'number' && isTransientTransfer(sent)) return this.#sendAgain(connection);
      connection.watched &= ~SENDING;
      if (typeof sent === 'number' && sent >= 0) connection.operationSent(sent);
      else connection.callFailed(errorOf(sent, 'send'));
    },
    connected: (connection, result) => {
      if (result === 0) connection.opened();
      else if (typeof result === 'number') this.notConnected(connection, result);
      else connection.fail(result);
    },
    accepted: (listener, result, peer) => this.guarded(() => this.#accepted(listener, result, peer)),
  };

  // ------------------------------------------------------------------------------------------- connections and listeners

  protected override startConnecting(connection: StreamConnection, packed: string): void {
    this.#streams.connect(connection.fd, connection, Buffer.from(packed, 'latin1'));
    this.kick();
  }

  protected override send(batch: SendBatch): void {
    this.#streams.flush(batch);
  }

  protected override isBorrowed(bytes: Uint8Array): boolean {
    return this.#streams.isBorrowed(bytes);
  }

  protected override admit(fd: number): void {
    this.proactor.admit(fd);
  }

  protected override isStale(): boolean {
    return false; // nothing can tell
  }

  protected override dropStale(fd: number): boolean {
    return this.proactor.dropStale(fd);
  }

  protected override watchConnection(connection: StreamConnection): void {
    const { fd } = connection;
    if (connection.wantsToReceive !== ((connection.watched & RECEIVING) !== 0)) {
      if (connection.wantsToReceive) this.#streams.startReceiving(fd, connection);
      else this.#streams.stopReceiving(fd);
      connection.watched ^= RECEIVING;
    }
    if (!connection.wantsToSend || connection.isConnecting || (connection.watched & SENDING) !== 0) return;
    const rest = connection.unsentPieces();
    if (rest === null) return;
    connection.watched |= SENDING;
    this.#streams.send(fd, connection, rest);
  }

  protected override forgetConnection(_connection: StreamConnection, fd: number): void {
    // Between two turns there is no turn's end that would see to it.
    this.#streams.forget(fd, !this.isInTurn);
  }

  protected override watchListener(listener: StreamListener): void {
    const { fd } = listener;
    try {
      this.#streams.startAccepting(fd, listener, familyNumber(listener.family), !listener.isLimited);
    } catch (error) {
      this.#streams.forget(fd, true);
      throw error;
    }
    this.kick();
  }

  protected override forgetListener(listener: StreamListener, isClosing: boolean): void {
    // At once: an accept under way keeps the port taken after close(2).
    if (isClosing) this.#streams.forget(listener.fd, true);
    else this.#streams.stopAccepting(listener.fd);
    this.kick();
  }

  /** Nothing of it was sent. It counts as being sent until the pause is over, so that nothing else is sent before it. */
  #sendAgain(connection: StreamConnection): void {
    this.callLater(SEND_PAUSE, () => {
      connection.watched &= ~SENDING;
      connection.operationSent(0);
    });
  }

  #accepted(listener: StreamListener, result: Outcome, peer: string): void {
    if (typeof result !== 'number') return listener.backOff(result);
    if (result >= 0 && listener.fd < 0) return this.discard(result);
    if (result >= 0) this.welcome(listener, result, peer === '' ? this.#unknown(listener) : peer);
    listener.onAccepted(result);
  }

  /** A client that nobody can name any more. */
  #unknown({ family }: StreamListener): string {
    if (family === 'unix') return '';
    return packAddress({ host: family === 'ipv6' ? '::' : '0.0.0.0', port: 0 });
  }
}

/** Milliseconds until a send is tried again for which the system had no buffer, say. */
const SEND_PAUSE = 1;
function errorOf(outcome: Outcome, syscall: string): Error {
  return typeof outcome === 'number' ? systemError(outcome, syscall) : outcome;
}
