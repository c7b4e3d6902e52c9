/** Sockets that a caller gives to a loop: checked before anything changes, then taken over completely or not at all. */
import { check, closedError, inUse, invalidType, invalidValue, namedError } from '../errors.js';
import { native } from '../native.js';
import { guarded } from '../validate.js';
import { hasOperations } from './close-hooks.js';
import { Socket } from './socket.js';
import { getIntOption } from './sockopt.js';

const { SOCK_STREAM = 1, SO_TYPE = 3, SO_ACCEPTCONN } = native.constants;

/** The largest sockaddr (sockaddr_storage). */
const SOCKADDR_SIZE = 128;

/**
 * Checks that it is an open stream socket without operations under way.
 * @throws ERR_INVALID_ARG_TYPE, ERR_CLOSED; ERR_BUSY: operations of a proactor are under way on it; ERR_INVALID_ARG_VALUE: no stream socket
 */
export function givenStream(socket: unknown): Socket {
  if (!guarded('socket', () => socket instanceof Socket)) throw invalidType('socket', 'a Socket', socket);
  const given = socket as Socket;
  const fd = guarded('socket', () => given.fd);
  if (fd < 0) throw closedError('socket');
  if (hasOperations(given)) throw inUse('socket');
  if (getIntOption(fd, SO_TYPE) !== SOCK_STREAM) throw invalidValue('a loop serves stream sockets only');
  return given;
}

/** getpeername(2), packed (see stream.ts). @throws ENOTCONN: it is not connected, or no longer */
export function peerOf({ fd }: Socket): string {
  const sockaddr = Buffer.alloc(SOCKADDR_SIZE);
  return sockaddr.toString('latin1', 0, check(native.getpeername(fd, sockaddr), 'getpeername'));
}

/** getpeername(2), packed; '' where it has no peer. */
export function packedPeer({ fd }: Socket): string {
  const sockaddr = Buffer.alloc(SOCKADDR_SIZE);
  return sockaddr.toString('latin1', 0, Math.max(0, native.getpeername(fd, sockaddr)));
}

/**
 * @throws EINVAL, as accept(2), where it does not listen. macOS has no SO_ACCEPTCONN: there a connected socket is recognized by its peer, and
 *   any other socket fails in its first accept
 */
export function assertListens({ fd }: Socket): void {
  const listens = SO_ACCEPTCONN === undefined ? -1 : getIntOption(fd, SO_ACCEPTCONN);
  if (listens === 0 || (listens < 0 && native.getpeername(fd, Buffer.alloc(SOCKADDR_SIZE)) >= 0))
    throw namedError('EINVAL', 'accept');
}

/**
 * Makes the socket non-blocking, calls `begin`, which registers the descriptor with the mechanism, and detaches the Socket object.
 * @returns the descriptor, which the caller owns from now on
 * @throws what `begin` throws; the socket is unchanged then
 */
export function takeSocket(socket: Socket, begin: () => void): number {
  const { timeout } = socket;
  try {
    socket.blocking = false;
    begin();
  } catch (error) {
    socket.timeout = timeout;
    throw error;
  }
  return socket.detach();
}
