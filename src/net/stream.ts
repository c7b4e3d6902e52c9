/** System calls on a loop's stream descriptors, by number: a Socket object for each would be most of a connection's cost. */
import { closedError } from '../errors.js';
import type { NativeDescriptors } from '../addon.js';
import { native } from '../native.js';
import {
  type EncodedAddress,
  type SocketAddress,
  type SocketFamily,
  decodeAddress,
  encodeAddress,
  encodeAddresses,
  familyName,
  familyNumber,
  familyOfSockaddr,
} from '../syscalls/address.js';

const { IPPROTO_TCP = 6, TCP_NODELAY = 1 } = native.constants;
const { SOCK_STREAM = 1, SOL_SOCKET = 1, SO_ERROR = 4, SO_KEEPALIVE } = native.constants;
/** macOS calls it TCP_KEEPALIVE. */
const TCP_KEEPIDLE = native.constants.TCP_KEEPIDLE ?? native.constants.TCP_KEEPALIVE;

/** The largest sockaddr (sockaddr_storage). */
const SOCKADDR_SIZE = 128;
const sockaddr = Buffer.alloc(SOCKADDR_SIZE);
const number = new Int32Array(1);
const numberBytes = new Uint8Array(number.buffer);
const ON = new Uint8Array(Int32Array.of(1).buffer);
const SHUT_WR = 1;
const AF_UNSPEC = 0;

/** An owner of descriptors: they are closed one by one, when it is garbage-collected, or when its thread ends. */
export function ownDescriptors(): NativeDescriptors {
  return new native.Descriptors();
}

/** connectStream() returns it while the connect is in progress (EINPROGRESS). */
export const IN_PROGRESS = native.inProgress;

/** socket(2), a non-blocking stream. @returns the descriptor, or a negative error */
export function openStream(family: SocketFamily): number {
  const fd = native.socket(familyNumber(family), SOCK_STREAM, 0);
  if (fd >= 0) native.setNonBlocking(fd, true);
  return fd;
}

/** connect(2). @returns 0, IN_PROGRESS, or a negative error */
export function connectStream(fd: number, packed: string): number {
  return native.connect(fd, Buffer.from(packed, 'latin1'));
}

/** accept(2), non-blocking. @returns the descriptor, whose peer is lastPeer(), or a negative error */
export function acceptStream(listener: number): number {
  return native.accept(listener, true, sockaddr, number);
}

/** The packed address of the peer that was accepted last: its sockaddr, a byte per character. It takes a tenth of an object's memory. */
export function lastPeer(): string {
  return sockaddr.toString('latin1', 0, number[0]);
}

/** Encodes an address as lastPeer() does. */
export function packAddress(address: SocketAddress): string {
  return Buffer.from(encodeAddress(address, AF_UNSPEC, 'bind').sockaddr).toString('latin1');
}

/** Decodes a packed address. */
export function unpackAddress(packed: string): SocketAddress {
  // macOS may report no sockaddr for a Unix socket without a name.
  return packed === '' ? { path: '' } : decodeAddress(Buffer.from(packed, 'latin1'));
}

/** The socket options that listen(), connect() and adopt() take, for their connections. */
export interface StreamOptions {
  readonly noDelay: boolean;
  /** Idle seconds before the first probe; 0: the system's default; -1: SO_KEEPALIVE is off. */
  readonly keepAlive: number;
}

/** Errors are ignored: the peer has reset already, which the next recv(2) reports; or the system lacks TCP_KEEPIDLE and keeps its own time. */
export function setStreamOptions(fd: number, { noDelay, keepAlive }: StreamOptions): void {
  if (noDelay) setNoDelay(fd);
  if (keepAlive < 0) return;
  if (SO_KEEPALIVE !== undefined) native.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, ON);
  if (keepAlive > 0 && TCP_KEEPIDLE !== undefined)
    native.setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, new Uint8Array(Int32Array.of(keepAlive).buffer));
}

/** Small messages are sent at once, not kept back until earlier ones are acknowledged (asyncio does the same). */
function setNoDelay(fd: number): void {
  // Ignored: the peer has disconnected already, or it is a Unix socket.
  native.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, ON);
}

/** getsockname(2). @throws ERR_CLOSED */
export function localAddressOf(fd: number): SocketAddress {
  const length = fd < 0 ? -1 : native.getsockname(fd, sockaddr);
  if (length < 0) throw closedError('connection');
  return length === 0 ? { path: '' } : decodeAddress(sockaddr.subarray(0, length));
}

/** shutdown(2): FIN. @returns 0 or a negative error */
export function finishSending(fd: number): number {
  return native.shutdown(fd, SHUT_WR);
}

/** SO_ERROR of a connect that was in progress. @returns 0, or a negative error */
export function connectError(fd: number): number {
  const result = native.getsockopt(fd, SOL_SOCKET, SO_ERROR, numberBytes);
  return result < 0 ? result : -(number[0] as number);
}

/** An address in the forms that a loop needs. */
export interface ResolvedAddress {
  readonly family: SocketFamily;
  /** Numeric: no name is left to look up. */
  readonly address: SocketAddress;
  /** See lastPeer. */
  readonly packed: string;
}

/** Resolves an address to its first sockaddr. BLOCKS for a name. @throws as encodeAddress() */
export function resolveAddress(address: unknown, syscall: string): ResolvedAddress {
  return resolvedOf(encodeAddress(address, AF_UNSPEC, syscall));
}

/** Resolves an address to all its sockaddrs, in the resolver's order. BLOCKS for a name. @throws as encodeAddress() */
export function resolveAddresses(address: unknown, syscall: string): ResolvedAddress[] {
  return encodeAddresses(address, AF_UNSPEC, syscall).map(resolvedOf);
}

/** The forms of an encoded address. */
export function resolvedOf({ sockaddr: bytes }: EncodedAddress): ResolvedAddress {
  const packed = Buffer.from(bytes).toString('latin1');
  return { family: familyName(familyOfSockaddr(bytes)), address: decodeAddress(bytes), packed };
}
