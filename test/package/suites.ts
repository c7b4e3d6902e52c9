/**
 * The contract suites as a program, without a test runner: for runtimes and systems that vitest does not know. scripts/test-package.mjs bundles
 * it, with the installed package instead of src/.
 *
 *   node suites.mjs [--only NAME,…]
 *
 * Prints a line per suite, each failure, and at the end a line of JSON: { passed, failed, skipped, reasons }, where `reasons` has the number of
 * cases or suites that were skipped for each reason. Exit code 1: a case failed.
 */
import { type EventLoop, ProactorLoop, Reactor, createProactor, createSelector } from '../../src/index.js';
import type { BaseSelector } from '../../src/index.js';
import { lacksOf, lacksOfProactor, lacksOfSystem } from '../contract/capabilities.js';
import { type Case, type Lacks, reasonToSkip } from '../contract/case.js';
import { givenCases } from '../contract/given.js';
import { type LoopContext, loopCases } from '../contract/loop.js';
import { proactorCases } from '../contract/proactor.js';
import { reactorCases } from '../contract/reactor.js';
import { selectorCases } from '../contract/selector.js';
import { socketCases } from '../contract/sockets.js';
import { Bench } from '../support/bench.js';
import { WAYS } from '../support/loop-ways.js';
import { completionMechanisms, readinessMechanisms } from '../support/mechanisms.js';
import { proactorRows } from '../support/proactors.js';

/** A guard against a case that never ends. */
const MAX_CASE_MS = 120_000;
const MAX_PRINTED = 2000;

const total = { passed: 0, failed: 0, skipped: 0, reasons: {} as Record<string, number> };

function countReason(reason: string): void {
  total.reasons[reason] = (total.reasons[reason] ?? 0) + 1;
}

/** Fails after MAX_CASE_MS; a synchronous case cannot be ended. */
async function inTime(run: () => void | Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not finished after ${MAX_CASE_MS / 1000} s`)), MAX_CASE_MS);
  });
  try {
    await Promise.race([run(), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function runSuite<C extends { readonly bench: Bench }>(
  suite: string,
  cases: readonly Case<C>[],
  lacks: Lacks,
  context: () => C,
): Promise<void> {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const { name, needs, run } of cases) {
    const reason = reasonToSkip(needs, lacks);
    if (reason !== undefined) {
      counts.skipped++;
      countReason(reason);
      continue;
    }
    try {
      const given = context();
      using _bench = given.bench;
      await inTime(() => run(given));
      counts.passed++;
    } catch (error) {
      counts.failed++;
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      console.log(`✗ ${suite}: ${name}\n${text.slice(0, MAX_PRINTED)}`);
    }
  }
  for (const key of ['passed', 'failed', 'skipped'] as const) total[key] += counts[key];
  console.log(`${suite}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
}

function runLoops<L extends EventLoop, C extends LoopContext & { loop(onError?: (error: unknown) => void): L }>(
  suite: string,
  cases: readonly Case<C>[],
  lacks: Lacks,
  make: (onError: { onError?: (error: unknown) => void }) => L,
): (() => Promise<void>)[] {
  return WAYS.map(([how, until, run]) => () => {
    return runSuite(`${suite}, ${how}`, cases, lacks, () => {
      const bench = new Bench();
      const loop = (onError?: (error: unknown) => void): L => bench.own(make(onError === undefined ? {} : { onError }));
      return { bench, loop, until, run } as unknown as C;
    });
  });
}

const SUITES: Readonly<Record<string, () => Promise<void>>> = {
  selectors: async () => {
    for (const { mechanism, available } of readinessMechanisms) {
      if (!available) continue;
      await runSuite(`selector ${mechanism}`, selectorCases, lacksOf(mechanism), () => {
        const bench = new Bench();
        return { bench, selector: <D>(): BaseSelector<D> => bench.own(createSelector<D>(mechanism)) };
      });
    }
  },
  sockets: () => runSuite('sockets', socketCases, lacksOfSystem(), () => ({ bench: new Bench() })),
  proactors: async () => {
    for (const { mechanism, create } of proactorRows) {
      if (create === undefined) continue;
      await runSuite(`proactor ${mechanism}`, proactorCases, lacksOfProactor(mechanism), () => {
        const bench = new Bench();
        return { bench, proactor: () => bench.own(create()) };
      });
    }
  },
  loops: async () => {
    const runs = [
      ...readinessMechanisms
        .filter(({ available }) => available)
        .flatMap(({ mechanism }) =>
          runLoops(
            `reactor on ${mechanism}`,
            [...loopCases, ...givenCases, ...reactorCases],
            lacksOf(mechanism),
            (onError) => new Reactor({ selector: createSelector(mechanism), ...onError }),
          ),
        ),
      ...proactorRows
        .filter(({ create }) => create !== undefined)
        .flatMap(({ mechanism }) =>
          runLoops(
            `proactor loop on ${mechanism}`,
            [...loopCases, ...givenCases],
            lacksOfProactor(mechanism),
            (onError) => new ProactorLoop({ proactor: createProactor(mechanism), ...onError }),
          ),
        ),
    ];
    for (const run of runs) await run();
  },
};

const [option, list = ''] = process.argv.slice(2);
// A mechanism that this machine lacks is in no suite.
for (const { mechanism, available, why } of [...readinessMechanisms, ...completionMechanisms])
  if (!available) countReason(`${mechanism}: ${why}`);
const names = option === '--only' ? list.split(',') : Object.keys(SUITES);
for (const name of names) {
  const suite = SUITES[name];
  if (suite === undefined) throw new Error(`no suite '${name}'; there are ${Object.keys(SUITES).join(', ')}`);
  await suite();
}
console.log(JSON.stringify(total));
process.exit(total.failed > 0 ? 1 : 0);
