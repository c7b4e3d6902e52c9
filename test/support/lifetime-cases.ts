/** The lifetime of many operations (./lifetime.ts), as many as the test file says. A failure names its seed. */
import { expect, it } from 'vitest';
import type { BaseProactor } from '../../src/index.js';
import { liveAndDie } from './lifetime.js';

export const seeds = process.env.TORTURE_SEED === undefined ? [1, 2] : [Number(process.env.TORTURE_SEED)];

const show = (tally: object): string =>
  Object.entries(tally)
    .map(([name, count]) => `${name} ${String(count)}`)
    .join(', ');

/** @param create makes a proactor of this mechanism */
export function itLives(create: () => BaseProactor, mechanism: string, lives: number): void {
  it.each(seeds)(`lifetime: ${lives} operations, each with one outcome, seed %i`, async (seed) => {
    const tally = await liveAndDie(create, seed, lives);
    process.stdout.write(`   lifetime, ${mechanism}, seed ${seed}: ${show(tally)}\n`);
    expect(tally.operations).toBeGreaterThanOrEqual(lives);
    for (const outcome of ['succeeded', 'canceled', 'abandoned', 'closedSockets', 'closedProactors'] as const)
      expect(tally[outcome], outcome).toBeGreaterThan(lives / 200);
    expect(tally.failed).toBe(0);
  });
}
