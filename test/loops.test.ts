/** The loop contract, over every selector of this machine, blocking and inside Node's own loop. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'vitest';
import { type EventLoop, Reactor, createSelector } from '../src/index.js';
import { lacksOf } from './contract/capabilities.js';
import { type LoopContext, loopCases } from './contract/loop.js';
import { reactorCases } from './contract/reactor.js';
import { Bench } from './support/bench.js';
import { runCases } from './support/run-cases.js';
import { readinessMechanisms } from './support/mechanisms.js';

const PATIENCE = 10_000;

/** run(), with a timer of the loop's own that looks at the condition. */
function untilBlocking(loop: EventLoop, what: string, condition: () => boolean): Promise<void> {
  const deadline = loop.now() + PATIENCE;
  const look = (): void => {
    if (condition()) return loop.stop();
    if (loop.now() > deadline) throw new Error(`waited in vain: ${what}`);
    loop.callLater(1, look);
  };
  loop.callSoon(look);
  loop.run();
  return Promise.resolve();
}

/** start(), with a timer of Node's that looks at the condition. */
async function untilInside(loop: EventLoop, what: string, condition: () => boolean): Promise<void> {
  const deadline = loop.now() + PATIENCE;
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

for (const { mechanism, available, why } of readinessMechanisms) {
  for (const [how, until, run] of [
    ['blocking', untilBlocking, runBlocking],
    ['inside Node', untilInside, (loop: EventLoop) => loop.start()],
  ] as const) {
    describe(`reactor on ${mechanism}, ${how}, on ${process.platform}`, () => {
      if (!available) {
        it.skip(`not run: ${why}`, () => undefined);
        return;
      }
      const context = (): LoopContext & { loop(onError?: (error: unknown) => void): Reactor } => {
        const bench = new Bench();
        const loop = (onError?: (error: unknown) => void): Reactor =>
          bench.own(
            new Reactor({ selector: createSelector(mechanism), ...(onError === undefined ? {} : { onError }) }),
          );
        return { bench, loop, until, run };
      };
      runCases([...loopCases, ...reactorCases], lacksOf(mechanism), context);
    });
  }
}
