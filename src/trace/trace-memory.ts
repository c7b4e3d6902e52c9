/**
 * The memory that a trace is recorded into, laid out as native/core/trace.h has it: a header, and places for records. Threads and processes
 * that have it in common write to it, none waiting for another; one reads.
 *
 * A process may be killed after it has claimed a place and before it has written there. What stands behind it would never be read. So a
 * place that stays unwritten for a second is given up: its record is counted as dropped.
 *
 * Nothing that is found there is believed, for others may write to it: numbers lead to wrong records at the worst, and never out of it.
 */
import { systemErrorName } from '../errors.js';
import { native } from '../native.js';
import type { SyscallRecord } from './record.js';

const HEADER_SIZE = native.TRACE_HEADER_SIZE;
const RECORD_SIZE = native.TRACE_RECORD_SIZE;

// Indices of the header's numbers, as Int32Array.
const TAIL = 0;
const HEAD = 1;
const DROPPED = 2;
const STOPPED = 3;
const CAPACITY = 4;
const MAGIC = 5;
/** Its byte. */
const START = 24;

// Bytes of a record.
const READY = 0;
const PROCESS = 4;
const THREAD = 8;
const ERROR = 12;
const STARTED = 16;
const DURATION = 24;
const RESULT = 32;
const NAME_LENGTH = 40;
const RETURNED_LENGTH = 41;
const ARGUMENTS_LENGTH = 42;
const FAULT = 44;
const TEXT = 48;

/** By the number that a record has for it: Fault::Kind of native/core/faults.h. */
const FAULTS: readonly SyscallRecord['fault'][] = [null, 'INJECTED', 'INJECTED', 'DELAYED'];

/** What stands in the place of a record that is written: odd, and of 32 bits as the numbers of places are. */
const readyOf = (number: number): number => (number << 1) | 1;
/** Milliseconds. Writing takes a microsecond, or as long as the system keeps the writer from going on. */
const PATIENCE = 1000;

export class TraceMemory {
  readonly #bytes: Buffer;
  readonly #numbers: Int32Array;
  readonly #view: DataView;
  readonly #capacity: number;
  /** Of the place that is read next. */
  #head = 0;
  /** Of the record that is read next. */
  #sequence = 0;
  /** Places that were given up, from #head on. */
  readonly #givenUp = new Set<number>();
  #lost = 0;
  /** The first place that is claimed and not written yet, and since when it is known to be. */
  #awaited = { number: NaN, since: 0 };

  /** @param capacity how many records it shall hold: a power of two */
  static sizeFor(capacity: number): number {
    return HEADER_SIZE + capacity * RECORD_SIZE;
  }

  /** @param memory as large as sizeFor() says, all 0 */
  constructor(memory: ArrayBufferLike, capacity: number) {
    this.#bytes = Buffer.from(memory);
    this.#numbers = new Int32Array(memory);
    this.#view = new DataView(memory);
    this.#capacity = capacity;
    this.#numbers[CAPACITY] = capacity;
    this.#view.setFloat64(START, native.monotonicMilliseconds(), true);
    Atomics.store(this.#numbers, MAGIC, native.TRACE_MAGIC);
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** When the trace began: milliseconds on the clock that all processes of a system have in common. */
  get start(): number {
    return this.#view.getFloat64(START, true);
  }

  /** How many calls there was no room for, or whose process ended before it had written. */
  get dropped(): number {
    return (Atomics.load(this.#numbers, DROPPED) >>> 0) + this.#lost;
  }

  /** How many calls were made since it began: recorded or dropped, taken or not. Modulo 2^32. */
  get made(): number {
    return (Atomics.load(this.#numbers, TAIL) + Atomics.load(this.#numbers, DROPPED)) >>> 0;
  }

  /** Nobody writes to it from here on, but who is about to. */
  stop(): void {
    Atomics.store(this.#numbers, STOPPED, 1);
  }

  /** The records that are kept, oldest first. */
  records(): SyscallRecord[] {
    const records: SyscallRecord[] = [];
    this.#read(PATIENCE, (at) => records.push(this.#record(at, this.#sequence + records.length)));
    return records;
  }

  /** The same; their places are free for others. */
  take(): SyscallRecord[] {
    return this.#take(PATIENCE);
  }

  /** The same, when all who wrote have ended: nothing is waited for. */
  takeRest(): SyscallRecord[] {
    return this.#take(0);
  }

  /** The same as take() for who counts: several times as fast as to take all that is known of each. */
  takeEach(visit: (name: string, start: number, duration: number) => void): void {
    this.#free(
      this.#read(PATIENCE, (at) => {
        const name = this.#text(at + TEXT, this.#nameEnd(at));
        visit(name, this.#view.getFloat64(at + STARTED, true), this.#view.getFloat64(at + DURATION, true));
        this.#sequence++;
      }),
    );
  }

  #take(patience: number): SyscallRecord[] {
    const records: SyscallRecord[] = [];
    this.#free(this.#read(patience, (at) => records.push(this.#record(at, this.#sequence++))));
    return records;
  }

  #free(places: number): void {
    this.#head = (this.#head + places) | 0;
    this.#givenUp.clear();
    Atomics.store(this.#numbers, HEAD, this.#head);
  }

  /** @param visit is told where each record lies. @returns of how many places they are, with those that were given up */
  #read(patience: number, visit: (at: number) => void): number {
    const claimed = (Atomics.load(this.#numbers, TAIL) - this.#head) >>> 0;
    const most = Math.min(claimed, this.#capacity);
    let places = 0;
    for (; places < most; places++) {
      const number = (this.#head + places) | 0;
      if (Atomics.load(this.#numbers, this.#readyAt(number)) === readyOf(number)) visit(this.#offsetOf(number));
      else if (!this.#isLost(number, patience)) break;
    }
    return places;
  }

  /** Is nobody going to write it? Of a place that is claimed, and not written. */
  #isLost(number: number, patience: number): boolean {
    if (this.#givenUp.has(number)) return true;
    const at = this.#readyAt(number);
    const found = Atomics.load(this.#numbers, at);
    // Who claimed it found it given up in its round before, and has left it alone.
    if (found !== native.TRACE_ABANDONED) {
      const now = native.monotonicMilliseconds();
      if (this.#awaited.number !== number) this.#awaited = { number, since: now };
      if (now - this.#awaited.since < patience) return false;
      // Written just now: it is read the next time.
      if (Atomics.compareExchange(this.#numbers, at, found, native.TRACE_ABANDONED) !== found) return false;
    }
    this.#givenUp.add(number);
    this.#lost++;
    return true;
  }

  #offsetOf(number: number): number {
    return HEADER_SIZE + (number & (this.#capacity - 1)) * RECORD_SIZE;
  }

  #readyAt(number: number): number {
    return (this.#offsetOf(number) + READY) / Int32Array.BYTES_PER_ELEMENT;
  }

  #nameEnd(at: number): number {
    return Math.min(at + TEXT + this.#view.getUint8(at + NAME_LENGTH), at + RECORD_SIZE);
  }

  #record(at: number, sequence: number): SyscallRecord {
    const view = this.#view;
    const errno = view.getInt32(at + ERROR, true);
    const nameEnd = this.#nameEnd(at);
    const argumentsEnd = nameEnd + view.getUint16(at + ARGUMENTS_LENGTH, true);
    const returnedEnd = argumentsEnd + view.getUint8(at + RETURNED_LENGTH);
    const text = (from: number, to: number): string => this.#text(from, Math.min(to, at + RECORD_SIZE));
    return {
      sequence,
      process: view.getInt32(at + PROCESS, true),
      thread: view.getUint32(at + THREAD, true),
      name: text(at + TEXT, nameEnd),
      arguments: text(nameEnd, argumentsEnd),
      result: view.getFloat64(at + RESULT, true),
      returned: text(argumentsEnd, returnedEnd),
      error: errno === 0 ? null : systemErrorName(errno),
      fault: FAULTS[view.getUint32(at + FAULT, true)] ?? null,
      start: view.getFloat64(at + STARTED, true),
      duration: view.getFloat64(at + DURATION, true),
    };
  }

  #text(from: number, to: number): string {
    return from < to ? this.#bytes.toString('utf8', from, to) : '';
  }
}
