/** Serving one connection with blocking I/O (post 000): recv and send until the peer closes. */
import { type Socket } from '../../index.js';
import { isError } from '../../validate.js';
import type { Application, Peer } from '../applications/application.js';
import type { Row } from '../protocol/scoreboard.js';

const RECEIVE_BUFFER_SIZE = 65_536;

/** Serves a connection until it ends, and closes it. BLOCKS. An error of the connection ends only the connection. */
export function serveBlocking(connection: Socket, application: Application, count: Row): void {
  const peer = new BlockingPeer(connection, count);
  const buffer = Buffer.allocUnsafeSlow(RECEIVE_BUFFER_SIZE);
  count.opened++;
  try {
    connection.blocking = true;
    setNoDelay(connection);
    application.open?.(peer);
    while (!peer.isDestroyed) {
      const received = connection.recvInto(buffer) ?? 0;
      count.wakeups++;
      if (received === 0) break;
      count.bytesIn += received;
      application.data(peer, buffer.subarray(0, received));
      peer.runDeferred();
    }
    application.end?.(peer);
  } catch (error) {
    if (!isSocketError(error)) throw error;
  } finally {
    application.close?.(peer);
    closeQuietly(connection);
    count.closed++;
  }
}

/** A peer whose write() sends at once, and blocks until the kernel has taken all bytes. */
class BlockingPeer implements Peer {
  data: unknown;
  readonly writableLength = 0;
  isDestroyed = false;
  /** Each turn serves this peer only: callbacks for a later turn run before the next recv(). */
  readonly loop = { callSoon: (callback: () => void): void => void this.#deferred.push(callback) };
  readonly #deferred: (() => void)[] = [];
  #hasEnded = false;

  constructor(
    private readonly connection: Socket,
    private readonly count: Row,
  ) {}

  write(bytes: Uint8Array | string): boolean {
    if (this.isDestroyed || this.#hasEnded) return false;
    // Counted before it is sent: the process may be terminated as soon as the client has the reply.
    this.count.bytesOut += typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length;
    this.connection.sendAll(bytes);
    return true;
  }

  runDeferred(): void {
    for (let next = this.#deferred.shift(); next !== undefined && !this.isDestroyed; next = this.#deferred.shift())
      next();
  }

  end(): void {
    if (!this.#hasEnded) this.connection.shutdown('write');
    this.#hasEnded = true;
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  pause(): void {
    // Nothing is received while a request is handled.
  }

  resume(): void {
    // As above.
  }
}

/** TCP_NODELAY: a small reply does not wait until the previous one is acknowledged (tcp(7)). */
export function setNoDelay(connection: Socket): void {
  try {
    connection.setOption('TCP_NODELAY', true);
  } catch (error) {
    if (!isSocketError(error)) throw error; // EINVAL on macOS: the peer has reset, which recv reports
  }
}

/** An error of a system call: the peer has reset or is unreachable, for example. */
export function isSocketError(error: unknown): boolean {
  return isError(error) && 'syscall' in error;
}

/** Closes it. close(2) may report an error of the connection (ECONNRESET), which does not matter any more. */
export function closeQuietly(connection: Socket): void {
  try {
    connection.close();
  } catch (error) {
    if (!isSocketError(error)) throw error;
  }
}
