/**
 * One operation: the request to a mechanism, its completion, and the object that the caller has.
 *
 *   submitted --cancel()--> cancelling
 *   submitted | cancelling --the kernel has finished--> completed: a result, or an error --wait() returns it--> collected
 */
import { native } from '../native.js';

/** What an operation does: the proactor's method that started it ('recv' for recvInto() too). */
export type OperationKind =
  'accept' | 'connect' | 'recv' | 'recvFrom' | 'send' | 'sendTo' | 'read' | 'write' | 'timeout';

/** The request to a mechanism: numbers, and bytes that no longer change. */
export type Request =
  | { readonly kind: 'accept'; readonly fd: number; readonly nonBlocking: boolean; readonly family: number }
  | { readonly kind: 'connect'; readonly fd: number; readonly sockaddr: Uint8Array }
  | { readonly kind: 'recv' | 'recvFrom'; readonly fd: number; readonly size: number }
  | { readonly kind: 'send'; readonly fd: number; readonly bytes: Uint8Array }
  | { readonly kind: 'sendTo'; readonly fd: number; readonly bytes: Uint8Array; readonly sockaddr: Uint8Array }
  | { readonly kind: 'read'; readonly fd: number; readonly size: number; readonly position: number }
  | { readonly kind: 'write'; readonly fd: number; readonly bytes: Uint8Array; readonly position: number }
  | { readonly kind: 'timeout'; readonly ms: number };

/** The end of an operation, as a mechanism reports it. */
export interface Completion {
  readonly id: number;
  /** How many bytes, the accepted descriptor, or 0; of a failed one the system's error number, negative. */
  readonly result: number;
  /** Of recv, recvFrom and read: the bytes, for the caller to keep. */
  readonly data?: Buffer;
  /** Of recvFrom: the sender's sockaddr; of accept: the client's. */
  readonly sockaddr?: Uint8Array;
  /** With a negative result: the error, where that is no error number of a socket (a file's on Windows, a full fd_set). */
  readonly error?: Error;
}

/** The result of a cancelled operation: ECANCELED, negative. */
export const CANCELED = native.canceled;

/** An operation that was started on a proactor. Its fields change when a wait collects it. */
export interface Operation<T = unknown, D = unknown> {
  /** The method that started it; 'recv' for recvInto(). */
  readonly kind: OperationKind;
  /** Not completed yet. */
  readonly pending: boolean;
  /** What the caller passed when it started the operation. */
  readonly data: D;
  /** The result of a completed operation, as its method describes. undefined: it is pending, or has failed, or has no result. */
  readonly result: T | undefined;
  /** The system's error; ECANCELED for a cancelled operation. undefined: it is pending, or has succeeded. */
  readonly error: NodeJS.ErrnoException | undefined;
  /** Asks the kernel to cancel it. It still completes, once: with its result if that came first, else with ECANCELED. */
  cancel(): void;
}

/** An operation as its proactor knows it. */
export class PendingOperation<T, D> implements Operation<T, D> {
  /** No proxy fakes it. */
  readonly #brand = true;
  pending = true;
  /** Of the proactor's loop: called in the turn that collects it, and wait() does not return it. */
  whenDone: (() => void) | undefined;
  result: T | undefined = undefined;
  error: NodeJS.ErrnoException | undefined = undefined;

  constructor(
    /** Its proactor. */
    readonly owner: unknown,
    readonly kind: OperationKind,
    readonly data: D,
    readonly finish: (completion: Completion) => T,
    readonly requestCancel: () => void,
  ) {}

  static is(value: unknown): value is PendingOperation<unknown, unknown> {
    return typeof value === 'object' && value !== null && #brand in value;
  }

  cancel(): void {
    if (this.pending) this.requestCancel();
  }
}
