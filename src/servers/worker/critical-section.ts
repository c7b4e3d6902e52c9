/**
 * Where a descriptor changes hands between threads, it is for a moment a mere number that nobody would close. A thread that was ended then
 * would leave it open for ever. So it says when it is in such a section, and who wants to end it waits those microseconds.
 *
 * Each says first what it wants, and then looks what the other one wants (Dekker): never do both go on.
 */
const IN_SECTION = 0;
const IS_DOOMED = 1;
const CELLS = 2;

const LOOK_AGAIN = 1;
/** A thread that is in a section for so long has a fault of another kind, and is ended all the same. Milliseconds. */
const LONGEST = 1000;

/** Of a thread that is about to be started: it is in its first section until it has what it was handed. */
export function newCriticalSection(): Int32Array {
  const memory = new Int32Array(new SharedArrayBuffer(CELLS * Int32Array.BYTES_PER_ELEMENT));
  memory[IN_SECTION] = 1;
  return memory;
}

/** The thread's own side. */
export class CriticalSection {
  constructor(private readonly memory: Int32Array) {}

  /** It has what it was handed. */
  leave(): void {
    Atomics.store(this.memory, IN_SECTION, 0);
  }

  /** The action is done to its end, or not begun. It must not wait for anything. */
  run<T>(action: () => T): T {
    Atomics.store(this.memory, IN_SECTION, 1);
    if (Atomics.load(this.memory, IS_DOOMED) !== 0) {
      this.leave();
      Atomics.wait(this.memory, IS_DOOMED, 1); // for its end
    }
    try {
      return action();
    } finally {
      this.leave();
    }
  }
}

/** Has a thread ended when it is in no section. */
export function endOutside(memory: Int32Array, end: () => void, since = performance.now()): void {
  Atomics.store(memory, IS_DOOMED, 1);
  if (Atomics.load(memory, IN_SECTION) === 0 || performance.now() - since > LONGEST) end();
  else setTimeout(() => endOutside(memory, end, since), LOOK_AGAIN);
}
