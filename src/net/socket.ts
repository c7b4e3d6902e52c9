/**
 * A socket of the operating system: each method is the system call of its name, and no more.
 *
 * A blocking socket waits in the call itself; with a `timeout`, and always in a worker thread, it is non-blocking underneath and waits
 * in poll(2) (until-ready.ts). Would-block is null, the end of the stream is an empty Buffer, errors are thrown.
 */
import {
  check,
  closedError,
  invalidType,
  invalidValue,
  namedError,
  outOfRange,
  systemError,
  systemErrorName,
  unavailable,
} from '../errors.js';
import type { NativeDescriptor } from '../addon.js';
import { native, passFdsCalls, shareSocketCalls } from '../native.js';
import { type FileObject, HIGHEST_FD, fileno } from '../syscalls/file-object.js';
import { boolean, bytesOf, fieldsOf, lengthOf, listOf, uint8Array, wholeNumber } from '../validate.js';
import {
  type AddressContext,
  type EncodedAddress,
  type SocketAddress,
  type SocketAddressInput,
  type SocketFamily,
  decodeAddress,
  contextOf,
  encodeAddresses,
  familyName,
  familyNumber,
  familyOfSockaddr,
  invalidChoice,
} from '../syscalls/address.js';
import { type SocketOptionName, getOption, isV6Only, optionSetter } from './options.js';
import { loopbackPair } from './pair.js';
import { BLOCKS_IN_KERNEL, Deadline, Retry, untilReady } from './until-ready.js';

const { SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_SEQPACKET = 5, SOCK_RAW = 3 } = native.constants;
const { SOL_SOCKET = 1, SO_TYPE = 3, SO_ERROR = 4, SO_DOMAIN, AF_INET = 2, AF_INET6, AF_UNIX = 1 } = native.constants;
const { IPPROTO_IPV6 = 41, IPV6_V6ONLY } = native.constants;
const OFF = new Uint8Array(4);

export type SocketType = 'stream' | 'dgram' | 'seqpacket' | 'raw' | number;

export interface SocketOptions {
  /** 'ipv4' where nothing is said ('unix' for pairs, where the system has them). A number is the OS's own AF_*. */
  readonly family?: SocketFamily;
  /**
   * Default: 'stream'. A number is the OS's own SOCK_*. Linux's SOCK_NONBLOCK may be or-ed to it, which means `blocking: false`, and
   * SOCK_CLOEXEC, which every socket of this package has; `type` reads without them.
   */
  readonly type?: SocketType;
  readonly protocol?: number;
  /** Default: true, or false where `type` has SOCK_NONBLOCK. */
  readonly blocking?: boolean;
}

/** Flags that Linux takes or-ed to the type: it makes the socket so at once. Elsewhere there are none. */
const { SOCK_NONBLOCK = 0, SOCK_CLOEXEC = 0 } = native.constants;

const types: readonly (readonly [SocketType, number])[] = [
  ['stream', SOCK_STREAM],
  ['dgram', SOCK_DGRAM],
  ['seqpacket', SOCK_SEQPACKET],
  ['raw', SOCK_RAW],
];

function typeNumber(type: unknown): number {
  if (typeof type === 'number') return wholeNumber('type', type, 0, 0x7fff_ffff);
  const found = types.find(([name]) => name === type);
  if (found === undefined)
    throw invalidChoice(
      'type',
      types.map(([name]) => name),
      type,
    );
  return found[1];
}

/** By themselves: an object with as many properties as the addon's has them in a hash table, which is asked in each call. */
const { recv, send } = native;

/** Flags with which a call never waits. */
const { MSG_DONTWAIT = 0, MSG_ERRQUEUE = 0, SO_SNDTIMEO } = native.constants;
const DO_NOT_WAIT = MSG_DONTWAIT | MSG_ERRQUEUE;
/** The largest struct timeval. */
const TIMEVAL_SIZE = 16;

const HOW = { read: 0, write: 1, both: 2 } as const;
const INT_MAX = 0x7fff_ffff;
/** The most that one call receives. */
const MOST_BYTES = 0x7fff_ffff;
/** The largest sockaddr (sockaddr_storage). */
const SOCKADDR_SIZE = 128;
/** SCM_MAX_FD of Linux, the most that one message carries. */
const MOST_FDS = 253;
const HAS_SOCKETPAIR = process.platform !== 'win32';
const SCRATCH_SIZE = 65_536;

/** Who was accepted: here it is asked for when it is wanted. */
const PEER = new Uint8Array(SOCKADDR_SIZE);
const PEER_LENGTH = new Int32Array(1);

/** Received bytes land here first, so that a small message does not keep a large buffer alive. */
let scratch: Buffer | undefined;

const closing = new WeakMap<Socket, Set<() => void>>();

/**
 * Has `callback` called when the socket is about to be closed, while its descriptor is still its own. For operations that are under way.
 * @returns takes it back
 */
export function beforeClose(socket: Socket, callback: () => void): () => void {
  let callbacks = closing.get(socket);
  if (callbacks === undefined) closing.set(socket, (callbacks = new Set()));
  callbacks.add(callback);
  return () => void callbacks.delete(callback);
}

/** Is a proactor's operation under way on it? */
export function hasOperations(socket: Socket): boolean {
  return (closing.get(socket)?.size ?? 0) > 0;
}

/** A descriptor that a new Socket takes over, and what is known of it. Told from a caller's options by its brand, which no proxy fakes. */
class Adopted {
  readonly #brand = true;

  constructor(
    readonly fd: number,
    readonly family: number,
    readonly type: number,
    readonly blocking: boolean,
    /** It blocks, or not, as `blocking` asks. */
    readonly hasMode: boolean,
  ) {}

  static is(value: unknown): value is Adopted {
    return typeof value === 'object' && value !== null && #brand in value;
  }
}

interface ParsedOptions {
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
  readonly blocking: boolean;
}

function parseOptions(options: unknown, defaultFamily: SocketFamily): ParsedOptions {
  const fields =
    options === undefined ? undefined : fieldsOf('options', options, ['family', 'type', 'protocol', 'blocking']);
  const typeBits = typeNumber(fields?.type ?? 'stream');
  const isNonBlocking = (typeBits & SOCK_NONBLOCK) !== 0;
  const blocking = boolean('blocking', fields?.blocking ?? !isNonBlocking);
  if (blocking && isNonBlocking) throw invalidValue('blocking must not be true where type has SOCK_NONBLOCK');
  return {
    family: familyNumber(fields?.family ?? defaultFamily),
    type: typeBits & ~(SOCK_NONBLOCK | SOCK_CLOEXEC),
    protocol: wholeNumber('protocol', fields?.protocol ?? 0, 0, INT_MAX),
    blocking,
  };
}

/** An unconnected socket, or one of the pairs and connections that the static methods and accept() make. Close-on-exec. */
export class Socket implements Disposable {
  #fd: number;
  readonly #owner: NativeDescriptor;
  readonly #family: number;
  readonly #type: number;
  /** null: a call waits for ever. 0: it does not wait. */
  #timeout: number | null;
  /** The caller has set IPV6_V6ONLY: bind() leaves it as it is. */
  #choseV6Only = false;

  /** socket(2). @throws EAFNOSUPPORT, EPROTONOSUPPORT, EMFILE, EPERM (raw sockets) */
  constructor(options?: SocketOptions) {
    const adopted = Adopted.is(options) ? options : undefined;
    if (adopted !== undefined) {
      this.#fd = adopted.fd;
      this.#family = adopted.family;
      this.#type = adopted.type;
      this.#timeout = adopted.blocking ? null : 0;
    } else {
      const { family, type, protocol, blocking } = parseOptions(options, 'ipv4');
      this.#fd = check(native.socket(family, type, protocol), 'socket');
      this.#family = family;
      this.#type = type;
      this.#timeout = blocking ? null : 0;
    }
    this.#owner = new native.Descriptor(this.#fd);
    if (adopted !== undefined && (adopted.hasMode || !adopted.blocking || BLOCKS_IN_KERNEL)) return;
    try {
      this.#applyMode();
    } catch (error) {
      this.#owner.close(); // now, and not when the collector finds it
      throw error;
    }
  }

  /** The descriptor is closed where this throws. */
  static #adopt(fd: number, family: number, type: number, blocking: boolean, hasMode = false): Socket {
    return new Socket(new Adopted(fd, family, type, blocking, hasMode));
  }

  /**
   * Takes over a descriptor that came from elsewhere (inherited, passed): this object closes it. Family and type are asked of the kernel.
   * To share one with `net.Socket` or another owner, give a duplicate.
   *
   * @param options.blocking as the descriptor is, where nothing is said (Windows cannot tell: blocking)
   * @throws ENOTSOCK, EBADF; the descriptor is then still the caller's
   */
  static fromFd(fd: number, options?: { readonly blocking?: boolean }): Socket {
    const number = wholeNumber('fd', fd, 0, HIGHEST_FD);
    const asked = options === undefined ? undefined : fieldsOf('options', options, ['blocking']).blocking;
    const value = new Int32Array(1);
    const bytes = new Uint8Array(value.buffer);
    check(native.getsockopt(number, SOL_SOCKET, SO_TYPE, bytes), 'getsockopt');
    const type = value[0] ?? 0;
    const family = familyOf(number);
    const nonBlocking = native.isNonBlocking(number);
    const blocking = asked === undefined ? nonBlocking !== 1 : boolean('blocking', asked);
    // First: an object that owns the descriptor would close it when it is collected.
    if (asked !== undefined || (blocking && !BLOCKS_IN_KERNEL))
      check(native.setNonBlocking(number, !blocking || !BLOCKS_IN_KERNEL), 'fcntl');
    return Socket.#adopt(number, family, type, blocking, true);
  }

  /**
   * Two connected sockets: socketpair(2), family 'unix' where nothing is said. On Windows, which has none, two stream sockets over the
   * loopback that have made sure of each other.
   */
  static pair(options?: SocketOptions): [Socket, Socket] {
    const { family, type, protocol, blocking } = parseOptions(options, HAS_SOCKETPAIR ? 'unix' : 'ipv4');
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
    if (!blocking) for (const socket of pair) socket.#applyMode();
    return pair;
  }

  /** -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  /** The same; it never throws. */
  fileno(): number {
    return this.#fd;
  }

  get family(): SocketFamily {
    return familyName(this.#family);
  }

  get type(): SocketType {
    return types.find(([, number]) => number === this.#type)?.[0] ?? this.#type;
  }

  /** false: calls answer null instead of waiting; the same as a timeout of 0. */
  get blocking(): boolean {
    return this.#timeout !== 0;
  }

  set blocking(on: boolean) {
    this.#assertOpen();
    this.#setTimeout(boolean('blocking', on) ? null : 0);
  }

  /** How long a blocking call waits before it throws ETIMEDOUT, in milliseconds; null: for ever; 0: non-blocking. */
  get timeout(): number | null {
    return this.#timeout;
  }

  set timeout(ms: number | null) {
    this.#assertOpen();
    if (ms !== null && typeof ms !== 'number') throw invalidType('timeout', 'a number of milliseconds or null', ms);
    if (ms !== null && !(ms >= 0)) throw outOfRange('timeout', '0 or more', ms);
    this.#setTimeout(ms === Infinity ? null : ms);
  }

  /** Does a child process that is started get the descriptor? false until set. */
  get inheritable(): boolean {
    this.#assertOpen();
    return check(native.isInheritable(this.#fd), 'fcntl') === 1;
  }

  set inheritable(on: boolean) {
    this.#assertOpen();
    check(native.setInheritable(this.#fd, boolean('inheritable', on)), 'fcntl');
  }

  /**
   * bind(2). Host '': all addresses of this machine that the socket's family reaches: an 'ipv4' socket those of IPv4, an 'ipv6' socket those
   * of IPv4 as well (IPV6_V6ONLY is turned off, unless setOption() has set it before), whose peers are then '::ffff:127.0.0.1'.
   * @throws EADDRINUSE, EADDRNOTAVAIL, EACCES, EINVAL (bound already)
   */
  bind(address: SocketAddressInput): this {
    const [{ sockaddr, context }] = this.#encodeAll(address, 'bind');
    if (context.address === '' && this.#family === AF_INET6 && !this.#choseV6Only) {
      // Ignored: a system without dual-stack sockets (OpenBSD) refuses it, and the socket then takes IPv6 alone.
      if (IPV6_V6ONLY !== undefined) native.setsockopt(this.#fd, IPPROTO_IPV6, IPV6_V6ONLY, OFF);
    }
    check(native.bind(this.#fd, sockaddr), 'bind', context);
    return this;
  }

  /**
   * listen(2).
   * @param backlog how many connections may wait to be accepted: SOMAXCONN where nothing is said, which the kernel may lower further;
   *   0 and less count as the least there is
   */
  listen(backlog: number = native.SOMAXCONN): this {
    this.#assertOpen();
    const most = wholeNumber('backlog', backlog, -INT_MAX, INT_MAX);
    check(native.listen(this.#fd, Math.max(0, most)), 'listen');
    return this;
  }

  /**
   * accept(2). The connection is blocking or not as this listener is, without its timeout.
   * @returns null: nobody waits to be accepted (non-blocking)
   * @throws ETIMEDOUT; EMFILE, ENFILE; ECONNABORTED and others of accept(2) that concern one client: go on
   */
  accept(): Socket | null {
    this.#assertOpen();
    const nonBlocking = this.#timeout === 0 || !BLOCKS_IN_KERNEL;
    const fd = this.#attempt('accept', 'read', () => native.accept(this.#fd, nonBlocking, PEER, PEER_LENGTH));
    if (fd === null) return null;
    return Socket.#adopt(fd, this.#family, this.#type, this.blocking);
  }

  /**
   * connect(2). A name may have several addresses of the socket's family: they are tried in the resolver's order until one connects, as by
   * Python's create_connection(), within one `timeout`. The error is that of the last one, and names its address. A non-blocking socket goes
   * on to the next where one fails at once (ENETUNREACH); what is in progress is the last attempt. macOS takes no second connect(2) on a
   * socket: there the first address is the only one.
   * @returns true: connected. false: in progress (non-blocking); wait for EVENT_WRITE, then ask `error()`
   * @throws ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EISCONN, EALREADY
   */
  connect(address: SocketAddressInput): boolean {
    const addresses = this.#encodeAll(address, 'connect');
    const deadline = new Deadline(this.#timeout);
    let failed: NodeJS.ErrnoException | null = null;
    for (const { sockaddr, context } of addresses) {
      const outcome = this.#connectTo(sockaddr, contextOf(sockaddr, context), deadline, failed !== null);
      if (typeof outcome === 'boolean') return outcome;
      if (failed !== null && outcome.code === 'EINVAL') break; // macOS: no second connect(2) on a socket
      failed = outcome;
    }
    throw failed as NodeJS.ErrnoException;
  }

  /** @returns as connect(), or what this address failed with. @throws ETIMEDOUT: no time is left for others */
  #connectTo(
    sockaddr: Uint8Array,
    context: AddressContext,
    deadline: Deadline,
    isAfterAttempt: boolean,
  ): boolean | NodeJS.ErrnoException {
    let result = native.connect(this.#fd, sockaddr);
    // Linux: once, where an attempt before failed in progress and SO_ERROR has said so (__inet_stream_connect, net/ipv4/af_inet.c).
    if (isAfterAttempt && systemErrorIs(result, 'ECONNABORTED')) result = native.connect(this.#fd, sockaddr);
    // EAGAIN: a Unix socket whose listener's backlog is full; it is not in progress (connect(2)).
    if (result !== native.inProgress) return result >= 0 ? true : systemError(result, 'connect', context);
    if (this.#timeout === 0) return false;
    untilReady(this.#fd, 'write', deadline, 'connect');
    return this.#takeError(context) ?? true;
  }

  /** SO_ERROR, read and cleared: the system error of a connect that was in progress, or null. */
  error(): NodeJS.ErrnoException | null {
    this.#assertOpen();
    return this.#takeError({});
  }

  /**
   * recv(2).
   * @param size how many bytes at the most
   * @param flags the OS's MSG_*, from the entry `syscalls`. MSG_TRUNC (Linux) does not report the length of a longer datagram: there are
   *   never more than `size` bytes. On TCP it discards what it receives (tcp(7)): there are as many zeros as bytes were discarded
   * @returns a Buffer of its own. null: would block. Empty: the peer has finished sending (or sent an empty datagram, or size is 0)
   */
  recv(size: number, flags = 0): Buffer | null {
    this.#assertOpen();
    const most = wholeNumber('size', size, 0, MOST_BYTES);
    const bits = flagBits(flags);
    const buffer = roomFor(most);
    const count = this.#receive(buffer, 0, most, bits);
    return count === null ? null : partOf(buffer, count);
  }

  /** recv(2) into memory that is there. @returns how many bytes; 0: the peer has finished sending. null: would block */
  recvInto(buffer: Uint8Array, offset = 0, length?: number): number | null {
    this.#assertOpen();
    const bytes = uint8Array('buffer', buffer);
    const size = lengthOf(bytes);
    if (offset === 0 && length === undefined) {
      const received = recv(this.#fd, bytes);
      return received >= 0 ? received : this.#receiveAgain(received, bytes, 0, size, 0);
    }
    const start = startOf(offset, size);
    return this.#receive(bytes, start, restOf(length, size - start), 0);
  }

  /**
   * send(2).
   * @param offset, length the part to send, in bytes (of the UTF-8, for a string); all of it where nothing is said
   * @param flags the OS's MSG_*, from the entry `syscalls`. MSG_DONTWAIT: does not wait, on macOS too, whose kernel ignores it in a
   *   send; a blocking socket (O_NONBLOCK, which its duplicates share) is non-blocking while that call runs
   * @returns how many bytes the kernel took, which may be fewer than given. null: would block
   * @throws EPIPE, ECONNRESET; never raises SIGPIPE. ENOBUFS counts as would-block: null, or on a blocking socket another try
   */
  send(data: Uint8Array | string, offset = 0, length?: number, flags = 0): number | null {
    this.#assertOpen();
    const bytes = bytesOf('data', data);
    const size = lengthOf(bytes);
    const start = startOf(offset, size);
    const most = restOf(length, size - start);
    const bits = flagBits(flags);
    const sent = bits === 0 ? send(this.#fd, bytes, start, most) : this.#sendWith(bits, bytes, start, most);
    return sent >= 0 ? sent : this.#sendAgain(sent, bytes, start, most, bits);
  }

  /** All of it, waiting as long as it takes, whether the socket blocks or not; one `timeout` for the whole. BLOCKS. @throws ETIMEDOUT */
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

  /** recvfrom(2): one datagram and its sender. What is longer than `size` is cut off, and lost. null: would block */
  recvFrom(size: number): { readonly data: Buffer; readonly address: SocketAddress } | null {
    this.#assertOpen();
    const most = wholeNumber('size', size, 0, MOST_BYTES);
    const buffer = roomFor(most);
    const room = most < buffer.length ? buffer.subarray(0, most) : buffer;
    const sockaddr = new Uint8Array(SOCKADDR_SIZE);
    const length = new Int32Array(1);
    const count = this.#attempt('recvfrom', 'read', () => {
      const result = native.recvfrom(this.#fd, room, 0, sockaddr, length);
      // Winsock reports a datagram that was too long as an error, with the buffer full.
      return systemErrorIs(result, 'EMSGSIZE') && process.platform === 'win32' ? room.length : result;
    });
    if (count === null) return null;
    return { data: partOf(buffer, count), address: this.#decode(sockaddr, length[0] ?? 0) };
  }

  /** sendto(2). @returns how many bytes were sent: all of a datagram. null: would block */
  sendTo(data: Uint8Array | string, address: SocketAddressInput): number | null {
    const { sockaddr, context } = this.#encode(address, 'sendto');
    const bytes = bytesOf('data', data);
    return this.#attempt('sendto', 'write', () => native.sendto(this.#fd, bytes, 0, sockaddr), context);
  }

  /**
   * Hands descriptors to the process at the other end of a Unix socket (sendmsg(2), SCM_RIGHTS). They stay open here.
   * @param data what goes with them; at least one byte must, so a zero is sent where there is nothing
   * @returns how many bytes of it were sent; the descriptors go with the first. null: would block
   * @throws ERR_UNAVAILABLE on Windows (see `share`); EBADF; EINVAL for more than 253
   */
  sendFds(fds: readonly FileObject[], data?: Uint8Array): number | null {
    this.#assertOpen();
    const calls = passFds();
    const numbers = Int32Array.from(listOf('fds', fds).map((fileobj) => fileno(fileobj as FileObject)));
    this.#assertOpen(); // again: a fileno() of the caller's may have closed this socket
    const given = data === undefined ? undefined : uint8Array('data', data);
    const bytes = given === undefined || lengthOf(given) === 0 ? new Uint8Array(1) : given;
    return this.#attempt('sendmsg', 'write', () => calls.sendFds(this.#fd, bytes, numbers, numbers.length));
  }

  /**
   * Takes descriptors that were handed over (recvmsg(2)). They are new numbers, close-on-exec, and the caller's to close. Every other
   * descriptor that the message brings is closed: those beyond `maxFds`, and the one of the sender's process that Linux adds where
   * SO_PASSPIDFD is on. Credentials, time stamps and security labels (SO_PASSCRED …) take no room from descriptors; they are not reported.
   * @param maxFds 0 to 253; further ones are closed, and MSG_CTRUNC is in `flags`
   * @param size how many bytes of data at the most (1 where nothing is said); a longer datagram is cut: MSG_TRUNC in `flags`
   * @returns null: would block. No data and no descriptors: the peer has finished sending
   */
  recvFds(maxFds: number, size = 1): { readonly fds: number[]; readonly data: Buffer; readonly flags: number } | null {
    this.#assertOpen();
    const calls = passFds();
    const descriptors = new Int32Array(wholeNumber('maxFds', maxFds, 0, MOST_FDS));
    const buffer = Buffer.alloc(wholeNumber('size', size, 0, MOST_BYTES));
    const out = new Int32Array(2);
    const count = this.#attempt('recvmsg', 'read', () => calls.recvFds(this.#fd, buffer, descriptors, out));
    if (count === null) return null;
    return { fds: [...descriptors.subarray(0, out[0])], data: buffer.subarray(0, count), flags: out[1] ?? 0 };
  }

  /**
   * Windows' way to hand a socket over (WSADuplicateSocket): bytes that the process `pid`, and it alone, turns into this socket, once.
   * This one must stay open until it has. @throws ERR_UNAVAILABLE elsewhere (see `sendFds`)
   */
  share(pid: number): Uint8Array {
    this.#assertOpen();
    const calls = shareSocket();
    const out = new Uint8Array(calls.WSAPROTOCOL_INFO_SIZE);
    check(calls.WSADuplicateSocket(this.#fd, wholeNumber('pid', pid, 1, 0xffff_ffff), out), 'WSADuplicateSocket');
    return out;
  }

  /** The other end of `share`. @throws EINVAL for bytes that are not from it, or are for another process */
  static fromShare(shared: Uint8Array): Socket {
    const calls = shareSocket();
    const bytes = uint8Array('shared', shared);
    if (lengthOf(bytes) !== calls.WSAPROTOCOL_INFO_SIZE)
      throw outOfRange('shared', `${calls.WSAPROTOCOL_INFO_SIZE} bytes long`, lengthOf(bytes));
    const fd = check(calls.WSASocket(bytes), 'WSASocket');
    try {
      return Socket.fromFd(fd);
    } catch (error) {
      new native.Descriptor(fd).close();
      throw error;
    }
  }

  /**
   * A second socket for the same open file, close-on-exec (dup(2); WSADuplicateSocket on Windows). The system keeps whether it blocks with
   * the file, so set `blocking` or `timeout` on both alike, or on the one before it is duplicated.
   */
  dup(): Socket {
    this.#assertOpen();
    const fd = check(native.duplicate(this.#fd), 'dup');
    const copy = Socket.#adopt(fd, this.#family, this.#type, this.blocking);
    copy.#timeout = this.#timeout;
    return copy;
  }

  /** shutdown(2): the end of one direction, or both. What was sent is still delivered. @throws ENOTCONN */
  shutdown(how: 'read' | 'write' | 'both'): void {
    this.#assertOpen();
    if (typeof how !== 'string' || !Object.hasOwn(HOW, how)) throw invalidChoice('how', Object.keys(HOW), how);
    check(native.shutdown(this.#fd, HOW[how]), 'shutdown');
  }

  /** getsockname(2) */
  get localAddress(): SocketAddress {
    return this.#address('getsockname');
  }

  /** getpeername(2). @throws ENOTCONN */
  get remoteAddress(): SocketAddress {
    return this.#address('getpeername');
  }

  /**
   * setsockopt(2): by name with an int or a boolean, or by the OS's own numbers with an int or the struct's bytes. SO_LINGER takes seconds;
   * false is off, and 0 makes close() reset the connection.
   * @throws ENOPROTOOPT for an option that this OS lacks
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

  /** getsockopt(2): by name as an int (SO_LINGER: seconds, -1 where it is off), or by number as the struct's bytes. */
  getOption(name: SocketOptionName): number;
  getOption(level: number, option: number, length: number): Buffer;
  getOption(...args: readonly unknown[]): number | Buffer {
    this.#assertOpen();
    return getOption(this.#fd, args);
  }

  /**
   * Gives the descriptor away without closing it, blocking as this object was; this object is closed afterwards.
   * @throws in a worker EBADF, where somebody has closed the number already; other errors of fcntl(2): this object is then open as before
   */
  detach(): number {
    this.#assertOpen();
    const fd = this.#fd;
    const mode = this.#timeout === null && !BLOCKS_IN_KERNEL ? native.setNonBlocking(fd, false) : 0;
    if (mode >= 0 || systemErrorName(mode) === 'EBADF') {
      this.#fd = -1;
      this.#owner.release();
    }
    check(mode, 'fcntl');
    return fd;
  }

  /** close(2). A proactor's operations on it end with ECANCELED. Left to the garbage collector, a socket is closed too. @throws ECONNRESET and others that close(2) has to tell */
  close(): void {
    if (this.#fd < 0) return;
    for (const callback of closing.get(this) ?? []) callback();
    this.#fd = -1;
    check(this.#owner.close(), 'close');
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // --------------------------------------------------------------------------------------------------------------------

  /** After close() no system call is made: the number may be another file's by now. */
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
      this.#applyMode();
    } catch (error) {
      this.#timeout = before;
      throw error;
    }
  }

  #applyMode(): void {
    check(native.setNonBlocking(this.#fd, this.#timeout !== null || !BLOCKS_IN_KERNEL), 'fcntl');
  }

  /**
   * On a blocking socket, is "would block" the kernel's last word? Its own time is over (SO_RCVTIMEO, SO_SNDTIMEO), or waiting was not
   * asked for. A send without a time limit has not waited: the system had no buffer for it (ENOBUFS, native/platform/platform.h).
   */
  #hasWaited(flags: number, direction: 'read' | 'write'): boolean {
    if ((flags & DO_NOT_WAIT) !== 0) return true;
    if (this.#timeout !== null || !BLOCKS_IN_KERNEL || native.isNonBlocking(this.#fd) !== 0) return false;
    return direction === 'read' || hasSendTimeout(this.#fd);
  }

  /** XNU's send ignores MSG_DONTWAIT and looks at O_NONBLOCK alone (sosendcheck()): so a blocking socket is non-blocking while it runs. */
  #sendWith(flags: number, bytes: Uint8Array, offset: number, length: number): number {
    const mayBlock = (flags & MSG_DONTWAIT) !== 0 && this.#timeout === null && BLOCKS_IN_KERNEL;
    if (!mayBlock || native.isNonBlocking(this.#fd) !== 0) return send(this.#fd, bytes, offset, length, flags);
    check(native.setNonBlocking(this.#fd, true), 'fcntl');
    try {
      return send(this.#fd, bytes, offset, length, flags);
    } finally {
      native.setNonBlocking(this.#fd, false);
    }
  }

  /** Makes a call; where it would block, null, or the same again once the descriptor is ready. */
  #attempt(syscall: string, direction: 'read' | 'write', call: () => number, context = {}): number | null {
    const first = call();
    return first >= 0 ? first : this.#again(first, syscall, direction, call, context);
  }

  /** What #attempt() does when the first call has failed. */
  #again(
    first: number,
    syscall: string,
    direction: 'read' | 'write',
    call: () => number,
    context = {},
    flags = 0,
  ): number | null {
    if (first !== native.wouldBlock) throw systemError(first, syscall, context);
    if (this.#timeout === 0 || this.#hasWaited(flags, direction)) return null;
    const retry = new Retry(this.#fd, direction, new Deadline(this.#timeout), syscall);
    for (;;) {
      retry.wait();
      const result = call();
      if (result !== native.wouldBlock) return check(result, syscall, context);
    }
  }

  // recv(2) and send(2) come by the hundred thousand a second: no closure is made where the first call succeeds.

  #receive(bytes: Uint8Array, offset: number, length: number, flags: number): number | null {
    const received = recv(this.#fd, bytes, offset, length, flags);
    return received >= 0 ? received : this.#receiveAgain(received, bytes, offset, length, flags);
  }

  #receiveAgain(first: number, bytes: Uint8Array, offset: number, length: number, flags: number): number | null {
    return this.#again(first, 'recv', 'read', () => recv(this.#fd, bytes, offset, length, flags), {}, flags);
  }

  #sendAgain(first: number, bytes: Uint8Array, offset: number, length: number, flags: number): number | null {
    return this.#again(first, 'send', 'write', () => send(this.#fd, bytes, offset, length, flags), {}, flags);
  }

  #takeError(context: object): NodeJS.ErrnoException | null {
    const value = new Int32Array(1);
    check(native.getsockopt(this.#fd, SOL_SOCKET, SO_ERROR, new Uint8Array(value.buffer)), 'getsockopt');
    const number = value[0] ?? 0;
    return number === 0 ? null : systemError(-number, 'connect', context);
  }

  #address(syscall: 'getsockname' | 'getpeername'): SocketAddress {
    this.#assertOpen();
    const sockaddr = new Uint8Array(SOCKADDR_SIZE);
    return this.#decode(sockaddr, check(native[syscall](this.#fd, sockaddr), syscall));
  }

  #decode(sockaddr: Uint8Array, length: number): SocketAddress {
    // macOS and Linux may tell a Unix socket without a name by its family alone, or by nothing.
    return length === 0 && this.#family === AF_UNIX ? { path: '' } : decodeAddress(sockaddr.subarray(0, length));
  }
}

/** Memory to receive into, before it is known how much comes. */
function roomFor(size: number): Buffer {
  if (size > SCRATCH_SIZE) return Buffer.allocUnsafeSlow(size);
  return (scratch ??= Buffer.allocUnsafeSlow(SCRATCH_SIZE));
}

/** What was received there, as the caller's own: a copy, unless most of a buffer of its own is full. */
function partOf(buffer: Buffer, count: number): Buffer {
  const part = buffer.subarray(0, count);
  return buffer === scratch || 2 * count < buffer.length ? Buffer.from(part) : part;
}

/** MSG_* or-ed together, as C's int. */
function flagBits(flags: unknown): number {
  return wholeNumber('flags', flags, -INT_MAX - 1, INT_MAX);
}

/** Where a part begins, of so many bytes. */
function startOf(offset: unknown, size: number): number {
  return wholeNumber('offset', offset, 0, size);
}

/** How long it is; all the rest where nothing is said. */
function restOf(length: unknown, rest: number): number {
  return length === undefined ? rest : wholeNumber('length', length, 0, rest);
}

/** The family of a socket that came from elsewhere: SO_DOMAIN, or the one its own name has. */
function familyOf(fd: number): number {
  if (SO_DOMAIN !== undefined) {
    const value = new Int32Array(1);
    check(native.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, new Uint8Array(value.buffer)), 'getsockopt');
    return value[0] ?? 0;
  }
  const sockaddr = new Uint8Array(SOCKADDR_SIZE);
  const length = native.getsockname(fd, sockaddr);
  // Windows does not know the name of an unbound socket.
  if (length < 2) return AF_INET;
  return familyOfSockaddr(sockaddr.subarray(0, length));
}

/** Has the caller limited how long the kernel waits in a send? */
function hasSendTimeout(fd: number): boolean {
  if (SO_SNDTIMEO === undefined) return false;
  const value = new Uint8Array(TIMEVAL_SIZE);
  return native.getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, value) < 0 || value.some((byte) => byte !== 0);
}

function systemErrorIs(result: number, code: string): boolean {
  return result < 0 && systemError(result, '').code === code;
}

function passFds() {
  if (passFdsCalls === undefined)
    throw unavailable('Windows has no SCM_RIGHTS; share() hands a socket to another process');
  return passFdsCalls;
}

function shareSocket() {
  if (shareSocketCalls === undefined)
    throw unavailable('WSADuplicateSocket is of Windows; sendFds() hands descriptors over');
  return shareSocketCalls;
}
