/** Runs the fuzzer (scripts/fuzz.mjs) for half a minute. FUZZ_SEED: the first seed; `npm run fuzz` has more options. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Bench } from '../support/bench.js';
import { Program, root } from '../support/program.js';

const MINUTES = '0.5';
const notHere = process.platform === 'win32' ? ' — not here: its programs close descriptors by number' : '';

it.skipIf(notHere)(`random programs over the public API neither crash nor hang${notHere}`, async () => {
  using bench = new Bench();
  const { FUZZ_SEED = '1' } = process.env;
  const args = [join(root, 'scripts/fuzz.mjs'), '--minutes', MINUTES, '--seed', FUZZ_SEED];
  const { code, stdout, stderr } = await bench.own(new Program(process.execPath, args)).ended;
  expect(stdout + stderr).toMatch(/: 0 failures\n/);
  expect(code).toBe(0);
});
