/** I/O completion ports, Windows. On other systems the names exist, and the constructor throws ERR_UNAVAILABLE. */
import { check, checkReleased, closedError, invalidValue, systemError, systemErrorName } from '../errors.js';
import type { NativeIocp } from '../addon.js';
import { iocpCalls, native } from '../native.js';
import { type SocketAddress, type SocketAddressInput, decodeAddress, encodeAddress } from './address.js';
import { lengthOf, plainBytes, rawTimeoutOf, uint8Array, wholeNumber } from '../validate.js';
import { type FileObject, MAX_FD, fileno } from './file-object.js';
import { mechanismUnavailable } from './probe.js';
import { inSlices } from './slices.js';

/** What GetQueuedCompletionStatusEx returns for one completion, or for one post(). */
export interface CompletionPacket {
  /** The key that the handle was associated with, or that post() was given. */
  readonly key: number;
  /** The number of bytes transferred, or what post() was given. */
  readonly bytes: number;
  /** The operation's number, as its start returned it; null: posted, or an operation that this object has not started. */
  readonly operation: number | null;
  /** The operation's error; null: none. Errors of the port itself are thrown. */
  readonly error: NodeJS.ErrnoException | null;
  /** After wsaRecvFrom: the sender. */
  readonly address?: SocketAddress;
}

/** An operation under way. */
interface Started {
  readonly syscall: string;
  readonly handle: number;
  /** Filled when the packet is returned. */
  readonly target?: Uint8Array;
}

const MAX_NUMBER = Number.MAX_SAFE_INTEGER;
const INT_MAX = 0x7fff_ffff;
const MAX_ENTRIES = 1024;
/** Size of sockaddr_storage: the largest sockaddr. */
const SOCKADDR_SIZE = 128;
/** How long close() waits for operations under way, in milliseconds. */
const CLOSE_TIMEOUT = 5000;
const ACCESSES: readonly unknown[] = ['read', 'write'];
const { SOL_SOCKET = 0xffff, AF_INET = 2 } = native.constants;
/** SO_PROTOCOL_INFOW: a socket's WSAPROTOCOL_INFO, with iAddressFamily at byte 76. */
const SO_PROTOCOL_INFO = 0x2005;
const PROTOCOL_INFO_SIZE = 628;
const FAMILY_OFFSET = 76;

function calls() {
  if (iocpCalls === undefined) throw mechanismUnavailable('iocp');
  return iocpCalls;
}

/** A socket's address family, bound or not; AF_INET for what is no socket: the call itself then fails. */
function familyOf(handle: number): number {
  const info = new Uint8Array(PROTOCOL_INFO_SIZE);
  const size = native.getsockopt(handle, SOL_SOCKET, SO_PROTOCOL_INFO, info);
  return size < 0 ? AF_INET : new DataView(info.buffer).getInt32(FAMILY_OFFSET, true);
}

/**
 * A completion port. The program starts overlapped operations on handles that are associated with it; the kernel performs them, and queues a
 * packet when one completes.
 *
 * Starting an operation returns its number, which its packet has too. An operation that fails at once throws, and has no packet; one that
 * succeeds at once has a packet. Each operation has memory of its own for the kernel: bytes to send are copied when it starts, a buffer is
 * filled when its packet is returned. So a buffer may be changed or transferred at any time. A port belongs to the thread that made it.
 */
export class Iocp implements Disposable {
  readonly #port: NativeIocp;
  readonly #started = new Map<number, Started>();
  #lastId = 0;
  #closed = false;
  #out: Float64Array;

  /**
   * CreateIoCompletionPort.
   * @param concurrency number of threads that may handle packets at a time; 0: the number of processors. Here one thread does. Default: 0
   * @throws ERR_UNAVAILABLE, ENOMEM
   */
  constructor(concurrency = 0) {
    const { Iocp: Port, IOCP_ROW } = calls();
    const threads = wholeNumber('concurrency', concurrency, 0, INT_MAX);
    this.#port = new Port();
    this.#out = new Float64Array(16 * IOCP_ROW);
    check(this.#port.open(threads, false), 'CreateIoCompletionPort');
  }

  /** Was close() called? */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * CreateIoCompletionPort with a handle: this port gets the packets of its operations, with `key` (0 to 2^53 - 1). A handle belongs to one
   * port as long as it is open.
   * @throws EINVAL: it belongs to a port already; EBADF
   */
  associate(handle: FileObject, key: number): void {
    const number = this.#handleOf(handle);
    check(this.#port.associate(number, wholeNumber('key', key, 0, MAX_NUMBER)), 'CreateIoCompletionPort');
  }

  /** PostQueuedCompletionStatus: queues a packet of the program's own, with `key` (0 to 2^53 - 1) and `bytes` (0 to 2^32 - 1). */
  post(key: number, bytes = 0): void {
    this.#assertOpen();
    const label = wholeNumber('key', key, 0, MAX_NUMBER);
    const count = wholeNumber('bytes', bytes, 0, 0xffff_ffff);
    check(this.#port.postQueuedCompletionStatus(label, count), 'PostQueuedCompletionStatus');
  }

  /**
   * AcceptEx: accepts the next connection in the socket `accepted`, which must be neither bound nor connected, and which the caller closes.
   * SO_UPDATE_ACCEPT_CONTEXT is set when the packet is returned.
   * @throws EINVAL: not associated with this port, or not listening; ECONNRESET: the client has disconnected already, accept again
   */
  acceptEx(listener: FileObject, accepted: FileObject): number {
    const handle = this.#handleOf(listener);
    const fd = this.#handleOf(accepted);
    return this.#start('AcceptEx', handle, (id) => this.#port.acceptEx(id, handle, fd, false));
  }

  /**
   * ConnectEx. An unbound socket is bound to any address first. The lookup of a host name BLOCKS. SO_UPDATE_CONNECT_CONTEXT is set when the
   * packet is returned.
   */
  connectEx(socket: FileObject, address: SocketAddressInput): number {
    const handle = this.#handleOf(socket);
    const { sockaddr } = encodeAddress(address, familyOf(handle), 'ConnectEx');
    return this.#start('ConnectEx', handle, (id) => this.#port.connectEx(id, handle, sockaddr));
  }

  /**
   * WSARecv. The packet's `bytes` are 0 if the peer has finished sending. With an empty buffer it receives nothing, and completes when there
   * is something to receive.
   */
  wsaRecv(socket: FileObject, buffer: Uint8Array): number {
    const handle = this.#handleOf(socket);
    const target = plainBytes(uint8Array('buffer', buffer));
    return this.#start('WSARecv', handle, (id) => this.#port.wsaRecv(id, handle, lengthOf(target)), target);
  }

  /** WSARecvFrom: one datagram; its packet has the sender's address. A longer datagram is cut off, with the error EMSGSIZE. */
  wsaRecvFrom(socket: FileObject, buffer: Uint8Array): number {
    const handle = this.#handleOf(socket);
    const target = plainBytes(uint8Array('buffer', buffer));
    return this.#start('WSARecvFrom', handle, (id) => this.#port.wsaRecvFrom(id, handle, lengthOf(target)), target);
  }

  /** WSASend. The bytes are copied. */
  wsaSend(socket: FileObject, buffer: Uint8Array): number {
    const handle = this.#handleOf(socket);
    const bytes = plainBytes(uint8Array('buffer', buffer));
    return this.#start('WSASend', handle, (id) => this.#port.wsaSend(id, handle, bytes));
  }

  /** WSASendTo: one datagram. The bytes are copied. The lookup of a host name BLOCKS. */
  wsaSendTo(socket: FileObject, buffer: Uint8Array, address: SocketAddressInput): number {
    const handle = this.#handleOf(socket);
    const { sockaddr } = encodeAddress(address, familyOf(handle), 'WSASendTo');
    const bytes = plainBytes(uint8Array('buffer', buffer)); // last: the address's getters may have changed the buffer
    return this.#start('WSASendTo', handle, (id) => this.#port.wsaSendTo(id, handle, bytes, sockaddr));
  }

  /**
   * ReOpenFile with FILE_FLAG_OVERLAPPED: opens the file of a descriptor of Node's fs again, as a handle for readFile or writeFile. Associate
   * it first. closeFile() or close() closes it.
   * @param access Default: 'read'
   * @throws EBADF, also for a descriptor without that access; ERR_INVALID_ARG_VALUE
   */
  openFile(file: FileObject, access: 'read' | 'write' = 'read'): number {
    const fd = this.#handleOf(file);
    if (!ACCESSES.includes(access)) throw invalidValue("access must be 'read' or 'write'");
    return check(this.#port.openFile(fd, access === 'write'), 'ReOpenFile');
  }

  /** CloseHandle, for a handle from openFile(). @throws EBADF */
  closeFile(handle: number): void {
    this.#assertOpen();
    check(this.#port.closeFile(wholeNumber('handle', handle, 0, MAX_FD)), 'CloseHandle');
  }

  /** ReadFile at `position`, in bytes from the start. At the end of the file it fails with EOF, at once or in its packet. */
  readFile(handle: FileObject, buffer: Uint8Array, position: number): number {
    const file = this.#handleOf(handle);
    const target = plainBytes(uint8Array('buffer', buffer));
    const at = wholeNumber('position', position, 0, MAX_NUMBER);
    return this.#start('ReadFile', file, (id) => this.#port.readFile(id, file, lengthOf(target), at), target);
  }

  /** WriteFile at `position`. The bytes are copied. */
  writeFile(handle: FileObject, buffer: Uint8Array, position: number): number {
    const file = this.#handleOf(handle);
    const bytes = plainBytes(uint8Array('buffer', buffer));
    const at = wholeNumber('position', position, 0, MAX_NUMBER);
    return this.#start('WriteFile', file, (id) => this.#port.writeFile(id, file, bytes, at));
  }

  /**
   * CancelIoEx: asks the kernel to cancel an operation, or all of a handle. Their packets come in any case: with ECANCELED, or with the
   * result if the operation was faster.
   * @param operation its number. Default: all of the handle
   * @returns false: there is nothing to cancel (ERROR_NOT_FOUND)
   */
  cancelIoEx(handle: FileObject, operation?: number): boolean {
    const number = this.#handleOf(handle);
    if (operation === undefined) return this.#cancelled(this.#port.cancelAllOf(number));
    const id = wholeNumber('operation', operation, 1, MAX_NUMBER);
    return this.#started.get(id)?.handle === number && this.#cancelled(this.#port.cancel(id));
  }

  /**
   * GetQueuedCompletionStatusEx. BLOCKS this thread.
   * @param maxEntries maximum number of packets, of which a call returns at most 1024. Default: 64
   * @param timeout milliseconds (rounded up); null or negative: no timeout. Default: null
   * @returns the packets, in the order of the port; empty after the timeout
   */
  getQueuedCompletionStatus(maxEntries = 64, timeout?: number | null): CompletionPacket[] {
    this.#assertOpen();
    const max = Math.min(wholeNumber('maxEntries', maxEntries, 1, INT_MAX), MAX_ENTRIES);
    const limit = rawTimeoutOf(timeout, 'no timeout');
    const { IOCP_ROW } = calls();
    if (this.#out.length < max * IOCP_ROW) this.#out = new Float64Array(max * IOCP_ROW);
    const wait = (part: number) => this.#port.getQueuedCompletionStatusEx(this.#out, max, part);
    const count = check(inSlices(limit, wait), 'GetQueuedCompletionStatusEx');
    return Array.from({ length: count }, (_, row) => this.#packet(row));
  }

  /**
   * Cancels all operations, and waits until the kernel has completed them. A second call does nothing. The garbage collector closes a port
   * that is not closed.
   * @throws ETIMEDOUT after five seconds: the port is closed, and memory that the kernel still uses is never freed
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#started.clear();
    checkReleased(this.#port.close(CLOSE_TIMEOUT));
  }

  /** close() */
  [Symbol.dispose](): void {
    this.close();
  }

  #assertOpen(): void {
    if (this.#closed) throw closedError('completion port');
  }

  #handleOf(file: FileObject): number {
    this.#assertOpen();
    const handle = fileno(file);
    this.#assertOpen(); // again: a fileno() of the caller's may have closed this object
    return handle;
  }

  #start(syscall: string, handle: number, start: (id: number) => number, target?: Uint8Array): number {
    this.#assertOpen();
    const id = ++this.#lastId;
    check(start(id), syscall);
    this.#started.set(id, { syscall, handle, ...(target && { target }) });
    return id;
  }

  #cancelled(result: number): boolean {
    if (systemErrorName(result) === 'ENOENT') return false;
    return check(result, 'CancelIoEx') === 0;
  }

  #packet(row: number): CompletionPacket {
    const { IOCP_ROW, IOCP_HAS_SENDER } = calls();
    const [key = 0, bytes = 0, id = 0, error = 0, flags = 0] = this.#out.subarray(row * IOCP_ROW, (row + 1) * IOCP_ROW);
    const started = this.#started.get(id);
    if (started === undefined) return { key, bytes, operation: null, error: null };
    this.#started.delete(id);
    if (started.target !== undefined) this.#port.received(row, started.target);
    const packet = { key, bytes, operation: id, error: error === 0 ? null : systemError(error, started.syscall) };
    if ((flags & IOCP_HAS_SENDER) === 0) return packet;
    const sockaddr = new Uint8Array(SOCKADDR_SIZE);
    const length = this.#port.sender(row, sockaddr);
    return length === 0 ? packet : { ...packet, address: decodeAddress(sockaddr.subarray(0, length)) };
  }
}
