/** Sockets of the caller's that a loop is given: looked at before anything changes, then taken over as a whole or not at all. */
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
 * A stream socket that is open, and nobody waits on.
 * @throws ERR_INVALID_ARG_TYPE, ERR_CLOSED; ERR_BUSY: operations of a proactor's are under way on it; ERR_INVALID_ARG_VALUE: no stream
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

/** getpeername(2), packed (see stream.ts). @throws ENOTCONN: it is not connected, or is not any more */
export function peerOf({ fd }: Socket): string {
  const sockaddr = Buffer.alloc(SOCKADDR_SIZE);
  return sockaddr.toString('latin1', 0, check(native.getpeername(fd, sockaddr), 'getpeername'));
}

/** The same; '' where it has none. */
export function packedPeer({ fd }: Socket): string {
  const sockaddr = Buffer.alloc(SOCKADDR_SIZE);
  return sockaddr.toString('latin1', 0, Math.max(0, native.getpeername(fd, sockaddr)));
}

/**
 * @throws EINVAL, as accept(2) says it, where it does not listen. macOS has no SO_ACCEPTCONN: there a connected socket is found by its
 *   peer, and of any other socket the first accept fails
 */
export function assertListens({ fd }: Socket): void {
  const listens = SO_ACCEPTCONN === undefined ? -1 : getIntOption(fd, SO_ACCEPTCONN);
  if (listens === 0 || (listens < 0 && native.getpeername(fd, Buffer.alloc(SOCKADDR_SIZE)) >= 0))
    throw namedError('EINVAL', 'accept');
}

/**
 * Makes it non-blocking and calls `begin`, which has the mechanism take the descriptor. Then the socket's object is detached, and whoever
 * called is the descriptor's owner.
 * @throws what `begin` throws; the socket is as it was
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
