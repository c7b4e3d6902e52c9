/**
 * How long one system call of this thread waits.
 *
 * In the main thread: for as long as it takes, since that thread ends with the process. In a worker: 100 ms, with JavaScript in between,
 * because worker.terminate() stops JavaScript and no system call. A worker that was made interruptible waits like the main thread:
 *
 *   waiting --wakeup(handle), in another thread--> SIGURG --> the call fails with EINTR
 *
 * A trace marks slices: each is written to a cell that the addon reads when it records the next wait.
 */
import { isMainThread } from 'node:worker_threads';
import type { NativeThreadInterrupt } from '../addon.js';
import { check } from '../errors.js';
import { native } from '../native.js';

/** Maximum wait of one system call in a worker, in milliseconds. */
const SLICE = 100;

let interrupt: NativeThreadInterrupt | undefined;
let inKernel = isMainThread;

/** 1: the next wait of this thread is a slice. */
const cell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
if (!inKernel) native.setSliceCell(cell);
/** Are waits slices of a wait of their caller's, however short they are? */
let isInSlice = false;

/** Does a system call of this thread wait for as long as it takes? */
export const waitsInKernel = (): boolean => inKernel;

/**
 * Makes the blocking calls of this thread wait for as long as it takes; another thread can end one. To be called before the thread makes a
 * socket. A request that arrives before the call blocks is lost: repeat it until the thread has ended.
 * @returns for wakeup(), which makes the call fail with EINTR; 0: this system cannot end a call (Windows), and waits stay sliced
 */
export function makeInterruptible(): number {
  if (native.ThreadInterrupt === undefined) return 0;
  if (interrupt === undefined) {
    interrupt = new native.ThreadInterrupt();
    check(interrupt.open(), 'sigaction');
    inKernel = true;
    cell[0] = 0;
  }
  return interrupt.handle();
}

/**
 * Makes such requests for these handles, every 10 ms, in a thread of its own, until their threads have ended. A handle of a loop wakes the loop.
 * @param handles Default: all handles of this process
 */
export function interruptUntilEnded(handles?: readonly number[]): void {
  if (handles?.length === 0) return; // for the addon, no handles are all
  native.interruptUntilEnded?.(Int32Array.from(handles ?? []));
}

/**
 * makeInterruptible(); when the descriptor is readable or has been hung up, a thread in the background makes requests.
 * @returns false: as above
 */
export function interruptWhenReadable(fd: number): boolean {
  if (makeInterruptible() === 0 || interrupt === undefined) return false;
  check(interrupt.endWhenReadable(fd), 'pthread_create');
  return true;
}

/** The timeout of the next system call. @param remaining milliseconds, negative: no timeout, as the addon takes it */
export function sliceOf(remaining: number): number {
  if (inKernel) return remaining;
  const isCut = remaining < 0 || remaining > SLICE;
  cell[0] = isCut || isInSlice ? 1 : 0;
  return isCut ? SLICE : remaining;
}

/** Makes a call whose waits are slices of a longer wait: its caller, which has no timeout, repeats it when its timeout has passed. */
export function asSlice<T>(call: () => T): T {
  isInSlice = true;
  try {
    return call();
  } finally {
    isInSlice = false;
  }
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
