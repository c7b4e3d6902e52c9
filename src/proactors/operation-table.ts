/**
 * The operations that a proactor has started, from their submission until their completions are handed out; and the timers of those
 * mechanisms whose kernel has none. The states of one operation are in operation.ts.
 */
import { check } from '../errors.js';
import { native } from '../native.js';
import { beforeClose } from '../net/close-hooks.js';
import { Socket } from '../net/socket.js';
import type { FileObject } from '../syscalls/file-object.js';
import { type Timer, Timers } from '../wait/timers.js';
import type { ConnectAttempts } from './connect-attempts.js';
import {
  CANCELED,
  type Completion,
  type Operation,
  type OperationKind,
  PendingOperation,
  type Request,
} from './operation.js';

/** The system call of each kind, for errors. */
const SYSCALLS: Readonly<Record<OperationKind, string>> = {
  ...{ accept: 'accept', connect: 'connect', recv: 'recv', recvFrom: 'recvfrom', send: 'send', sendTo: 'sendto' },
  ...{ read: 'read', write: 'write', timeout: 'timeout' },
};

/** What the table needs of its proactor. */
export interface OperationHost {
  submit(id: number, request: Request): void;
  requestCancel(id: number): void;
  /** See BaseProactor. */
  flushCancels(): void;
  /** Something was started or cancelled: waits beside Node's loop begin again. */
  changed(): void;
}

/** An operation, and what is undone when it completes. */
interface Submitted {
  readonly operation: PendingOperation<unknown, unknown>;
  /** Removes its close hook. */
  readonly release: (() => void) | undefined;
  /** Kept until the operation completes: the garbage collector closes a socket that nothing refers to. */
  readonly file: FileObject | undefined;
  readonly isOfLoop: boolean;
  isCancelling: boolean;
  /** Of a caller's connect. */
  readonly attempts?: ConnectAttempts | undefined;
}

/** The operations of one proactor. */
export class OperationTable {
  readonly #host: OperationHost;
  /** For Operation.owner. */
  readonly #owner: unknown;
  readonly #submitted = new Map<number, Submitted>();
  readonly #timers = new Timers();
  readonly #timerOf = new Map<number, Timer>();
  /** Completed without the kernel: refused at once, or by a timer. The next wait finishes them. */
  #early: Completion[] = [];
  /** Of whenDone(). */
  #callbacks: (() => void)[] = [];
  #lastId = 0;

  constructor(owner: unknown, host: OperationHost) {
    this.#owner = owner;
    this.#host = host;
  }

  /** Operations that have not completed. */
  get size(): number {
    return this.#submitted.size;
  }

  /** Is there a completion or a callback that needs no wait? */
  get hasCompletions(): boolean {
    return this.#early.length > 0 || this.#callbacks.length > 0;
  }

  /** What an operation is carried out on, as the caller gave it; undefined for a timeout, and for a loop's. */
  fileOf(id: number): FileObject | undefined {
    return this.#submitted.get(id)?.file;
  }

  // ----------------------------------------------------------------------------------------------------------- starting

  /**
   * Starts an operation of the caller's.
   * @param finish makes its result of a completion that is no error
   */
  start<T, D>(
    request: Request,
    data: D,
    finish: (completion: Completion) => T,
    file: FileObject | undefined,
    attempts?: ConnectAttempts,
  ): Operation<T, D> {
    const operation = new PendingOperation<T, D>(this.#owner, request.kind, data, finish, () => this.#cancel(id));
    const release = file instanceof Socket ? beforeClose(file, () => this.#abandon(id)) : undefined;
    const id = this.#add({ operation, release, file, isOfLoop: false, isCancelling: false, attempts });
    this.#host.submit(id, request);
    this.#host.changed();
    return operation;
  }

  /** Starts an operation of a loop's: `done` is called with its completion, errors too. */
  startForLoop(request: Request, done: (completion: Completion) => void): Operation {
    const submitted: Submitted = {
      operation: new PendingOperation(this.#owner, request.kind, undefined, done, () => this.#cancel(id)),
      release: undefined,
      file: undefined,
      isOfLoop: true,
      isCancelling: false,
    };
    const id = this.#add(submitted);
    this.#host.submit(id, request);
    this.#host.changed();
    return submitted.operation;
  }

  /** The operation completes in `ms` milliseconds, in the wait that is under way then. */
  startTimer(id: number, ms: number): void {
    const timer = this.#timers.add(performance.now() + ms, () => this.#endTimer(id, 0));
    this.#timerOf.set(id, timer);
  }

  /** It has completed already: the next wait returns it. */
  completeSoon(completion: Completion): void {
    this.#early.push(completion);
  }

  #add(submitted: Submitted): number {
    const id = ++this.#lastId;
    this.#submitted.set(id, submitted);
    return id;
  }

  #endTimer(id: number, result: number): void {
    this.#timerOf.get(id)?.cancel();
    this.#timerOf.delete(id);
    this.#early.push({ id, result });
  }

  // ---------------------------------------------------------------------------------------------------------- cancelling

  cancelAll(): void {
    for (const id of [...this.#submitted.keys()]) this.#cancel(id);
  }

  #cancel(id: number): void {
    const submitted = this.#submitted.get(id);
    if (submitted === undefined || submitted.isCancelling) return;
    submitted.isCancelling = true;
    if (submitted.operation.kind === 'timeout' && this.#timerOf.has(id)) this.#endTimer(id, CANCELED);
    else this.#host.requestCancel(id);
    this.#host.changed();
  }

  /** Its socket is about to be closed. */
  #abandon(id: number): void {
    this.#cancel(id);
    this.#host.flushCancels();
  }

  /** For close(): completes what the kernel has not, with ECANCELED, and ends the timers. */
  completeAll(): void {
    for (const id of [...this.#submitted.keys()]) this.#complete({ id, result: CANCELED }, []);
    this.#timers.clear();
  }

  // ---------------------------------------------------------------------------------------------------------- completing

  /** When a timer is due, on performance.now()'s clock; Infinity: there is none. */
  nextDue(): number {
    return this.#timers.nextDue();
  }

  /** How long a wait may last: `timeout` milliseconds (-1: forever), or less where something is due before. */
  waitLimit(timeout: number): number {
    if (this.#early.length > 0) return 0;
    if (this.#timers.size === 0) return timeout;
    const untilDue = Math.max(0, this.#timers.nextDue() - performance.now());
    if (untilDue === Infinity) return timeout;
    return timeout < 0 ? untilDue : Math.min(timeout, untilDue);
  }

  /**
   * Finishes what a wait has found, and what completed without it.
   * @param done what the mechanism has collected
   * @returns the callers' operations, in the order of completion, but for those of whenDone()
   */
  finish(done: readonly Completion[]): Operation[] {
    if (this.#timers.size > 0) for (const callback of this.#timers.takeDue(performance.now())) callback();
    const early = this.#early;
    if (early.length > 0) this.#early = [];
    const operations: Operation[] = [];
    for (const completion of early) this.#complete(completion, operations);
    for (const completion of done) this.#complete(completion, operations);
    return operations;
  }

  /** The callbacks of whenDone() that are to be called now. */
  takeCallbacks(): readonly (() => void)[] {
    const callbacks = this.#callbacks;
    if (callbacks.length > 0) this.#callbacks = [];
    return callbacks;
  }

  #complete(completion: Completion, operations: Operation[]): void {
    const submitted = this.#submitted.get(completion.id);
    if (submitted === undefined) return;
    if (completion.result < 0 && submitted.attempts !== undefined && this.#connectNext(submitted, completion)) return;
    this.#submitted.delete(completion.id);
    const { operation, isOfLoop, release, attempts } = submitted;
    release?.();
    operation.pending = false;
    if (isOfLoop) return operation.finish(completion) as undefined;
    try {
      if (completion.error !== undefined) throw completion.error;
      if (completion.result < 0 && attempts?.error !== undefined) throw attempts.error;
      check(completion.result, SYSCALLS[operation.kind]);
      operation.result = operation.finish(completion);
    } catch (error) {
      operation.error = error as NodeJS.ErrnoException;
    }
    if (operation.whenDone === undefined) operations.push(operation);
    else this.#callbacks.push(operation.whenDone);
  }

  /** A connect has failed. @returns true: the next address is being tried */
  #connectNext(submitted: Submitted, { id, result, error }: Completion): boolean {
    const attempts = submitted.attempts as ConnectAttempts;
    const isOfAddress =
      !submitted.isCancelling && error === undefined && result !== CANCELED && result !== native.badDescriptor;
    if (!isOfAddress) attempts.abort();
    if (!isOfAddress || !attempts.next(result)) return false;
    this.#host.submit(id, attempts.request);
    this.#host.changed();
    return true;
  }
}
