/**
 * node under `valgrind --tool=callgrind`, so that the same program counts the same instructions each time, on a busy machine too. What
 * would make the difference is taken out: threads that compile and collect garbage beside the program, and so at any moment; seeds; the
 * environment. Addresses need nothing: valgrind gives the same ones each time.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The function at which callgrind writes down what it has counted: process.ppid calls it, and nothing else does. */
const MARK = 'uv_os_getppid';

const FLAGS = [
  '--single-threaded',
  '--predictable',
  '--hash-seed=1',
  '--random-seed=1',
  // Larger than what a measurement makes: garbage is collected before it.
  '--min-semi-space-size=16',
  '--max-semi-space-size=16',
  '--expose-gc',
];

/**
 * For LineChild.
 * @param folder where the counts will be
 * @param budget how soon V8 compiles a function for good, in bytes of its bytecode that were run (67,584 where nothing is said)
 */
export function underCallgrind(folder: string, budget: number): readonly string[] {
  const callgrind = `valgrind -q --command-line-only=yes --vgdb=no --tool=callgrind --dump-line=no --dump-before=${MARK} --callgrind-out-file="$out"`;
  const flags = [...FLAGS, `--interrupt-budget=${budget}`].join(' ');
  const script = `out=$1 node=$2; shift 2; exec env -i PATH="$PATH" ${callgrind} "$node" ${flags} "$@"`;
  return ['sh', '-c', script, 'sh', join(folder, 'out')];
}

/** Number 1 goes from the program's beginning to the first mark. */
const FIRST = 2;

/** Instructions between one mark and the next, in their order. */
export function sectionsIn(folder: string): readonly number[] {
  return readdirSync(folder)
    .map((name) => Number(/^out\.(\d+)$/.exec(name)?.[1]))
    .filter((number) => number >= FIRST)
    .sort((a, b) => a - b)
    .map((number) => Number(/^totals: (\d+)/m.exec(readFileSync(join(folder, `out.${number}`), 'utf8'))?.[1]));
}
