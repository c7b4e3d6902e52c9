/**
 * A connect operation by a name that may have several addresses. They are tried in the resolver's order; each attempt is one request to
 * the mechanism under the operation's id.
 *
 *   attempting --connected--> over
 *              --failed--> attempting the next address | over, with the last address's error
 */
import { systemError } from '../errors.js';
import { contextOf } from '../syscalls/address.js';
import type { Request } from './operation.js';

/** The addresses of one connect operation. */
export class ConnectAttempts {
  readonly #fd: number;
  #sockaddr: Uint8Array;
  readonly #others: Uint8Array[];
  #error: NodeJS.ErrnoException | undefined;
  /** The same address is being tried a second time. */
  #isRepeated = false;

  /** @param sockaddrs the addresses, in their order */
  constructor(fd: number, [first, ...others]: readonly [Uint8Array, ...Uint8Array[]]) {
    this.#fd = fd;
    this.#sockaddr = first;
    this.#others = others;
  }

  /** The attempt to be made now. */
  get request(): Request {
    return { kind: 'connect', fd: this.#fd, sockaddr: this.#sockaddr };
  }

  /** What the operation fails with, instead of the error of its last request. */
  get error(): NodeJS.ErrnoException | undefined {
    return this.#error;
  }

  /** An address has failed. @returns true: `request` is the next attempt */
  next(result: number): boolean {
    const error = systemError(result, 'connect', contextOf(this.#sockaddr));
    // Linux: once, after an attempt that failed in progress and whose SO_ERROR was read (__inet_stream_connect, net/ipv4/af_inet.c).
    if (error.code === 'ECONNABORTED' && this.#error !== undefined && !this.#isRepeated)
      return (this.#isRepeated = true);
    this.#isRepeated = false;
    // macOS: EINVAL, for a second connect(2) on a socket. The error of the first one has more information.
    if (this.#error !== undefined && error.code === 'EINVAL') return false;
    this.#error = error;
    const sockaddr = this.#others.shift();
    if (sockaddr === undefined) return false;
    this.#sockaddr = sockaddr;
    return true;
  }

  /** Something else than an address has failed: the operation was cancelled, its socket closed, or the mechanism refused it. */
  abort(): void {
    this.#error = undefined;
  }
}
