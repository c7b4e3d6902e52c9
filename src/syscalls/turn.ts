/**
 * The hot path of the loops (native/turn/turn.cc): one call waits and receives for all connections that are ready, one sends all that
 * was written. The numbers and the memory that these calls work in are here; what they mean to a loop is in loops/.
 *
 * Memory of what is received. Whoever gets a chunk may keep it for good, so no byte of it is written again:
 *
 *   up to 4 KiB    packed one behind the other in a pool of 32 KiB, which is left to the chunks when it is full
 *   up to 16 KiB   copied out of the slot it was received into
 *   more           the slot itself, 64 KiB, is given away, and a new one takes its place
 *
 * So a chunk that is kept keeps at most 32 KiB, or four times its size, from being freed. Who borrows a chunk gets it in the slot, or in the
 * pool, which the next wait fills again: memory that is in the cache, where new memory is not, and that no garbage collection has to free.
 */
import { markAsUntransferable } from 'node:worker_threads';
import type { NativeTurn } from '../addon.js';
import { native } from '../native.js';
import type { Multiplexer } from './multiplexer.js';

const { OUTGOING_FIELDS, NOT_RECEIVED, MAX_SLOTS } = native;

const SLOT_SIZE = 65_536;
const LEAST_GIVEN_AWAY = 16_384;
const POOL_SIZE = 32_768;
/** With less room than this in the pool, a new one. */
const LEAST_POOL = 8192;
/** Records a wait. epoll gives the rest next time, in turn; the others are given room for all their descriptors. */
const MOST_RECORDS = 128;
const FIRST_PIECES = 128;
/**
 * Records a wait while large messages come: what a turn receives is then still in the cache (512 KiB) when it is sent. Measured: 64 KiB
 * messages cost 1.1 times as much with 64 of them a turn as with 8, and 3 % less with 4.
 */
const RECORDS_OF_LARGE = 4;
const FIRST_SLOTS = RECORDS_OF_LARGE;
/** Descriptors are small numbers; one beyond this is received from by a call of its own. */
const MOST_RECEIVING = 1 << 20;

/** As Node's own: who transfers a chunk's memory would take other connections' with it, and gets a copy (Node 20), or a DataCloneError. */
function newPool(): Buffer {
  const pool = Buffer.allocUnsafeSlow(POOL_SIZE);
  markAsUntransferable(pool.buffer);
  return pool;
}

/**
 * Where small messages are packed, in the order in which they are asked for. What is borrowed is packed over by the next wait, so that the next
 * borrowers find their messages where the last ones were, and are shown them by the same objects: to make one takes a fifth of what
 * JavaScript and C++ do for a message.
 */
export class Pool {
  buffer = newPool();
  used = 0;
  /** What the borrowers were shown, in their order. */
  #views: { readonly place: number; readonly bytes: Buffer }[] = [];
  /** How many in this turn. */
  #shown = 0;

  /** Before each wait. Also where somebody who was shown some of it has taken it away (ArrayBuffer.prototype.transfer). */
  makeRoom(): void {
    this.#shown = 0;
    if (POOL_SIZE - this.used >= LEAST_POOL && this.buffer.length === POOL_SIZE) return;
    this.buffer = newPool();
    this.used = 0;
    this.#views = [];
  }

  /** A message for good. */
  take(place: number, length: number): Buffer {
    this.used = place + length;
    return this.buffer.subarray(place, this.used);
  }

  /** A message until the next wait. */
  borrow(place: number, length: number): Buffer {
    const number = this.#shown++;
    const last = this.#views[number];
    if (last?.place === place && last.bytes.length === length) return last.bytes;
    const bytes = this.buffer.subarray(place, place + length);
    this.#views[number] = { place, bytes };
    return bytes;
  }

  /** Of these bytes, may the next wait write to some? */
  has(bytes: Uint8Array): boolean {
    return bytes.buffer === this.buffer.buffer;
  }
}

/** Waits and receives, for connections of type C. */
export class ReceiveBatch<C> {
  readonly multiplexer: Multiplexer;
  readonly #turn: NativeTurn;
  /** By descriptor: the generation of the connection that is to be received from, or 0. */
  #receiving = new Int32Array(1024);
  /** By descriptor: that connection. */
  readonly #receivers: (C | undefined)[] = [];
  readonly #pool = new Pool();
  readonly #slots: Buffer[] = [];
  #slotsUsed = 0;
  readonly #slotMemory = new Set<ArrayBufferLike>();
  #scratch: Buffer | undefined;

  constructor(multiplexer: Multiplexer) {
    this.multiplexer = multiplexer;
    this.#turn = new native.Turn(multiplexer.native);
    this.#addSlots(FIRST_SLOTS);
  }

  /** From now on a wait receives from this descriptor when it is readable, unless its number is too high for that: see receive(). */
  startReceiving(fd: number, generation: number, receiver: C): void {
    if (fd >= MOST_RECEIVING) return;
    if (fd >= this.#receiving.length) {
      const larger = new Int32Array(2 ** Math.ceil(Math.log2(fd + 1)));
      larger.set(this.#receiving);
      this.#receiving = larger;
    }
    this.#receiving[fd] = generation;
    this.#receivers[fd] = receiver;
  }

  stopReceiving(fd: number): void {
    if (fd >= this.#receiving.length) return;
    this.#receiving[fd] = 0;
    this.#receivers[fd] = undefined;
  }

  /**
   * Waits, then receives.
   * @param takesTurns the mechanism tells the rest next time, in turn: what it tells at once may be limited
   * @returns how many records there are, or the wait's error, negative
   */
  wait(timeout: number, takesTurns: boolean): number {
    this.#pool.makeRoom();
    if (this.#slotsUsed === this.#slots.length) this.#addSlots(this.#slots.length);
    const limit = this.#slotsUsed > 0 ? RECORDS_OF_LARGE : MOST_RECORDS;
    this.#slotsUsed = 0;
    const most = takesTurns ? limit : this.multiplexer.room;
    return this.#turn.wait(timeout, this.#receiving, most, this.#pool.buffer, this.#pool.used);
  }

  /** The connection that was received from; undefined where nothing was. To be asked before any handler is called. */
  receiver(record: number): C | undefined {
    return this.received(record) === NOT_RECEIVED ? undefined : this.#receivers[this.multiplexer.fd(record)];
  }

  /** 1: readable, 2: writable. */
  events(record: number): number {
    return this.multiplexer.events(record);
  }

  /** How many bytes were received (0: the peer has finished sending), a negative error, or NOT_RECEIVED: it was not tried. */
  received(record: number): number {
    return this.multiplexer.received(record);
  }

  /**
   * The bytes; to be asked for once, and before the next wait.
   * @param borrowed only until the next wait; else the caller's to keep
   */
  chunk(record: number, borrowed: boolean): Buffer {
    const length = this.received(record);
    const place = this.multiplexer.place(record);
    if (place >= 0) return borrowed ? this.#pool.borrow(place, length) : this.#pool.take(place, length);
    const index = -1 - place;
    const slot = this.#slots[index] as Buffer;
    this.#slotsUsed = index + 1;
    if (borrowed) return slot.subarray(0, length);
    if (length < LEAST_GIVEN_AWAY) return Buffer.from(slot.subarray(0, length));
    this.#setSlot(index);
    return slot.subarray(0, length);
  }

  /** Is this memory that the next wait writes to? */
  isBorrowed(bytes: Uint8Array): boolean {
    return this.#slotMemory.has(bytes.buffer) || this.#pool.has(bytes);
  }

  /** One recv(2) of its own. @returns the bytes, empty at the end of the stream, or a negative error */
  receive(fd: number): Buffer | number {
    const scratch = (this.#scratch ??= Buffer.allocUnsafeSlow(SLOT_SIZE));
    const received = native.recv(fd, scratch, 0, SLOT_SIZE, 0);
    return received < 0 ? received : Buffer.from(scratch.subarray(0, received));
  }

  #addSlots(more: number): void {
    const count = Math.min(this.#slots.length + more, MAX_SLOTS);
    while (this.#slots.length < count) this.#setSlot(this.#slots.length);
  }

  #setSlot(index: number): void {
    const slot = Buffer.allocUnsafeSlow(SLOT_SIZE);
    const old = this.#slots[index];
    if (old !== undefined) this.#slotMemory.delete(old.buffer);
    this.#slotMemory.add(slot.buffer);
    this.#slots[index] = slot;
    this.#turn.setSlot(index, slot);
  }
}

export { NOT_RECEIVED };
/** What a call answers that would have to wait. */
export const WOULD_BLOCK = native.wouldBlock;

/** Pieces a descriptor in one flush at the most: what one sendmsg(2) takes. */
export const MAX_IOV = 64;
/** Pieces up to this size are copied, larger ones are sent from where they are. */
export const COPY_LIMIT = 4096;
const SLAB_SIZE = 262_144;
/** What one send(2) is given: Linux takes no more, and more is no number of 32 bits. */
const MOST_AT_ONCE = 0x7fff_f000;

/** Who sends a batch: the addon, with system calls of its own, or a ring. */
export interface Sender {
  /** @returns false: not everything that was prepared could be submitted (a ring) */
  flush(...pieces: Parameters<typeof native.flush>): boolean | undefined;
}

/** What is to be sent by the next flush: pieces, those of one descriptor one after the other. */
export class SendBatch {
  #numbers = new Int32Array(FIRST_PIECES * OUTGOING_FIELDS);
  #count = 0;
  readonly #slab = Buffer.allocUnsafeSlow(SLAB_SIZE);
  #slabUsed = 0;
  #buffers: Uint8Array[] = [];

  /** Where the next copied piece will be. */
  get slabUsed(): number {
    return this.#slabUsed;
  }

  hasRoomFor(length: number): boolean {
    return length <= COPY_LIMIT && length <= SLAB_SIZE - this.#slabUsed;
  }

  copy(bytes: Uint8Array, length: number): void {
    this.#slab.set(bytes, this.#slabUsed);
    this.#slabUsed += length;
  }

  /** UTF-8, of which there must be so much. */
  encode(text: string, length: number): void {
    this.#slab.write(text, this.#slabUsed, length, 'utf8');
    this.#slabUsed += length;
  }

  /** A part of what was copied, for whoever must keep it longer than this turn. */
  copied(place: number, length: number): Buffer {
    return Buffer.from(this.#slab.subarray(place, place + length));
  }

  /** @returns the number of the piece, by which its answer is found */
  addCopied(fd: number, place: number, length: number): number {
    return this.#add(fd, place, length);
  }

  addBuffer(fd: number, buffer: Uint8Array, length: number): number {
    this.#buffers.push(buffer);
    return this.#add(fd, -this.#buffers.length, Math.min(length, MOST_AT_ONCE));
  }

  /** Sends all pieces. @returns false: see Sender */
  flush(sender: Sender): boolean {
    return false !== sender.flush(this.#numbers, this.#count, this.#slab, this.#buffers);
  }

  /** Sends none of them: all are to be sent by operations. */
  refuse(): void {
    for (let piece = 0; piece < this.#count; piece++) this.#numbers[piece * OUTGOING_FIELDS + 2] = WOULD_BLOCK;
  }

  /** How many bytes of this piece and those after it, of the same descriptor, were sent; or a negative error. */
  sent(piece: number): number {
    return this.#numbers[piece * OUTGOING_FIELDS + 2] as number;
  }

  clear(): void {
    this.#count = 0;
    this.#slabUsed = 0;
    if (this.#buffers.length > 0) this.#buffers = [];
  }

  #add(fd: number, place: number, length: number): number {
    const at = this.#count * OUTGOING_FIELDS;
    if (at === this.#numbers.length) {
      const larger = new Int32Array(2 * at);
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers[at] = fd;
    this.#numbers[at + 1] = place;
    this.#numbers[at + 2] = length;
    return this.#count++;
  }
}
