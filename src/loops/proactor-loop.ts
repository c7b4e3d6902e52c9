/**
 * The proactor's loop: "do it, and call me when it is done" (post 002). It calls the same handlers as the reactor, over any proactor.
 *
 * A receive is under way for each connection all the time, without a wait for readiness. What was written in a turn is sent at its end; after
 * a short write an operation sends the rest.
 */
import { invalidType, isTransientTransfer, systemError } from '../errors.js';
import { packAddress } from '../net/stream.js';
import { familyNumber } from '../syscalls/address.js';
import { BaseProactor } from '../proactors/base.js';
import { type Operation } from '../proactors/operation.js';
import { DefaultProactor, fallbackFor } from '../proactors/default.js';
import type { Outcome, StreamHandler, Streams } from '../proactors/streams.js';
import type { Mechanism } from '../syscalls/probe.js';
import type { SendBatch } from '../syscalls/turn.js';
import { fieldsOf, guarded } from '../validate.js';
import type { Attachment } from '../wait/attachment.js';
import type { StreamConnection } from './connection.js';
import type { EventLoop } from './event-loop.js';
import type { StreamListener } from './listener.js';
import { callbackOf, onErrorOf } from './options.js';
import { StreamLoop } from './stream-loop.js';

/** Options of a ProactorLoop. */
export interface ProactorLoopOptions {
  /** The proactor that carries out the operations. The loop owns it from now on, and close() closes it. Default: a DefaultProactor. */
  readonly proactor?: BaseProactor;
  /**
   * Called with what handlers and callbacks throw, and with the errors of listeners that pause because no descriptor is left. Default:
   * run(), runOnce() or start() fails with the error; a paused listener is a warning.
   */
  readonly onError?: (error: unknown) => void;
}

/** Bits of a connection's `watched`: the operations under way. */
const RECEIVING = 1;
const SENDING = 2;

/** An event loop over a proactor (POSA: Proactor). */
export class ProactorLoop extends StreamLoop implements EventLoop {
  /** The proactor. Operations that a program starts on it complete in the loop's turns: see whenDone(). */
  readonly proactor: BaseProactor;
  readonly #streams: Streams<StreamConnection, StreamListener>;

  /** @throws ERR_INVALID_ARG_TYPE; ERR_BUSY: the proactor belongs to a loop already; ERR_CLOSED; EMFILE, ENOMEM */
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
      used = fallbackFor(error); // RLIMIT_MEMLOCK has room for the ring, and not for its buffers
      this.#streams = used.streams();
    }
    this.proactor = used;
  }

  /** The proactor's mechanism. */
  get mechanism(): Mechanism {
    return this.proactor.mechanism;
  }

  /**
   * Calls back once, in the turn in which an operation of `proactor` completes. `proactor.wait()` and `waitAsync()` return the operations
   * without a callback. A second call replaces the callback.
   * @throws ERR_INVALID_ARG_TYPE for what is no operation; ERR_INVALID_ARG_VALUE for one that is completed already, or is another
   *   proactor's; ERR_CLOSED
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
    const handled = this.#streams.dispatch(this.#handler);
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
    // The streams last: an accept may complete while the proactor closes.
    try {
      this.proactor.close();
    } finally {
      this.#streams.close();
    }
  }

  /** What the wait has found. */
  readonly #handler: StreamHandler<StreamConnection, StreamListener> = {
    borrowsChunks: (connection) => connection.borrowsChunks,
    onReceived: (connection, chunk) => connection.received(chunk),
    onEnd: (connection) => connection.peerEnded(),
    onReceiveError: (connection, error) => connection.callFailed(errorOf(error, 'recv')),
    onSent: (connection, sent) => {
      if (typeof sent === 'number' && isTransientTransfer(sent)) return this.#sendAgain(connection);
      connection.watched &= ~SENDING;
      if (typeof sent === 'number' && sent >= 0) connection.operationSent(sent);
      else connection.callFailed(errorOf(sent, 'send'));
    },
    onConnected: (connection, result) => {
      if (result === 0) connection.opened();
      else if (typeof result === 'number') this.notConnected(connection, result);
      else connection.fail(result);
    },
    onAccepted: (listener, result, peer) => this.guarded(() => this.#accepted(listener, result, peer)),
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
    return false; // completions do not show it
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
    // Between two turns no settle() follows that would submit it.
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
    // At once: an accept under way keeps the port in use after close(2).
    if (isClosing) this.#streams.forget(listener.fd, true);
    else this.#streams.stopAccepting(listener.fd);
    this.kick();
  }

  /** Nothing of it was sent: tries again after a pause. It counts as SENDING until then, so that no later bytes overtake it. */
  #sendAgain(connection: StreamConnection): void {
    this.callLater(SEND_PAUSE, () => {
      connection.watched &= ~SENDING;
      connection.operationSent(0);
    });
  }

  #accepted(listener: StreamListener, result: Outcome, peer: string): void {
    if (typeof result !== 'number') return listener.backOff(result);
    if (result >= 0 && listener.fd < 0) return this.discard(result);
    if (result >= 0) this.welcome(listener, result, peer === '' ? this.#unknownPeer(listener) : peer);
    listener.onAccepted(result);
  }

  /** The packed address of a client that has disconnected before its address was read. */
  #unknownPeer({ family }: StreamListener): string {
    if (family === 'unix') return '';
    return packAddress({ host: family === 'ipv6' ? '::' : '0.0.0.0', port: 0 });
  }
}

/** Milliseconds until a send is tried again after a transient error: the system had no buffer for it, for example. */
const SEND_PAUSE = 1;

function errorOf(outcome: Outcome, syscall: string): Error {
  return typeof outcome === 'number' ? systemError(outcome, syscall) : outcome;
}
