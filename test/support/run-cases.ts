/** Runs contract cases in vitest. A case whose needs the mechanism or the system lacks is skipped with the reason. */
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
