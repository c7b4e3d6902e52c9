/** The loop contract, over every selector and every proactor of this machine, blocking and inside Node's own loop. */
import { describe, it } from 'vitest';
import { type EventLoop, ProactorLoop, Reactor, createProactor, createSelector } from '../src/index.js';
import { lacksOf, lacksOfProactor } from './contract/capabilities.js';
import type { Case, Lacks } from './contract/case.js';
import { givenCases } from './contract/given.js';
import { type LoopContext, loopCases } from './contract/loop.js';
import { reactorCases } from './contract/reactor.js';
import { Bench } from './support/bench.js';
import { WAYS } from './support/loop-ways.js';
import { runCases } from './support/run-cases.js';
import { placeOf, readinessMechanisms } from './support/mechanisms.js';
import { proactorRows } from './support/proactors.js';

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
    describe(`${name}, ${how}, on ${placeOf(name)}`, () => {
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
