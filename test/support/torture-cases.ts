/** The torture test of each loop (./torture.ts); the test file sets its length. A failure names its seed. */
import { describe, expect, it } from 'vitest';
import { ProactorLoop, Reactor, Socket, createProactor, createSelector } from '../../src/index.js';
import { proactorRows } from './proactors.js';
import { type Tally, type TortureApi, torture } from './torture.js';
import { placeOf, readinessMechanisms } from './mechanisms.js';

const seeds = process.env.TORTURE_SEED === undefined ? [1, 2, 3] : [Number(process.env.TORTURE_SEED)];

const show = (tally: Tally): string =>
  Object.entries(tally)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');

function describeTorture(name: string, first: number, others: number, api: TortureApi): void {
  const cases = seeds.map((seed, i) => ({ seed, operations: i === 0 ? first : others }));
  describe(`torture of the ${name}, on ${placeOf(name)}`, () => {
    it.each(cases)('$operations operations, seed $seed', { timeout: 600_000 }, ({ seed, operations }) => {
      const tally = torture(api, seed, operations);
      process.stdout.write(`   torture, ${name}, seed ${seed}: ${show(tally)}\n`);
      expect(tally.operations).toBe(operations);
      expect(tally.opened).toBeGreaterThan(operations / 1000);
    });
  });
}

/**
 * Runs the torture test over each loop of this system.
 * @param full operations of the first seed on the first mechanism of its kind, at least 20. The other mechanisms differ from it only in
 * the wait: they and the other seeds run a twentieth
 */
export function describeTortures(full: number): void {
  const others = Math.ceil(full / 20);
  const selectors = readinessMechanisms.filter(({ available }) => available);
  const proactors = proactorRows.filter(({ create }) => create !== undefined);

  selectors.forEach(({ mechanism }, row) => {
    describeTorture(`reactor on ${mechanism}`, row === 0 ? full : others, others, {
      Socket,
      loop: (onError) => new Reactor({ selector: createSelector(mechanism), onError }),
      watching: (loop) => (loop instanceof Reactor ? loop : undefined),
    });
  });

  proactors.forEach(({ mechanism }, row) => {
    describeTorture(`proactor on ${mechanism}`, row === 0 ? full : others, others, {
      Socket,
      loop: (onError) => new ProactorLoop({ proactor: createProactor(mechanism), onError }),
    });
  });
}
