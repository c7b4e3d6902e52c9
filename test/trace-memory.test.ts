/** The shared memory of a trace: writers that never finish, and corrupt contents. */
import { describe, expect, it } from 'vitest';
import { native } from '../src/native.js';
import type { SyscallRecord } from '../src/trace.js';
import { TraceMemory } from '../src/trace/trace-memory.js';
import { answerOf, runProgram } from './support/program.js';
import { until } from './support/servers.js';
import { NOBODY, marksOf } from './support/traces.js';

const TAIL = 0;
const { TRACE_ABANDONED, TRACE_HEADER_SIZE, TRACE_RECORD_SIZE } = native;
const marks = (records: readonly SyscallRecord[]): number[] => marksOf(records).map((number) => number - NOBODY);

/** A trace memory that this thread records into. */
class Recorded implements Disposable {
  readonly trace: TraceMemory;
  readonly numbers: Int32Array;
  readonly #recording = new native.Recording();
  made = 0;

  constructor(capacity: number) {
    const memory = new SharedArrayBuffer(TraceMemory.sizeFor(capacity));
    this.trace = new TraceMemory(memory, capacity);
    this.numbers = new Int32Array(memory);
    expect(this.#recording.start(this.trace.bytes)).toBe(0);
  }

  mark(...numbers: readonly number[]): void {
    for (const number of numbers) native.isOpen(NOBODY + number);
    this.made += numbers.length;
  }

  /** Reserves a record and never finishes it, as a killed writer does. */
  claim(): void {
    Atomics.add(this.numbers, TAIL, 1);
    this.made++;
  }

  readyAt(place: number): number {
    return (TRACE_HEADER_SIZE + place * TRACE_RECORD_SIZE) / Int32Array.BYTES_PER_ELEMENT;
  }

  [Symbol.dispose](): void {
    this.#recording.stop();
  }
}

describe('a record that was claimed and never written', () => {
  it('blocks the records behind it for a second, and is then counted as dropped', async () => {
    // This thread makes other calls meanwhile, in finalizers for example: leave space for them.
    using recorded = new Recorded(1024);
    const { trace } = recorded;
    recorded.mark(1, 2);
    recorded.claim();
    recorded.mark(3);
    const began = performance.now();
    expect(marks(trace.records())).toEqual([1, 2]);
    expect(marks(trace.take())).toEqual([1, 2]);
    expect([trace.take(), trace.dropped]).toEqual([[], 0]);
    await until('it is given up', () => trace.records().length > 0);
    expect(performance.now() - began).toBeGreaterThanOrEqual(990);
    expect([marks(trace.records()), trace.dropped]).toEqual([[3], 1]);
    recorded.mark(4);
    // A second read counts nothing twice.
    expect([marks(trace.records()), trace.dropped]).toEqual([[3, 4], 1]);
    const rest = trace.take();
    expect(rest.map(({ sequence }) => sequence)).toEqual(rest.map((_, i) => 2 + i));
    expect([marks(rest), trace.dropped]).toEqual([[3, 4], 1]);
  });

  it('is not waited for when all writers have ended', () => {
    using recorded = new Recorded(16);
    recorded.claim();
    recorded.mark(1);
    recorded.claim();
    recorded.claim();
    recorded.mark(2);
    recorded.claim();
    expect(recorded.trace.take()).toEqual([]);
    expect(marks(recorded.trace.takeRest())).toEqual([1, 2]);
    expect(recorded.trace.dropped).toBe(4);
  });

  it('is not reused before its writer has written; kept and dropped add up', () => {
    using recorded = new Recorded(4);
    const { trace, numbers } = recorded;
    const place = recorded.readyAt(1);
    let kept = 0;
    recorded.mark(0);
    recorded.claim();
    for (let round = 1; round <= 5; round++) {
      recorded.mark(10 * round, 10 * round + 1, 10 * round + 2);
      // All but the record of that slot.
      const taken = marks(trace.takeRest());
      kept += taken.length;
      expect(numbers[place]).toBe(TRACE_ABANDONED);
      expect(kept + trace.dropped).toBe(recorded.made);
    }
    expect(kept).toBe(recorded.made - trace.dropped);
    // Its writer was only stopped; now it finishes.
    Atomics.store(numbers, place, 0);
    const before = trace.dropped;
    recorded.mark(1, 2, 3, 4, 5, 6);
    expect(trace.dropped).toBe(before + 2);
    expect(trace.takeRest().length).toBe(4);
    expect(trace.dropped).toBe(before + 2);
  });

  it('that is written in time: nothing is lost', async () => {
    using recorded = new Recorded(4);
    const { trace, numbers } = recorded;
    recorded.mark(1);
    const ready = numbers[recorded.readyAt(0)] ?? 0;
    numbers[recorded.readyAt(0)] = 0; // being written
    recorded.mark(2);
    expect(trace.take()).toEqual([]);
    numbers[recorded.readyAt(0)] = ready;
    expect(marks(trace.take())).toEqual([1, 2]);
    expect(trace.dropped).toBe(0);
  });

  it('across the wrap-around of 32-bit numbers', () => {
    using recorded = new Recorded(4);
    const { trace } = recorded;
    for (let i = 0; i < 1000; i++) {
      recorded.mark(i);
      if (i % 3 === 0) expect(marks(trace.take()).at(-1)).toBe(i);
    }
    expect(marks(trace.take())).toEqual([999].filter((i) => i % 3 !== 0));
    expect(trace.dropped).toBe(0);
  });
});

describe('memory that others write to', () => {
  it('each number of the header and of a record changed between two calls: no crash, and no write beyond the trace', async () => {
    const outcome = runProgram(`
      const { TraceMemory } = require('./dist/trace/trace-memory.js');
      const CAPACITY = 4, GUARD = 70_000;
      const size = TraceMemory.sizeFor(CAPACITY);
      const recording = new native.Recording();
      /** Two calls with the scribble between them. Returns how many were read. */
      function attempt(scribble) {
        const whole = new SharedArrayBuffer(size + GUARD);
        const trace = new TraceMemory(whole, CAPACITY);
        new Uint8Array(whole).fill(0xa5, size);
        if (recording.start(new Uint8Array(whole, 0, size)) !== 0) throw new Error('start');
        native.isOpen(1000);
        scribble(new Int32Array(whole, 0, size >> 2));
        native.isOpen(1001);
        const records = [...trace.records(), ...trace.take(), ...trace.takeRest()];
        recording.stop();
        for (const record of records) {
          const { name, arguments: text, returned } = record;
          if (Buffer.byteLength(name + text + returned) > 3 * 456) throw new Error('beyond the record');
          JSON.stringify(record);
        }
        if (typeof trace.dropped !== 'number') throw new Error('dropped');
        if (!new Uint8Array(whole, size).every((byte) => byte === 0xa5)) throw new Error('beyond the trace');
        return records.filter(({ arguments: text }) => /^100[01]\\b/.test(text)).length;
      }
      const counts = { untouched: attempt(() => undefined), scribbles: 0 };
      for (let at = 0; at < ${(TRACE_HEADER_SIZE + TRACE_RECORD_SIZE) / 4}; at++) {
        for (const value of [0, 1, 2, -1, 3, 0x7fffffff, -0x80000000, 0x01010101, 33, 65535, 1 << 20]) {
          attempt((numbers) => void (numbers[at] = value));
          counts.scribbles++;
        }
      }
      console.log(JSON.stringify(counts));`);
    const words = (TRACE_HEADER_SIZE + TRACE_RECORD_SIZE) / Int32Array.BYTES_PER_ELEMENT;
    // Both records() and take() return both.
    expect(await answerOf(outcome)).toEqual({ untouched: 4, scribbles: 11 * words });
  });

  it('crashes neither the writer nor the reader, and none writes outside the trace', async () => {
    const outcome = runProgram(`
      const { Worker } = require('node:worker_threads');
      const { TraceMemory } = require('./dist/trace/trace-memory.js');
      // A trusted length would read about 65,000 bytes too far.
      const CAPACITY = 16, GUARD = 70_000;
      const size = TraceMemory.sizeFor(CAPACITY);
      const whole = new SharedArrayBuffer(size + GUARD);
      // The layout sees only the trace’s part; the guard behind it must stay unchanged.
      const trace = new TraceMemory(whole, CAPACITY);
      new Uint8Array(whole).fill(0xa5, size);
      const recording = new native.Recording();
      if (recording.start(new Uint8Array(whole, 0, size)) !== 0) throw new Error('start');
      // An intact record is read; an overwritten one may be read or dropped.
      native.isOpen(1000);
      const before = trace.records().length;
      const other = new Worker(\`
        const { workerData: [whole, size] } = require('node:worker_threads');
        const numbers = new Int32Array(whole, 0, size >> 2);
        const values = [0, 1, 2, -1, 3, 0x7fffffff, -0x80000000, 0x01010101, 33, 65535, 1 << 20];
        const lengths = Array.from({ length: 16 }, (_, i) => ${TRACE_HEADER_SIZE / 4} + ${TRACE_RECORD_SIZE / 4} * i + 10);
        let seed = 1;
        for (;;) {
          seed = (Math.imul(seed, 1103515245) + 12345) | 0;
          const at = (seed >>> 8) % numbers.length;
          // Not that it is over.
          if (at !== 3) numbers[at] = values[(seed >>> 4) % values.length];
          if (seed % 5 === 0) for (let i = 0; i < 100; i++) for (const index of lengths) numbers[index] = -1;
          for (const index of [0, 1, 2, 4, 8]) if (seed % 7 === 0) numbers[index] = values[(seed >>> 6) % values.length];
        }\`, { eval: true, workerData: [whole, size] });
      other.on('online', () => {
        const counts = { read: before, rounds: 0, guard: true };
        for (const end = Date.now() + 1500; Date.now() < end || counts.rounds <= 10; counts.rounds++) {
          for (let i = 0; i < 10; i++) native.isOpen(i + 1000);
          for (const record of [...trace.records(), ...trace.take(), ...trace.takeRest()]) {
            counts.read++;
            const { name, arguments: text, returned } = record;
            if (Buffer.byteLength(name + text + returned) > 3 * 456) throw new Error('beyond the record');
            JSON.stringify(record);
          }
          if (typeof trace.dropped !== 'number') throw new Error('dropped');
        }
        counts.guard = new Uint8Array(whole, size).every((byte) => byte === 0xa5);
        recording.stop();
        console.log(JSON.stringify(counts));
        process.exit();
      });`);
    const { read, rounds, guard } = (await answerOf(outcome)) as { read: number; rounds: number; guard: boolean };
    expect(guard).toBe(true);
    expect(rounds).toBeGreaterThan(10);
    expect(read).toBeGreaterThan(0);
  });
});
