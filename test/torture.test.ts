/**
 * A million random operations against a model (test/support/torture.ts), and two seeds more with a tenth of that; `npm run torture -- --seed 7`
 * for one of your choice. A failure names its seed.
 */
import { describe, expect, it } from 'vitest';
import { ProactorLoop, Reactor, Socket, createProactor, createSelector } from '../src/index.js';
import { proactorRows } from './support/proactors.js';
import { type Tally, type TortureApi, torture } from './support/torture.js';
import { readinessMechanisms } from './support/mechanisms.js';

const seeds = process.env.TORTURE_SEED === undefined ? [1, 2, 3] : [Number(process.env.TORTURE_SEED)];
/** Under Wine and the sanitizers everything takes ten times as long. */
const isSlow = process.platform === 'win32' || process.env.SELECTORS_NATIVE_SANITIZED === '1';
const full = Number(process.env.TORTURE_OPERATIONS ?? (isSlow ? 10_000 : 1_000_000));

const show = (tally: Tally): string =>
  Object.entries(tally)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');

function describeTorture(name: string, mostOperations: number, api: TortureApi): void {
  const cases = seeds.map((seed, i) => ({ seed, operations: i === 0 ? mostOperations : Math.ceil(full / 10) }));
  describe(`torture of the ${name}`, () => {
    it.each(cases)('$operations operations, seed $seed', { timeout: 600_000 }, ({ seed, operations }) => {
      const tally = torture(api, seed, operations);
      process.stdout.write(`   torture, ${name}, seed ${seed}: ${show(tally)}\n`);
      expect(tally.operations).toBe(operations);
      expect(tally.opened).toBeGreaterThan(operations / 1000);
    });
  });
}

const selectors = readinessMechanisms.filter(({ available }) => available);
const proactors = proactorRows.filter(({ create }) => create !== undefined);
/** The best one in full; the others differ from it in the wait alone. */
const operationsOf = (row: number): number => (row === 0 ? full : Math.ceil(full / 10));

selectors.forEach(({ mechanism }, row) => {
  describeTorture(`reactor on ${mechanism}`, operationsOf(row), {
    Socket,
    loop: (onError) => new Reactor({ selector: createSelector(mechanism), onError }),
    watching: (loop) => (loop instanceof Reactor ? loop : undefined),
  });
});

proactors.forEach(({ mechanism }, row) => {
  describeTorture(`proactor on ${mechanism}`, operationsOf(row), {
    Socket,
    loop: (onError) => new ProactorLoop({ proactor: createProactor(mechanism), onError }),
  });
});
