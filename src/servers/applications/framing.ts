/**
 * Messages out of a stream of bytes, which knows none: one read brings half a message, or three (post 001). What is left over waits for
 * the rest.
 *
 * A chunk of 64 KiB may hold thousands of messages, and each may take long. So a reader hands out a share of them at a time; the caller
 * calls again for the rest, in a later turn (inbox.ts).
 */

const NOTHING = Buffer.alloc(0);

/** A message that is not complete yet, in memory that grows with it: byte by byte it costs no more than at once. */
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
    this.#bytes.set(piece, this.size); // a copy: the memory of a chunk is another chunk's soon
    this.size = size;
  }

  /** All of it, with one more piece at the end. */
  takeWith(last: Buffer): Buffer {
    if (this.size === 0) return last;
    this.add(last);
    const whole = this.#bytes.subarray(0, this.size);
    this.#bytes = NOTHING;
    this.size = 0;
    return whole;
  }
}

/** What a peer may still send that is not listened to any more, in bytes. */
const MAX_DISCARDED = 16 << 20;

/**
 * A peer whose bytes make no sense. What it was answered before is still on its way, and would be taken back by a reset if what it goes on
 * to send was not received: so that is, and ignored, up to a point.
 */
export class Refused {
  #left = MAX_DISCARDED;

  /** @returns false: enough */
  ignore(chunk: Buffer): boolean {
    this.#left -= chunk.length;
    return this.#left >= 0;
  }
}

/** The share of one call: so many messages, and no further one once so many milliseconds have passed. */
export const MAX_MESSAGES = 128;
const MAX_MILLISECONDS = 10;

/** The share that one call may hand out. */
class Share {
  #count = 0;
  #since = 0;

  constructor(private readonly isLimited: boolean) {}

  /** Asked before each message. The clock is read only where there are several. @returns false: the share is used up */
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

/** What both readers have: the bytes of complete messages for a later call, in memory of their own. */
class Rest {
  #bytes: Buffer | null = null;

  get isEmpty(): boolean {
    return this.#bytes === null;
  }

  /** @param chunk received now, behind the rest. @returns all of it; the rest is empty then */
  takeWith(chunk: Buffer): Buffer {
    const rest = this.#bytes;
    if (rest === null) return chunk;
    this.#bytes = null;
    return chunk.length === 0 ? rest : Buffer.concat([rest, chunk]);
  }

  /** @param isOwn this memory outlives the call */
  keep(bytes: Buffer, isOwn: boolean): void {
    this.#bytes = isOwn ? bytes : Buffer.from(bytes);
  }
}

/** Takes bytes, and hands out messages. */
export interface MessageReader<M> {
  /** Complete messages are left over from the last read(): it wants to be called again. */
  readonly hasMore: boolean;
  /**
   * @param chunk may be empty: for what is left over
   * @param onMessage called with each message of this call's share; a Buffer is valid until it returns
   * @returns false: a message over the limit. What follows it has no meaning
   */
  read(chunk: Buffer, onMessage: (message: M) => void): boolean;
}

const PREFIX = 4;

/** Frames of a length (4 bytes, little-endian) and as many bytes. */
export class FrameReader implements MessageReader<Buffer> {
  readonly #limit: number;
  readonly #isLimited: boolean;
  readonly #partial = new PartialMessage();
  readonly #rest = new Rest();
  /** How many bytes make the next step: a prefix, or a prefix and its frame. */
  #needed = PREFIX;

  /**
   * @param limit the longest frame, in bytes
   * @param isLimited a read() hands out a share. Default: all that is complete
   */
  constructor(limit: number, isLimited = false) {
    this.#limit = limit;
    this.#isLimited = isLimited;
  }

  get hasMore(): boolean {
    return !this.#rest.isEmpty;
  }

  read(chunk: Buffer, onFrame: (frame: Buffer) => void): boolean {
    if (!this.#rest.isEmpty) return this.#hand(this.#rest.takeWith(chunk), true, onFrame);
    if (this.#partial.size + chunk.length < this.#needed) {
      this.#partial.add(chunk);
      return true;
    }
    const isOwn = this.#partial.size > 0;
    return this.#hand(this.#partial.takeWith(chunk), isOwn, onFrame);
  }

  #hand(bytes: Buffer, isOwn: boolean, onFrame: (frame: Buffer) => void): boolean {
    const share = new Share(this.#isLimited);
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
        this.#rest.keep(bytes.subarray(start), isOwn);
        return true;
      }
      onFrame(bytes.subarray(start + PREFIX, end));
      start = end;
    }
    if (start < bytes.length) this.#partial.add(bytes.subarray(start));
    return true;
  }
}

export function frame(body: string): Buffer {
  const length = Buffer.byteLength(body, 'utf8');
  const bytes = Buffer.allocUnsafe(PREFIX + length);
  bytes.writeUInt32LE(length);
  bytes.write(body, PREFIX, 'utf8');
  return bytes;
}

const NEWLINE = 10;

/** Lines, which end with a newline. They are handed out without it. */
export class LineReader implements MessageReader<string> {
  readonly #limit: number;
  readonly #isLimited: boolean;
  readonly #partial = new PartialMessage();
  readonly #rest = new Rest();

  /**
   * @param limit the longest line, in bytes
   * @param isLimited a read() hands out a share. Default: all that is complete
   */
  constructor(limit: number, isLimited = false) {
    this.#limit = limit;
    this.#isLimited = isLimited;
  }

  get hasMore(): boolean {
    return !this.#rest.isEmpty;
  }

  read(chunk: Buffer, onLine: (line: string) => void): boolean {
    const isOwn = !this.#rest.isEmpty;
    const bytes = this.#rest.takeWith(chunk);
    const share = new Share(this.#isLimited);
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      if (this.#partial.size + end - start > this.#limit) return false;
      if (!share.next(end + 1 === bytes.length)) {
        this.#rest.keep(bytes.subarray(start), isOwn);
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
