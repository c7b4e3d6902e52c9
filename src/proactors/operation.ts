/**
 * One operation: what is asked of a mechanism, what it answers, and what the caller sees of it.
 *
 *   submitted --cancel()--> cancelling
 *   submitted | cancelling --the kernel is done with it--> completed: a result, or an error --wait() returns it--> collected
 */
import { native } from '../native.js';

export type OperationKind =
  'accept' | 'connect' | 'recv' | 'recvFrom' | 'send' | 'sendTo' | 'read' | 'write' | 'timeout';

/** What is asked of a mechanism: numbers, and bytes that nobody changes any more. */
export type Request =
  | { readonly kind: 'accept'; readonly fd: number; readonly nonBlocking: boolean; readonly family: number }
  | { readonly kind: 'connect'; readonly fd: number; readonly sockaddr: Uint8Array }
  | { readonly kind: 'recv' | 'recvFrom'; readonly fd: number; readonly size: number }
  | { readonly kind: 'send'; readonly fd: number; readonly bytes: Uint8Array }
  | { readonly kind: 'sendTo'; readonly fd: number; readonly bytes: Uint8Array; readonly sockaddr: Uint8Array }
  | { readonly kind: 'read'; readonly fd: number; readonly size: number; readonly position: number }
  | { readonly kind: 'write'; readonly fd: number; readonly bytes: Uint8Array; readonly position: number }
  | { readonly kind: 'timeout'; readonly ms: number };

/** What a mechanism answers. */
export interface Completion {
  readonly id: number;
  /** How many bytes, the accepted descriptor, 0; or the system's error, negative. */
  readonly result: number;
  /** Of recv, recvFrom and read: the bytes, in memory that is the caller's. */
  readonly data?: Buffer;
  /** Of recvFrom: the sender's sockaddr; of accept: the client's. */
  readonly sockaddr?: Uint8Array;
  /** With a negative result: what went wrong, where that is no error number of a socket's (a file's on Windows, a full fd_set). */
  readonly error?: Error;
}

/** What a cancelled operation completes with. */
export const CANCELED = native.canceled;

/** One operation that the kernel carries out. */
export interface Operation<T = unknown, D = unknown> {
  readonly kind: OperationKind;
  /** Not completed yet. */
  readonly pending: boolean;
  /** The caller's own. */
  readonly data: D;
  /** Once completed: what came of it. A failed one has `error` instead. */
  readonly result: T | undefined;
  /** The system's error; ECANCELED for a cancelled one. */
  readonly error: NodeJS.ErrnoException | undefined;
  /** Asks the kernel to give it up. It still completes, once: with its result if that came first, else with ECANCELED. */
  cancel(): void;
}

/** An operation as its proactor has it. */
export class PendingOperation<T, D> implements Operation<T, D> {
  /** No proxy fakes it. */
  readonly #brand = true;
  pending = true;
  /** Of a loop that this operation's proactor belongs to: called in the turn that collects it. */
  whenDone: (() => void) | undefined;
  result: T | undefined = undefined;
  error: NodeJS.ErrnoException | undefined = undefined;

  constructor(
    /** Its proactor. */
    readonly owner: unknown,
    readonly kind: OperationKind,
    readonly data: D,
    readonly finish: (completion: Completion) => T,
    readonly askToCancel: () => void,
  ) {}

  static is(value: unknown): value is PendingOperation<unknown, unknown> {
    return typeof value === 'object' && value !== null && #brand in value;
  }

  cancel(): void {
    if (this.pending) this.askToCancel();
  }
}
