import { wakeup } from '../../index.js';

/** Wakes another thread's loop, by the handle that it has told (see wakeup()). 0, and one that has ended, are nobody's. */
export function wakeLoop(handle: number): void {
  try {
    if (handle !== 0) wakeup(handle);
  } catch {
    // It has died, and another one takes its place: before it waits, that one looks what there is.
  }
}
