import { native } from '../native.js';

/**
 * Lets a second signal end the process, even while JavaScript runs or blocks in a call. It holds for the signals that loops of this process
 * watch (`loop.onSignal()`); the first one still calls their handlers.
 * @param ms the same signal within this many milliseconds counts as the first; -1: switches it off
 */
export function endOnRepeat(ms: number): void {
  native.endOnRepeat(ms);
}
