/**
 * The hot path of the loops (native/turn/turn.cc): one call waits and receives for all ready connections, one sends all queued writes. This
 * file has the numbers and the memory of the two calls; loops/ gives them their meaning.
 *
 * Memory of received chunks. A handler may keep a chunk, so its bytes are never written again:
 *
 *   up to 4 KiB    packed into a pool of 32 KiB; a new pool replaces it when it is full
 *   up to 16 KiB   copied out of the slot that it was received into
 *   more           the slot itself, 64 KiB; a new slot replaces it
 *
 * So a kept chunk holds at most 32 KiB, or four times its size. Borrowed chunks are one behind another in the arena, and the next wait
 * overwrites them: that memory is in the processor's cache, as new memory is not, and there is no garbage to collect.
 *
 * All that a turn receives is sent at its end, and should then still be in the cache, with what the kernel copies. So a turn takes only as many
 * events as make TURN_BYTES, by the chunks of the turn before.
 */
import { markAsUntransferable } from 'node:worker_threads';
import type { NativeTurn } from '../addon.js';
import { native } from '../native.js';
import type { Multiplexer } from './multiplexer.js';

const { OUTGOING_FIELDS, NOT_RECEIVED, MAX_SLOTS } = native;

const SLOT_SIZE = 65_536;
/** Chunks of this size and above keep their slot; shorter ones are copied out of it. */
const MIN_SLOT_CHUNK = 16_384;
const POOL_SIZE = 32_768;
/** With less room than this, a new pool replaces it. */
const MIN_POOL_ROOM = 8192;
/** Maximum number of records per wait for epoll, kqueue and AFD, which report the others in the next wait. poll and select have no maximum. */
const MAX_RECORDS = 128;
const FIRST_PIECES = 128;
/**
 * Of what a turn receives, in bytes. Measured, CPU time against C: 500 connections x 4 KiB 1.33 without this limit and 1.05 with it, x 8 KiB
 * 1.23 and 1.05; half as much or twice as much costs 3 % more.
 */
const TURN_BYTES = 262_144;
/** Of 64 KiB messages, 64 per turn cost 1.1 times as much as 8, and 4 of them 3 % less. */
const MIN_RECORDS = 4;
const FIRST_SLOTS = MIN_RECORDS;
const ARENA_SIZE = TURN_BYTES + SLOT_SIZE;
/** Descriptors below this are received from by the wait; larger ones, which are rare, by calls of their own. */
const RECEIVING_LIMIT = 1 << 20;

/** Untransferable, as Node's own pool: it holds chunks of other connections. A transfer copies (Node 20), or throws a DataCloneError. */
function newPool(size: number): Buffer {
  const pool = Buffer.allocUnsafeSlow(size);
  markAsUntransferable(pool.buffer);
  return pool;
}

/**
 * Memory into which small messages are packed. The next wait overwrites borrowed messages, so they often are at the same places as before, and
 * the same Buffer objects show them: making one takes a fifth of what JavaScript and C++ do per message.
 */
export class Pool {
  buffer: Buffer;
  used = 0;
  /** Buffers of the borrowed messages, in the order of borrowing. */
  #views: { readonly place: number; readonly bytes: Buffer }[] = [];
  /** Number of messages borrowed since the last wait. */
  #borrowed = 0;
  readonly #size: number;

  constructor(size = POOL_SIZE) {
    this.#size = size;
    this.buffer = newPool(size);
  }

  /** Before each wait. Also replaces a pool that a borrower has detached (ArrayBuffer.prototype.transfer). */
  makeRoom(): void {
    this.#borrowed = 0;
    if (this.#size - this.used >= MIN_POOL_ROOM && this.buffer.length === this.#size) return;
    this.buffer = newPool(this.#size);
    this.used = 0;
    this.#views = [];
  }

  /** A message that is kept: its bytes are not overwritten. */
  take(place: number, length: number): Buffer {
    this.used = place + length;
    return this.buffer.subarray(place, this.used);
  }

  /** A message that is valid until the next wait. */
  borrow(place: number, length: number): Buffer {
    const number = this.#borrowed++;
    const last = this.#views[number];
    if (last?.place === place && last.bytes.length === length) return last.bytes;
    const bytes = this.buffer.subarray(place, place + length);
    this.#views[number] = { place, bytes };
    return bytes;
  }

  /** How many bytes the messages hold that were borrowed since the last wait, if they are one behind another; and their number. */
  get borrowed(): { readonly count: number; readonly bytes: number } {
    const count = this.#borrowed;
    const last = this.#views[count - 1];
    return { count, bytes: last === undefined ? 0 : last.place + last.bytes.length };
  }

  /** Are these bytes in the pool? The next wait may overwrite them. */
  has(bytes: Uint8Array): boolean {
    return bytes.buffer === this.buffer.buffer;
  }
}

/** Waits and receives, for connections of type C. One per reactor. */
export class ReceiveBatch<C> {
  readonly multiplexer: Multiplexer;
  readonly #turn: NativeTurn;
  /** By descriptor: the generation of the connection to receive from, negative if it borrows its chunks; or 0. */
  #receiving = new Int32Array(1024);
  /** By descriptor: the connection to receive from. */
  readonly #receivers: (C | undefined)[] = [];
  readonly #arena = new Pool(ARENA_SIZE);
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

  /**
   * From now on a wait receives from this descriptor if it is readable. Not from one of RECEIVING_LIMIT or above: use receive().
   * @param borrows its chunks are valid until the next wait
   */
  startReceiving(fd: number, generation: number, receiver: C, borrows: boolean): void {
    if (fd >= RECEIVING_LIMIT) return;
    if (fd >= this.#receiving.length) {
      const larger = new Int32Array(2 ** Math.ceil(Math.log2(fd + 1)));
      larger.set(this.#receiving);
      this.#receiving = larger;
    }
    this.#receiving[fd] = borrows ? -generation : generation;
    this.#receivers[fd] = receiver;
  }

  /** From now on a wait reports this descriptor without receiving from it. */
  stopReceiving(fd: number): void {
    if (fd >= this.#receiving.length) return;
    this.#receiving[fd] = 0;
    this.#receivers[fd] = undefined;
  }

  /**
   * Waits, then receives.
   * @param timeout milliseconds; negative: no timeout
   * @param rotates does the mechanism report the other ready descriptors first in the next wait? Only then is their number limited
   * @returns the number of records, or the wait's error, negative
   */
  wait(timeout: number, rotates: boolean): number {
    const max = rotates ? this.#maxRecords() : this.multiplexer.capacity;
    this.#arena.makeRoom();
    this.#pool.makeRoom();
    if (this.#slotsUsed === this.#slots.length) this.#addSlots(this.#slots.length);
    this.#slotsUsed = 0;
    return this.#turn.wait(timeout, this.#receiving, max, this.#arena.buffer, this.#pool.buffer, this.#pool.used);
  }

  /** As many as make TURN_BYTES, if the next chunks are as long as the last turn's. */
  #maxRecords(): number {
    if (this.#slotsUsed > 0) return MIN_RECORDS;
    const { count, bytes } = this.#arena.borrowed;
    if (bytes * MAX_RECORDS <= TURN_BYTES * count) return MAX_RECORDS;
    return Math.max(MIN_RECORDS, Math.floor((TURN_BYTES * count) / bytes));
  }

  /** The connection that a record's bytes were received from; undefined if nothing was. Valid until the first handler is called. */
  receiver(record: number): C | undefined {
    return this.received(record) === NOT_RECEIVED ? undefined : this.#receivers[this.multiplexer.fd(record)];
  }

  /** 1: readable, 2: writable. */
  events(record: number): number {
    return this.multiplexer.events(record);
  }

  /** The number of bytes received (0: the peer has finished sending), a negative error, or NOT_RECEIVED: recv was not called. */
  received(record: number): number {
    return this.multiplexer.received(record);
  }

  /**
   * The received bytes. Call it once per record, before the next wait.
   * @param borrows as startReceiving() was told. true: the bytes are valid until the next wait; false: the caller may keep them
   */
  chunk(record: number, borrows: boolean): Buffer {
    const length = this.received(record);
    const place = this.multiplexer.place(record);
    if (place >= 0) return borrows ? this.#arena.borrow(place, length) : this.#pool.take(place, length);
    const index = -1 - place;
    const slot = this.#slots[index] as Buffer;
    this.#slotsUsed = index + 1;
    if (borrows) return slot.subarray(0, length);
    if (length < MIN_SLOT_CHUNK) return Buffer.from(slot.subarray(0, length));
    this.#setSlot(index);
    return slot.subarray(0, length);
  }

  /** Are these bytes in memory that the next wait overwrites? */
  isBorrowed(bytes: Uint8Array): boolean {
    return this.#arena.has(bytes) || this.#slotMemory.has(bytes.buffer);
  }

  /** One recv(2). @returns the bytes, empty at the end of the stream, or a negative error */
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
/** The result of a call that would block: EAGAIN, negated. */
export const WOULD_BLOCK = native.wouldBlock;

/** Maximum number of pieces per descriptor and flush: what one sendmsg(2) takes. */
export const MAX_IOV = 64;
/** Pieces up to this size are copied, larger ones are sent from where they are. */
export const COPY_LIMIT = 4096;
const SLAB_SIZE = 262_144;
/** Maximum number of bytes per send(2): Linux takes no more, and it must fit into 32 bits. */
const MAX_SEND = 0x7fff_f000;

/** What sends a batch: the addon by system calls, or a ring. */
export interface Sender {
  /** @returns false: a ring could not submit all of it */
  flush(...pieces: Parameters<typeof native.flush>): boolean | undefined;
}

/** What the next flush sends: pieces of bytes, those of one descriptor in succession. */
export class SendBatch {
  #numbers = new Int32Array(FIRST_PIECES * OUTGOING_FIELDS);
  #count = 0;
  readonly #slab = Buffer.allocUnsafeSlow(SLAB_SIZE);
  #slabUsed = 0;
  #buffers: Uint8Array[] = [];

  /** Where the next copied piece begins in the slab. */
  get slabUsed(): number {
    return this.#slabUsed;
  }

  /** Is the piece small enough to be copied, and is there room for it in the slab? */
  hasRoomFor(length: number): boolean {
    return length <= COPY_LIMIT && length <= SLAB_SIZE - this.#slabUsed;
  }

  /** Copies bytes to the slab. */
  copy(bytes: Uint8Array, length: number): void {
    this.#slab.set(bytes, this.#slabUsed);
    this.#slabUsed += length;
  }

  /** Copies a text as UTF-8. @param length its number of bytes in UTF-8 */
  encode(text: string, length: number): void {
    this.#slab.write(text, this.#slabUsed, length, 'utf8');
    this.#slabUsed += length;
  }

  /** A copy of copied bytes that stays valid after clear(). */
  copied(place: number, length: number): Buffer {
    return Buffer.from(this.#slab.subarray(place, place + length));
  }

  /** Adds a piece of the slab. @returns its number, for sent() */
  addCopied(fd: number, place: number, length: number): number {
    return this.#add(fd, place, length);
  }

  /** Adds a piece that is sent from where it is. @returns its number, for sent() */
  addBuffer(fd: number, buffer: Uint8Array, length: number): number {
    this.#buffers.push(buffer);
    return this.#add(fd, -this.#buffers.length, Math.min(length, MAX_SEND));
  }

  /** Sends all pieces. @returns false: as Sender.flush() */
  flush(sender: Sender): boolean {
    return false !== sender.flush(this.#numbers, this.#count, this.#slab, this.#buffers);
  }

  /** Sends none of them: sent() is WOULD_BLOCK for each, and operations of a ring or port send them. */
  refuse(): void {
    for (let piece = 0; piece < this.#count; piece++) this.#numbers[piece * OUTGOING_FIELDS + 2] = WOULD_BLOCK;
  }

  /** The number of bytes sent of this piece and the descriptor's later ones; or a negative error. */
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
