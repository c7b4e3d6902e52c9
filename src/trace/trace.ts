/** Recording the system calls of this thread, and of those that it starts. */
import { check } from '../errors.js';
import type { NativeRecording } from '../addon.js';
import { native } from '../native.js';
import { recordInNewThreads } from '../recording.js';
import { fieldsOf, wholeNumber } from '../validate.js';
import { type SyscallRecord, type SyscallSummary, Summary, formatRecord } from './record.js';
import { TraceMemory } from './trace-memory.js';

const DEFAULT_CAPACITY = 65_536;
const MOST_RECORDS = 2 ** 20;

export interface Trace extends Disposable {
  /** The records so far, oldest first. */
  records(): readonly SyscallRecord[];
  /** The same; they make room for others. */
  take(): readonly SyscallRecord[];
  /** How many calls there was no room for. */
  readonly dropped: number;
  summary(): readonly SyscallSummary[];
  /** One line a call, as strace prints it. */
  format(): string;
  /** No call is recorded from here on; the records stay. The second time nothing happens. */
  stop(): void;
}

export interface TraceOptions {
  /** How many records there is room for: 1 to 2^20, rounded up to a power of two. 504 bytes each. Default: 65,536. */
  readonly capacity?: number;
}

/**
 * Starts recording the system calls that this package makes in this thread, in the threads that it has beside it, and in workers that are
 * started from here on. Costs next to nothing while nobody records; and some microseconds a call while somebody does.
 *
 * Several traces may be under way at once, each with all calls. A worker may have one of its own. Processes are not recorded: see the
 * command `selectors-native trace`.
 *
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; ERR_INVALID_ARG_VALUE where reading the options throws
 */
export function startTrace(options: TraceOptions = {}): Trace {
  const { capacity = DEFAULT_CAPACITY } = fieldsOf('options', options, ['capacity']);
  const places = 2 ** Math.ceil(Math.log2(wholeNumber('capacity', capacity, 1, MOST_RECORDS)));
  return new ThreadsTrace(places);
}

class ThreadsTrace implements Trace {
  readonly #memory: TraceMemory;
  readonly #recording: NativeRecording;
  readonly #forget: () => void;

  constructor(places: number) {
    const shared = new SharedArrayBuffer(TraceMemory.sizeFor(places));
    this.#memory = new TraceMemory(shared, places);
    this.#recording = new native.Recording();
    check(this.#recording.start(this.#memory.bytes), 'startTrace');
    this.#forget = recordInNewThreads(shared);
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
      .map((record) => `${formatRecord(record)}\n`)
      .join('');
  }

  stop(): void {
    this.#memory.stop();
    this.#recording.stop();
    this.#forget();
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}
