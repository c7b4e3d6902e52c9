/**
 * A connection changes hands between two processes as a descriptor: over a Unix socket with SCM_RIGHTS (unix(7)); on Windows as the bytes
 * of WSADuplicateSocket, from which the other process makes a socket, and says so, for until then this one must keep its own.
 */
import { Socket } from '../../index.js';
import { namedError } from '../../errors.js';
import { adopted } from './adopted.js';
import { closeQuietly, isSocketError } from './blocking.js';
import type { Server } from './server.js';

const BY_DESCRIPTOR = process.platform !== 'win32';
/** What a child sends when it has no connection. */
const IDLE = 'i';
const TAKEN = Buffer.from('t');

/**
 * Gives a connection away; it is closed here. BLOCKS until the system has it.
 * @param pid the process at the other end of the channel
 * @throws EPIPE, ECONNRESET: that process has gone. The connection is still open
 */
export function sendConnection(channel: Socket, connection: Socket, pid: number): void {
  if (BY_DESCRIPTOR) {
    channel.sendFds([connection]);
  } else {
    const share = connection.share(pid);
    channel.sendAll(Buffer.concat([Buffer.of(share.length >> 8, share.length & 0xff), share]));
    receive(channel, TAKEN.length);
  }
  closeQuietly(connection); // or it would not be over when the other process closes it (post 003)
}

/** What a child has said. @returns false: it has died */
export function readIdleToken(channel: Socket): boolean {
  try {
    return channel.recv(IDLE.length)?.length === IDLE.length;
  } catch (error) {
    if (isSocketError(error)) return false; // ECONNRESET: it has died before it took a connection
    throw error;
  }
}

/** The process at the other end of a channel has exited. Another error of sendmsg(2) is of the system, or of the connection. */
export function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EPIPE' || code === 'ECONNRESET' || code === 'ENOTCONN';
}

/**
 * The other end: says that it has no connection, and waits for one. A connection of which no socket can be made is reset and reported, and
 * it waits for the next one. BLOCKS.
 * @returns null: there will be no more
 */
export function receiveConnection(server: Server, channel: Socket): Socket | null {
  try {
    for (;;) {
      server.waitPatiently(() => channel.sendAll(IDLE));
      const connection = receiveOne(server, channel);
      if (connection !== undefined) return connection;
    }
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

/** @returns undefined: it has failed, and is closed */
function receiveOne(server: Server, channel: Socket): Socket | null | undefined {
  const onFailed = (error: unknown): void => server.handOverFailed(error);
  if (BY_DESCRIPTOR) {
    const received = server.waitPatiently(() => channel.recvFds(1));
    if (received === null || received.data.length === 0) return null;
    const [fd] = received.fds;
    if (fd !== undefined) return adopted(fd, onFailed);
    onFailed(namedError('EMFILE', 'recvmsg')); // the kernel has closed it: this process has no number for it
    return undefined;
  }
  const header = receive(channel, 2);
  if (header === null) return null;
  const share = receive(channel, header.readUInt16BE());
  if (share === null) return null;
  const connection = Socket.fromShare(share);
  channel.sendAll(TAKEN);
  return connection;
}

/** Exactly so many bytes. @returns null: the other end has closed */
function receive(channel: Socket, size: number): Buffer | null {
  const bytes = Buffer.alloc(size);
  for (let length = 0; length < size;) {
    const received = channel.recvInto(bytes, length) ?? 0;
    if (received === 0) return null;
    length += received;
  }
  return bytes;
}
