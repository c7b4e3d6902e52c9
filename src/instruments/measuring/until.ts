/** Waiting for a condition within a measurement that may be aborted. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds. */
const POLL_INTERVAL = 1;
/** Milliseconds. */
const DEFAULT_TIMEOUT = 15_000;

/** Polls until the condition is true. @param timeout in milliseconds. @throws AbortError; an Error that names `what` after the timeout */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  signal: AbortSignal,
  timeout = DEFAULT_TIMEOUT,
): Promise<void> {
  const deadline = performance.now() + timeout;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`timed out waiting: ${what}`);
    await sleep(POLL_INTERVAL, undefined, { signal });
  }
}
