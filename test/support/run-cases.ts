/** Gives contract cases to vitest; what a mechanism or a system lacks is a skip that says why. */
import { it } from 'vitest';
import { type Case, type Lacks, reasonToSkip } from '../contract/case.js';
import type { Bench } from './bench.js';

export function runCases<C extends { readonly bench: Bench }>(
  cases: readonly Case<C>[],
  lacks: Lacks,
  context: () => C,
): void {
  for (const { name, needs, run } of cases) {
    const reason = reasonToSkip(needs, lacks);
    if (reason !== undefined) {
      it.skip(`${name} — not here: ${reason}`, () => undefined);
      continue;
    }
    it(name, async () => {
      const given = context();
      using _bench = given.bench;
      await run(given);
    });
  }
}
