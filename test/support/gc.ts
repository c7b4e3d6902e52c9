/** The garbage collector, without --expose-gc on the command line. */
import { setFlagsFromString } from 'node:v8';
import { setImmediate } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';

function findCollector(): () => void {
  const { Bun } = globalThis as { Bun?: { gc(synchronously: boolean): void } };
  if (Bun !== undefined) return () => Bun.gc(true);
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

export const gc = findCollector();

/** Collects until `isDone`, with turns of Node's loop in between for finalizers; gives up after a while. */
export async function collectUntil(isDone: () => boolean): Promise<boolean> {
  for (let i = 0; i < 50 && !isDone(); i++) {
    await setImmediate(); // a WeakRef's target stays alive until the end of the turn that dereferenced it
    gc();
    await setImmediate();
  }
  return isDone();
}
