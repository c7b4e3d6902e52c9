/** The selector contract over every mechanism of this machine. */
import { describe, it } from 'vitest';
import { type BaseSelector, createSelector } from '../src/index.js';
import { lacksOf } from './contract/capabilities.js';
import { selectorCases } from './contract/selector.js';
import { Bench } from './support/bench.js';
import { runCases } from './support/run-cases.js';
import { placeOf, readinessMechanisms } from './support/mechanisms.js';

for (const { mechanism, available, why } of readinessMechanisms) {
  describe(`${mechanism} on ${placeOf(mechanism)}`, () => {
    if (!available) {
      it.skip(`not run: ${why}`, () => undefined);
      return;
    }
    runCases(selectorCases, lacksOf(mechanism), () => {
      const bench = new Bench();
      return { bench, selector: <D>(): BaseSelector<D> => bench.own(createSelector<D>(mechanism)) };
    });
  });
}
