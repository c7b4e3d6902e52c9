/**
 * A proactor where the kernel has none: an honest imitation over a selector, as asyncio does it on Unix. Readiness, then a call of our
 * own, in the thread that collects.
 *
 *   submitted --its descriptor is ready, and it is the first in its queue: the call is made--> completed
 *             --the call would have to wait after all--> submitted
 *
 * Each descriptor has two queues, of what reads (accept, recv, recvFrom, read) and of what writes (connect, send, sendTo, write), each
 * carried out in the order of submission. The selector watches the descriptor for what its queues want, and not at all when they are
 * empty: nothing of it is left there when the descriptor is closed.
 *
 * Readiness is asked before the first try, although most sends would succeed at once: so nothing is received, accepted or sent until
 * somebody collects, and what is cancelled or forgotten before has taken nothing away. A connect is the exception, for it is what
 * makes a socket ready: it begins when it is the first in its queue. Pipes, ttys, an accept on what is not known to listen
 * (SO_ACCEPTCONN), and everything on Windows are tried once when somebody collects and they are the first in their queue: a descriptor
 * that cannot be read, written or accepted on is never ready, and its error would never be reported.
 *
 * Limits. No kernel moves bytes meanwhile: they are moved when somebody waits. Regular files are always ready, which epoll does not
 * even look at: they are carried out when somebody collects, and BLOCK until the disk has answered; on Windows all files. A descriptor
 * that is closed by its number, and not by its Socket, is told by select and poll (EBADF), and forgotten by epoll and kqueue.
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

export interface EmulatedProactorOptions {
  /** The proactor's from now on: it closes it. DefaultSelector where nothing is said. */
  readonly selector?: BaseSelector;
}

/** An operation that has not been carried out. */
class Waiting implements Call {
  /** A connect: the kernel is at it. */
  hasBegun = false;
  /** To be tried once whether its descriptor is ready or not. */
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
  readonly reading: Waiting[] = [];
  readonly writing: Waiting[] = [];

  constructor(readonly fd: number) {}

  queueOf(operation: Waiting): Waiting[] {
    return operation.reads ? this.reading : this.writing;
  }

  get all(): Waiting[] {
    return [...this.reading, ...this.writing];
  }

  get wanted(): EventMask {
    return (this.reading.length > 0 ? EVENT_READ : 0) | (this.writing.length > 0 ? EVENT_WRITE : 0);
  }
}

/** Imitates completion over readiness; works everywhere. */
export class EmulatedProactor extends BaseProactor {
  static override get isAvailable(): boolean {
    return true;
  }

  override readonly isNative = false;
  override readonly mechanism: EmulatedMechanism;
  override readonly wakeupHandle: number;
  readonly #selector: BaseSelector;
  readonly #watchSet: WatchSet<unknown, FileObject>;
  readonly #channels = new Map<number, Channel>();
  readonly #waiting = new Map<number, Waiting>();
  /** Of files that no selector watches: carried out by the next collect. */
  readonly #unwatched = new Set<Waiting>();
  /** Watched, the first in their queue, and tried by the next collect all the same. */
  readonly #untried = new Set<Waiting>();
  /** Sockets that were asked and listen: a socket does not stop doing so without becoming ready. */
  readonly #listening = new WeakSet<Socket>();
  /** The selector's own descriptor when last somebody was told of it. */
  #knownFd: number | undefined;

  /**
   * @throws ERR_CLOSED: the selector is. What else is registered with it stays so, and is not told here: an operation on the same
   *   descriptor fails with ERR_KEY_EXISTS, and as long as it is ready every wait looks again and again.
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

  // ----------------------------------------------------------------------------------------------------- what it answers

  protected override submit(id: number, request: Request): void {
    if (request.kind === 'timeout') return this.startTimer(id, request.ms);
    const file = this.fileOf(id);
    const operation = new Waiting(id, ownRequest(request, file), file);
    this.#waiting.set(id, operation);
    try {
      this.#add(operation);
    } catch (error) {
      this.#complete(operation, refusal(operation, error as Error));
    }
  }

  /** What a connection can be given at once it is given at once, as a reactor does it: one call for all of a turn. */
  protected override openStreams<C, L>(): Streams<C, L> {
    return new OperationStreams<C, L>(this, native);
  }

  protected override requestCancel(id: number): void {
    const operation = this.#waiting.get(id);
    if (operation === undefined) return; // its completion is on its way
    this.#complete(operation, { result: CANCELED });
    const channel = this.#channels.get(operation.request.fd);
    if (channel !== undefined) this.#goOn(channel);
  }

  protected override collect(timeout: number, done: Completion[]): boolean {
    // close() after the caller has closed the selector: all is cancelled, and there is nothing to wait for.
    if (this.closed && this.#selector.closed) return false;
    const ready = this.#watchSet.poll(this.#unwatched.size + this.#untried.size > 0 ? 0 : timeout);
    const { isWoken } = this.#watchSet;
    this.#tellOfNewFd();
    for (const [{ data }, events] of ready) if (data instanceof Channel) this.#carryOutReady(data, events, done);
    for (const operation of [...this.#untried]) this.#tryOnce(operation, done);
    for (const operation of [...this.#unwatched]) this.#carryOut(operation, done);
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

  override admit(fd: number): void {
    if (this.#watchSet.isStale(fd)) this.dropStale(fd);
    this.#selector.register(fd, EVENT_READ);
    this.#selector.unregister(fd);
  }

  // ---------------------------------------------------------------------------------------------------------- the queues

  #add(operation: Waiting): void {
    const { fd } = operation.request;
    if (operation.isOfFile && !isWatchable(fd)) return void this.#unwatched.add(operation);
    this.#endStale(operation);
    let channel = this.#channels.get(fd);
    if (channel === undefined) this.#channels.set(fd, (channel = new Channel(fd)));
    channel.queueOf(operation).push(operation);
    this.#begin(channel);
    try {
      this.#watch(channel);
    } catch (error) {
      this.#dequeue(operation);
      this.#watch(channel); // as it was
      // A device that is always ready (/dev/null): epoll refuses those as it does regular files.
      if (codeOf(error) !== 'EPERM' || !operation.isOfFile) throw error;
      return void this.#unwatched.add(operation);
    }
    if (!this.#waiting.has(operation.id)) return; // a connect that is over
    operation.isUntried = operation.isOfFile || IS_WINDOWS || this.#mayNotListen(operation);
    if (operation.isUntried) this.#untried.add(operation);
  }

  /** An accept on what does not listen, or on a system that cannot say whether it does. */
  #mayNotListen({ request, file }: Waiting): boolean {
    if (request.kind !== 'accept' || (file instanceof Socket && this.#listening.has(file))) return false;
    if (listens(request.fd) !== true) return true;
    if (file instanceof Socket) this.#listening.add(file);
    return false;
  }

  /** The number was closed behind its Socket's back, and is another Socket's now: what waits there waits for nothing. */
  #endStale({ request, file }: Waiting): void {
    const channel = this.#channels.get(request.fd);
    const owner = channel?.all.find((one) => one.file instanceof Socket)?.file as Socket | undefined;
    if (channel === undefined || owner === undefined || owner === file || owner.fd !== request.fd) return;
    if (!(file instanceof Socket)) return;
    for (const operation of channel.all) this.#complete(operation, { result: native.badDescriptor });
    this.#watch(channel);
  }

  /** Begins the connects that are the first in their queue. */
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

  #carryOutReady(channel: Channel, events: EventMask, done: Completion[]): void {
    if ((events & EVENT_READ) !== 0) this.#carryOutAll(channel.reading, done);
    if ((events & EVENT_WRITE) !== 0) this.#carryOutAll(channel.writing, done);
    this.#goOn(channel);
  }

  #tryOnce(operation: Waiting, done: Completion[]): void {
    this.#untried.delete(operation);
    const channel = this.#channels.get(operation.request.fd);
    if (channel?.queueOf(operation)[0] !== operation || operation.hasBegun) return;
    operation.isUntried = false;
    this.#carryOut(operation, done);
    this.#goOn(channel);
  }

  /** In their order, up to the first that would have to wait. */
  #carryOutAll(queue: readonly Waiting[], done: Completion[]): void {
    for (let first = queue[0]; first !== undefined; first = queue[0]) if (!this.#carryOut(first, done)) return;
  }

  #carryOut(operation: Waiting, done: Completion[]): boolean {
    const outcome = attempt(operation, operation.hasBegun);
    operation.hasBegun = true;
    if (outcome === undefined) return false;
    this.#forget(operation);
    done.push({ id: operation.id, ...outcome });
    // Now, and not when the connection is used: what waits under its number would take the first bytes of it.
    if (operation.request.kind === 'accept' && outcome.result >= 0) this.dropStale(outcome.result);
    return true;
  }

  /** Some are gone from its queues. */
  #goOn(channel: Channel): void {
    this.#begin(channel);
    for (const first of [channel.reading[0], channel.writing[0]])
      if (first?.isUntried === true) this.#untried.add(first);
    try {
      this.#watch(channel);
    } catch (error) {
      // Those that are left would never be looked at again.
      for (const operation of channel.all) this.#complete(operation, refusal(operation, error as Error));
      this.#watch(channel);
    }
  }

  #complete(operation: Waiting, outcome: NonNullable<Outcome>): void {
    this.#forget(operation);
    this.completeSoon({ id: operation.id, ...outcome });
  }

  #forget(operation: Waiting): void {
    this.#waiting.delete(operation.id);
    this.#unwatched.delete(operation);
    this.#untried.delete(operation);
    this.#dequeue(operation);
  }

  #dequeue(operation: Waiting): void {
    const queue = this.#channels.get(operation.request.fd)?.queueOf(operation);
    const at = queue?.indexOf(operation) ?? -1;
    if (at >= 0) queue?.splice(at, 1);
  }

  // -------------------------------------------------------------------------------------------------------- the selector

  /** Has the selector watch what the queues want. @throws where it refuses; what was watched before still is */
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

  /** epoll's set is built anew now and then: whoever watches it must watch the new one. */
  #tellOfNewFd(): void {
    const { fd } = this.#selector;
    if (fd === this.#knownFd) return;
    this.interestChanged();
    this.#knownFd = fd;
  }
}

/** With bytes that nobody else has. On Windows a Socket is no file that fs could read and write. */
function ownRequest(request: Call['request'], file: FileObject | undefined): Call['request'] {
  const isWinsocks = IS_WINDOWS && file instanceof Socket;
  switch (request.kind) {
    case 'write':
    case 'send':
      return {
        ...request,
        kind: isWinsocks ? 'send' : request.kind,
        bytes: Buffer.from(request.bytes),
      } as Call['request'];
    case 'sendTo':
      return { ...request, bytes: Buffer.from(request.bytes) };
    case 'read':
      return isWinsocks ? { kind: 'recv', fd: request.fd, size: request.size } : request;
    default:
      return request;
  }
}

/** The descriptor was refused: it is closed, or the error says why. */
function refusal({ request, isOfFile }: Waiting, error: Error): NonNullable<Outcome> {
  const open = isOfFile ? 0 : native.isOpen(request.fd);
  if (open < 0) return { result: open };
  return { result: -1, error: codeOf(error) === 'EBADF' ? namedError('EBADF', request.kind) : error };
}
