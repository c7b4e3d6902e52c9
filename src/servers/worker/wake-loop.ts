import { wakeup } from '../../index.js';

/** Wakes another thread's loop. @param handle see wakeup(); 0 and the handle of a thread that has exited wake nothing */
export function wakeLoop(handle: number): void {
  try {
    if (handle !== 0) wakeup(handle);
  } catch {
    // The thread has exited. Its successor looks for work before it waits.
  }
}
