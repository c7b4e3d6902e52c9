/**
 * The system call of each operation, made by this thread without waiting: for proactors whose kernel does not make it.
 *
 * A caller's descriptor may be a blocking one. recv obeys MSG_DONTWAIT on every system that has it. Every other call obeys O_NONBLOCK alone,
 * also send on macOS, whose kernel ignores MSG_DONTWAIT there (XNU, sosendcheck(): SS_NBIO alone): for such a call the descriptor is
 * non-blocking while the call runs. O_NONBLOCK belongs to the open file, so its duplicates do not block at that moment either.
 */
import { fstatSync, readSync, writeSync } from 'node:fs';
import { systemErrorName } from '../errors.js';
import { native } from '../native.js';
import { isTransientAcceptError } from '../net/accept-errors.js';
import { receiveBuffer, receivedPart } from '../net/receive-buffer.js';
import { Socket } from '../net/socket.js';
import { getIntOption } from '../net/sockopt.js';
import { waitsInKernel } from '../syscalls/slices.js';
import type { FileObject } from '../syscalls/file-object.js';
import type { Completion, Request } from './operation.js';

/** An operation that is carried out by a call. */
export interface Call {
  readonly request: Exclude<Request, { readonly kind: 'timeout' }>;
  /** The caller's file object; undefined for a loop's operation, whose descriptor never blocks. */
  readonly file: FileObject | undefined;
}

/** The result of a call. undefined: it would block. */
export type Outcome = Omit<Completion, 'id'> | undefined;

type Of<K extends Request['kind']> = Extract<Request, { readonly kind: K }>;
type Receiving = Of<'recv' | 'recvFrom'>;

const { MSG_DONTWAIT = 0, SO_ERROR = 4, SO_ACCEPTCONN } = native.constants;
const IS_WINDOWS = process.platform === 'win32';
/** The largest sockaddr (sockaddr_storage). */
const SOCKADDR_SIZE = 128;
/** Connections that one accept discards because their clients have disconnected; then the descriptor is polled again. */
const MAX_DISCARDED = 64;

/** EOPNOTSUPP, and Node's other name for its number. */
const CANNOT_ACCEPT: readonly string[] = ['EOPNOTSUPP', 'ENOTSUP'];

/** accept(2) writes the peer's address here. */
const peer = new Uint8Array(SOCKADDR_SIZE);
const peerLength = new Int32Array(1);

/** Makes the call. @param hasBegun a connect is in progress: reads its result */
export function attempt(call: Call, hasBegun: boolean): Outcome {
  try {
    return makeCall(call, hasBegun);
  } catch (error) {
    return { result: -1, error: error as Error }; // no memory for a buffer of this size
  }
}

function makeCall({ request, file }: Call, hasBegun: boolean): Outcome {
  switch (request.kind) {
    case 'accept':
      return accept(request, file);
    case 'connect':
      return hasBegun ? outcomeOf(socketError(request.fd)) : connect(request, file);
    case 'recv':
      return receive(request, file);
    case 'recvFrom':
      return receiveFrom(request, file);
    case 'send':
      return send(request, file);
    case 'sendTo':
      return sendTo(request, file);
    case 'read':
      return read(request, file);
    case 'write':
      return write(request, file);
  }
}

// ------------------------------------------------------------------------------------------------------- without waiting

/** Does a call on this descriptor block? Windows does not report it: there the Socket object has the answer. */
function blocks(fd: number, file: FileObject | undefined): boolean {
  const nonBlocking = native.isNonBlocking(fd);
  if (nonBlocking >= 0) return nonBlocking === 0;
  return waitsInKernel() && file instanceof Socket && file.timeout === null;
}

function withoutBlocking<T>(fd: number, file: FileObject | undefined, call: () => T): T {
  if (!blocks(fd, file)) return call();
  native.setNonBlocking(fd, true);
  try {
    return call();
  } finally {
    native.setNonBlocking(fd, false);
  }
}

/** For recv and recvfrom, which are given MSG_DONTWAIT. */
const receiving: typeof withoutBlocking = MSG_DONTWAIT === 0 ? withoutBlocking : (_fd, _file, call) => call();

/** For send and sendto. A loop's descriptor (no file) is non-blocking already. */
const sending: typeof withoutBlocking = (fd, file, call) =>
  file === undefined ? call() : withoutBlocking(fd, file, call);

function outcomeOf(result: number): Outcome {
  return result === native.wouldBlock ? undefined : { result };
}

/** SO_ERROR, negative as the addon's errors are. 0: none. */
function socketError(fd: number): number {
  const number = getIntOption(fd, SO_ERROR);
  return number > 0 ? -number : number;
}

// ----------------------------------------------------------------------------------------------------------------- sockets

/** SO_ACCEPTCONN. undefined: the system lacks the option (macOS, ENOPROTOOPT), or the descriptor is no socket. */
export function listens(fd: number): boolean | undefined {
  if (SO_ACCEPTCONN === undefined) return undefined;
  const value = getIntOption(fd, SO_ACCEPTCONN);
  return value < 0 ? undefined : value !== 0;
}

function accept({ fd, nonBlocking }: Of<'accept'>, file: FileObject | undefined): Outcome {
  return withoutBlocking(fd, file, () => {
    for (let discarded = 0; discarded < MAX_DISCARDED; ++discarded) {
      const result = native.accept(fd, nonBlocking, peer, peerLength);
      if (result === native.wouldBlock) return undefined;
      if (result >= 0) return { result, sockaddr: peer.slice(0, peerLength[0]) };
      const code = systemErrorName(result);
      if (!isTransientAcceptError(code)) return { result };
      // EOPNOTSUPP: on Linux possibly the error of one client (accept(2)). Elsewhere, and on any socket that does not listen, it means that
      // this socket cannot accept (XNU, accept_nocancel(): no other error of one client comes from such a socket).
      const listening = listens(fd);
      if (listening === false || (listening === undefined && CANNOT_ACCEPT.includes(code))) return { result };
    }
    return undefined;
  });
}

function connect({ fd, sockaddr }: Of<'connect'>, file: FileObject | undefined): Outcome {
  const result = withoutBlocking(fd, file, () => native.connect(fd, sockaddr));
  // EAGAIN is not "in progress": the backlog of a Unix listener is full (connect(2)). Winsock has one number for both.
  return result === native.inProgress ? undefined : { result };
}

function receive({ fd, size }: Receiving, file: FileObject | undefined): Outcome {
  const buffer = receiveBuffer(size);
  const result = receiving(fd, file, () => native.recv(fd, buffer, 0, size, MSG_DONTWAIT));
  return received(result, buffer, size);
}

function receiveFrom({ fd, size }: Receiving, file: FileObject | undefined): Outcome {
  const buffer = receiveBuffer(size).subarray(0, size);
  const sockaddr = new Uint8Array(SOCKADDR_SIZE);
  const length = new Int32Array(1);
  const result = receiving(fd, file, () => native.recvfrom(fd, buffer, MSG_DONTWAIT, sockaddr, length));
  const outcome = received(result, buffer, size);
  return outcome && { ...outcome, sockaddr: sockaddr.subarray(0, length[0]) };
}

function received(result: number, buffer: Buffer, size: number): Outcome {
  if (result === native.wouldBlock) return undefined;
  // Winsock reports a datagram that was too long as an error, with the buffer full.
  const wasCut = IS_WINDOWS && result < 0 && systemErrorName(result) === 'EMSGSIZE';
  const count = wasCut ? size : result;
  return count < 0 ? { result } : { result: count, data: receivedPart(buffer, count) };
}

function send({ fd, bytes }: Of<'send'>, file: FileObject | undefined): Outcome {
  return outcomeOf(sending(fd, file, () => native.send(fd, bytes, 0, bytes.length, MSG_DONTWAIT)));
}

function sendTo({ fd, bytes, sockaddr }: Of<'sendTo'>, file: FileObject | undefined): Outcome {
  return outcomeOf(sending(fd, file, () => native.sendto(fd, bytes, MSG_DONTWAIT, sockaddr)));
}

// ------------------------------------------------------------------------------------------------------------------- files

/**
 * Can a selector watch the descriptor to some purpose? Regular files and block devices are always ready (epoll refuses them, a kqueue counts
 * the bytes up to the end of the file), and Windows' selectors take sockets only.
 * @throws EBADF
 */
export function isWatchable(fd: number): boolean {
  const stats = fstatSync(fd);
  return !IS_WINDOWS && !stats.isFile() && !stats.isDirectory() && !stats.isBlockDevice();
}

function read({ fd, size, position }: Of<'read'>, file: FileObject | undefined): Outcome {
  const buffer = receiveBuffer(size);
  const outcome = transfer(fd, file, position, (at) => readSync(fd, buffer, 0, size, at));
  return outcome === undefined || outcome.result < 0
    ? outcome
    : { ...outcome, data: receivedPart(buffer, outcome.result) };
}

function write({ fd, bytes, position }: Of<'write'>, file: FileObject | undefined): Outcome {
  return transfer(fd, file, position, (at) => writeSync(fd, bytes, 0, bytes.length, at));
}

function transfer(
  fd: number,
  file: FileObject | undefined,
  position: number,
  move: (at: number | null) => number,
): Outcome {
  try {
    return withoutBlocking(fd, file, () => ({ result: atPosition(position, move) }));
  } catch (error) {
    if (codeOf(error) === 'EAGAIN') return undefined;
    return { result: -1, error: error as Error };
  }
}

function atPosition(position: number, move: (at: number | null) => number): number {
  try {
    return move(position);
  } catch (error) {
    if (codeOf(error) !== 'ESPIPE') throw error;
    return move(null); // a pipe, a tty: the next bytes
  }
}

/** The `code` of an error; undefined: it has none. */
export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
