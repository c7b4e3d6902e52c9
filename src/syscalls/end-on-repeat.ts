import { native } from '../native.js';

/**
 * Has a second signal end the process, of those that loops of this process watch (`loop.onSignal()`): also while JavaScript runs, or sleeps
 * in a call that blocks. The first one is handled as ever.
 * @param ms the same signal within this time counts as the first; -1: a second one is handled as the first again
 */
export function endOnRepeat(ms: number): void {
  native.endOnRepeat(ms);
}
