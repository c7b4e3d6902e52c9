/**
 * Messages out of a stream of bytes, which knows none: one read brings half a message, or three (post 001). What is left over waits for
 * the rest.
 */

const NOTHING = Buffer.alloc(0);

/** A message that is not complete yet, in memory that grows with it: byte by byte it costs no more than at once. */
class Pieces {
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
const MOST_IGNORED = 16 << 20;

/**
 * A peer whose bytes make no sense. What it was answered before is still on its way, and would be taken back by a reset if what it goes on
 * to send was not received: so that is, and ignored, up to a point.
 */
export class Refused {
  #left = MOST_IGNORED;

  /** @returns false: enough */
  ignore(chunk: Buffer): boolean {
    this.#left -= chunk.length;
    return this.#left >= 0;
  }
}

const PREFIX = 4;

/** Frames of a length (4 bytes, little-endian) and as many bytes. */
export class FrameReader {
  readonly #limit: number;
  readonly #pieces = new Pieces();
  /** How many bytes make the next step: a prefix, or a prefix and its frame. */
  #needed = PREFIX;

  /** @param limit the longest frame, in bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * @param onFrame called with each frame that is complete now; valid until it returns
   * @returns false: a length over the limit. What comes after it has no meaning
   */
  read(chunk: Buffer, onFrame: (frame: Buffer) => void): boolean {
    if (this.#pieces.size + chunk.length < this.#needed) {
      this.#pieces.add(chunk);
      return true;
    }
    const bytes = this.#pieces.takeWith(chunk);
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
      onFrame(bytes.subarray(start + PREFIX, end));
      start = end;
    }
    if (start < bytes.length) this.#pieces.add(bytes.subarray(start));
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

/** Lines, which end with a newline. */
export class LineReader {
  readonly #limit: number;
  readonly #pieces = new Pieces();

  /** @param limit the longest line, in bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @param onLine called with each line that is complete now, without its end. @returns false: a line over the limit */
  read(chunk: Buffer, onLine: (line: string) => void): boolean {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      if (this.#pieces.size + end - start > this.#limit) return false;
      onLine(this.#pieces.takeWith(chunk.subarray(start, end)).toString('utf8'));
      start = end + 1;
    }
    if (this.#pieces.size + chunk.length - start > this.#limit) return false;
    this.#pieces.add(chunk.subarray(start));
    return true;
  }
}
