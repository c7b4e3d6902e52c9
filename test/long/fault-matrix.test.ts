/** Every fault of every rule in each loop, and the table of docs/semantics.md. test/fault-matrix.test.ts has the first fault of each rule. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeFaults, notHere } from '../support/fault-cells.js';
import { MATRIX, TABLE, tableOf } from '../support/fault-matrix.js';
import { root } from '../support/program.js';

describe.skipIf(notHere)(`faults${notHere}`, () => {
  const holds = new Set<string>();
  describeFaults(
    (faults) => faults,
    (cell) => holds.add(cell),
  );

  it('the table of docs/semantics.md matches this run (WRITE_TABLES=1 writes it)', ({ skip }) => {
    if (
      holds.size <
      MATRIX.reduce((sum, [, rows]) => sum + rows.reduce((cells, { faults }) => cells + faults.length, 0), 0)
    )
      skip('not all cells were run, or some do not hold');
    const path = join(root, 'docs/semantics.md');
    const document = readFileSync(path, 'utf8');
    const written = document.replace(TABLE, `$1${tableOf(holds)}$2`);
    if (process.env.WRITE_TABLES !== undefined) writeFileSync(path, written);
    else expect(document).toBe(written);
  });
});
