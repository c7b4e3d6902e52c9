/** The two ways to run a loop until a condition holds: blocking, and inside Node's own loop. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventLoop } from '../../src/index.js';

const MAX_WAIT_MS = 60_000;

/** run(), with a timer of the loop that checks the condition. An error of the condition ends the run, even if the loop has an onError. */
function untilBlocking(loop: EventLoop, what: string, condition: () => boolean): Promise<void> {
  const deadline = loop.now() + MAX_WAIT_MS;
  const failures: Error[] = [];
  const look = (): void => {
    try {
      if (condition()) return loop.stop();
      if (loop.now() > deadline) throw new Error(`waited in vain: ${what}`);
    } catch (error) {
      failures.push(error as Error);
      return loop.stop();
    }
    loop.callLater(1, look);
  };
  loop.callSoon(look);
  loop.run();
  const [failed] = failures;
  return failed === undefined ? Promise.resolve() : Promise.reject(failed);
}

/** start(), with a timer of Node that checks the condition. */
async function untilInside(loop: EventLoop, what: string, condition: () => boolean): Promise<void> {
  const deadline = loop.now() + MAX_WAIT_MS;
  const ended = loop.start();
  try {
    while (!condition()) {
      if (loop.now() > deadline) throw new Error(`waited in vain: ${what}`);
      await Promise.race([sleep(1), ended]);
    }
  } finally {
    loop.stop();
    await ended;
  }
}

const runBlocking = async (loop: EventLoop): Promise<void> => loop.run();

export const WAYS = [
  ['blocking', untilBlocking, runBlocking],
  ['inside Node', untilInside, (loop: EventLoop) => loop.start()],
] as const;
