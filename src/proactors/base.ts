/**
 * The proactor: "do it, and tell me when it is done" (post 002). Which operations are under way, what became of them, and the checks;
 * the subclasses put that to one mechanism each.
 *
 * The states of an operation are in operation.ts. One that is cancelled completes all the same, once: with its result if that came
 * first, else with ECANCELED. Until it completes, the memory that the kernel works in is the operation's own, and not the caller's:
 * bytes that are sent are copied when the operation is submitted, bytes that are received are handed over when it is collected. So
 * nothing that JavaScript does with its buffers (drops, changes, transfers them) reaches memory that the kernel holds.
 */
import {
  belongsToLoop,
  busyError,
  check,
  closedError,
  invalidType,
  invalidValue,
  outOfRange,
  systemError,
} from '../errors.js';
import { native } from '../native.js';
import {
  type SocketAddress,
  type SocketAddressInput,
  contextOf,
  decodeAddress,
  encodeAddresses,
  familyNumber,
} from '../syscalls/address.js';
import { beforeClose } from '../net/close-hooks.js';
import { Socket } from '../net/socket.js';
import { type FileObject, fileno } from '../syscalls/file-object.js';
import type { Mechanism } from '../syscalls/probe.js';
import { sliceOf } from '../syscalls/slices.js';
import { bytesOf, guarded, lengthOf, plainBytes, timeoutOf, uint8Array, wholeNumber } from '../validate.js';
import { AsyncWait, type Interest, type WaitOptions } from '../wait/async-wait.js';
import { Attachment } from '../wait/attachment.js';
import { type Timer, Timers } from '../wait/timers.js';
import {
  CANCELED,
  type Completion,
  type Operation,
  type OperationKind,
  PendingOperation,
  type Request,
} from './operation.js';
import { OperationStreams } from './operation-streams.js';
import type { Streams } from './streams.js';

/** The system call of each kind, for errors. */
const SYSCALLS: Readonly<Record<OperationKind, string>> = {
  ...{ accept: 'accept', connect: 'connect', recv: 'recv', recvFrom: 'recvfrom', send: 'send', sendTo: 'sendto' },
  ...{ read: 'read', write: 'write', timeout: 'timeout' },
};

/** More bytes at once are no number of 32 bits. */
const MOST_BYTES = 0x7fff_f000;
/** How long close() waits for the kernel, in milliseconds. */
const LONGEST_CLOSE = 5000;

/** An operation, and what is to be undone when it is over. */
interface Submitted {
  readonly operation: PendingOperation<unknown, unknown>;
  readonly release: (() => void) | undefined;
  /** Kept until the operation is over: a socket that nobody refers to would be closed by the garbage collector. */
  readonly file: FileObject | undefined;
  readonly isOfLoop: boolean;
  cancelling: boolean;
  /** Of a connect, unless it is a loop's. */
  readonly connecting?: Connecting | undefined;
}

/** A connect(2) by a name that may have several addresses. */
interface Connecting {
  readonly fd: number;
  /** Under way, or the last that was. */
  sockaddr: Uint8Array;
  /** Not tried yet. */
  readonly others: Uint8Array[];
  failed: NodeJS.ErrnoException | undefined;
  /** The same address is being tried a second time. */
  isAgain: boolean;
}

/**
 * Completion ports: start operations, then collect those that the kernel has finished. The mirror of a selector: `select()` says what
 * CAN be done now, `wait()` says what HAS been done. Belongs to the thread that made it.
 *
 * Errors of the system come as the `error` of the operation, also those that are known at once (EBADF); what is thrown is the caller's
 * own mistake, and nothing was started then. Sockets may block or not: no operation waits in the calling thread.
 *
 * Several operations of one kind on one socket: the emulation keeps their order, the kernels do not promise it. A stream wants one recv
 * and one send at a time.
 */
export abstract class BaseProactor implements Disposable {
  /** Can this class be constructed here? Asked of the kernel each time it is read. */
  static get isAvailable(): boolean {
    return false;
  }

  abstract readonly mechanism: Mechanism;
  /** true where the kernel itself moves the bytes (IOCP, io_uring); false where readiness plus a copy imitates it. */
  abstract readonly isNative: boolean;
  /** For other threads: a number that they may be sent, and give to the function `wakeup`. Never used again after close(). */
  abstract readonly wakeupHandle: number;

  readonly #submitted = new Map<number, Submitted>();
  readonly #timers = new Timers();
  readonly #timerOf = new Map<number, Timer>();
  /** What was known at once, or came of a timer: for the next wait. */
  #known: Completion[] = [];
  /** Completed while nobody waited: for the next wait. */
  #uncollected: Operation[] = [];
  readonly #asyncWait = new AsyncWait<Operation[]>({
    what: 'proactor',
    take: () => {
      if (this.#uncollected.length > 0) return this.#takeUncollected();
      const { operations, woken } = this.#take(0);
      if (woken) this.#tellLoop();
      return woken || operations.length > 0 ? operations : null;
    },
    nothing: () => [],
    interest: () => this.interest(),
    nextDue: () => this.#timers.nextDue(),
  });
  #callbacks: (() => void)[] = [];
  #attachment: Attachment | undefined;
  #onReady: (() => void) | undefined;
  #wokenElsewhere = false;
  #hasLoop = false;
  #lastId = 0;
  #closed = false;

  constructor() {
    if (new.target === BaseProactor) {
      throw Object.assign(new TypeError('BaseProactor is abstract: construct one of its subclasses'), {
        code: 'ERR_ILLEGAL_CONSTRUCTOR',
      });
    }
  }

  // ------------------------------------------------------------------------------------------ what a mechanism answers

  /** Starts it. Never throws for what the system refuses: that is completeSoon()'s. Whatever it needs of the request is copied. */
  protected abstract submit(id: number, request: Request): void;
  /** Asks the kernel to give it up; it still completes. */
  protected abstract requestCancel(id: number): void;
  /** Waits up to `timeout` milliseconds (-1: for ever), adds what is completed to `done`, and says whether somebody called wakeup(). */
  protected abstract collect(timeout: number, done: Completion[]): boolean;
  /** collect() for the turn of a loop, which is told of its streams besides. */
  protected collectTurn(timeout: number, done: Completion[]): boolean {
    return this.collect(timeout, done);
  }
  /** The loop's streams, where the mechanism has better than single operations. */
  protected openStreams<C, L>(): Streams<C, L> {
    return new OperationStreams<C, L>(this);
  }
  /** What to watch so as to know when `collect` would have something. */
  protected abstract interest(): Interest;
  protected abstract signalWakeup(): void;
  /** Lets go of the kernel's objects. Everything was cancelled; `left` operations have not come back. */
  protected abstract closeMechanism(left: number): void;
  /** @internal Sees to it that what was cancelled is cancelled now: a descriptor is about to be closed. */
  letGo(): void {
    // For mechanisms where asking is enough.
  }
  /** The descriptor that becomes readable when there is something to collect, where it has one. */
  protected pollFd(): number | undefined {
    return undefined;
  }

  /** What an operation is carried out on, as the caller gave it; undefined for a timeout, and for a loop's. */
  protected fileOf(id: number): FileObject | undefined {
    return this.#submitted.get(id)?.file;
  }

  /** For submit(): it is over already. */
  protected completeSoon(completion: Completion): void {
    this.#known.push(completion);
  }

  /** For mechanisms whose timeouts are the waits' own. */
  protected startTimer(id: number, ms: number): void {
    const timer = this.#timers.add(performance.now() + ms, () => this.#endTimer(id, 0));
    this.#timerOf.set(id, timer);
  }

  /** For mechanisms whose interest is copied for a wait: the wait under way must begin again with the new one. */
  protected interestChanged(): void {
    this.#asyncWait.interestChanged();
    this.#attachment?.interestChanged();
  }

  protected assertOpen(): void {
    if (this.#closed) throw closedError('proactor');
  }

  // ----------------------------------------------------------------------------------------------------- the operations

  /** Operations started and not yet collected. */
  get pending(): number {
    return this.#submitted.size + this.#uncollected.length;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** accept(2), AcceptEx: the next connection, blocking or not as the listener is. */
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
   * operation tries them in the resolver's order until one connects; its error is that of the last one, and names its address. macOS
   * takes no second connect(2) on a socket: there the first address is the only one.
   */
  connect<D>(socket: Socket, address: SocketAddressInput, data?: D): Operation<void, D> {
    const fd = this.#fdOf('socket', socket);
    const [sockaddr, ...others] = this.#encode(socket, address, 'connect');
    const connecting = { fd, sockaddr, others, failed: undefined, isAgain: false };
    return this.#start({ kind: 'connect', fd, sockaddr }, data as D, () => undefined, socket, connecting);
  }

  /** recv(2), WSARecv: up to `size` bytes, as soon as there are any. Empty: the peer has finished sending. */
  recv<D>(socket: Socket, size: number, data?: D): Operation<Buffer, D> {
    const fd = this.#fdOf('socket', socket);
    return this.#start({ kind: 'recv', fd, size: sizeOf(size) }, data as D, dataOf, socket);
  }

  /**
   * The same into memory that is there: `result` is how many bytes. The kernel receives into memory of the operation's own, and the bytes
   * are copied when wait() returns it.
   */
  recvInto<D>(socket: Socket, buffer: Uint8Array, data?: D): Operation<number, D> {
    const fd = this.#fdOf('socket', socket);
    const target = plainBytes(uint8Array('buffer', buffer));
    const copied = (completion: Completion): number => {
      const bytes = dataOf(completion);
      if (lengthOf(target) < bytes.length) throw invalidValue('buffer lost its memory before the bytes came');
      target.set(bytes);
      return bytes.length;
    };
    return this.#start({ kind: 'recv', fd, size: sizeOf(lengthOf(target)) }, data as D, copied, socket);
  }

  /** recvfrom(2), WSARecvFrom: one datagram and its sender. What is longer than `size` is cut off, and lost. */
  recvFrom<D>(
    socket: Socket,
    size: number,
    data?: D,
  ): Operation<{ readonly data: Buffer; readonly address: SocketAddress }, D> {
    const fd = this.#fdOf('socket', socket);
    const received = (completion: Completion): { readonly data: Buffer; readonly address: SocketAddress } => {
      const sockaddr = completion.sockaddr ?? new Uint8Array();
      return { data: dataOf(completion), address: sockaddr.length === 0 ? { path: '' } : decodeAddress(sockaddr) };
    };
    return this.#start({ kind: 'recvFrom', fd, size: sizeOf(size) }, data as D, received, socket);
  }

  /** send(2), WSASend: `result` is how many bytes the kernel took, which may be fewer than given. Never raises SIGPIPE. */
  send<D>(socket: Socket, bytes: Uint8Array | string, data?: D): Operation<number, D> {
    const fd = this.#fdOf('socket', socket);
    return this.#start({ kind: 'send', fd, bytes: given('bytes', bytes) }, data as D, resultOf, socket);
  }

  /** sendto(2), WSASendTo: one datagram. */
  sendTo<D>(socket: Socket, bytes: Uint8Array | string, address: SocketAddressInput, data?: D): Operation<number, D> {
    const fd = this.#fdOf('socket', socket);
    const [sockaddr] = this.#encode(socket, address, 'sendto');
    // Not before: the address's getters may take the bytes away.
    const datagram = given('bytes', bytes);
    return this.#start({ kind: 'sendTo', fd, bytes: datagram, sockaddr }, data as D, resultOf, socket);
  }

  /**
   * Reads a file at `position`, bytes from its start; of what has no position (a pipe, a tty), the next bytes. Empty: its end.
   * Windows: a file that fs.open() opened is opened anew for overlapped I/O, for the duration of the operation.
   */
  read<D>(file: FileObject, size: number, position: number, data?: D): Operation<Buffer, D> {
    const [fd, at] = this.#positionIn(file, position);
    return this.#start({ kind: 'read', fd, size: sizeOf(size), position: at }, data as D, dataOf, file);
  }

  /** Writes a file at `position`: `result` is how many bytes were written, which may be fewer than given. */
  write<D>(file: FileObject, bytes: Uint8Array, position: number, data?: D): Operation<number, D> {
    const [fd, at] = this.#positionIn(file, position);
    // Not before: a fileno() of the caller's may take the bytes away.
    const content = given('bytes', uint8Array('bytes', bytes));
    return this.#start({ kind: 'write', fd, bytes: content, position: at }, data as D, resultOf, file);
  }

  /** Completes after so many milliseconds, never earlier. */
  timeout<D>(ms: number, data?: D): Operation<void, D> {
    this.assertOpen();
    if (typeof ms !== 'number') throw invalidType('ms', 'a number of milliseconds', ms);
    if (!(ms >= 0 && ms <= Number.MAX_SAFE_INTEGER)) throw outOfRange('ms', 'a number of milliseconds, 0 or more', ms);
    return this.#start({ kind: 'timeout', ms }, data as D, () => undefined, undefined);
  }

  // ------------------------------------------------------------------------------------------------------------ waiting

  /**
   * BLOCKS until at least one operation is finished, somebody calls wakeup(), or the time is over.
   * @param timeout milliseconds, rounded up and never shorter; null, undefined, Infinity: for ever; 0 or less: does not wait
   * @returns every finished one exactly once, in the order of completion; empty when the time is over or after a wakeup()
   */
  wait(timeout?: number | null): Operation[] {
    this.assertOpen();
    if (this.#uncollected.length > 0) return this.#takeUncollected();
    const limit = timeoutOf(timeout);
    const deadline = limit > 0 ? performance.now() + limit : 0;
    for (let remaining = limit; ;) {
      const { operations, woken } = this.#take(sliceOf(remaining));
      if (woken) this.#tellOthers();
      if (woken || operations.length > 0 || limit === 0) return operations;
      if (limit > 0) {
        remaining = deadline - performance.now();
        if (remaining <= 0) return operations;
      }
    }
  }

  /**
   * The same without blocking Node's own event loop. One wait at a time: a second one rejects with ERR_BUSY.
   * @param options.signal rejects with AbortError when it fires; no completion is lost
   * @returns rejects with ERR_CLOSED when the proactor is closed
   */
  waitAsync(options?: WaitOptions): Promise<Operation[]> {
    return this.#asyncWait.wait(options);
  }

  /** Makes the wait that is under way, or the next one, return early. Sticky: none is lost; many before one wait count as one. */
  wakeup(): void {
    this.assertOpen();
    this.signalWakeup();
  }

  /**
   * Cancels what is pending and waits until the kernel has let go of every buffer; the operations are completed then. A pending waitAsync
   * rejects with ERR_CLOSED. The sockets and files stay open.
   * @throws ETIMEDOUT where the kernel has not let go within five seconds: the proactor is closed, and the memory that the kernel still
   *   holds is never freed
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#asyncWait.close();
    // A loop that lives inside Node's finds out in its next turn.
    if (this.#attachment?.closed === false) setImmediate(() => this.#onReady?.());
    this.#attachment?.close();
    for (const id of [...this.#submitted.keys()]) this.#cancel(id);
    const deadline = performance.now() + LONGEST_CLOSE;
    try {
      while (this.#submitted.size > 0 && performance.now() < deadline)
        this.#take(sliceOf(Math.max(0, deadline - performance.now())));
    } catch {
      // A mechanism that does not answer any more: closeMechanism() tells.
    }
    const left = this.#submitted.size;
    // What has not come back is over all the same.
    for (const id of [...this.#submitted.keys()]) this.#complete({ id, result: CANCELED }, []);
    this.#uncollected = [];
    this.#timers.clear();
    this.closeMechanism(left);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // ------------------------------------------------------------------------------------------------------ for the loops

  /**
   * @internal An operation of a loop's, by the number of its descriptor. It is told to `done` and not returned by wait(); `done` is called
   * while somebody collects, and must not throw.
   */
  begin(request: Request, done: (completion: Completion) => void): Operation {
    this.assertOpen();
    const submitted: Submitted = {
      operation: new PendingOperation(this, request.kind, undefined, done, () => this.#cancel(id)),
      release: undefined,
      file: undefined,
      isOfLoop: true,
      cancelling: false,
    };
    const id = this.#add(submitted);
    this.submit(id, request);
    this.#tellWaiters();
    return submitted.operation;
  }

  /**
   * @internal Will it carry out the operations of a descriptor that somebody else has opened? Asked before the first of them, whose answer
   * comes later. @throws the mechanism's refusal
   */
  abstract admit(fd: number): void;

  /**
   * @internal The system has just given out this number: what is under way or registered for it belongs to a file that was closed by other
   * code. Its operations end with EBADF. @returns was there anything?
   */
  abstract dropStale(fd: number): boolean;

  /** @internal What a loop's connections and listeners are served by. One loop has it. @throws ERR_BUSY */
  streams<C, L>(): Streams<C, L> {
    this.assertOpen();
    if (this.#hasLoop) throw belongsToLoop('proactor');
    this.#hasLoop = true;
    return this.openStreams<C, L>();
  }

  /**
   * @internal wait() for a loop, in one go. What it meets of the caller's operations is told by whenDone(), or kept for the next wait() or
   * waitAsync(). @returns was it woken?
   */
  turn(timeout: number): boolean {
    this.assertOpen();
    const wasWoken = this.#wokenElsewhere;
    this.#wokenElsewhere = false;
    const { operations, woken } = this.#take(wasWoken || this.hasNews ? 0 : timeout, true);
    if (operations.length > 0) {
      this.#uncollected.push(...operations);
      this.#asyncWait.takeNow();
    } else if (woken) {
      this.#asyncWait.wake();
    }
    return woken || wasWoken;
  }

  /**
   * @internal Has `callback` called by the loop when the operation is completed, instead of its being returned by wait().
   * @throws ERR_INVALID_ARG_TYPE: it is none; ERR_INVALID_ARG_VALUE: it is another proactor's, or completed already
   */
  whenDone(operation: Operation, callback: () => void): void {
    if (!PendingOperation.is(operation)) throw invalidType('operation', 'an operation', operation);
    if (operation.owner !== this) throw invalidValue('the operation is another proactor’s');
    if (!operation.pending) throw invalidValue('the operation is completed already');
    operation.whenDone = callback;
  }

  /** @internal The callbacks of whenDone() that are to be called now. */
  takeCallbacks(): readonly (() => void)[] {
    const callbacks = this.#callbacks;
    if (callbacks.length > 0) this.#callbacks = [];
    return callbacks;
  }

  /** @internal Is there something to tell a loop of without a wait? */
  get hasNews(): boolean {
    return this.#known.length > 0 || this.#callbacks.length > 0;
  }

  /** @internal When a timer of an operation is due, on performance.now()'s clock; Infinity: there is none. */
  nextDue(): number {
    return this.#timers.nextDue();
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

  // --------------------------------------------------------------------------------------------------------------------

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

  #add(submitted: Submitted): number {
    const id = ++this.#lastId;
    this.#submitted.set(id, submitted);
    return id;
  }

  #start<T, D>(
    request: Request,
    data: D,
    finish: (completion: Completion) => T,
    file: FileObject | undefined,
    connecting?: Connecting,
  ): Operation<T, D> {
    const operation = new PendingOperation<T, D>(this, request.kind, data, finish, () => this.#cancel(id));
    const release = file instanceof Socket ? beforeClose(file, () => this.#abandon(id)) : undefined;
    const id = this.#add({ operation, release, file, isOfLoop: false, cancelling: false, connecting });
    this.submit(id, request);
    this.#tellWaiters();
    return operation;
  }

  #cancel(id: number): void {
    const submitted = this.#submitted.get(id);
    if (submitted === undefined || submitted.cancelling) return;
    submitted.cancelling = true;
    if (submitted.operation.kind === 'timeout' && this.#timerOf.has(id)) this.#endTimer(id, CANCELED);
    else this.requestCancel(id);
    this.#tellWaiters();
  }

  /** Whoever waits beside Node's loop begins again, with what is different now. */
  #tellWaiters(): void {
    this.interestChanged();
    this.#attachment?.wake();
  }

  /** Its socket is about to be closed. */
  #abandon(id: number): void {
    this.#cancel(id);
    this.letGo();
  }

  #endTimer(id: number, result: number): void {
    this.#timerOf.get(id)?.cancel();
    this.#timerOf.delete(id);
    this.#known.push({ id, result });
  }

  /** A wake-up was seen that may have been meant for a waitAsync that is pending, or for a loop. */
  #tellOthers(): void {
    this.#asyncWait.wake();
    this.#tellLoop();
  }

  #tellLoop(): void {
    this.#wokenElsewhere = true;
    this.#attachment?.wake();
  }

  #takeUncollected(): Operation[] {
    const operations = this.#uncollected;
    this.#uncollected = [];
    return operations;
  }

  #take(timeout: number, isTurn = false): { readonly operations: Operation[]; readonly woken: boolean } {
    const untilDue = this.#timers.size > 0 ? Math.max(0, this.#timers.nextDue() - performance.now()) : Infinity;
    const limit = timeout < 0 ? (untilDue === Infinity ? -1 : untilDue) : Math.min(timeout, untilDue);
    const done: Completion[] = [];
    const part = this.#known.length > 0 ? 0 : limit;
    const woken = isTurn ? this.collectTurn(part, done) : this.collect(part, done);
    if (this.#timers.size > 0) for (const callback of this.#timers.takeDue(performance.now())) callback();
    const known = this.#known;
    if (known.length > 0) this.#known = [];
    const operations: Operation[] = [];
    for (const completion of known) this.#complete(completion, operations);
    for (const completion of done) this.#complete(completion, operations);
    // Whoever collects for himself may have met what is the loop's.
    if (!isTurn && this.#hasLoop) this.#attachment?.wake();
    return { operations, woken };
  }

  /** An address has failed. @returns true: the next one is being tried */
  #connectNext(submitted: Submitted, completion: Completion): boolean {
    const connecting = submitted.connecting as Connecting;
    if (!isOfAddress(submitted, completion)) {
      connecting.failed = undefined;
      return false;
    }
    const failed = systemError(completion.result, 'connect', contextOf(connecting.sockaddr));
    // Linux: once, where an attempt before failed in progress and SO_ERROR has said so (__inet_stream_connect, net/ipv4/af_inet.c).
    if (failed.code === 'ECONNABORTED' && connecting.failed !== undefined && !connecting.isAgain) {
      connecting.isAgain = true;
      this.#connectTo(completion.id, connecting);
      return true;
    }
    connecting.isAgain = false;
    // macOS: EINVAL, for a second connect(2) on a socket. The error of the first one says more.
    const isRefusedAgain = connecting.failed !== undefined && failed.code === 'EINVAL';
    if (!isRefusedAgain) connecting.failed = failed;
    const sockaddr = isRefusedAgain ? undefined : connecting.others.shift();
    if (sockaddr === undefined) return false;
    connecting.sockaddr = sockaddr;
    this.#connectTo(completion.id, connecting);
    return true;
  }

  #connectTo(id: number, { fd, sockaddr }: Connecting): void {
    this.submit(id, { kind: 'connect', fd, sockaddr });
    this.#tellWaiters();
  }

  #complete(completion: Completion, operations: Operation[]): void {
    const submitted = this.#submitted.get(completion.id);
    if (submitted === undefined) return;
    if (completion.result < 0 && submitted.connecting !== undefined && this.#connectNext(submitted, completion)) return;
    this.#submitted.delete(completion.id);
    const { operation, isOfLoop, release, connecting } = submitted;
    release?.();
    operation.pending = false;
    if (isOfLoop) return operation.finish(completion) as undefined;
    try {
      if (completion.error !== undefined) throw completion.error;
      if (completion.result < 0 && connecting?.failed !== undefined) throw connecting.failed;
      check(completion.result, SYSCALLS[operation.kind]);
      operation.result = operation.finish(completion);
    } catch (error) {
      operation.error = error as NodeJS.ErrnoException;
    }
    if (operation.whenDone === undefined) operations.push(operation);
    else this.#callbacks.push(operation.whenDone);
  }
}

/** Is this worth an attempt with the next address? Not where the operation was cancelled, its socket closed, or the mechanism refused it. */
function isOfAddress({ cancelling }: Submitted, { result, error }: Completion): boolean {
  return !cancelling && error === undefined && result !== CANCELED && result !== native.badDescriptor;
}

function sizeOf(size: unknown): number {
  return wholeNumber('size', size, 0, MOST_BYTES);
}

/** The caller's bytes, as they are now. */
function given(name: string, bytes: Uint8Array | string): Uint8Array {
  const plain = plainBytes(bytesOf(name, bytes));
  if (plain.length > MOST_BYTES) throw outOfRange(name, `at most ${MOST_BYTES} bytes`, plain.length);
  return plain;
}

function dataOf({ data }: Completion): Buffer {
  return data ?? Buffer.alloc(0);
}

function resultOf({ result }: Completion): number {
  return result;
}
