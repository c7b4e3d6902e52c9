/**
 * Bytes that a connection has still to send and that are not in the loop's slab, piece by piece in their order: what is large, and what the
 * kernel has not taken.
 *
 * A buffer may be detached (ArrayBuffer.prototype.transfer) before it is sent, so each piece has its length of the moment it was written.
 */
import { COPY_LIMIT, MAX_IOV, type SendBatch } from '../syscalls/turn.js';
import { lengthOf, plainBytes } from '../validate.js';

interface Piece {
  readonly bytes: Uint8Array;
  readonly length: number;
}

/** Bytes that one operation is given at most. */
const MAX_SEND_BYTES = 1 << 20;

/** Borrowed memory is received into again by the next turn. */
interface Memory {
  isBorrowed(bytes: Uint8Array): boolean;
}

export class UnsentPieces {
  readonly #memory: Memory;
  #pieces: Piece[] = [];
  #hasBorrowed = false;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  /**
   * Appends what was written: copied where it is small, or borrowed and to be kept.
   * @param isKept it stays longer than this turn
   */
  push(bytes: Uint8Array | string, length: number, isKept: boolean): void {
    this.#pieces.push({ bytes: this.#pieceOf(bytes, length, isKept), length });
  }

  #pieceOf(bytes: Uint8Array | string, length: number, isKept: boolean): Uint8Array {
    if (typeof bytes === 'string') return Buffer.from(bytes, 'utf8');
    const plain = plainBytes(bytes);
    if (length <= COPY_LIMIT) return Buffer.from(plain);
    if (!this.#memory.isBorrowed(plain)) return plain;
    if (isKept) return Buffer.from(plain);
    this.#hasBorrowed = true;
    return plain;
  }

  /** Puts bytes of the slab, which were written before the pieces, in front of them. */
  unshift(bytes: Uint8Array): void {
    this.#pieces.unshift({ bytes, length: bytes.length });
  }

  /** The turn ends: pieces in borrowed memory are copied. */
  keep(): void {
    if (!this.#hasBorrowed) return;
    this.#hasBorrowed = false;
    this.#pieces = this.#pieces.map(({ bytes, length }) => ({
      bytes: this.#memory.isBorrowed(bytes) ? Buffer.from(bytes) : bytes,
      length,
    }));
  }

  /** The first `sent` bytes were sent. */
  drop(sent: number): void {
    const pieces = this.#pieces;
    let whole = 0;
    for (let first = pieces[0]; first !== undefined && sent >= first.length; first = pieces[whole]) {
      sent -= first.length;
      whole++;
    }
    if (whole > 0) pieces.splice(0, whole);
    const first = pieces[0];
    if (sent === 0 || first === undefined) return;
    const isAttached = lengthOf(first.bytes) === first.length;
    pieces[0] = { bytes: isAttached ? first.bytes.subarray(sent) : first.bytes, length: first.length - sent };
  }

  /** Has one of the pieces that are sent next lost its memory? Checked before anything is sent, for the peer would miss the gap. */
  get isDetached(): boolean {
    for (let i = 0; i < this.#pieces.length && i < MAX_IOV; i++) {
      const { bytes, length } = this.#pieces[i] as Piece;
      if (lengthOf(bytes) !== length) return true;
    }
    return false;
  }

  /** @param room pieces at most. @returns the number of the first one in the batch */
  addTo(batch: SendBatch, fd: number, room: number): number {
    let first = -1;
    for (let i = 0; i < this.#pieces.length && i < room; i++) {
      const { bytes, length } = this.#pieces[i] as Piece;
      const number = batch.addBuffer(fd, bytes, length);
      if (i === 0) first = number;
    }
    return first;
  }

  /** As much as one operation is given. */
  forOperation(): readonly Uint8Array[] {
    const given: Uint8Array[] = [];
    let room = MAX_SEND_BYTES;
    for (let i = 0; i < this.#pieces.length && i < MAX_IOV && room > 0; i++) {
      const { bytes, length } = this.#pieces[i] as Piece;
      given.push(length > room ? bytes.subarray(0, room) : bytes);
      room -= length;
    }
    return given;
  }
}
