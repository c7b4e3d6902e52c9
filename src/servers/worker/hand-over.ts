/**
 * Passing a connection to another process: as a descriptor over a Unix socket (SCM_RIGHTS, unix(7)). On Windows: as the bytes of
 * WSADuplicateSocket, from which the other process makes a socket; it acknowledges, since the sender must keep its own socket until then.
 */
import { Socket } from '../../index.js';
import { namedError } from '../../errors.js';
import { adoptFd } from './adopt-fd.js';
import { closeQuietly, isSocketError } from './blocking.js';
import type { Server } from './server.js';

const PASSES_DESCRIPTORS = process.platform !== 'win32';
/** A child sends it when it is idle. */
const IDLE_TOKEN = 'i';
/** Windows: a child sends it when it has made a socket of the bytes. */
const TAKEN_TOKEN = Buffer.from('t');

/**
 * Passes a connection on, and closes it in this process. BLOCKS until the kernel has it (Windows: until the other process has it).
 * @param pid the process at the other end of the channel
 * @throws EPIPE, ECONNRESET: that process has exited. The connection is still open
 */
export function sendConnection(channel: Socket, connection: Socket, pid: number): void {
  if (PASSES_DESCRIPTORS) {
    channel.sendFds([connection]);
  } else {
    const share = connection.share(pid);
    channel.sendAll(Buffer.concat([Buffer.of(share.length >> 8, share.length & 0xff), share]));
    receive(channel, TAKEN_TOKEN.length);
  }
  closeQuietly(connection); // else it would stay open when the other process closes it (post 003)
}

/** Reads the token with which a child reports that it is idle. BLOCKS. @returns false: the child has exited */
export function readIdleToken(channel: Socket): boolean {
  try {
    return channel.recv(IDLE_TOKEN.length)?.length === IDLE_TOKEN.length;
  } catch (error) {
    if (isSocketError(error)) return false; // ECONNRESET: it has exited before it took a connection
    throw error;
  }
}

/** The process at the other end of a channel has exited. Other errors of sendmsg(2) concern the system or the connection. */
export function isPeerClosed(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EPIPE' || code === 'ECONNRESET' || code === 'ENOTCONN';
}

/**
 * In a child: reports that it is idle, and waits for a connection. One of which no socket can be made is reset and reported, and the next one
 * is awaited. BLOCKS.
 * @returns null: the parent has closed the channel
 */
export function receiveConnection(server: Server, channel: Socket): Socket | null {
  try {
    for (;;) {
      server.waitWithRetry(() => channel.sendAll(IDLE_TOKEN));
      const connection = receiveOne(server, channel);
      if (connection !== undefined) return connection;
    }
  } catch (error) {
    if (isPeerClosed(error)) return null;
    throw error;
  }
}

/** @returns undefined: the connection has failed, and is closed; null: as receiveConnection() */
function receiveOne(server: Server, channel: Socket): Socket | null | undefined {
  const onFailed = (error: unknown): void => server.onHandOverFailed(error);
  if (PASSES_DESCRIPTORS) {
    const received = server.waitWithRetry(() => channel.recvFds(1));
    if (received === null || received.data.length === 0) return null;
    const [fd] = received.fds;
    if (fd !== undefined) return adoptFd(fd, onFailed);
    onFailed(namedError('EMFILE', 'recvmsg')); // the kernel has closed it: this process is at its limit of descriptors
    return undefined;
  }
  const header = receive(channel, 2);
  if (header === null) return null;
  const share = receive(channel, header.readUInt16BE());
  if (share === null) return null;
  const connection = Socket.fromShare(share);
  channel.sendAll(TAKEN_TOKEN);
  return connection;
}

/** Exactly `size` bytes. BLOCKS. @returns null: the other end has closed */
function receive(channel: Socket, size: number): Buffer | null {
  const bytes = Buffer.alloc(size);
  for (let length = 0; length < size;) {
    const received = channel.recvInto(bytes, length) ?? 0;
    if (received === 0) return null;
    length += received;
  }
  return bytes;
}
