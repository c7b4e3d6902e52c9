/**
 * While a descriptor moves from one thread to another, it is a mere number for a moment, which no object closes. A thread that was
 * terminated then would leak it. So a thread marks such a section in shared memory, and the thread that wants to terminate it waits
 * those microseconds.
 *
 * Each side first writes its own cell and then reads the other's (Dekker's algorithm), so at most one of them goes on.
 */
const IN_SECTION = 0;
const IS_TERMINATING = 1;
const CELLS = 2;

const POLL_INTERVAL_MS = 1;
/** A thread that stays in a section for longer is stuck, and is terminated all the same. */
const MAX_SECTION_MS = 1000;

/** The memory that both sides share, for a thread that is about to be started: it is in a section until it owns its inherited sockets. */
export function createSectionMemory(): Int32Array {
  const memory = new Int32Array(new SharedArrayBuffer(CELLS * Int32Array.BYTES_PER_ELEMENT));
  memory[IN_SECTION] = 1;
  return memory;
}

/** The side of the thread that may be terminated. */
export class CriticalSection {
  constructor(private readonly memory: Int32Array) {}

  /** Ends the section in which the thread was started. */
  leave(): void {
    Atomics.store(this.memory, IN_SECTION, 0);
  }

  /** Runs the action to its end; if the thread is being terminated, does not begin it and waits for the end. The action must not block. */
  run<T>(action: () => T): T {
    Atomics.store(this.memory, IN_SECTION, 1);
    if (Atomics.load(this.memory, IS_TERMINATING) !== 0) {
      this.leave();
      Atomics.wait(this.memory, IS_TERMINATING, 1);
    }
    try {
      return action();
    } finally {
      this.leave();
    }
  }
}

/** The other side: terminates the thread as soon as it is in no section. */
export function terminateOutside(memory: Int32Array, terminate: () => void, since = performance.now()): void {
  Atomics.store(memory, IS_TERMINATING, 1);
  if (Atomics.load(memory, IN_SECTION) === 0 || performance.now() - since > MAX_SECTION_MS) terminate();
  else setTimeout(() => terminateOutside(memory, terminate, since), POLL_INTERVAL_MS);
}
