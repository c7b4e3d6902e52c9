/**
 * The proactor: "do it, and call me when it is done" (post 002). What callers see: the operations, and the waits for their completion. A
 * subclass per mechanism carries them out; operation-table.ts keeps those that are under way.
 *
 * A cancelled operation completes too, once: with its result if that came first, else with ECANCELED. Buffers must stay valid until an
 * operation completes, so they belong to the operation and not to the caller: bytes that are sent are copied at submission, received bytes
 * are handed over when they are collected. Whatever JavaScript does with its own buffers (drops, changes, transfers them) cannot reach
 * memory that the kernel uses.
 */
import { belongsToLoop, busyError, closedError, invalidType, invalidValue, outOfRange } from '../errors.js';
import { Socket } from '../net/socket.js';
import {
  type SocketAddress,
  type SocketAddressInput,
  decodeAddress,
  encodeAddresses,
  familyNumber,
} from '../syscalls/address.js';
import { type FileObject, fileno } from '../syscalls/file-object.js';
import type { Mechanism } from '../syscalls/probe.js';
import { sliceOf } from '../syscalls/slices.js';
import { bytesOf, guarded, lengthOf, plainBytes, timeoutOf, uint8Array, wholeNumber } from '../validate.js';
import { AsyncWait, type Interest, type WaitOptions } from '../wait/async-wait.js';
import { Attachment } from '../wait/attachment.js';
import { ConnectAttempts } from './connect-attempts.js';
import { OperationStreams } from './operation-streams.js';
import { OperationTable } from './operation-table.js';
import { type Completion, type Operation, PendingOperation, type Request } from './operation.js';
import type { Streams } from './streams.js';

/** Bytes per operation at most: lengths are 32-bit numbers. */
const MAX_BYTES = 0x7fff_f000;
/** Milliseconds that close() waits for the kernel. */
const MAX_CLOSE = 5000;

/**
 * Starts operations, and collects those that are completed (POSA: Proactor; Windows: completion port). A selector's `select()` reports what
 * CAN be done now, `wait()` returns what HAS been done. Belongs to the thread that made it.
 *
 * Errors of the system are the `error` of the operation, also those that are known at once (EBADF). What is thrown is the caller's own
 * mistake, and nothing was started then. Sockets may block or not: no operation waits in the calling thread.
 *
 * Several operations of one kind on one socket: the emulation keeps their order, the kernels do not promise it. Keep one recv and one send
 * at a time under way on a stream.
 */
export abstract class BaseProactor implements Disposable {
  /** Can this class be constructed here? Probed anew each time it is read. */
  static get isAvailable(): boolean {
    return false;
  }

  /** The mechanism's name: 'iocp', 'io_uring', 'emulated:epoll' … */
  abstract readonly mechanism: Mechanism;
  /** true: the kernel itself moves the bytes (IOCP, io_uring). false: emulated by readiness and a copy. */
  abstract readonly isNative: boolean;
  /** A number that another thread passes to the function `wakeup` to end a wait. Never used again after close(). */
  abstract readonly wakeupHandle: number;

  readonly #operations = new OperationTable(this, {
    submit: (id, request) => this.submit(id, request),
    requestCancel: (id) => this.requestCancel(id),
    flushCancels: () => this.flushCancels(),
    changed: () => {
      this.interestChanged();
      this.#attachment?.wake();
    },
  });
  /** Completed in a loop's turn, where nothing waited for them: for the next wait. */
  #uncollected: Operation[] = [];
  readonly #asyncWait = new AsyncWait<Operation[]>({
    what: 'proactor',
    take: () => {
      if (this.#uncollected.length > 0) return this.#takeUncollected();
      const { operations, woken } = this.#collect(0);
      if (woken) this.#wakeLoop();
      return woken || operations.length > 0 ? operations : null;
    },
    nothing: () => [],
    interest: () => this.interest(),
    nextDue: () => this.#operations.nextDue(),
  });
  #attachment: Attachment | undefined;
  #onReady: (() => void) | undefined;
  /** Another wait has taken a wake-up that may be the loop's. */
  #isLoopWoken = false;
  #hasLoop = false;
  #closed = false;

  /** For subclasses. @throws ERR_ILLEGAL_CONSTRUCTOR: BaseProactor is abstract */
  constructor() {
    if (new.target === BaseProactor) {
      throw Object.assign(new TypeError('BaseProactor is abstract: construct one of its subclasses'), {
        code: 'ERR_ILLEGAL_CONSTRUCTOR',
      });
    }
  }

  // ------------------------------------------------------------------------------------------ what a mechanism provides

  /**
   * Starts an operation; what it needs of the request is copied. Never throws for what the system refuses: that goes to completeSoon().
   */
  protected abstract submit(id: number, request: Request): void;
  /** Asks the kernel to cancel an operation; it still completes. */
  protected abstract requestCancel(id: number): void;
  /** Waits up to `timeout` milliseconds (-1: forever) and adds what is completed to `done`. @returns was it woken by wakeup()? */
  protected abstract collect(timeout: number, done: Completion[]): boolean;
  /** collect() for a loop's turn, which collects the events of its streams besides. */
  protected collectTurn(timeout: number, done: Completion[]): boolean {
    return this.collect(timeout, done);
  }
  /** The loop's streams. A mechanism with better than single operations overrides it. */
  protected openStreams<C, L>(): Streams<C, L> {
    return new OperationStreams<C, L>(this);
  }
  /** What becomes ready when `collect` has something. */
  protected abstract interest(): Interest;
  /** Ends the wait under way, or the next one. */
  protected abstract signalWakeup(): void;
  /** Closes the kernel's objects. Everything was cancelled; `left` operations have not completed. */
  protected abstract closeMechanism(left: number): void;
  /** @internal Before a descriptor is closed: returns when the operations that were cancelled no longer need it. */
  flushCancels(): void {
    // For mechanisms where requestCancel() is enough.
  }
  /** The descriptor that becomes readable when there is something to collect; undefined: the mechanism has none. */
  protected pollFd(): number | undefined {
    return undefined;
  }

  // -------------------------------------------------------------------------------------------- for the mechanism's use

  /** What an operation is carried out on, as the caller gave it; undefined for a timeout, and for a loop's. */
  protected fileOf(id: number): FileObject | undefined {
    return this.#operations.fileOf(id);
  }

  /** For submit(): the operation has completed already. */
  protected completeSoon(completion: Completion): void {
    this.#operations.completeSoon(completion);
  }

  /** For submit(), of a mechanism whose kernel has no timers: completes the operation after `ms` milliseconds. */
  protected startTimer(id: number, ms: number): void {
    this.#operations.startTimer(id, ms);
  }

  /** The wait under way restarts with the new interest, of which it has a copy. */
  protected interestChanged(): void {
    this.#asyncWait.interestChanged();
    this.#attachment?.interestChanged();
  }

  /** @throws ERR_CLOSED */
  protected assertOpen(): void {
    if (this.#closed) throw closedError('proactor');
  }

  // ----------------------------------------------------------------------------------------------------- the operations

  /** Operations started and not yet returned by a wait. */
  get pending(): number {
    return this.#operations.size + this.#uncollected.length;
  }

  /** Has close() been called? */
  get closed(): boolean {
    return this.#closed;
  }

  /** accept(2), AcceptEx: the next connection, which blocks or not as the listener does. */
  accept<D>(listener: Socket, data?: D): Operation<Socket, D> {
    const fd = this.#fdOf('listener', listener);
    const nonBlocking = !listener.blocking;
    return this.#start(
      { kind: 'accept', fd, nonBlocking, family: familyNumber(listener.family) },
      data as D,
      ({ result }) => Socket.fromFd(result, { blocking: !nonBlocking }),
      listener,
    );
  }

  /**
   * connect(2), ConnectEx. A name in the address is looked up first, which BLOCKS. Where it has several addresses of the socket's family, the
   * operation tries them in the resolver's order until one connects; its error is that of the last address, and names it. macOS takes no
   * second connect(2) on a socket: there the first address is the only one.
   */
  connect<D>(socket: Socket, address: SocketAddressInput, data?: D): Operation<void, D> {
    const fd = this.#fdOf('socket', socket);
    const attempts = new ConnectAttempts(fd, this.#encode(socket, address, 'connect'));
    return this.#operations.start(attempts.request, data as D, () => undefined, socket, attempts);
  }

  /** recv(2), WSARecv: up to `size` bytes (0 to 2^31 - 4096), as soon as there are any. Empty: the peer has finished sending. */
  recv<D>(socket: Socket, size: number, data?: D): Operation<Buffer, D> {
    const fd = this.#fdOf('socket', socket);
    return this.#start({ kind: 'recv', fd, size: sizeOf(size) }, data as D, dataOf, socket);
  }

  /**
   * recv() into the caller's memory: `result` is how many bytes; 0: the peer has finished sending. The kernel receives into memory of the
   * operation's own, and the bytes are copied when wait() returns the operation.
   */
  recvInto<D>(socket: Socket, buffer: Uint8Array, data?: D): Operation<number, D> {
    const fd = this.#fdOf('socket', socket);
    const target = plainBytes(uint8Array('buffer', buffer));
    const copy = (completion: Completion): number => {
      const bytes = dataOf(completion);
      if (lengthOf(target) < bytes.length) throw invalidValue('buffer lost its memory before the bytes came');
      target.set(bytes);
      return bytes.length;
    };
    return this.#start({ kind: 'recv', fd, size: sizeOf(lengthOf(target)) }, data as D, copy, socket);
  }

  /** recvfrom(2), WSARecvFrom: one datagram and its sender. What a datagram has beyond `size` bytes is lost. */
  recvFrom<D>(
    socket: Socket,
    size: number,
    data?: D,
  ): Operation<
    {
      /** The datagram. */
      readonly data: Buffer;
      /** The sender; `{path: ''}` for a Unix socket without a name. */
      readonly address: SocketAddress;
    },
    D
  > {
    const fd = this.#fdOf('socket', socket);
    const received = (completion: Completion): { readonly data: Buffer; readonly address: SocketAddress } => {
      const sockaddr = completion.sockaddr ?? new Uint8Array();
      return { data: dataOf(completion), address: sockaddr.length === 0 ? { path: '' } : decodeAddress(sockaddr) };
    };
    return this.#start({ kind: 'recvFrom', fd, size: sizeOf(size) }, data as D, received, socket);
  }

  /** send(2), WSASend: `result` is how many bytes the kernel took; a short write is possible. Never raises SIGPIPE. */
  send<D>(socket: Socket, bytes: Uint8Array | string, data?: D): Operation<number, D> {
    const fd = this.#fdOf('socket', socket);
    return this.#start({ kind: 'send', fd, bytes: plainBytesOf('bytes', bytes) }, data as D, resultOf, socket);
  }

  /** sendto(2), WSASendTo: one datagram. `result` is its length. A name in the address is looked up first, which BLOCKS. */
  sendTo<D>(socket: Socket, bytes: Uint8Array | string, address: SocketAddressInput, data?: D): Operation<number, D> {
    const fd = this.#fdOf('socket', socket);
    const [sockaddr] = this.#encode(socket, address, 'sendto');
    // After #encode(): the address's getters may detach the bytes.
    const datagram = plainBytesOf('bytes', bytes);
    return this.#start({ kind: 'sendTo', fd, bytes: datagram, sockaddr }, data as D, resultOf, socket);
  }

  /**
   * Reads up to `size` bytes of a file at `position`, in bytes from its start; of a pipe or a tty, which have no position, the next bytes.
   * Empty: the end of the file. Windows: a file that fs.open() opened is opened anew for overlapped I/O, for the time of the operation.
   */
  read<D>(file: FileObject, size: number, position: number, data?: D): Operation<Buffer, D> {
    const [fd, at] = this.#positionIn(file, position);
    return this.#start({ kind: 'read', fd, size: sizeOf(size), position: at }, data as D, dataOf, file);
  }

  /** Writes to a file at `position` (see read()): `result` is how many bytes were written; a short write is possible. */
  write<D>(file: FileObject, bytes: Uint8Array, position: number, data?: D): Operation<number, D> {
    const [fd, at] = this.#positionIn(file, position);
    // After #positionIn(): a fileno() of the caller's may detach the bytes.
    const content = plainBytesOf('bytes', uint8Array('bytes', bytes));
    return this.#start({ kind: 'write', fd, bytes: content, position: at }, data as D, resultOf, file);
  }

  /** Completes after `ms` milliseconds (0 or more), never earlier. */
  timeout<D>(ms: number, data?: D): Operation<void, D> {
    this.assertOpen();
    if (typeof ms !== 'number') throw invalidType('ms', 'a number of milliseconds', ms);
    if (!(ms >= 0 && ms <= Number.MAX_SAFE_INTEGER)) throw outOfRange('ms', 'a number of milliseconds, 0 or more', ms);
    return this.#start({ kind: 'timeout', ms }, data as D, () => undefined, undefined);
  }

  #start<T, D>(
    request: Request,
    data: D,
    finish: (completion: Completion) => T,
    file: FileObject | undefined,
  ): Operation<T, D> {
    return this.#operations.start(request, data, finish, file);
  }

  #fdOf(name: string, socket: unknown): number {
    this.assertOpen();
    if (!guarded(name, () => socket instanceof Socket)) throw invalidType(name, 'a Socket', socket);
    const { fd } = socket as Socket;
    if (fd < 0) throw closedError('socket');
    return fd;
  }

  #positionIn(file: FileObject, position: unknown): readonly [fd: number, position: number] {
    this.assertOpen();
    const at = wholeNumber('position', position, 0, Number.MAX_SAFE_INTEGER);
    const fd = fileno(file);
    this.assertOpen(); // again: a fileno() of the caller's may have closed this proactor
    return [fd, at];
  }

  #encode(socket: Socket, address: unknown, syscall: string): [Uint8Array, ...Uint8Array[]] {
    const [first, ...others] = encodeAddresses(address, familyNumber(socket.family), syscall);
    this.#fdOf('socket', socket); // again: the address's getters are the caller's
    return [first.sockaddr, ...others.map(({ sockaddr }) => sockaddr)];
  }

  // ------------------------------------------------------------------------------------------------------------ waiting

  /**
   * BLOCKS until an operation has completed, wakeup() is called, or the timeout is over.
   * @param timeout milliseconds, rounded up and never shorter; 0 or less: does not wait. Default, also for null and Infinity: forever
   * @returns each completed operation exactly once, in the order of completion; empty after the timeout or a wakeup()
   * @throws ERR_CLOSED; ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
   */
  wait(timeout?: number | null): Operation[] {
    this.assertOpen();
    if (this.#uncollected.length > 0) return this.#takeUncollected();
    const limit = timeoutOf(timeout);
    const deadline = limit > 0 ? performance.now() + limit : 0;
    for (let remaining = limit; ;) {
      const { operations, woken } = this.#collect(sliceOf(remaining));
      if (woken) {
        this.#asyncWait.wake();
        this.#wakeLoop();
      }
      if (woken || operations.length > 0 || limit === 0) return operations;
      if (limit > 0) {
        remaining = deadline - performance.now();
        if (remaining <= 0) return operations;
      }
    }
  }

  /**
   * wait() without blocking Node's event loop. One wait at a time.
   * @param options.signal rejects with AbortError when it fires; no completion is lost
   * @returns rejects with ERR_BUSY while another waitAsync() is pending, with ERR_CLOSED when the proactor is closed
   */
  waitAsync(options?: WaitOptions): Promise<Operation[]> {
    return this.#asyncWait.wait(options);
  }

  /** Ends the wait under way, or the next one, early. Sticky: a wake-up is never lost; several before one wait count as one. @throws ERR_CLOSED */
  wakeup(): void {
    this.assertOpen();
    this.signalWakeup();
  }

  /**
   * Cancels the pending operations, and waits until the kernel has released their buffers; they are completed then. A pending waitAsync()
   * rejects with ERR_CLOSED. The sockets and files stay open.
   * @throws ETIMEDOUT: the kernel has not released all buffers within five seconds. The proactor is closed, and the memory that the kernel
   *   still uses is never freed
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#asyncWait.close();
    // A loop inside Node's finds out in its next turn.
    if (this.#attachment?.closed === false) setImmediate(() => this.#onReady?.());
    this.#attachment?.close();
    this.#operations.cancelAll();
    const deadline = performance.now() + MAX_CLOSE;
    try {
      while (this.#operations.size > 0 && performance.now() < deadline)
        this.#collect(sliceOf(Math.max(0, deadline - performance.now())));
    } catch {
      // The mechanism fails: closeMechanism() reports what is left.
    }
    const left = this.#operations.size;
    this.#operations.completeAll();
    this.#uncollected = [];
    this.closeMechanism(left);
  }

  /** The same as close(). */
  [Symbol.dispose](): void {
    this.close();
  }

  /** @param isTurn a loop collects */
  #collect(timeout: number, isTurn = false): { readonly operations: Operation[]; readonly woken: boolean } {
    const limit = this.#operations.waitLimit(timeout);
    const done: Completion[] = [];
    const woken = isTurn ? this.collectTurn(limit, done) : this.collect(limit, done);
    const operations = this.#operations.finish(done);
    // Another wait may have collected what is the loop's.
    if (!isTurn && this.#hasLoop) this.#attachment?.wake();
    return { operations, woken };
  }

  #takeUncollected(): Operation[] {
    const operations = this.#uncollected;
    this.#uncollected = [];
    return operations;
  }

  #wakeLoop(): void {
    this.#isLoopWoken = true;
    this.#attachment?.wake();
  }

  // ------------------------------------------------------------------------------------------------------ for the loops

  /**
   * @internal Starts an operation of a loop's. Its completion goes to `done` instead of wait(); `done` is called while completions are
   * collected, and must not throw.
   */
  begin(request: Request, done: (completion: Completion) => void): Operation {
    this.assertOpen();
    return this.#operations.startForLoop(request, done);
  }

  /**
   * @internal Can the mechanism carry out operations on a descriptor that other code has opened? Called before the first of them.
   * @throws the mechanism's refusal
   */
  abstract admit(fd: number): void;

  /**
   * @internal The system has just given out this number, so what is under way or registered for it belongs to a file that other code has
   * closed. Its operations end with EBADF. @returns was there anything?
   */
  abstract dropStale(fd: number): boolean;

  /** @internal What a loop's connections and listeners are served by. One loop per proactor. @throws ERR_BUSY */
  streams<C, L>(): Streams<C, L> {
    this.assertOpen();
    if (this.#hasLoop) throw belongsToLoop('proactor');
    this.#hasLoop = true;
    return this.openStreams<C, L>();
  }

  /**
   * @internal wait() for a loop. The caller's operations that complete go to their whenDone() callbacks, or are kept for the next wait() or
   * waitAsync(). @returns was it woken?
   */
  turn(timeout: number): boolean {
    this.assertOpen();
    const wasWoken = this.#isLoopWoken;
    this.#isLoopWoken = false;
    const { operations, woken } = this.#collect(wasWoken || this.hasCompletions ? 0 : timeout, true);
    if (operations.length > 0) {
      this.#uncollected.push(...operations);
      this.#asyncWait.takeNow();
    } else if (woken) {
      this.#asyncWait.wake();
    }
    return woken || wasWoken;
  }

  /**
   * @internal The loop calls `callback` when the operation has completed, and wait() does not return it.
   * @throws ERR_INVALID_ARG_TYPE: it is no operation; ERR_INVALID_ARG_VALUE: it is another proactor's, or completed already
   */
  whenDone(operation: Operation, callback: () => void): void {
    if (!PendingOperation.is(operation)) throw invalidType('operation', 'an operation', operation);
    if (operation.owner !== this) throw invalidValue('the operation is another proactor’s');
    if (!operation.pending) throw invalidValue('the operation is completed already');
    operation.whenDone = callback;
  }

  /** @internal The callbacks of whenDone() that are to be called now. */
  takeCallbacks(): readonly (() => void)[] {
    return this.#operations.takeCallbacks();
  }

  /** @internal Is there a completion or a callback that needs no wait? */
  get hasCompletions(): boolean {
    return this.#operations.hasCompletions;
  }

  /** @internal When a timer of an operation is due, on performance.now()'s clock; Infinity: there is none. */
  nextDue(): number {
    return this.#operations.nextDue();
  }

  /** @internal Calls back in each turn of Node's loop in which something is completed, until it is closed. One at a time: ERR_BUSY. */
  attach(onReady: () => void): Attachment {
    this.assertOpen();
    if (this.#attachment?.closed === false) throw busyError('proactor');
    this.#attachment = new Attachment(
      () => this.interest(),
      () => this.pollFd(),
      onReady,
    );
    this.#onReady = onReady;
    return this.#attachment;
  }
}

function sizeOf(size: unknown): number {
  return wholeNumber('size', size, 0, MAX_BYTES);
}

/** The caller's bytes, as they are now. */
function plainBytesOf(name: string, bytes: Uint8Array | string): Uint8Array {
  const plain = plainBytes(bytesOf(name, bytes));
  if (plain.length > MAX_BYTES) throw outOfRange(name, `at most ${MAX_BYTES} bytes`, plain.length);
  return plain;
}

function dataOf({ data }: Completion): Buffer {
  return data ?? Buffer.alloc(0);
}

function resultOf({ result }: Completion): number {
  return result;
}
