/**
 * A socket of the operating system. Each method makes the system call of its name.
 *
 * A blocking socket waits in the call itself; with a `timeout`, and where waits are sliced (syscalls/slices.ts: in a worker), it is
 * non-blocking underneath and waits in poll(2) (blocking.ts). Would-block is null, the end of the stream is an empty Buffer, errors are thrown.
 */
import type { NativeDescriptor } from '../addon.js';
import { check, closedError, invalidType, namedError, outOfRange, systemErrorName } from '../errors.js';
import { native } from '../native.js';
import {
  type AddressContext,
  type EncodedAddress,
  type SocketAddress,
  type SocketAddressInput,
  type SocketFamily,
  decodeAddress,
  encodeAddresses,
  familyName,
  familyOfSockaddr,
  invalidChoice,
} from '../syscalls/address.js';
import { type FileObject, MAX_FD } from '../syscalls/file-object.js';
import { waitsInKernel } from '../syscalls/slices.js';
import { boolean, bytesOf, fieldsOf, lengthOf, uint8Array, wholeNumber } from '../validate.js';
import { Deadline, type Direction, Retry, retryCall, sendWithFlags } from './blocking.js';
import { runCloseHooks } from './close-hooks.js';
import { connectError, connectToAny } from './connect.js';
import { bytesBeside, descriptorsOf, openShared, scmRights, shareSocket } from './fd-passing.js';
import { loopbackPair } from './pair.js';
import { receiveBuffer, receivedPart } from './receive-buffer.js';
import { type SocketOptions, type SocketType, parseSocketOptions, typeName } from './socket-options.js';
import { type SocketOptionName, getIntOption, getOption, isV6Only, optionSetter } from './sockopt.js';

const { SOCK_STREAM = 1, SO_TYPE = 3, SO_DOMAIN, AF_INET = 2, AF_INET6, AF_UNIX = 1 } = native.constants;
const { IPPROTO_IPV6 = 41, IPV6_V6ONLY } = native.constants;
const OFF = new Uint8Array(4);

/** Taken out of `native` once: an object with that many properties looks each up in a hash table. */
const { recv, send } = native;

const HOW = { read: 0, write: 1, both: 2 } as const;
const INT_MAX = 0x7fff_ffff;
/** Bytes that one call receives at most: sizes are ints. */
const MAX_RECEIVED = 0x7fff_ffff;
/** The largest sockaddr (sockaddr_storage). */
const SOCKADDR_SIZE = 128;
/** SCM_MAX_FD of Linux: descriptors per message. */
const MAX_FDS = 253;
const IS_WINDOWS = process.platform === 'win32';
const HAS_SOCKETPAIR = !IS_WINDOWS;

/** accept(2) writes the peer's address here. A Socket calls getpeername(2) for `remoteAddress` instead. */
const PEER = new Uint8Array(SOCKADDR_SIZE);
const PEER_LENGTH = new Int32Array(1);

/**
 * A descriptor that a new Socket takes over, and what is known of it. The constructor recognizes it by its brand, which no proxy and no
 * object of a caller has.
 */
class AdoptedDescriptor {
  readonly #brand = true;

  constructor(
    readonly fd: number,
    readonly family: number,
    readonly type: number,
    readonly blocking: boolean,
    /** O_NONBLOCK agrees with `blocking` already. */
    readonly hasMode: boolean,
  ) {}

  static is(value: unknown): value is AdoptedDescriptor {
    return typeof value === 'object' && value !== null && #brand in value;
  }
}

/**
 * A socket: unconnected where it is constructed; pair(), accept() and fromFd() make others. Close-on-exec. Belongs to the thread that made
 * it. An object that nothing refers to any more is closed by the garbage collector.
 */
export class Socket implements Disposable {
  #fd: number;
  readonly #owner: NativeDescriptor;
  readonly #family: number;
  readonly #type: number;
  /** Milliseconds; null: a call waits forever; 0: it does not wait. */
  #timeout: number | null;
  /** The caller has set IPV6_V6ONLY, and bind() leaves it as it is. */
  #choseV6Only = false;

  /**
   * socket(2).
   * @param options Default: a blocking IPv4 stream socket
   * @throws EAFNOSUPPORT, EPROTONOSUPPORT, EMFILE, EPERM (raw sockets); ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE
   */
  constructor(options?: SocketOptions) {
    const adopted = AdoptedDescriptor.is(options) ? options : undefined;
    if (adopted !== undefined) {
      this.#fd = adopted.fd;
      this.#family = adopted.family;
      this.#type = adopted.type;
      this.#timeout = adopted.blocking ? null : 0;
    } else {
      const { family, type, protocol, blocking } = parseSocketOptions(options, 'ipv4');
      this.#fd = check(native.socket(family, type, protocol), 'socket');
      this.#family = family;
      this.#type = type;
      this.#timeout = blocking ? null : 0;
    }
    this.#owner = new native.Descriptor(this.#fd);
    if (adopted !== undefined && (adopted.hasMode || !adopted.blocking || waitsInKernel())) return;
    try {
      this.#applyBlockingMode();
    } catch (error) {
      this.#owner.close(); // now, not when the garbage collector finds it
      throw error;
    }
  }

  /** Closes the descriptor where it throws. */
  static #adopt(fd: number, family: number, type: number, blocking: boolean, hasMode = false): Socket {
    return new Socket(new AdoptedDescriptor(fd, family, type, blocking, hasMode));
  }

  /**
   * Takes over a descriptor from elsewhere (inherited, passed): this object closes it. The kernel reports its family and type. To share one
   * with `net.Socket` or another owner, pass a duplicate.
   *
   * @param options.blocking Default: as the descriptor is; on Windows, which does not report it, true
   * @throws ENOTSOCK, EBADF; ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. The descriptor is still the caller's then
   */
  static fromFd(fd: number, options?: { readonly blocking?: boolean }): Socket {
    const number = wholeNumber('fd', fd, 0, MAX_FD);
    const asked = options === undefined ? undefined : fieldsOf('options', options, ['blocking']).blocking;
    const type = check(getIntOption(number, SO_TYPE), 'getsockopt');
    const family = familyOf(number);
    const nonBlocking = native.isNonBlocking(number);
    const blocking = asked === undefined ? nonBlocking !== 1 : boolean('blocking', asked);
    // Before there is an object: it would close the descriptor where this throws.
    if (asked !== undefined || (blocking && !waitsInKernel()))
      check(native.setNonBlocking(number, !blocking || !waitsInKernel()), 'fcntl');
    return Socket.#adopt(number, family, type, blocking, true);
  }

  /**
   * socketpair(2): two connected sockets. On Windows, which has no socketpair, two IPv4 stream sockets over the loopback, each checked to be
   * the other's peer.
   * @param options.family Default: 'unix'; on Windows 'ipv4', the only one
   * @throws EOPNOTSUPP: another family or type on Windows; EMFILE; ECONNABORTED: on Windows, another program connected first
   */
  static pair(options?: SocketOptions): [Socket, Socket] {
    const { family, type, protocol, blocking } = parseSocketOptions(options, HAS_SOCKETPAIR ? 'unix' : 'ipv4');
    if (!HAS_SOCKETPAIR) {
      if (type !== SOCK_STREAM || family !== AF_INET) throw namedError('EOPNOTSUPP', 'socketpair');
      const pair = loopbackPair(() => new Socket());
      for (const socket of pair) socket.blocking = blocking;
      return pair;
    }
    const fds = new Int32Array(2);
    check(native.socketpair(family, type, protocol, fds), 'socketpair');
    const adopt = (fd: number) => Socket.#adopt(fd, family, type, blocking);
    const pair: [Socket, Socket] = [adopt(fds[0] ?? -1), adopt(fds[1] ?? -1)];
    if (!blocking) for (const socket of pair) socket.#applyBlockingMode();
    return pair;
  }

  /** The descriptor (a SOCKET on Windows); -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  /** The same as `fd`: a Socket is a file object for selectors. Never throws. */
  fileno(): number {
    return this.#fd;
  }

  /** The address family; a number where it has no name here. */
  get family(): SocketFamily {
    return familyName(this.#family);
  }

  /** The socket type; a number where it has no name here. */
  get type(): SocketType {
    return typeName(this.#type);
  }

  /** false: calls return null instead of waiting, as with a timeout of 0. */
  get blocking(): boolean {
    return this.#timeout !== 0;
  }

  /** true: `timeout` becomes null. false: it becomes 0. @throws ERR_CLOSED, ERR_INVALID_ARG_TYPE */
  set blocking(on: boolean) {
    this.#assertOpen();
    this.#setTimeout(boolean('blocking', on) ? null : 0);
  }

  /** Milliseconds that a blocking call waits before it throws ETIMEDOUT; null: forever; 0: non-blocking. */
  get timeout(): number | null {
    return this.#timeout;
  }

  /** 0 or more; Infinity counts as null. @throws ERR_CLOSED, ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE */
  set timeout(ms: number | null) {
    this.#assertOpen();
    if (ms !== null && typeof ms !== 'number') throw invalidType('timeout', 'a number of milliseconds or null', ms);
    if (ms !== null && !(ms >= 0)) throw outOfRange('timeout', '0 or more', ms);
    this.#setTimeout(ms === Infinity ? null : ms);
  }

  /** Does a child process inherit the descriptor? Default: false. @throws ERR_CLOSED */
  get inheritable(): boolean {
    this.#assertOpen();
    return check(native.isInheritable(this.#fd), 'fcntl') === 1;
  }

  /** Clears or sets close-on-exec (HANDLE_FLAG_INHERIT on Windows). @throws ERR_CLOSED, ERR_INVALID_ARG_TYPE */
  set inheritable(on: boolean) {
    this.#assertOpen();
    check(native.setInheritable(this.#fd, boolean('inheritable', on)), 'fcntl');
  }

  /**
   * bind(2). Host '' stands for all addresses of this machine: of IPv4 for an 'ipv4' socket, of IPv4 and IPv6 for an 'ipv6' socket
   * (IPV6_V6ONLY is turned off, unless setOption() has set it before), whose IPv4 peers are then '::ffff:127.0.0.1'.
   * @throws EADDRINUSE, EADDRNOTAVAIL, EACCES, EINVAL (bound already); ENOTFOUND
   */
  bind(address: SocketAddressInput): this {
    const [{ sockaddr, context }] = this.#encodeAll(address, 'bind');
    if (context.address === '' && this.#family === AF_INET6 && !this.#choseV6Only) {
      // Ignored: a system without dual-stack sockets (OpenBSD) refuses it; the socket then takes IPv6 alone.
      if (IPV6_V6ONLY !== undefined) native.setsockopt(this.#fd, IPPROTO_IPV6, IPV6_V6ONLY, OFF);
    }
    check(native.bind(this.#fd, sockaddr), 'bind', context);
    return this;
  }

  /**
   * listen(2).
   * @param backlog how many connections may wait to be accepted; 0 and less count as the system's minimum. Default: SOMAXCONN, which the
   *   kernel may lower
   * @throws EADDRINUSE, EOPNOTSUPP, EINVAL
   */
  listen(backlog: number = native.SOMAXCONN): this {
    this.#assertOpen();
    const limit = wholeNumber('backlog', backlog, -INT_MAX, INT_MAX);
    check(native.listen(this.#fd, Math.max(0, limit)), 'listen');
    return this;
  }

  /**
   * accept(2). The new socket blocks or not as this listener does, without its timeout.
   * @returns null: no connection waits (non-blocking)
   * @throws ETIMEDOUT; EMFILE, ENFILE; ECONNABORTED and others of accept(2) that concern one client: accept the next
   */
  accept(): Socket | null {
    this.#assertOpen();
    const nonBlocking = this.#timeout === 0 || !waitsInKernel();
    const fd = this.#call('accept', 'read', () => native.accept(this.#fd, nonBlocking, PEER, PEER_LENGTH));
    if (fd === null) return null;
    return Socket.#adopt(fd, this.#family, this.#type, this.blocking);
  }

  /**
   * connect(2). A name may have several addresses of the socket's family: they are tried in the resolver's order until one connects, as
   * Python's create_connection() does, within one `timeout`. The error is that of the last address, and names it. A non-blocking socket
   * goes on to the next address where one fails at once (ENETUNREACH); an attempt in progress is the last one. macOS takes no second
   * connect(2) on a socket: there the first address is the only one.
   * @returns true: connected. false: in progress (non-blocking); wait for EVENT_WRITE, then call `error()`
   * @throws ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EISCONN, EALREADY
   */
  connect(address: SocketAddressInput): boolean {
    const addresses = this.#encodeAll(address, 'connect');
    return connectToAny(this.#fd, addresses, this.#timeout);
  }

  /** SO_ERROR, read and cleared: the system error of a connect that was in progress; null: none. @throws ERR_CLOSED */
  error(): NodeJS.ErrnoException | null {
    this.#assertOpen();
    return connectError(this.#fd);
  }

  /**
   * recv(2).
   * @param size bytes at most, 0 to 2^31 - 1
   * @param flags the OS's MSG_*, from the entry `syscalls`. Default: 0. MSG_TRUNC (Linux) does not report the length of a longer datagram:
   *   the result never has more than `size` bytes. On TCP it discards what it receives (tcp(7)): the result has a zero for each such byte
   * @returns a Buffer of its own. null: would block. Empty: the peer has finished sending (or sent an empty datagram, or size is 0)
   * @throws ECONNRESET, ENOTCONN, ETIMEDOUT; ERR_CLOSED
   */
  recv(size: number, flags = 0): Buffer | null {
    this.#assertOpen();
    const limit = wholeNumber('size', size, 0, MAX_RECEIVED);
    const bits = flagBits(flags);
    const buffer = receiveBuffer(limit);
    const count = this.#receive(buffer, 0, limit, bits);
    return count === null ? null : receivedPart(buffer, count);
  }

  /**
   * recv(2) into the caller's memory.
   * @param offset where the part of the buffer to fill begins, in bytes. Default: 0
   * @param length bytes at most. Default: up to the end of the buffer
   * @returns how many bytes; 0: the peer has finished sending (or the part is empty). null: would block
   * @throws as recv(); ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE for detached memory
   */
  recvInto(buffer: Uint8Array, offset = 0, length?: number): number | null {
    this.#assertOpen();
    const bytes = uint8Array('buffer', buffer);
    const size = lengthOf(bytes);
    if (offset === 0 && length === undefined) {
      const received = recv(this.#fd, bytes);
      return received >= 0 ? received : this.#retryReceive(received, bytes, 0, size, 0);
    }
    const start = startOf(offset, size);
    return this.#receive(bytes, start, restOf(length, size - start), 0);
  }

  /**
   * send(2).
   * @param offset where the part to send begins, in bytes (of the UTF-8, for a string). Default: 0
   * @param length bytes of that part. Default: up to the end
   * @param flags the OS's MSG_*, from the entry `syscalls`. Default: 0. MSG_DONTWAIT does not wait, on macOS too, whose kernel ignores it in
   *   a send: there a blocking socket (O_NONBLOCK, which its duplicates share) is non-blocking while the call runs
   * @returns how many bytes the kernel took: a short write is possible. null: would block
   * @throws EPIPE, ECONNRESET, ETIMEDOUT; never raises SIGPIPE. ENOBUFS counts as would-block: null, or on a blocking socket another try
   */
  send(data: Uint8Array | string, offset = 0, length?: number, flags = 0): number | null {
    this.#assertOpen();
    const bytes = bytesOf('data', data);
    const size = lengthOf(bytes);
    const start = startOf(offset, size);
    const count = restOf(length, size - start);
    const bits = flagBits(flags);
    const sent = bits === 0 ? send(this.#fd, bytes, start, count) : this.#sendWithFlags(bits, bytes, start, count);
    return sent >= 0 ? sent : this.#retrySend(sent, bytes, start, count, bits);
  }

  /**
   * Sends all of it. BLOCKS until the kernel has taken it, also on a non-blocking socket; one `timeout` for the whole.
   * @throws ETIMEDOUT, EPIPE, ECONNRESET
   */
  sendAll(data: Uint8Array | string): void {
    this.#assertOpen();
    const bytes = bytesOf('data', data);
    const deadline = new Deadline(this.#timeout === 0 ? null : this.#timeout);
    const length = lengthOf(bytes);
    let retry: Retry | undefined;
    for (let sent = 0; sent < length;) {
      const result = send(this.#fd, bytes, sent, length - sent, 0);
      if (result === native.wouldBlock) {
        (retry ??= new Retry(this.#fd, 'write', deadline, 'send')).wait();
      } else {
        sent += check(result, 'send');
        retry = undefined;
      }
    }
  }

  /**
   * recvfrom(2): one datagram and its sender.
   * @param size bytes at most, 0 to 2^31 - 1; what a datagram has beyond them is lost
   * @returns null: would block
   * @throws ETIMEDOUT; ECONNREFUSED and the like, of a datagram sent before
   */
  recvFrom(size: number): {
    /** A Buffer of its own. */
    readonly data: Buffer;
    /** The sender; `{path: ''}` for a Unix socket without a name. */
    readonly address: SocketAddress;
  } | null {
    this.#assertOpen();
    const limit = wholeNumber('size', size, 0, MAX_RECEIVED);
    const buffer = receiveBuffer(limit);
    const room = limit < buffer.length ? buffer.subarray(0, limit) : buffer;
    const sockaddr = new Uint8Array(SOCKADDR_SIZE);
    const length = new Int32Array(1);
    const count = this.#call('recvfrom', 'read', () => {
      const result = native.recvfrom(this.#fd, room, 0, sockaddr, length);
      // Winsock reports a datagram that was too long as an error, with the buffer full.
      return IS_WINDOWS && isMessageSizeError(result) ? room.length : result;
    });
    if (count === null) return null;
    return { data: receivedPart(buffer, count), address: this.#decode(sockaddr, length[0] ?? 0) };
  }

  /**
   * sendto(2).
   * @returns how many bytes were sent: all of a datagram. null: would block
   * @throws EMSGSIZE, ENETUNREACH, ETIMEDOUT; ENOTFOUND
   */
  sendTo(data: Uint8Array | string, address: SocketAddressInput): number | null {
    const { sockaddr, context } = this.#encode(address, 'sendto');
    const bytes = bytesOf('data', data);
    return this.#call('sendto', 'write', () => native.sendto(this.#fd, bytes, 0, sockaddr), context);
  }

  /**
   * Passes descriptors to the process at the other end of a Unix socket (sendmsg(2), SCM_RIGHTS). They stay open here.
   * @param data goes with them. Default, also for no bytes: one zero, because at least one byte must go with them
   * @returns how many bytes were sent; the descriptors go with the first. null: would block
   * @throws ERR_UNAVAILABLE on Windows (see `share`); EBADF; EINVAL for more than 253
   */
  sendFds(fds: readonly FileObject[], data?: Uint8Array): number | null {
    this.#assertOpen();
    const calls = scmRights();
    const numbers = descriptorsOf(fds);
    this.#assertOpen(); // again: a fileno() of the caller's may have closed this socket
    const bytes = bytesBeside(data);
    return this.#call('sendmsg', 'write', () => calls.sendFds(this.#fd, bytes, numbers, numbers.length));
  }

  /**
   * Receives descriptors (recvmsg(2), SCM_RIGHTS). Every other descriptor of the message is closed: those beyond `maxFds`, and the one of
   * the sender's process that Linux adds where SO_PASSPIDFD is on. Credentials, time stamps and security labels (SO_PASSCRED …) take no
   * room from descriptors and are not reported.
   * @param maxFds 0 to 253; further descriptors are closed, and MSG_CTRUNC is in `flags`
   * @param size bytes of data at most. Default: 1. A longer datagram is cut, and MSG_TRUNC is in `flags`
   * @returns null: would block. No data and no descriptors: the peer has finished sending
   * @throws ERR_UNAVAILABLE on Windows (see `fromShare`); ETIMEDOUT
   */
  recvFds(
    maxFds: number,
    size = 1,
  ): {
    /** New descriptors, close-on-exec, and the caller's to close. */
    readonly fds: number[];
    /** The bytes that came with them. */
    readonly data: Buffer;
    /** MSG_* of recvmsg(2). */
    readonly flags: number;
  } | null {
    this.#assertOpen();
    const calls = scmRights();
    const descriptors = new Int32Array(wholeNumber('maxFds', maxFds, 0, MAX_FDS));
    const buffer = Buffer.alloc(wholeNumber('size', size, 0, MAX_RECEIVED));
    const out = new Int32Array(2);
    const count = this.#call('recvmsg', 'read', () => calls.recvFds(this.#fd, buffer, descriptors, out));
    if (count === null) return null;
    return { fds: [...descriptors.subarray(0, out[0])], data: buffer.subarray(0, count), flags: out[1] ?? 0 };
  }

  /**
   * Windows' way to pass a socket (WSADuplicateSocket). This socket must stay open until the other process has called fromShare().
   * @returns bytes that the process `pid`, and it alone, turns into this socket, once
   * @throws ERR_UNAVAILABLE elsewhere (see `sendFds`)
   */
  share(pid: number): Uint8Array {
    this.#assertOpen();
    return shareSocket(this.#fd, pid);
  }

  /**
   * Makes the socket that another process has shared by share(). Windows.
   * @throws EINVAL for bytes that are not from share(), or are for another process; ERR_UNAVAILABLE elsewhere than on Windows
   */
  static fromShare(shared: Uint8Array): Socket {
    const fd = openShared(shared);
    try {
      return Socket.fromFd(fd);
    } catch (error) {
      new native.Descriptor(fd).close();
      throw error;
    }
  }

  /**
   * dup(2), WSADuplicateSocket on Windows: a second socket for the same open file, close-on-exec. O_NONBLOCK belongs to the file, so set
   * `blocking` or `timeout` on both alike, or before the socket is duplicated.
   * @throws EMFILE
   */
  dup(): Socket {
    this.#assertOpen();
    const fd = check(native.duplicate(this.#fd), 'dup');
    const copy = Socket.#adopt(fd, this.#family, this.#type, this.blocking);
    copy.#timeout = this.#timeout;
    return copy;
  }

  /** shutdown(2): ends one direction, or both. What was sent is still delivered. 'write' is a half-close: FIN. @throws ENOTCONN */
  shutdown(how: 'read' | 'write' | 'both'): void {
    this.#assertOpen();
    if (typeof how !== 'string' || !Object.hasOwn(HOW, how)) throw invalidChoice('how', Object.keys(HOW), how);
    check(native.shutdown(this.#fd, HOW[how]), 'shutdown');
  }

  /** getsockname(2). @throws ERR_CLOSED; EINVAL: on Windows, a socket that is not bound */
  get localAddress(): SocketAddress {
    return this.#address('getsockname');
  }

  /** getpeername(2). @throws ENOTCONN, ERR_CLOSED */
  get remoteAddress(): SocketAddress {
    return this.#address('getpeername');
  }

  /**
   * setsockopt(2): by name with an int or a boolean, or by the OS's own numbers with an int or the struct's bytes. SO_LINGER takes seconds
   * (0 to 65535; false or -1: off); 0 makes close() reset the connection.
   * @throws ENOPROTOOPT for an option that this OS lacks; ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE; ERR_CLOSED
   */
  setOption(name: SocketOptionName, value: number | boolean): this;
  setOption(level: number, option: number, value: number | Uint8Array): this;
  setOption(...args: readonly unknown[]): this {
    this.#assertOpen();
    const set = optionSetter(args);
    this.#assertOpen(); // again: the value's getters are the caller's
    set(this.#fd);
    if (isV6Only(args)) this.#choseV6Only = true;
    return this;
  }

  /**
   * getsockopt(2): by name as an int (SO_LINGER: seconds; -1: off), or by number as the struct's bytes.
   * @throws as setOption()
   */
  getOption(name: SocketOptionName): number;
  getOption(level: number, option: number, length: number): Buffer;
  getOption(...args: readonly unknown[]): number | Buffer {
    this.#assertOpen();
    return getOption(this.#fd, args);
  }

  /**
   * Releases the descriptor to the caller without closing it; it blocks or not as this object did. This object is closed afterwards.
   * @returns the descriptor
   * @throws EBADF, in a worker: other code has closed the number; other errors of fcntl(2): this object is still open then
   */
  detach(): number {
    this.#assertOpen();
    const fd = this.#fd;
    const mode = this.#timeout === null && !waitsInKernel() ? native.setNonBlocking(fd, false) : 0;
    if (mode >= 0 || systemErrorName(mode) === 'EBADF') {
      this.#fd = -1;
      this.#owner.release();
    }
    check(mode, 'fcntl');
    return fd;
  }

  /**
   * close(2). A proactor's operations on it end with ECANCELED. A second close() does nothing.
   * @throws ECONNRESET and others that close(2) reports; the descriptor is closed all the same
   */
  close(): void {
    if (this.#fd < 0) return;
    runCloseHooks(this);
    this.#fd = -1;
    check(this.#owner.close(), 'close');
  }

  /** The same as close(). */
  [Symbol.dispose](): void {
    this.close();
  }

  // --------------------------------------------------------------------------------------------------------------------

  /** After close() no system call is made: the number may belong to another file by now. */
  #assertOpen(): void {
    if (this.#fd < 0) throw closedError('socket');
  }

  #encode(address: unknown, syscall: string): EncodedAddress {
    return this.#encodeAll(address, syscall)[0];
  }

  #encodeAll(address: unknown, syscall: string): [EncodedAddress, ...EncodedAddress[]] {
    this.#assertOpen();
    const encoded = encodeAddresses(address, this.#family, syscall);
    this.#assertOpen(); // again: the address's getters are the caller's, and may have closed this socket
    return encoded;
  }

  #setTimeout(timeout: number | null): void {
    const before = this.#timeout;
    this.#timeout = timeout;
    try {
      this.#applyBlockingMode();
    } catch (error) {
      this.#timeout = before;
      throw error;
    }
  }

  #applyBlockingMode(): void {
    check(native.setNonBlocking(this.#fd, this.#timeout !== null || !waitsInKernel()), 'fcntl');
  }

  /** Makes a call, and waits for it as the socket's timeout has it. @returns null: would block */
  #call(syscall: string, direction: Direction, call: () => number, context: AddressContext = {}): number | null {
    const first = call();
    return first >= 0 ? first : this.#retry(first, syscall, direction, call, context);
  }

  #retry(
    first: number,
    syscall: string,
    direction: Direction,
    call: () => number,
    context: AddressContext = {},
    flags = 0,
  ): number | null {
    return retryCall(first, { fd: this.#fd, timeout: this.#timeout, syscall, direction, flags, context }, call);
  }

  // recv(2) and send(2) run a hundred thousand times a second: no closure is made where the first call succeeds.

  #receive(bytes: Uint8Array, offset: number, length: number, flags: number): number | null {
    const received = recv(this.#fd, bytes, offset, length, flags);
    return received >= 0 ? received : this.#retryReceive(received, bytes, offset, length, flags);
  }

  #retryReceive(first: number, bytes: Uint8Array, offset: number, length: number, flags: number): number | null {
    return this.#retry(first, 'recv', 'read', () => recv(this.#fd, bytes, offset, length, flags), {}, flags);
  }

  #retrySend(first: number, bytes: Uint8Array, offset: number, length: number, flags: number): number | null {
    return this.#retry(first, 'send', 'write', () => send(this.#fd, bytes, offset, length, flags), {}, flags);
  }

  #sendWithFlags(flags: number, bytes: Uint8Array, offset: number, length: number): number {
    return sendWithFlags(this.#fd, this.#timeout, flags, () => send(this.#fd, bytes, offset, length, flags));
  }

  #address(syscall: 'getsockname' | 'getpeername'): SocketAddress {
    this.#assertOpen();
    const sockaddr = new Uint8Array(SOCKADDR_SIZE);
    return this.#decode(sockaddr, check(native[syscall](this.#fd, sockaddr), syscall));
  }

  #decode(sockaddr: Uint8Array, length: number): SocketAddress {
    // Of a Unix socket without a name macOS and Linux may report its family alone, or nothing.
    return length === 0 && this.#family === AF_UNIX ? { path: '' } : decodeAddress(sockaddr.subarray(0, length));
  }
}

/** MSG_* or-ed together, as C's int. */
function flagBits(flags: unknown): number {
  return wholeNumber('flags', flags, -INT_MAX - 1, INT_MAX);
}

/** Where a part of `size` bytes begins. */
function startOf(offset: unknown, size: number): number {
  return wholeNumber('offset', offset, 0, size);
}

/** How long the part is. Default: all of the rest. */
function restOf(length: unknown, rest: number): number {
  return length === undefined ? rest : wholeNumber('length', length, 0, rest);
}

/** The family of a descriptor from elsewhere: SO_DOMAIN, or that of its local address. */
function familyOf(fd: number): number {
  if (SO_DOMAIN !== undefined) return check(getIntOption(fd, SO_DOMAIN), 'getsockopt');
  const sockaddr = new Uint8Array(SOCKADDR_SIZE);
  const length = native.getsockname(fd, sockaddr);
  // Windows reports no address of an unbound socket.
  if (length < 2) return AF_INET;
  return familyOfSockaddr(sockaddr.subarray(0, length));
}

function isMessageSizeError(result: number): boolean {
  return result < 0 && systemErrorName(result) === 'EMSGSIZE';
}
