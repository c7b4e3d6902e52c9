/**
 * A million random operations against a model (test/support/torture.ts). Three seeds here; `npm run torture -- --seed 7` for one of your
 * choice. A failure names its seed.
 */
import { describe, expect, it } from 'vitest';
import { Reactor, Socket, createSelector } from '../src/index.js';
import { type Tally, torture } from './support/torture.js';
import { readinessMechanisms } from './support/mechanisms.js';

const seeds = process.env.TORTURE_SEED === undefined ? [1, 2, 3] : [Number(process.env.TORTURE_SEED)];
/** Under Wine and the sanitizers everything takes ten times as long. */
const isSlow = process.platform === 'win32' || process.env.SELECTORS_NATIVE_SANITIZED === '1';
const full = Number(process.env.TORTURE_OPERATIONS ?? (isSlow ? 30_000 : 1_000_000));

const show = (tally: Tally): string =>
  Object.entries(tally)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');

const mechanisms = readinessMechanisms.filter(({ available }) => available);

describe.each(mechanisms)('torture of the reactor on $mechanism', ({ mechanism }) => {
  // The best one in full; the others differ from it in the wait alone.
  const operations = mechanism === mechanisms[0]?.mechanism ? full : Math.ceil(full / 10);
  it.each(seeds)(`${operations} operations, seed %i`, { timeout: 600_000 }, (seed) => {
    const api = {
      Socket,
      loop: (onError: (error: unknown) => void) => new Reactor({ selector: createSelector(mechanism), onError }),
      watching: (loop: unknown) => loop as Reactor,
    };
    const tally = torture(api, seed, operations);
    process.stdout.write(`   torture, ${mechanism}, seed ${seed}: ${show(tally)}\n`);
    expect(tally.operations).toBe(operations);
    expect(tally.opened).toBeGreaterThan(operations / 1000);
  });
});
