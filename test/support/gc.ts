/** The garbage collector, without the program having been started for it. */
import { setFlagsFromString } from 'node:v8';
import { setImmediate } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
export const gc = runInNewContext('gc') as () => void;

/** Collects until `isDone`, with turns of Node's loop in between, in which finalizers run; gives up after a while. */
export async function collectUntil(isDone: () => boolean): Promise<boolean> {
  for (let i = 0; i < 50 && !isDone(); i++) {
    await setImmediate(); // what a WeakRef was asked for lives until the end of the turn
    gc();
    await setImmediate();
  }
  return isDone();
}
