/**
 * A proactor over a selector, for systems without completion ports: it waits for readiness, and then makes the call itself, in the thread
 * that waits (as asyncio does on Unix).
 *
 *   submitted --its descriptor is ready, and it is the first in its queue: the call is made--> completed
 *             --the call would block after all--> submitted
 *
 * Each descriptor has two queues, one of operations that read (accept, recv, recvFrom, read), one of those that write (connect, send, sendTo,
 * write); each runs in the order of submission. The selector's interest is what the queues need. With empty queues the descriptor is not
 * registered, so no registration is left when it is closed.
 *
 * Readiness comes before the first try, although most sends would succeed at once: nothing is received, accepted or sent before a wait, and
 * a cancelled operation has had no effect. Exceptions: a connect starts as soon as it is the first in its queue, for it is what makes the
 * socket ready. Pipes, ttys, an accept on a socket that is not known to listen (SO_ACCEPTCONN), and everything on Windows are tried once by
 * the first wait that finds them first in their queue: a descriptor that cannot be read, written or accepted on never becomes ready, and its
 * error would not be reported.
 *
 * Limits. Bytes are moved during waits only. Regular files are always ready, and epoll refuses them: the next wait reads or writes them, and
 * BLOCKS until the disk has answered; on Windows this holds for all files. A descriptor that is closed by its number, and not by its Socket,
 * is reported by select and poll (EBADF), and not by epoll and kqueue.
 */
import { closedError, invalidType, namedError } from '../errors.js';
import { native } from '../native.js';
import { Socket } from '../net/socket.js';
import { BaseSelector, watchSetOf } from '../selectors/base.js';
import { EVENT_READ, EVENT_WRITE, type EventMask } from '../selectors/key.js';
import { DefaultSelector } from '../selectors/default.js';
import type { WatchSet } from '../selectors/watch-set.js';
import type { FileObject } from '../syscalls/file-object.js';
import type { EmulatedMechanism } from '../syscalls/probe.js';
import { fieldsOf, guarded } from '../validate.js';
import type { Interest } from '../wait/async-wait.js';
import { BaseProactor } from './base.js';
import { CANCELED, type Completion, type Request } from './operation.js';
import { OperationStreams } from './operation-streams.js';
import type { Streams } from './streams.js';
import { type Call, type Outcome, attempt, codeOf, isWatchable, listens } from './calls.js';

/** Options of an EmulatedProactor. */
export interface EmulatedProactorOptions {
  /** Waits for readiness. The proactor owns it from now on, and closes it. Default: a DefaultSelector. */
  readonly selector?: BaseSelector;
}

/** An operation that waits in a queue. */
class QueuedOperation implements Call {
  /** It was tried; a connect is in progress. */
  hasBegun = false;
  /** The next wait tries it once, whether its descriptor is ready or not. */
  isUntried = false;

  constructor(
    readonly id: number,
    readonly request: Call['request'],
    readonly file: FileObject | undefined,
  ) {}

  get reads(): boolean {
    return READING.has(this.request.kind);
  }

  get isOfFile(): boolean {
    return this.request.kind === 'read' || this.request.kind === 'write';
  }
}

const IS_WINDOWS = process.platform === 'win32';
const READING: ReadonlySet<Request['kind']> = new Set(['accept', 'recv', 'recvFrom', 'read']);

/** The two queues of a descriptor; the `data` of its key. */
class Channel {
  readonly reading: QueuedOperation[] = [];
  readonly writing: QueuedOperation[] = [];

  constructor(readonly fd: number) {}

  queueOf(operation: QueuedOperation): QueuedOperation[] {
    return operation.reads ? this.reading : this.writing;
  }

  get all(): QueuedOperation[] {
    return [...this.reading, ...this.writing];
  }

  /** The interest to register. */
  get wanted(): EventMask {
    return (this.reading.length > 0 ? EVENT_READ : 0) | (this.writing.length > 0 ? EVENT_WRITE : 0);
  }
}

/** Emulates completion on a readiness API: a selector and non-blocking calls. Works everywhere, slower than a native proactor. */
export class EmulatedProactor extends BaseProactor {
  /** Always true. */
  static override get isAvailable(): boolean {
    return true;
  }

  /** This thread copies the bytes. */
  override readonly isNative = false;
  /** 'emulated:' and the selector's mechanism. */
  override readonly mechanism: EmulatedMechanism;
  /** A number that another thread passes to the function `wakeup` to end a wait. */
  override readonly wakeupHandle: number;
  readonly #selector: BaseSelector;
  readonly #watchSet: WatchSet<unknown, FileObject>;
  readonly #channels = new Map<number, Channel>();
  readonly #waiting = new Map<number, QueuedOperation>();
  /** Of files that no selector watches: performed by the next wait. */
  readonly #unwatched = new Set<QueuedOperation>();
  /** The first in their queue, and tried by the next wait whether ready or not. */
  readonly #untried = new Set<QueuedOperation>();
  /** Sockets known to listen: a socket that stops listening becomes ready. */
  readonly #listening = new WeakSet<Socket>();
  /** The selector's own descriptor that waits beside Node's loop know. */
  #knownFd: number | undefined;

  /**
   * @param options.selector other registrations stay in it and are ignored here: an operation on the same descriptor fails with
   *   ERR_KEY_EXISTS, and while one is ready every wait spins
   * @throws ERR_CLOSED: the selector is closed; ERR_INVALID_ARG_TYPE
   */
  constructor(options: EmulatedProactorOptions = {}) {
    super();
    const { selector } = fieldsOf('options', options, ['selector']);
    if (selector !== undefined && !guarded('selector', () => selector instanceof BaseSelector))
      throw invalidType('selector', 'a selector', selector);
    this.#selector = (selector as BaseSelector | undefined) ?? new DefaultSelector();
    this.#watchSet = watchSetOf(this.#selector);
    if (this.#selector.closed) throw closedError('selector');
    this.mechanism = `emulated:${this.#selector.mechanism}`;
    this.wakeupHandle = this.#selector.wakeupHandle;
    this.#knownFd = this.#selector.fd;
  }

  // ------------------------------------------------------------------------------------------ what a mechanism provides

  protected override submit(id: number, request: Request): void {
    if (request.kind === 'timeout') return this.startTimer(id, request.ms);
    const file = this.fileOf(id);
    const operation = new QueuedOperation(id, ownRequest(request, file), file);
    this.#waiting.set(id, operation);
    try {
      this.#add(operation);
    } catch (error) {
      this.#complete(operation, refusal(operation, error as Error));
    }
  }

  /** Writes of a loop are sent without a wait for readiness, as a reactor does: one call per turn. */
  protected override openStreams<C, L>(): Streams<C, L> {
    return new OperationStreams<C, L>(this, native);
  }

  protected override requestCancel(id: number): void {
    const operation = this.#waiting.get(id);
    if (operation === undefined) return; // completed already
    this.#complete(operation, { result: CANCELED });
    const channel = this.#channels.get(operation.request.fd);
    if (channel !== undefined) this.#updateQueues(channel);
  }

  protected override collect(timeout: number, done: Completion[]): boolean {
    // close(), after the caller has closed the selector: everything is cancelled, and there is nothing to wait for.
    if (this.closed && this.#selector.closed) return false;
    const ready = this.#watchSet.poll(this.#unwatched.size + this.#untried.size > 0 ? 0 : timeout);
    const { isWoken } = this.#watchSet;
    this.#followSelectorFd();
    for (const [{ data }, events] of ready) if (data instanceof Channel) this.#performReady(data, events, done);
    for (const operation of [...this.#untried]) this.#tryOnce(operation, done);
    for (const operation of [...this.#unwatched]) this.#perform(operation, done);
    return isWoken;
  }

  protected override interest(): Interest {
    return this.#watchSet.interest();
  }

  protected override pollFd(): number | undefined {
    return this.#selector.fd;
  }

  protected override signalWakeup(): void {
    this.#selector.wakeup();
  }

  protected override closeMechanism(): void {
    this.#selector.close();
  }

  /** @internal */
  override dropStale(fd: number): boolean {
    const operations = this.#channels.get(fd)?.all ?? [];
    for (const operation of this.#unwatched) if (operation.request.fd === fd) operations.push(operation);
    for (const operation of operations) this.#complete(operation, { result: native.badDescriptor });
    this.#channels.delete(fd);
    if (this.#selector.closed || this.#watchSet.generationOf(fd) === 0) return operations.length > 0;
    this.#selector.unregister(fd);
    this.interestChanged();
    return true;
  }

  /** @internal */
  override admit(fd: number): void {
    if (this.#watchSet.isStale(fd)) this.dropStale(fd);
    this.#selector.register(fd, EVENT_READ);
    this.#selector.unregister(fd);
  }

  // ---------------------------------------------------------------------------------------------------------- the queues

  #add(operation: QueuedOperation): void {
    const { fd } = operation.request;
    if (operation.isOfFile && !isWatchable(fd)) return void this.#unwatched.add(operation);
    this.#dropStaleChannel(operation);
    let channel = this.#channels.get(fd);
    if (channel === undefined) this.#channels.set(fd, (channel = new Channel(fd)));
    channel.queueOf(operation).push(operation);
    this.#begin(channel);
    try {
      this.#watch(channel);
    } catch (error) {
      this.#dequeue(operation);
      this.#watch(channel); // as it was
      // A device that is always ready (/dev/null): epoll refuses it as it does regular files.
      if (codeOf(error) !== 'EPERM' || !operation.isOfFile) throw error;
      return void this.#unwatched.add(operation);
    }
    if (!this.#waiting.has(operation.id)) return; // a connect that has completed
    operation.isUntried = operation.isOfFile || IS_WINDOWS || this.#mayNotListen(operation);
    if (operation.isUntried) this.#untried.add(operation);
  }

  /** Is it an accept on a socket that does not listen, or on a system that does not report whether it does? */
  #mayNotListen({ request, file }: QueuedOperation): boolean {
    if (request.kind !== 'accept' || (file instanceof Socket && this.#listening.has(file))) return false;
    if (listens(request.fd) !== true) return true;
    if (file instanceof Socket) this.#listening.add(file);
    return false;
  }

  /** Ends the operations of a Socket whose descriptor other code has closed, where the number is another Socket's now. */
  #dropStaleChannel({ request, file }: QueuedOperation): void {
    const channel = this.#channels.get(request.fd);
    const owner = channel?.all.find((one) => one.file instanceof Socket)?.file as Socket | undefined;
    if (channel === undefined || owner === undefined || owner === file || owner.fd !== request.fd) return;
    if (!(file instanceof Socket)) return;
    for (const operation of channel.all) this.#complete(operation, { result: native.badDescriptor });
    this.#watch(channel);
  }

  /** Starts the connects that are the first in their queue. */
  #begin(channel: Channel): void {
    for (;;) {
      const [first] = channel.writing;
      if (first?.request.kind !== 'connect' || first.hasBegun) return;
      const outcome = attempt(first, false);
      first.hasBegun = true;
      if (outcome === undefined) return;
      this.#complete(first, outcome);
    }
  }

  #performReady(channel: Channel, events: EventMask, done: Completion[]): void {
    if ((events & EVENT_READ) !== 0) this.#performAll(channel.reading, done);
    if ((events & EVENT_WRITE) !== 0) this.#performAll(channel.writing, done);
    this.#updateQueues(channel);
  }

  #tryOnce(operation: QueuedOperation, done: Completion[]): void {
    this.#untried.delete(operation);
    const channel = this.#channels.get(operation.request.fd);
    if (channel?.queueOf(operation)[0] !== operation || operation.hasBegun) return;
    operation.isUntried = false;
    this.#perform(operation, done);
    this.#updateQueues(channel);
  }

  /** In their order, up to the first that would block. */
  #performAll(queue: readonly QueuedOperation[], done: Completion[]): void {
    for (let first = queue[0]; first !== undefined; first = queue[0]) if (!this.#perform(first, done)) return;
  }

  /** Makes the call. @returns false: it would block */
  #perform(operation: QueuedOperation, done: Completion[]): boolean {
    const outcome = attempt(operation, operation.hasBegun);
    operation.hasBegun = true;
    if (outcome === undefined) return false;
    this.#forget(operation);
    done.push({ id: operation.id, ...outcome });
    // Before the connection is used: a stale operation under its number would take its first bytes.
    if (operation.request.kind === 'accept' && outcome.result >= 0) this.dropStale(outcome.result);
    return true;
  }

  /** Operations were removed from its queues: the next ones start, and the interest may change. */
  #updateQueues(channel: Channel): void {
    this.#begin(channel);
    for (const first of [channel.reading[0], channel.writing[0]])
      if (first?.isUntried === true) this.#untried.add(first);
    try {
      this.#watch(channel);
    } catch (error) {
      // Without a registration the rest would never be ready.
      for (const operation of channel.all) this.#complete(operation, refusal(operation, error as Error));
      this.#watch(channel);
    }
  }

  #complete(operation: QueuedOperation, outcome: NonNullable<Outcome>): void {
    this.#forget(operation);
    this.completeSoon({ id: operation.id, ...outcome });
  }

  #forget(operation: QueuedOperation): void {
    this.#waiting.delete(operation.id);
    this.#unwatched.delete(operation);
    this.#untried.delete(operation);
    this.#dequeue(operation);
  }

  #dequeue(operation: QueuedOperation): void {
    const queue = this.#channels.get(operation.request.fd)?.queueOf(operation);
    const at = queue?.indexOf(operation) ?? -1;
    if (at >= 0) queue?.splice(at, 1);
  }

  // -------------------------------------------------------------------------------------------------------- the selector

  /** Registers the interest of the queues. @throws the selector's refusal; the registration is unchanged then */
  #watch(channel: Channel): void {
    const { fd, wanted } = channel;
    if (wanted === 0) this.#channels.delete(fd);
    if (this.#selector.closed) return;
    const key = this.#selector.getMap().get(fd);
    const isOurs = key?.data === channel;
    if (key !== undefined && !isOurs && this.#watchSet.isStale(fd)) this.#selector.unregister(fd);
    if ((isOurs ? key.events : 0) === wanted) return;
    if (!isOurs) this.#selector.register(fd, wanted, channel);
    else if (wanted === 0) this.#selector.unregister(fd);
    else this.#selector.modify(fd, wanted, channel);
    this.interestChanged();
  }

  /** epoll's set may be replaced by a new one: waits beside Node's loop must watch that. */
  #followSelectorFd(): void {
    const { fd } = this.#selector;
    if (fd === this.#knownFd) return;
    this.interestChanged();
    this.#knownFd = fd;
  }
}

/** The request with its own copy of the bytes. On Windows fs cannot read and write sockets: there it becomes a recv or send. */
function ownRequest(request: Call['request'], file: FileObject | undefined): Call['request'] {
  const isWindowsSocket = IS_WINDOWS && file instanceof Socket;
  switch (request.kind) {
    case 'write':
    case 'send':
      return {
        ...request,
        kind: isWindowsSocket ? 'send' : request.kind,
        bytes: Buffer.from(request.bytes),
      } as Call['request'];
    case 'sendTo':
      return { ...request, bytes: Buffer.from(request.bytes) };
    case 'read':
      return isWindowsSocket ? { kind: 'recv', fd: request.fd, size: request.size } : request;
    default:
      return request;
  }
}

/** The outcome where the selector has refused the descriptor: it is closed, or the selector's error. */
function refusal({ request, isOfFile }: QueuedOperation, error: Error): NonNullable<Outcome> {
  const open = isOfFile ? 0 : native.isOpen(request.fd);
  if (open < 0) return { result: open };
  return { result: -1, error: codeOf(error) === 'EBADF' ? namedError('EBADF', request.kind) : error };
}
