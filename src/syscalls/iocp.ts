/** I/O completion ports, Windows. Elsewhere the names exist and the constructor throws ERR_UNAVAILABLE. */
import { check, checkLetGo, closedError, invalidValue, systemError, systemErrorName } from '../errors.js';
import type { NativeIocp } from '../addon.js';
import { iocpCalls, native } from '../native.js';
import { type SocketAddress, type SocketAddressInput, decodeAddress, encodeAddress } from './address.js';
import { lengthOf, plainBytes, rawTimeoutOf, uint8Array, wholeNumber } from '../validate.js';
import { type FileObject, HIGHEST_FD, fileno } from './file-object.js';
import { mechanismUnavailable } from './probe.js';
import { inSlices } from './slices.js';

/** What GetQueuedCompletionStatusEx tells of one completion, or of one post(). */
export interface CompletionPacket {
  /** What the handle was associated with, or post() was given. */
  readonly key: number;
  readonly bytes: number;
  /** What starting it returned; null: posted, or of an operation that this object has not started. */
  readonly operation: number | null;
  /** Of that operation. The port itself has none: its errors are thrown. */
  readonly error: NodeJS.ErrnoException | null;
  /** Of wsaRecvFrom: the sender. */
  readonly address?: SocketAddress;
}

/** An operation that is under way. */
interface Started {
  readonly syscall: string;
  readonly handle: number;
  /** Filled when the packet is told. */
  readonly target?: Uint8Array;
}

const MOST = Number.MAX_SAFE_INTEGER;
const INT_MAX = 0x7fff_ffff;
const MOST_ENTRIES = 1024;
/** The largest sockaddr (sockaddr_storage). */
const SOCKADDR_SIZE = 128;
/** How long close() waits for the kernel, in milliseconds. */
const LONGEST_CLOSE = 5000;
const ACCESSES: readonly unknown[] = ['read', 'write'];
const { SOL_SOCKET = 0xffff, AF_INET = 2 } = native.constants;
/** SO_PROTOCOL_INFOW: the WSAPROTOCOL_INFO of a socket, whose iAddressFamily is at byte 76. */
const SO_PROTOCOL_INFO = 0x2005;
const PROTOCOL_INFO_SIZE = 628;
const FAMILY_OFFSET = 76;

function calls() {
  if (iocpCalls === undefined) throw mechanismUnavailable('iocp');
  return iocpCalls;
}

/** Of a socket, bound or not; ipv4 for what is none, as the call itself will say. */
function familyOf(handle: number): number {
  const info = new Uint8Array(PROTOCOL_INFO_SIZE);
  const size = native.getsockopt(handle, SOL_SOCKET, SO_PROTOCOL_INFO, info);
  return size < 0 ? AF_INET : new DataView(info.buffer).getInt32(FAMILY_OFFSET, true);
}

/**
 * A completion port: overlapped operations are started on the handles that are associated with it, and carried out by the kernel, which
 * queues a packet for each when it is done.
 *
 * Starting an operation returns its number, which its packet has too. What fails at once is thrown, and has no packet; what succeeds at
 * once has one all the same. Until then the operation works in memory of its own: bytes to be sent are copied when it is started, and
 * a buffer is filled when its packet is told. So whatever happens to a buffer, the kernel never holds it. Belongs to the thread that made it.
 */
export class Iocp implements Disposable {
  readonly #port: NativeIocp;
  readonly #started = new Map<number, Started>();
  #lastId = 0;
  #closed = false;
  #out: Float64Array;

  /**
   * CreateIoCompletionPort.
   * @param concurrency how many threads may handle packets at a time; 0: as many as there are processors. In JavaScript one does.
   * @throws ERR_UNAVAILABLE, ENOMEM
   */
  constructor(concurrency = 0) {
    const { Iocp: Port, IOCP_ROW } = calls();
    const threads = wholeNumber('concurrency', concurrency, 0, INT_MAX);
    this.#port = new Port();
    this.#out = new Float64Array(16 * IOCP_ROW);
    check(this.#port.open(threads, false), 'CreateIoCompletionPort');
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * CreateIoCompletionPort with a handle: the packets of its operations come here, with `key` (0 to 2^53 - 1). A handle belongs to one
   * port for as long as it is open.
   * @throws EINVAL: it has a port already; EBADF
   */
  associate(handle: FileObject, key: number): void {
    const number = this.#handleOf(handle);
    check(this.#port.associate(number, wholeNumber('key', key, 0, MOST)), 'CreateIoCompletionPort');
  }

  /** PostQueuedCompletionStatus: a packet of the program's own; `bytes` comes back as it is given (0 to 2^32 - 1). */
  post(key: number, bytes = 0): void {
    this.#assertOpen();
    const label = wholeNumber('key', key, 0, MOST);
    const count = wholeNumber('bytes', bytes, 0, 0xffff_ffff);
    check(this.#port.postQueuedCompletionStatus(label, count), 'PostQueuedCompletionStatus');
  }

  /**
   * AcceptEx: the next connection is made in the socket `accepted`, which is new and neither bound nor connected, and stays the caller's.
   * When the packet is told, SO_UPDATE_ACCEPT_CONTEXT has been set.
   * @throws EINVAL: not associated with this port, or not listening; ECONNRESET: a client has come and gone, accept again
   */
  acceptEx(listener: FileObject, accepted: FileObject): number {
    const handle = this.#handleOf(listener);
    const fd = this.#handleOf(accepted);
    return this.#start('AcceptEx', handle, (id) => this.#port.acceptEx(id, handle, fd, false));
  }

  /**
   * ConnectEx. A socket that is not bound is bound first, to any address. A name in the address is looked up, which BLOCKS. When the
   * packet is told, SO_UPDATE_CONNECT_CONTEXT has been set.
   */
  connectEx(socket: FileObject, address: SocketAddressInput): number {
    const handle = this.#handleOf(socket);
    const { sockaddr } = encodeAddress(address, familyOf(handle), 'ConnectEx');
    return this.#start('ConnectEx', handle, (id) => this.#port.connectEx(id, handle, sockaddr));
  }

  /**
   * WSARecv. The packet's `bytes` are 0 where the peer has finished sending. Into a buffer of no bytes nothing is received: its packet
   * comes when there is something to receive.
   */
  wsaRecv(socket: FileObject, buffer: Uint8Array): number {
    const handle = this.#handleOf(socket);
    const target = plainBytes(uint8Array('buffer', buffer));
    return this.#start('WSARecv', handle, (id) => this.#port.wsaRecv(id, handle, lengthOf(target)), target);
  }

  /** WSARecvFrom: one datagram; its packet has the sender's address. One that is longer is cut off, and its error is EMSGSIZE. */
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

  /** WSASendTo: one datagram. The bytes are copied. A name in the address is looked up, which BLOCKS. */
  wsaSendTo(socket: FileObject, buffer: Uint8Array, address: SocketAddressInput): number {
    const handle = this.#handleOf(socket);
    const { sockaddr } = encodeAddress(address, familyOf(handle), 'WSASendTo');
    const bytes = plainBytes(uint8Array('buffer', buffer)); // not before: the address's getters are the caller's
    return this.#start('WSASendTo', handle, (id) => this.#port.wsaSendTo(id, handle, bytes, sockaddr));
  }

  /**
   * ReOpenFile with FILE_FLAG_OVERLAPPED: the file of a descriptor of Node's fs once more, as a handle for readFile or writeFile, to be
   * associated first. Closed by closeFile, or with this object.
   * @throws EBADF, also for a descriptor that was not opened for this
   */
  openFile(file: FileObject, access: 'read' | 'write' = 'read'): number {
    const fd = this.#handleOf(file);
    if (!ACCESSES.includes(access)) throw invalidValue("access must be 'read' or 'write'");
    return check(this.#port.openFile(fd, access === 'write'), 'ReOpenFile');
  }

  /** CloseHandle, of a handle that openFile gave. @throws EBADF */
  closeFile(handle: number): void {
    this.#assertOpen();
    check(this.#port.closeFile(wholeNumber('handle', handle, 0, HIGHEST_FD)), 'CloseHandle');
  }

  /** ReadFile at `position`, bytes from the start. At the end of the file it fails with EOF, at once or in its packet. */
  readFile(handle: FileObject, buffer: Uint8Array, position: number): number {
    const file = this.#handleOf(handle);
    const target = plainBytes(uint8Array('buffer', buffer));
    const at = wholeNumber('position', position, 0, MOST);
    return this.#start('ReadFile', file, (id) => this.#port.readFile(id, file, lengthOf(target), at), target);
  }

  /** WriteFile at `position`. The bytes are copied. */
  writeFile(handle: FileObject, buffer: Uint8Array, position: number): number {
    const file = this.#handleOf(handle);
    const bytes = plainBytes(uint8Array('buffer', buffer));
    const at = wholeNumber('position', position, 0, MOST);
    return this.#start('WriteFile', file, (id) => this.#port.writeFile(id, file, bytes, at));
  }

  /**
   * CancelIoEx: asks the kernel to give up an operation, or all on the handle. The packet comes all the same, with ECANCELED, or with
   * what came first.
   * @returns false: there is nothing to cancel (ERROR_NOT_FOUND)
   */
  cancelIoEx(handle: FileObject, operation?: number): boolean {
    const number = this.#handleOf(handle);
    if (operation === undefined) return this.#cancelled(this.#port.cancelAllOf(number));
    const id = wholeNumber('operation', operation, 1, MOST);
    return this.#started.get(id)?.handle === number && this.#cancelled(this.#port.cancel(id));
  }

  /**
   * GetQueuedCompletionStatusEx. BLOCKS this thread.
   * @param maxEntries how many packets at the most (never more than 1024); the others are for the next call
   * @param timeout milliseconds (rounded up); null or negative: for ever
   * @returns the packets, in the order of the port; none: the time is over
   */
  getQueuedCompletionStatus(maxEntries = 64, timeout?: number | null): CompletionPacket[] {
    this.#assertOpen();
    const most = Math.min(wholeNumber('maxEntries', maxEntries, 1, INT_MAX), MOST_ENTRIES);
    const limit = rawTimeoutOf(timeout, 'for ever');
    const { IOCP_ROW } = calls();
    if (this.#out.length < most * IOCP_ROW) this.#out = new Float64Array(most * IOCP_ROW);
    const wait = (part: number) => this.#port.getQueuedCompletionStatusEx(this.#out, most, part);
    const count = check(inSlices(limit, wait), 'GetQueuedCompletionStatusEx');
    return Array.from({ length: count }, (_, row) => this.#packet(row));
  }

  /**
   * Cancels everything and waits until the kernel has let go of it. The second time nothing happens; left to the garbage collector, it is
   * closed too.
   * @throws ETIMEDOUT where that takes more than five seconds: the port is closed, and what the kernel still holds is never freed
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#started.clear();
    checkLetGo(this.#port.close(LONGEST_CLOSE));
  }

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
