/**
 * The memory of a trace, laid out as in native/core/trace.h: a header, and a ring of slots for records. Threads and processes share it. All
 * write without waiting for one another; one reads.
 *
 * A process may be killed after it has claimed a slot and before it has written it, and the slots behind it would never be read. So a slot
 * that stays unwritten for a second is abandoned: its record counts as dropped.
 *
 * Nothing read from it is trusted, because others may write to it: wrong numbers lead to wrong records at worst, never outside the memory.
 */
import { systemErrorName } from '../errors.js';
import { native } from '../native.js';
import type { SyscallRecord } from './record.js';

const HEADER_SIZE = native.TRACE_HEADER_SIZE;
const RECORD_SIZE = native.TRACE_RECORD_SIZE;

// Indices of the header's numbers in an Int32Array.
const TAIL = 0;
const HEAD = 1;
const DROPPED = 2;
const STOPPED = 3;
const CAPACITY = 4;
const MAGIC = 5;
/** Offset in bytes: a Float64. */
const START = 24;
const CALLS_ONLY = 8;

// Offsets in a record, in bytes.
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
const KIND = 46;
const MARKS = 47;
const TEXT = 48;

/** Bits of MARKS. */
const PROBE = 1;
const SLICE = 2;

/** Indexed by Fault::Kind of native/core/faults.h. */
const FAULTS: readonly SyscallRecord['fault'][] = [null, 'INJECTED', 'INJECTED', 'DELAYED'];

/** Indexed by RecordKind of native/core/trace.h. */
const KINDS: readonly SyscallRecord['kind'][] = ['call', 'submission', 'completion'];
const CALL = 0;

/** The READY field of a written record: odd, and of 32 bits as the numbers of slots are. */
const readyOf = (number: number): number => (number << 1) | 1;
/** Milliseconds until an unwritten slot is abandoned. Writing takes a microsecond, or longer if the writer is preempted. */
const UNWRITTEN_TIMEOUT = 1000;

export class TraceMemory {
  readonly #bytes: Buffer;
  readonly #numbers: Int32Array;
  readonly #view: DataView;
  readonly #capacity: number;
  /** Number of the slot that is read next. */
  #head = 0;
  /** Sequence number of the record that is read next. */
  #sequence = 0;
  /** Slots from #head on that were abandoned. */
  readonly #abandoned = new Set<number>();
  #lost = 0;
  /** The first slot that is claimed and not written, and when that was first seen, in milliseconds. */
  #unwritten = { number: NaN, since: 0 };

  /** Size in bytes. @param capacity in records: a power of two */
  static sizeFor(capacity: number): number {
    return HEADER_SIZE + capacity * RECORD_SIZE;
  }

  /**
   * @param memory of sizeFor(capacity) bytes, all 0
   * @param callsOnly without submissions and completions
   */
  constructor(memory: ArrayBufferLike, capacity: number, callsOnly = false) {
    this.#bytes = Buffer.from(memory);
    this.#numbers = new Int32Array(memory);
    this.#view = new DataView(memory);
    this.#capacity = capacity;
    this.#numbers[CAPACITY] = capacity;
    this.#numbers[CALLS_ONLY] = callsOnly ? 1 : 0;
    this.#view.setFloat64(START, native.monotonicMilliseconds(), true);
    Atomics.store(this.#numbers, MAGIC, native.TRACE_MAGIC);
  }

  /** The whole memory, which the addon records into. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Start of the trace: milliseconds of the monotonic clock that all processes share. */
  get start(): number {
    return this.#view.getFloat64(START, true);
  }

  /** Records that were not written: the memory was full, or the process ended before it had written the record. */
  get dropped(): number {
    return (Atomics.load(this.#numbers, DROPPED) >>> 0) + this.#lost;
  }

  /** Records since the start, which are calls if only these are recorded: written or dropped, taken or not. Modulo 2^32. */
  get made(): number {
    return (Atomics.load(this.#numbers, TAIL) + Atomics.load(this.#numbers, DROPPED)) >>> 0;
  }

  /** Ends the recording. Writers that have already claimed a slot still write it. */
  stop(): void {
    Atomics.store(this.#numbers, STOPPED, 1);
  }

  /** The records in memory, oldest first. */
  records(): SyscallRecord[] {
    const records: SyscallRecord[] = [];
    this.#read(UNWRITTEN_TIMEOUT, (at) => records.push(this.#record(at, this.#sequence + records.length)));
    return records;
  }

  /** Returns the records as records() does and frees their slots. */
  take(): SyscallRecord[] {
    return this.#take(UNWRITTEN_TIMEOUT);
  }

  /** As take(), after all writers have ended: abandons unwritten slots at once. */
  takeRest(): SyscallRecord[] {
    return this.#take(0);
  }

  /** As take() for counting calls: several times as fast, because only these fields are decoded. Times in milliseconds. */
  takeEach(visit: (name: string, start: number, duration: number) => void): void {
    this.#free(
      this.#read(UNWRITTEN_TIMEOUT, (at) => {
        this.#sequence++;
        if (this.#view.getUint8(at + KIND) !== CALL) return;
        const name = this.#text(at + TEXT, this.#nameEnd(at));
        visit(name, this.#view.getFloat64(at + STARTED, true), this.#view.getFloat64(at + DURATION, true));
      }),
    );
  }

  #take(timeout: number): SyscallRecord[] {
    const records: SyscallRecord[] = [];
    this.#free(this.#read(timeout, (at) => records.push(this.#record(at, this.#sequence++))));
    return records;
  }

  #free(slots: number): void {
    this.#head = (this.#head + slots) | 0;
    this.#abandoned.clear();
    Atomics.store(this.#numbers, HEAD, this.#head);
  }

  /** @param visit gets the offset of each record. @returns the number of slots read or abandoned */
  #read(timeout: number, visit: (at: number) => void): number {
    const claimed = (Atomics.load(this.#numbers, TAIL) - this.#head) >>> 0;
    const limit = Math.min(claimed, this.#capacity);
    let slots = 0;
    for (; slots < limit; slots++) {
      const number = (this.#head + slots) | 0;
      if (Atomics.load(this.#numbers, this.#readyAt(number)) === readyOf(number)) visit(this.#offsetOf(number));
      else if (!this.#isAbandoned(number, timeout)) break;
    }
    return slots;
  }

  /** Whether a slot that is claimed and not written is abandoned. */
  #isAbandoned(number: number, timeout: number): boolean {
    if (this.#abandoned.has(number)) return true;
    const at = this.#readyAt(number);
    const found = Atomics.load(this.#numbers, at);
    // TRACE_ABANDONED: it was abandoned in the round before, and the writer that claimed it now has left it alone.
    if (found !== native.TRACE_ABANDONED) {
      const now = native.monotonicMilliseconds();
      if (this.#unwritten.number !== number) this.#unwritten = { number, since: now };
      if (now - this.#unwritten.since < timeout) return false;
      // It was written in the meantime; the next read returns it.
      if (Atomics.compareExchange(this.#numbers, at, found, native.TRACE_ABANDONED) !== found) return false;
    }
    this.#abandoned.add(number);
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
      kind: KINDS[view.getUint8(at + KIND)] ?? 'call',
      process: view.getInt32(at + PROCESS, true),
      thread: view.getUint32(at + THREAD, true),
      name: text(at + TEXT, nameEnd),
      arguments: text(nameEnd, argumentsEnd),
      result: view.getFloat64(at + RESULT, true),
      returned: text(argumentsEnd, returnedEnd),
      error: errno === 0 ? null : systemErrorName(errno),
      fault: FAULTS[view.getUint16(at + FAULT, true)] ?? null,
      isProbe: (view.getUint8(at + MARKS) & PROBE) !== 0,
      isSlice: (view.getUint8(at + MARKS) & SLICE) !== 0,
      start: view.getFloat64(at + STARTED, true),
      duration: view.getFloat64(at + DURATION, true),
    };
  }

  #text(from: number, to: number): string {
    return from < to ? this.#bytes.toString('utf8', from, to) : '';
  }
}
