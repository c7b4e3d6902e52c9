/**
 * Messages from a stream of bytes. A stream has no message boundaries: one read brings half a message, or three (post 001). A reader keeps an
 * incomplete message until the rest of it arrives.
 *
 * A chunk of 64 KiB may hold thousands of messages, and each may take long. So a call of read() emits a limited number of them; the caller
 * calls again for the others in a later turn (inbox.ts).
 */

const NOTHING = Buffer.alloc(0);

/** A message that is not complete yet. Its memory doubles when it is full, so a message that arrives byte by byte costs linear time. */
class PartialMessage {
  #bytes = NOTHING;
  size = 0;

  add(piece: Buffer): void {
    const size = this.size + piece.length;
    if (size > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(size, 2 * this.#bytes.length, 64));
      larger.set(this.#bytes.subarray(0, this.size));
      this.#bytes = larger;
    }
    this.#bytes.set(piece, this.size); // a copy: the memory of a chunk is reused
    this.size = size;
  }

  /** @returns the whole message, whose last piece is `last`; nothing is kept */
  takeWith(last: Buffer): Buffer {
    if (this.size === 0) return last;
    this.add(last);
    const whole = this.#bytes.subarray(0, this.size);
    this.#bytes = NOTHING;
    this.size = 0;
    return whole;
  }
}

/** Bytes that are received and dropped after a message over the limit. */
const MAX_DISCARDED = 16 << 20;

/**
 * The input of a peer after a message over the limit. Replies to earlier requests may still be in flight; if the input was not received,
 * closing the connection would reset it, and the peer would lose them. So it is received and dropped, up to a limit.
 */
export class DiscardedInput {
  #left = MAX_DISCARDED;

  /** @returns false: the limit is reached */
  discard(chunk: Buffer): boolean {
    this.#left -= chunk.length;
    return this.#left >= 0;
  }
}

/** Maximum number of messages that one call of read() emits. */
export const MAX_MESSAGES = 128;
/** After this time, a call of read() emits no further message. */
const MAX_MILLISECONDS = 10;

/** The messages that one call of read() may emit. */
class CallQuota {
  #count = 0;
  #since = 0;

  constructor(private readonly isLimited: boolean) {}

  /** Called before each message. Reads the clock only if there are several. @returns false: the quota is used up */
  next(isLast: boolean): boolean {
    if (!this.isLimited) return true;
    if (this.#count === 0) {
      if (!isLast) this.#since = performance.now();
    } else if (this.#count === MAX_MESSAGES || performance.now() - this.#since > MAX_MILLISECONDS) {
      return false;
    }
    this.#count++;
    return true;
  }
}

/** Bytes of complete messages that a later call of read() emits, in memory of their own. */
class Leftover {
  #bytes: Buffer | null = null;

  get isEmpty(): boolean {
    return this.#bytes === null;
  }

  /** @returns the bytes, with the chunk appended; nothing is kept */
  takeWith(chunk: Buffer): Buffer {
    const leftover = this.#bytes;
    if (leftover === null) return chunk;
    this.#bytes = null;
    return chunk.length === 0 ? leftover : Buffer.concat([leftover, chunk]);
  }

  /** @param isOwn the memory is not a chunk's: no copy is needed */
  keep(bytes: Buffer, isOwn: boolean): void {
    this.#bytes = isOwn ? bytes : Buffer.from(bytes);
  }
}

/** Splits a stream into messages. */
export interface MessageReader<M> {
  /** Complete messages are left over: read() is to be called again. */
  readonly hasMore: boolean;
  /**
   * @param chunk may be empty, to read what is left over
   * @param onMessage called with each message; a Buffer is valid until it returns
   * @returns false: a message is over the limit; the reader must not be used any more
   */
  read(chunk: Buffer, onMessage: (message: M) => void): boolean;
}

const PREFIX = 4;

/** Reads frames: a length (4 bytes, unsigned, little-endian) and as many bytes. Emits the bytes after the length. */
export class FrameReader implements MessageReader<Buffer> {
  readonly #limit: number;
  readonly #isLimited: boolean;
  readonly #partial = new PartialMessage();
  readonly #leftover = new Leftover();
  /** Bytes needed for the next step: a prefix, or a prefix and its frame. */
  #needed = PREFIX;

  /**
   * @param limit the longest frame, in bytes
   * @param isLimited one read() emits at most MAX_MESSAGES. Default: all complete messages
   */
  constructor(limit: number, isLimited = false) {
    this.#limit = limit;
    this.#isLimited = isLimited;
  }

  get hasMore(): boolean {
    return !this.#leftover.isEmpty;
  }

  read(chunk: Buffer, onFrame: (frame: Buffer) => void): boolean {
    if (!this.#leftover.isEmpty) return this.#emit(this.#leftover.takeWith(chunk), true, onFrame);
    if (this.#partial.size + chunk.length < this.#needed) {
      this.#partial.add(chunk);
      return true;
    }
    const isOwn = this.#partial.size > 0;
    return this.#emit(this.#partial.takeWith(chunk), isOwn, onFrame);
  }

  #emit(bytes: Buffer, isOwn: boolean, onFrame: (frame: Buffer) => void): boolean {
    const share = new CallQuota(this.#isLimited);
    let start = 0;
    this.#needed = PREFIX;
    while (bytes.length - start >= PREFIX) {
      const length = bytes.readUInt32LE(start);
      if (length > this.#limit) return false;
      const end = start + PREFIX + length;
      if (end > bytes.length) {
        this.#needed = PREFIX + length;
        break;
      }
      if (!share.next(end === bytes.length)) {
        this.#leftover.keep(bytes.subarray(start), isOwn);
        return true;
      }
      onFrame(bytes.subarray(start + PREFIX, end));
      start = end;
    }
    if (start < bytes.length) this.#partial.add(bytes.subarray(start));
    return true;
  }
}

/** The body in UTF-8 after its length, as FrameReader reads it. */
export function frame(body: string): Buffer {
  const length = Buffer.byteLength(body, 'utf8');
  const bytes = Buffer.allocUnsafe(PREFIX + length);
  bytes.writeUInt32LE(length);
  bytes.write(body, PREFIX, 'utf8');
  return bytes;
}

const NEWLINE = 10;

/** Reads lines. Emits each without its newline. */
export class LineReader implements MessageReader<string> {
  readonly #limit: number;
  readonly #isLimited: boolean;
  readonly #partial = new PartialMessage();
  readonly #leftover = new Leftover();

  /**
   * @param limit the longest line, in bytes
   * @param isLimited one read() emits at most MAX_MESSAGES. Default: all complete messages
   */
  constructor(limit: number, isLimited = false) {
    this.#limit = limit;
    this.#isLimited = isLimited;
  }

  get hasMore(): boolean {
    return !this.#leftover.isEmpty;
  }

  read(chunk: Buffer, onLine: (line: string) => void): boolean {
    const isOwn = !this.#leftover.isEmpty;
    const bytes = this.#leftover.takeWith(chunk);
    const share = new CallQuota(this.#isLimited);
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      if (this.#partial.size + end - start > this.#limit) return false;
      if (!share.next(end + 1 === bytes.length)) {
        this.#leftover.keep(bytes.subarray(start), isOwn);
        return true;
      }
      onLine(this.#partial.takeWith(bytes.subarray(start, end)).toString('utf8'));
      start = end + 1;
    }
    if (this.#partial.size + bytes.length - start > this.#limit) return false;
    this.#partial.add(bytes.subarray(start));
    return true;
  }
}
