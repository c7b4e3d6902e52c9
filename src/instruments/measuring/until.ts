/** Waiting within a measurement, which somebody may give up at any moment. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds. */
const BETWEEN = 1;
const LONGEST = 15_000;

/** Asks until it is so. @throws AbortError; an Error where it never is */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  signal: AbortSignal,
  longest = LONGEST,
): Promise<void> {
  const deadline = performance.now() + longest;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await sleep(BETWEEN, undefined, { signal });
  }
}
