/** npm run bench:instructions: compares instructions per message with a baseline. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Argument, Command } from 'commander';
import { packageFolder } from '../../../package-folder.js';
import { untilInterrupted } from '../../../terminal/interrupt.js';
import { progressBar } from '../../../terminal/progress.js';
import { beside } from '../../../terminal/text.js';
import {
  type Baseline,
  type Toolchain,
  compared,
  differences,
  incomparable,
  isFailure,
  parseBaseline,
  updated,
} from './baseline.js';
import { count } from './count.js';
import { type Result, resultsText, summaryText } from './output.js';
import { toolchainWith, valgrindVersion } from './toolchain.js';
import { type Workload, workloads } from './workloads.js';

const FILE = join(packageFolder, 'bench/instructions.json');
const NAMES = workloads.map(({ name }) => name);

/**
 * See underCallgrind(). What V8 inlines depends on when it compiles, and a small change of the code can shift that, which changes the count
 * by some 2 %. A count that has grown is therefore repeated with other budgets, and must have grown with each.
 */
const BUDGETS = [5000, 6000, 7000] as const;

const HELP = `
Workloads (default: all, which takes a minute and a half):
${workloads.map(({ name, what }) => beside(`  ${name}`, what, 13)).join('\n')}

Counts instructions in user space (valgrind's callgrind) instead of time: the same code
has the same count, on a busy machine, too. Exit code 1: a count is more than 5 % above
the baseline, which is in bench/instructions.json.`;

interface Options {
  readonly update?: true;
  readonly json?: true;
}

new Command('npm run bench:instructions --')
  .description('instructions per message, delivery or turn, compared with a baseline')
  .addArgument(new Argument('[workload...]', 'which workloads').choices(NAMES))
  .option('--update', 'write these counts to the baseline')
  .option('--json', 'print JSON')
  .addHelpText('after', HELP)
  .showHelpAfterError('(see --help)')
  .action(async (names: readonly string[], options: Options, command: Command) => {
    const valgrind = valgrindVersion();
    if (valgrind === null)
      return skip('valgrind is not installed (Debian: valgrind)', options, Boolean(process.env.CI));
    const here = toolchainWith(valgrind);
    const kept = readBaseline(command);
    const chosen = workloads.filter(({ name }) => names.length === 0 || names.includes(name));
    const reason = kept === null ? null : incomparable(kept.toolchain, here);
    if (options.update) {
      if (reason !== null && chosen.length < workloads.length) return command.error(`error: ${reason}; update all`);
      return update(chosen, kept, here);
    }
    if (kept === null) return command.error(`error: ${FILE} is missing; --update writes it`);
    if (reason !== null) return skip(reason, options, false);
    await check(chosen, kept, here, options);
  })
  .parseAsync()
  .catch((error: unknown) => {
    process.stderr.write(`bench:instructions: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });

/** Reports that nothing could be counted here. */
function skip(reason: string, { json }: Options, isFailure: boolean): void {
  process.stdout.write(json ? `${JSON.stringify({ skipped: reason }, null, 2)}\n` : `skipped: ${reason}\n`);
  if (isFailure) process.exitCode = 1;
}

/** null: there is no baseline. */
function readBaseline(command: Command): Baseline | null {
  if (!existsSync(FILE)) return null;
  try {
    return parseBaseline(readFileSync(FILE, 'utf8'));
  } catch (error) {
    return command.error(`error: ${FILE}: ${(error as Error).message}`);
  }
}

/** Runs the workloads in order. @returns null: interrupted */
function forEach<T>(
  chosen: readonly Workload[],
  run: (workload: Workload, count: (budget: number) => Promise<number | string>) => Promise<T>,
): Promise<T[] | null> {
  const bar = progressBar();
  return untilInterrupted(async (signal) => {
    const results: T[] = [];
    for (const [index, workload] of chosen.entries()) {
      const onProgress = (share: number): void => bar.update(index + share, chosen.length, workload.name);
      onProgress(0);
      results.push(await run(workload, (budget) => count(workload, { budget, signal, onProgress })));
    }
    return results;
  }).finally(bar.end);
}

async function check(chosen: readonly Workload[], kept: Baseline, here: Toolchain, { json }: Options): Promise<void> {
  const results = await forEach(chosen, async (workload, countWith): Promise<Result> => {
    let least = Infinity;
    for (const budget of BUDGETS) {
      const counted = await countWith(budget);
      if (typeof counted === 'string') return { workload, skipped: counted };
      least = Math.min(least, counted);
      if (compared(workload.name, least, kept).outcome !== 'more') break;
    }
    return { workload, ...compared(workload.name, least, kept) };
  });
  if (results === null) return;
  const notes = differences(kept.toolchain, here);
  if (json) {
    const rows = results.map(({ workload: { name, what, unit }, ...result }) => ({ name, what, unit, ...result }));
    process.stdout.write(`${JSON.stringify({ toolchain: here, notes, results: rows }, null, 2)}\n`);
  } else {
    process.stdout.write(`${[resultsText(results), ...notes, ...summaryText(results)].join('\n')}\n`);
  }
  if (results.some((result) => 'outcome' in result && isFailure(result))) process.exitCode = 1;
}

async function update(chosen: readonly Workload[], kept: Baseline | null, here: Toolchain): Promise<void> {
  const counts = new Map<string, number>();
  const skipped = await forEach(chosen, async ({ name }, countWith) => {
    const counted = await countWith(BUDGETS[0]);
    if (typeof counted === 'string') return `${name}: skipped: ${counted}\n`;
    counts.set(name, counted);
    return '';
  });
  if (skipped === null) return;
  writeFileSync(FILE, `${JSON.stringify(updated(kept, here, counts, NAMES), null, 2)}\n`);
  process.stdout.write(
    `${skipped.join('')}bench/instructions.json has the counts of ${[...counts.keys()].join(', ')}\n`,
  );
}
