/** AFD, Windows: the driver of Winsock's sockets, polled by IOCTL_AFD_POLL. On other systems the names exist, and the constructor throws ERR_UNAVAILABLE. */
import { check, checkReleased, closedError, systemError, systemErrorName } from '../errors.js';
import type { NativeAfd } from '../addon.js';
import { afdCalls } from '../native.js';
import { rawTimeoutOf, wholeNumber } from '../validate.js';
import { type FileObject, fileno } from './file-object.js';
import { mechanismUnavailable } from './probe.js';
import { inSlices } from './slices.js';

/** Bytes or a datagram to receive. */
export const AFD_POLL_RECEIVE = afdCalls?.AFD_POLL_RECEIVE ?? 0;
/** Out-of-band data, unless SO_OOBINLINE is set. */
export const AFD_POLL_RECEIVE_EXPEDITED = afdCalls?.AFD_POLL_RECEIVE_EXPEDITED ?? 0;
/** Room in the send buffer; of a connecting socket: it is connected. */
export const AFD_POLL_SEND = afdCalls?.AFD_POLL_SEND ?? 0;
/** The peer has shut down its sending side (half-close), or closed. */
export const AFD_POLL_DISCONNECT = afdCalls?.AFD_POLL_DISCONNECT ?? 0;
/** The connection was reset. */
export const AFD_POLL_ABORT = afdCalls?.AFD_POLL_ABORT ?? 0;
/** The socket was closed in this process. */
export const AFD_POLL_LOCAL_CLOSE = afdCalls?.AFD_POLL_LOCAL_CLOSE ?? 0;
/** It is connected: reported with each other event as long as it is. */
export const AFD_POLL_CONNECT = afdCalls?.AFD_POLL_CONNECT ?? 0;
/** A connection to accept. */
export const AFD_POLL_ACCEPT = afdCalls?.AFD_POLL_ACCEPT ?? 0;
/** A connect has failed. */
export const AFD_POLL_CONNECT_FAIL = afdCalls?.AFD_POLL_CONNECT_FAIL ?? 0;

/** The completion of a poll. */
export interface AfdCompletion {
  /** The poll's number, as poll() returned it. */
  readonly poll: number;
  /** AFD_POLL_* flags or-ed together: those that were asked for and have happened. 0 after an error. */
  readonly events: number;
  /** The poll's error, ECANCELED after cancel(); null: none. Errors of the port itself are thrown. */
  readonly error: NodeJS.ErrnoException | null;
}

const INT_MAX = 0x7fff_ffff;
const UINT_MAX = 0xffff_ffff;
const MAX_ENTRIES = 512;
const MAX_NUMBER = Number.MAX_SAFE_INTEGER;
/** How long close() waits for the completions of its polls, in milliseconds. */
const CLOSE_TIMEOUT = 5000;

function calls() {
  if (afdCalls === undefined) throw mechanismUnavailable('afd');
  return afdCalls;
}

/**
 * `\Device\Afd` and a completion port. A poll waits for events of one socket, completes once, and is then over: to wait again, poll again.
 * One of a socket that is ready already completes at once. `select` and `WSAPoll` are made of the same polls. Windows does not document them;
 * libuv, on which Node runs, depends on them too. An object belongs to the thread that made it.
 */
export class Afd implements Disposable {
  readonly #afd: NativeAfd;
  #lastId = 0;
  #closed = false;
  #out: Float64Array;

  /** NtCreateFile of `\Device\Afd`, and CreateIoCompletionPort. @throws ERR_UNAVAILABLE, ENOMEM */
  constructor() {
    const { Afd: Native, AFD_ROW } = calls();
    this.#afd = new Native();
    this.#out = new Float64Array(16 * AFD_ROW);
    check(this.#afd.open(), 'NtCreateFile');
  }

  /** Was close() called? */
  get closed(): boolean {
    return this.#closed;
  }

  /** Number of polls whose completions getQueuedCompletionStatus() has not returned. 0 once closed. */
  get pending(): number {
    return this.#afd.pending();
  }

  /** Number of open handles: the completion port, and one of the device per 32 pending polls. 0 once closed. */
  get handles(): number {
    return this.#afd.handles();
  }

  /**
   * DeviceIoControl with IOCTL_AFD_POLL, for the socket below layered service providers (WSAIoctl with SIO_BASE_HANDLE).
   * @param events AFD_POLL_* flags or-ed together. Without AFD_POLL_LOCAL_CLOSE, closing the socket does not complete the poll
   * @returns the poll's number, which its completion has too
   * @throws ENOTSOCK: closed, or no socket (Wine: EBADF)
   */
  poll(socket: FileObject, events: number): number {
    this.#assertOpen();
    const fd = fileno(socket);
    const mask = wholeNumber('events', events, 0, UINT_MAX);
    this.#assertOpen(); // again: a fileno() of the caller's may have closed this object
    const base = check(this.#afd.baseSocket(fd), 'WSAIoctl');
    const id = ++this.#lastId;
    check(this.#afd.poll(id, base, mask), 'DeviceIoControl');
    return id;
  }

  /**
   * CancelIoEx. The poll's completion comes in any case: with ECANCELED, or with its events if they were faster.
   * @param poll its number
   * @returns false: there is nothing to cancel (ERROR_NOT_FOUND)
   */
  cancel(poll: number): boolean {
    this.#assertOpen();
    const result = this.#afd.cancel(wholeNumber('poll', poll, 1, MAX_NUMBER));
    if (systemErrorName(result) === 'ENOENT') return false;
    return check(result, 'CancelIoEx') === 0;
  }

  /**
   * GetQueuedCompletionStatusEx. BLOCKS this thread.
   * @param maxEntries maximum number of completions, of which a call returns at most 512. Default: 64
   * @param timeout milliseconds (rounded up); null or negative: no timeout. Default: null
   * @returns the completions, in the order of the port; empty after the timeout
   */
  getQueuedCompletionStatus(maxEntries = 64, timeout?: number | null): AfdCompletion[] {
    this.#assertOpen();
    const max = Math.min(wholeNumber('maxEntries', maxEntries, 1, INT_MAX), MAX_ENTRIES);
    const limit = rawTimeoutOf(timeout, 'no timeout');
    const { AFD_ROW } = calls();
    if (this.#out.length < max * AFD_ROW) this.#out = new Float64Array(max * AFD_ROW);
    const out = this.#out;
    const wait = (part: number) => this.#afd.getQueuedCompletionStatusEx(out, max, part);
    const count = check(inSlices(limit, wait), 'GetQueuedCompletionStatusEx');
    return Array.from({ length: count }, (_, row) => {
      const [poll = 0, events = 0, error = 0] = out.subarray(row * AFD_ROW, (row + 1) * AFD_ROW);
      return { poll, events, error: error === 0 ? null : systemError(error, 'DeviceIoControl') };
    });
  }

  /**
   * Cancels all polls, waits for their completions, and closes the handles. A second call does nothing. The garbage collector closes an object
   * that is not closed.
   * @throws ETIMEDOUT after five seconds: the object is closed, and memory that the kernel still uses is never freed
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    checkReleased(this.#afd.close(CLOSE_TIMEOUT));
  }

  /** close() */
  [Symbol.dispose](): void {
    this.close();
  }

  #assertOpen(): void {
    if (this.#closed) throw closedError('AFD object');
  }
}
