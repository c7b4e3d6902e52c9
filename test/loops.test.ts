/** The loop contract, over every selector and every proactor of this machine, blocking and inside Node's own loop. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'vitest';
import { type EventLoop, ProactorLoop, Reactor, createProactor, createSelector } from '../src/index.js';
import { lacksOf, lacksOfProactor } from './contract/capabilities.js';
import type { Case, Lacks } from './contract/case.js';
import { givenCases } from './contract/given.js';
import { type LoopContext, loopCases } from './contract/loop.js';
import { reactorCases } from './contract/reactor.js';
import { Bench } from './support/bench.js';
import { runCases } from './support/run-cases.js';
import { readinessMechanisms } from './support/mechanisms.js';
import { proactorRows } from './support/proactors.js';

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

const WAYS = [
  ['blocking', untilBlocking, runBlocking],
  ['inside Node', untilInside, (loop: EventLoop) => loop.start()],
] as const;

/** Runs the contract. Each case passes its own onError to the loops that it creates. */
type Make<L extends EventLoop> = (onError: { onError?: (error: unknown) => void }) => L;

function describeLoops<L extends EventLoop, C extends LoopContext & { loop(onError?: (error: unknown) => void): L }>(
  name: string,
  unavailable: string | undefined,
  cases: readonly Case<C>[],
  lacks: Lacks,
  make: Make<L>,
): void {
  for (const [how, until, run] of WAYS) {
    describe(`${name}, ${how}, on ${process.platform}`, () => {
      if (unavailable !== undefined) {
        it.skip(`not run: ${unavailable}`, () => undefined);
        return;
      }
      runCases(cases, lacks, () => {
        const bench = new Bench();
        const loop = (onError?: (error: unknown) => void): L =>
          bench.own(make(onError === undefined ? {} : { onError }));
        return { bench, loop, until, run } as unknown as C;
      });
    });
  }
}

for (const { mechanism, available, why } of readinessMechanisms) {
  describeLoops(
    `reactor on ${mechanism}`,
    available ? undefined : why,
    [...loopCases, ...givenCases, ...reactorCases],
    lacksOf(mechanism),
    (onError) => new Reactor({ selector: createSelector(mechanism), ...onError }),
  );
}

for (const { mechanism, create, why } of proactorRows) {
  describeLoops(
    `proactor on ${mechanism}`,
    create === undefined ? why : undefined,
    [...loopCases, ...givenCases],
    lacksOfProactor(mechanism),
    (onError) => new ProactorLoop({ proactor: createProactor(mechanism), ...onError }),
  );
}
