/** Records the system calls of child processes, which get an environment variable, and of the processes that those start. */
import { join } from 'node:path';
import { TRACE_VARIABLE } from '../recording.js';
import { SharedFile } from '../syscalls/shared-file.js';
import { makeTemporaryFolder, removeTemporaryFolder } from '../syscalls/temporary-folders.js';
import type { SyscallRecord } from './record.js';
import { TraceMemory } from './trace-memory.js';

const DEFAULT_CAPACITY = 65_536;
/** Errors with which Windows refuses to remove a file that is still mapped. */
const STILL_MAPPED: ReadonlySet<string> = new Set(['EPERM', 'EACCES', 'EBUSY', 'ENOTEMPTY']);

export class ProcessesTrace implements Disposable {
  readonly #folder: string;
  readonly #memory: TraceMemory;
  readonly #close: () => void;
  /** Environment variables for a child process: with them it records from its first system call on. */
  readonly env: Readonly<Record<string, string>>;

  /**
   * @param capacity records that fit before they are taken: a power of two. Default: 65,536.
   * @param callsOnly false: records submissions and completions, too. Default: true.
   */
  constructor(capacity = DEFAULT_CAPACITY, callsOnly = true) {
    this.#folder = makeTemporaryFolder('selectors-native-trace-');
    const path = join(this.#folder, 'records');
    const file = new SharedFile(path, TraceMemory.sizeFor(capacity));
    this.#memory = new TraceMemory(file.memory, capacity, callsOnly);
    this.#close = () => file.close();
    this.env = { [TRACE_VARIABLE]: path };
  }

  /** Returns the records since the last call and removes them. */
  take(): readonly SyscallRecord[] {
    return this.#memory.take();
  }

  /** As take(), after all those processes have ended: also returns the records behind one that a process left unfinished. */
  takeRest(): readonly SyscallRecord[] {
    return this.#memory.takeRest();
  }

  /** As take() for counting: see TraceMemory.takeEach(). */
  takeEach(visit: (name: string, start: number, duration: number) => void): void {
    this.#memory.takeEach(visit);
  }

  /** Start of the trace, from which the records' times count: milliseconds of the monotonic clock that all processes share. */
  get start(): number {
    return this.#memory.start;
  }

  /** Records that were not written because the memory was full. */
  get dropped(): number {
    return this.#memory.dropped;
  }

  /** Records since the start, which are calls by default: written or dropped, taken or not. Modulo 2^32. */
  get made(): number {
    return this.#memory.made;
  }

  /** Ends the recording, also in processes that still run, and removes the file. */
  [Symbol.dispose](): void {
    this.#memory.stop();
    this.#close();
    try {
      removeTemporaryFolder(this.#folder);
    } catch (error) {
      // Windows keeps a file while a process has it mapped. It stays in the folder for temporary files.
      if (!STILL_MAPPED.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
}
