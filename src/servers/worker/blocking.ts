/** Serving one connection with blocking I/O (post 000): recv, and send, until the peer closes. */
import { type Socket } from '../../index.js';
import { isError } from '../../validate.js';
import type { Application, Peer } from '../applications/application.js';
import type { Row } from '../protocol/scoreboard.js';

const CHUNK = 65_536;

/** BLOCKS until the connection is over, and closes it. An error of the connection's is its end, and nobody else's. */
export function serveBlocking(connection: Socket, application: Application, count: Row): void {
  const peer = new BlockingPeer(connection, count);
  const buffer = Buffer.allocUnsafeSlow(CHUNK);
  count.opened++;
  try {
    connection.blocking = true;
    sendAtOnce(connection);
    application.open?.(peer);
    while (!peer.isDestroyed) {
      const received = connection.recvInto(buffer) ?? 0;
      count.wakeups++;
      if (received === 0) break;
      count.bytesIn += received;
      application.data(peer, buffer.subarray(0, received));
      peer.handleRest();
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

/** A peer to which write() sends at once, and waits until the kernel has taken it all. */
class BlockingPeer implements Peer {
  data: unknown;
  readonly writableLength = 0;
  isDestroyed = false;
  /** Each turn is of this peer: what is left over for a later one comes before the next recv(). */
  readonly loop = { callSoon: (callback: () => void): void => void this.#soon.push(callback) };
  readonly #soon: (() => void)[] = [];
  #hasEnded = false;

  constructor(
    private readonly connection: Socket,
    private readonly count: Row,
  ) {}

  write(bytes: Uint8Array | string): boolean {
    if (this.isDestroyed || this.#hasEnded) return false;
    // First: a process may be ended (SIGTERM) as soon as its client has the answer.
    this.count.bytesOut += typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length;
    this.connection.sendAll(bytes);
    return true;
  }

  handleRest(): void {
    for (let next = this.#soon.shift(); next !== undefined && !this.isDestroyed; next = this.#soon.shift()) next();
  }

  end(): void {
    if (!this.#hasEnded) this.connection.shutdown('write');
    this.#hasEnded = true;
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  pause(): void {
    // While the answer is worked out nothing is received anyway.
  }

  resume(): void {
    // As above.
  }
}

/** TCP_NODELAY: small answers do not wait until the one before them is acknowledged (tcp(7)). */
export function sendAtOnce(connection: Socket): void {
  try {
    connection.setOption('TCP_NODELAY', true);
  } catch (error) {
    if (!isSocketError(error)) throw error; // EINVAL, macOS: it has reset already, and is told so by recv
  }
}

/** A system call's error: the peer has reset, or is out of reach. */
export function isSocketError(error: unknown): boolean {
  return isError(error) && 'syscall' in error;
}

/** close(2) may have an error of the connection's to tell (ECONNRESET), which is no news. */
export function closeQuietly(connection: Socket): void {
  try {
    connection.close();
  } catch (error) {
    if (!isSocketError(error)) throw error;
  }
}
