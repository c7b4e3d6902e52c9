/** The check of instructions per message: its verdict on given counts. The measurement is in test/long/bench-instructions.test.ts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type Baseline,
  TOLERANCE,
  type Toolchain,
  compared,
  differences,
  incomparable,
  isFailure,
  parseBaseline,
  updated,
} from '../src/instruments/bench/instructions/baseline.js';
import { workloads } from '../src/instruments/bench/instructions/workloads.js';
import { Bench } from './support/bench.js';
import { Program, root } from './support/program.js';

const TOOLCHAIN: Toolchain = { node: '20.1.0', architecture: 'x64', compiler: 'GCC: (x) 12.2.0', valgrind: '3.19.0' };
const BASELINE: Baseline = { toolchain: TOOLCHAIN, instructions: { reactor: 2000, selector: 4000 } };

describe('a count, against the baseline', () => {
  it.each([
    [2000, 'within', 0, false],
    [2000 * (1 + TOLERANCE) - 1, 'within', 0.05, false],
    [2000 * (1 + TOLERANCE) + 1, 'more', 0.05, true],
    [2200, 'more', 0.1, true],
    [2000 * (1 - TOLERANCE) + 1, 'within', -0.05, false],
    [1800, 'fewer', -0.1, false],
  ])('%d instead of 2000: %s', (now, outcome, change, failure) => {
    const comparison = compared('reactor', now, BASELINE);
    expect(comparison).toMatchObject({ outcome, baseline: 2000, now });
    expect(comparison.change).toBeCloseTo(change, 2);
    expect(isFailure(comparison)).toBe(failure);
  });

  it('a workload without a baseline is a failure', () => {
    for (const name of ['fan-out', 'toString']) {
      const comparison = compared(name, 1000, BASELINE);
      expect(comparison).toEqual({ outcome: 'unknown', baseline: null, now: 1000, change: NaN });
      expect(isFailure(comparison)).toBe(true);
    }
  });

  it('another Node or another architecture is not compared, with the reason', () => {
    expect(incomparable(TOOLCHAIN, { ...TOOLCHAIN, valgrind: '3.22.0', compiler: 'clang version 14.0.6' })).toBe(null);
    expect(incomparable(TOOLCHAIN, { ...TOOLCHAIN, node: '22.0.0' })).toMatch(
      /Node 20\.1\.0 on x64, .*Node 22\.0\.0 on x64/,
    );
    expect(incomparable(TOOLCHAIN, { ...TOOLCHAIN, architecture: 'arm64' })).toMatch(/Node 20\.1\.0 on arm64/);
  });

  it('another valgrind or another compiler is compared, and mentioned', () => {
    expect(differences(TOOLCHAIN, TOOLCHAIN)).toEqual([]);
    const other = { ...TOOLCHAIN, valgrind: '3.22.0', compiler: 'clang version 14.0.6' };
    expect(differences(TOOLCHAIN, other)).toEqual([
      'valgrind: the baseline was counted with 3.19.0, and this is 3.22.0',
      "the addon's compiler: the baseline was counted with GCC: (x) 12.2.0, and this is clang version 14.0.6",
    ]);
  });
});

describe('the baseline', () => {
  it('updating keeps the new counts and those that were not counted, and drops removed workloads', () => {
    const counts = new Map([['reactor', 2100.04]]);
    const other = { ...TOOLCHAIN, valgrind: '3.22.0' };
    expect(updated(BASELINE, other, counts, ['reactor', 'selector'])).toEqual({
      toolchain: other,
      instructions: { reactor: 2100, selector: 4000 },
    });
    expect(updated(BASELINE, TOOLCHAIN, counts, ['reactor']).instructions).toEqual({ reactor: 2100 });
    expect(updated(null, TOOLCHAIN, counts, ['reactor', 'selector']).instructions).toEqual({ reactor: 2100 });
  });

  it('has each workload', () => {
    const { instructions } = parseBaseline(readFileSync(join(root, 'bench/instructions.json'), 'utf8'));
    expect(Object.keys(instructions)).toEqual(workloads.map(({ name }) => name));
    for (const [name, count] of Object.entries(instructions)) expect(count, name).toBeGreaterThan(10);
  });

  it('is refused if it is invalid', () => {
    expect(() => parseBaseline('{"reactor": 2000}')).toThrow('it was not written by --update');
    expect(() => parseBaseline('2000 instructions')).toThrow(SyntaxError);
  });
});

const main = join(root, 'dist/instruments/bench/instructions/main.js');
const command = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  new Program(process.execPath, [main, ...args], env);

describe('npm run bench:instructions', () => {
  it('an unknown workload: names the known ones before anything runs', async () => {
    const { stdout, stderr, code } = await command(['reactor', 'reactors']).ended;
    expect(stderr).toMatch(/^error: .*'reactors' is invalid .* reactor, .*, select-1\.\n/);
    expect([stdout, code]).toEqual(['', 1]);
  });

  const isPosix = process.platform !== 'win32';
  it.skipIf(!isPosix).each([
    ['', 0],
    ['1', 1],
  ])(
    `without valgrind it is skipped, which is a failure in CI: CI=%s${isPosix ? '' : ' — not here: Windows has a PATH of its own'}`,
    async (CI, code) => {
      using bench = new Bench();
      const outcome = await command([], { CI, PATH: bench.folder() }).ended;
      expect(outcome).toMatchObject({
        stdout: 'skipped: valgrind is not installed (Debian: valgrind)\n',
        stderr: '',
        code,
      });
    },
  );
});
