/** Recording the system calls of processes that are started with an environment variable, and of those that they start. */
import { join } from 'node:path';
import { TRACE_VARIABLE } from '../recording.js';
import { SharedFile } from '../syscalls/shared-file.js';
import { makeTemporaryFolder, removeTemporaryFolder } from '../syscalls/temporary-folders.js';
import type { SyscallRecord } from './record.js';
import { TraceMemory } from './trace-memory.js';

const DEFAULT_CAPACITY = 65_536;
/** What Windows says of a file that is mapped. */
const MAPPED: ReadonlySet<string> = new Set(['EPERM', 'EACCES', 'EBUSY', 'ENOTEMPTY']);

export class ProcessesTrace implements Disposable {
  readonly #folder: string;
  readonly #memory: TraceMemory;
  readonly #close: () => void;
  /** To be given to a child process: it records from its first system call on. */
  readonly env: Readonly<Record<string, string>>;

  /** @param capacity how many records there is room for before they are taken: a power of two */
  constructor(capacity = DEFAULT_CAPACITY) {
    this.#folder = makeTemporaryFolder('selectors-native-trace-');
    const path = join(this.#folder, 'records');
    const file = new SharedFile(path, TraceMemory.sizeFor(capacity));
    this.#memory = new TraceMemory(file.memory, capacity);
    this.#close = () => file.close();
    this.env = { [TRACE_VARIABLE]: path };
  }

  /** What was recorded since this was asked last. */
  take(): readonly SyscallRecord[] {
    return this.#memory.take();
  }

  /** The same, when all those processes have ended: also what stands behind a record that one of them did not finish. */
  takeRest(): readonly SyscallRecord[] {
    return this.#memory.takeRest();
  }

  /** The same for who counts: see TraceMemory. */
  takeEach(visit: (name: string, start: number, duration: number) => void): void {
    this.#memory.takeEach(visit);
  }

  /** What the records' times count from: milliseconds on the clock that all processes of a system have in common. */
  get start(): number {
    return this.#memory.start;
  }

  /** How many calls there was no room for. */
  get dropped(): number {
    return this.#memory.dropped;
  }

  /** How many calls were made since it began: recorded or dropped, taken or not. Modulo 2^32. */
  get made(): number {
    return this.#memory.made;
  }

  /** Processes that still live record no more. */
  [Symbol.dispose](): void {
    this.#memory.stop();
    this.#close();
    try {
      removeTemporaryFolder(this.#folder);
    } catch (error) {
      // Windows keeps a file as long as anybody has it mapped. It lies in the folder for temporary ones.
      if (!MAPPED.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
}
