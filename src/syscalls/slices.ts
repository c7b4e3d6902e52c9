/** Waits that worker.terminate() can end: it stops JavaScript, and not a system call. */
import { isMainThread } from 'node:worker_threads';

/** How long a worker waits at a stretch, in milliseconds, before JavaScript has its turn. The main thread ends with the process. */
export const SLICE = isMainThread ? Infinity : 100;

/** The part of a wait that is made at a stretch. @param remaining milliseconds, negative: for ever, as the addon takes it */
export function sliceOf(remaining: number): number {
  if (SLICE === Infinity) return remaining;
  return remaining < 0 ? SLICE : Math.min(remaining, SLICE);
}

/** Waits in slices until `wait` answers something else than 0 (nothing), or the time is over. */
export function inSlices(timeout: number, wait: (part: number) => number): number {
  const deadline = performance.now() + timeout;
  for (let remaining = timeout; ;) {
    const part = sliceOf(remaining);
    const result = wait(part);
    if (result !== 0 || part === remaining) return result;
    if (timeout > 0) remaining = Math.max(0, deadline - performance.now());
  }
}
