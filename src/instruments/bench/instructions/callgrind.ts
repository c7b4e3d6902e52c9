/**
 * Runs node under `valgrind --tool=callgrind` so that the same program has the same instruction count each time, on a busy machine, too.
 * Sources of variation are removed: threads that compile and collect garbage concurrently, random seeds, the environment. Addresses do not
 * vary: valgrind assigns the same ones each time.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The function at which callgrind dumps and resets its counts: only process.ppid calls it. */
const MARK = 'uv_os_getppid';

const FLAGS = [
  '--single-threaded',
  '--predictable',
  '--hash-seed=1',
  '--random-seed=1',
  // Larger than the garbage of a measurement, so that it is collected only before.
  '--min-semi-space-size=16',
  '--max-semi-space-size=16',
  '--expose-gc',
];

/**
 * The wrapper of LineChild. callgrind counts from the moment when the program loads bench/c/instrument.c.
 * @param folder where the counts are written
 * @param budget executed bytecode in bytes after which V8 optimizes a function (V8's default: 67,584)
 */
export function underCallgrind(folder: string, budget: number): readonly string[] {
  const callgrind = `valgrind -q --command-line-only=yes --vgdb=no --tool=callgrind --instr-atstart=no --dump-line=no --dump-before=${MARK} --callgrind-out-file="$out"`;
  const flags = [...FLAGS, `--interrupt-budget=${budget}`].join(' ');
  const script = `out=$1 node=$2; shift 2; exec env -i PATH="$PATH" ${callgrind} "$node" ${flags} "$@"`;
  return ['sh', '-c', script, 'sh', join(folder, 'out')];
}

/** Number of the first dump that counts: dump 1 ends at the first mark. */
const FIRST_DUMP = 2;

/** Instructions between each mark and the next, in order. */
export function sectionsIn(folder: string): readonly number[] {
  return readdirSync(folder)
    .map((name) => Number(/^out\.(\d+)$/.exec(name)?.[1]))
    .filter((number) => number >= FIRST_DUMP)
    .sort((a, b) => a - b)
    .map((number) => Number(/^totals: (\d+)/m.exec(readFileSync(join(folder, `out.${number}`), 'utf8'))?.[1]));
}
