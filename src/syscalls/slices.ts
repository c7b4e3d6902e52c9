/** Waits in slices: worker.terminate() stops JavaScript, but not a system call. */
import { isMainThread } from 'node:worker_threads';

/** Maximum wait of one system call, in milliseconds: 100 in a worker; none in the main thread, which ends with the process. */
export const SLICE = isMainThread ? Infinity : 100;

/** The timeout of the next system call. @param remaining milliseconds, negative: no timeout, as the addon takes it */
export function sliceOf(remaining: number): number {
  if (SLICE === Infinity) return remaining;
  return remaining < 0 ? SLICE : Math.min(remaining, SLICE);
}

/** Waits in slices until `wait` returns another number than 0 (nothing), or the timeout expires. @param timeout as for sliceOf() */
export function inSlices(timeout: number, wait: (part: number) => number): number {
  const deadline = performance.now() + timeout;
  for (let remaining = timeout; ;) {
    const part = sliceOf(remaining);
    const result = wait(part);
    if (result !== 0 || part === remaining) return result;
    if (timeout > 0) remaining = Math.max(0, deadline - performance.now());
  }
}
