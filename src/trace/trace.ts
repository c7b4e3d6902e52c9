/** Records the system calls of this thread and of the threads that it starts. */
import { check } from '../errors.js';
import type { NativeRecording } from '../addon.js';
import { native } from '../native.js';
import { recordInNewThreads } from '../recording.js';
import { fieldsOf, wholeNumber } from '../validate.js';
import { type SyscallRecord, type SyscallSummary, Summary, formatRecord } from './record.js';
import { TraceMemory } from './trace-memory.js';

const DEFAULT_CAPACITY = 65_536;
const MAX_CAPACITY = 2 ** 20;

/** A running trace. Tracing never blocks: records are dropped while the memory is full. */
export interface Trace extends Disposable {
  /** The records in memory, oldest first. */
  records(): readonly SyscallRecord[];
  /** Returns the records as records() does and removes them, which frees their slots. */
  take(): readonly SyscallRecord[];
  /** Records that were not written because the memory was full. */
  readonly dropped: number;
  /** The calls in memory, without operations, summed by name, the longest total time first. */
  summary(): readonly SyscallSummary[];
  /**
   * The records in memory as text, one line per record, calls as strace prints them. Operations are indented: submissions stand before the call
   * that submits them, completions after it.
   */
  format(): string;
  /** Ends the recording; the records stay. Calling it again has no effect. */
  stop(): void;
}

/** Options of startTrace(). */
export interface TraceOptions {
  /** Records that fit in memory: 1 to 2^20, rounded up to a power of two; 504 bytes each. Default: 65,536. */
  readonly capacity?: number;
}

/**
 * Starts recording the system calls that this package makes in this thread, in the package's helper threads of it, and in workers started
 * later; on io_uring and IOCP also each operation that it submits, and each completion that it takes. A call costs some microseconds more while a
 * trace runs, and next to nothing otherwise.
 *
 * Several traces may run at once, each with all calls. A worker may start its own. Child processes are not recorded: see the command
 * `selectors-native trace`.
 *
 * @returns the running trace: call `stop()`, or declare it with `using`
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; ERR_INVALID_ARG_VALUE if reading the options throws
 */
export function startTrace(options: TraceOptions = {}): Trace {
  const { capacity = DEFAULT_CAPACITY } = fieldsOf('options', options, ['capacity']);
  const slots = 2 ** Math.ceil(Math.log2(wholeNumber('capacity', capacity, 1, MAX_CAPACITY)));
  return new ThreadsTrace(slots);
}

class ThreadsTrace implements Trace {
  readonly #memory: TraceMemory;
  readonly #recording: NativeRecording;
  readonly #removeFromNewThreads: () => void;

  constructor(slots: number) {
    const shared = new SharedArrayBuffer(TraceMemory.sizeFor(slots));
    this.#memory = new TraceMemory(shared, slots);
    this.#recording = new native.Recording();
    check(this.#recording.start(this.#memory.bytes), 'startTrace');
    this.#removeFromNewThreads = recordInNewThreads(shared);
  }

  records(): readonly SyscallRecord[] {
    return this.#memory.records();
  }

  take(): readonly SyscallRecord[] {
    return this.#memory.take();
  }

  get dropped(): number {
    return this.#memory.dropped;
  }

  summary(): readonly SyscallSummary[] {
    const summary = new Summary();
    for (const record of this.records()) summary.add(record);
    return summary.rows();
  }

  format(): string {
    return this.records()
      .map((record) => `${record.kind === 'call' ? '' : '  '}${formatRecord(record)}\n`)
      .join('');
  }

  stop(): void {
    this.#memory.stop();
    this.#recording.stop();
    this.#removeFromNewThreads();
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}
