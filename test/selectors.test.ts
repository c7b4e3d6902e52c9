/** The selector contract over every mechanism of this machine. */
import { describe, it } from 'vitest';
import { availableMechanisms, createSelector, type BaseSelector } from '../src/index.js';
import { lacksOf } from './contract/capabilities.js';
import { reasonToSkip } from './contract/case.js';
import { selectorCases } from './contract/selector.js';
import { Bench } from './support/bench.js';

for (const { mechanism, available, why } of availableMechanisms()) {
  describe(`${mechanism} on ${process.platform}`, () => {
    if (!available) {
      it.skip(`not run: ${why}`, () => undefined);
      return;
    }
    const lacks = lacksOf(mechanism);
    for (const { name, needs, run } of selectorCases) {
      const reason = reasonToSkip(needs, lacks);
      if (reason !== undefined) {
        it.skip(`${name} — not here: ${reason}`, () => undefined);
        continue;
      }
      it(name, async () => {
        using bench = new Bench();
        await run({ bench, selector: <D>(): BaseSelector<D> => bench.own(createSelector<D>(mechanism)) });
      });
    }
  });
}
