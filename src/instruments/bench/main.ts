/** npm run bench: compares this package with C and other runtimes in the same run. */
import { randomInt } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import Table from 'cli-table3';
import { untilInterrupted } from '../../terminal/interrupt.js';
import { parseCount, parseOutputFile } from '../../terminal/arguments.js';
import { type Progress, progressBar } from '../../terminal/progress.js';
import { sectionText } from '../../terminal/report.js';
import { beside } from '../../terminal/text.js';
import { machineFacts } from '../report/machine.js';
import { renderPage } from '../report/page.js';
import { builtC } from './build.js';
import { chooseProcessors } from './processors.js';
import { findProgram, present } from './programs.js';
import { CORES, CORES_SUBJECTS } from './cores.js';
import type { BenchResults, CoresCell, IdleCell, ServedCell, TurnsCell } from './results.js';
import { type RunOptions, runCores, runIdle, runServed, runTurns, servedBy, visitsOf } from './run.js';
import { sectionsOf } from './sections.js';
import { type BenchSubject, SUBJECTS } from './subjects.js';
import { MAX_SEED, surpriseOf } from './surprise.js';
import { TURN_PROGRAMS } from './turn-programs.js';
import { IDLE, type LoadCell, TURNS, type TurnsRow, WORKLOADS, WORKLOAD_NAMES, type Workload } from './workloads.js';

interface BenchOptions {
  readonly subjects?: readonly BenchSubject[];
  readonly cells?: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
  readonly quick?: true;
  /** true: a seed by chance. */
  readonly surprise?: number | true;
  readonly json?: string;
  readonly html?: string;
  readonly list?: true;
  readonly from?: string;
}

const QUICK = { rounds: 3, seconds: 0.3 };

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!/^\d*\.?\d+$/.test(text) || !(seconds >= 0.1 && seconds <= 60))
    throw new InvalidArgumentError('It must be 0.1 to 60 seconds.');
  return seconds;
}

function parseSeed(text: string): number {
  const seed = Number(text);
  if (!/^\d+$/.test(text) || seed > MAX_SEED)
    throw new InvalidArgumentError(`It must be a whole number from 0 to ${MAX_SEED}.`);
  return seed;
}

function parseSubjects(text: string): readonly BenchSubject[] {
  return text.split(',').map((name) => {
    const found = SUBJECTS.find((one) => one.name === name);
    if (found === undefined)
      throw new InvalidArgumentError(
        `Unknown subject '${name}'; there are: ${SUBJECTS.map((one) => one.name).join(', ')}.`,
      );
    return found;
  });
}

function parseResults(path: string): string {
  try {
    const { served, idle, turns } = JSON.parse(readFileSync(path, 'utf8')) as Partial<BenchResults>;
    if (![served, idle, turns].every(Array.isArray)) throw new Error('It was not written by --json.');
    return path;
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

const HELP = `
Workloads (default: all):
${[...WORKLOADS, CORES, IDLE, TURNS].map(({ name, title }) => beside(`  ${name}`, title, 13)).join('\n')}

Server and clients each run on a processor of their own. All subjects run in the same
rounds, and every byte of the replies is checked. Subjects that are not installed are
listed and left out. BUN, DENO, PYTHON: paths of programs; NPM_EPOLL: a folder with
that npm package.

Try it:
  npm run bench -- --quick
  npm run bench -- echo --cells 50x64,1000x64 --rounds 9 --html bench.html
  npm run bench -- turns idle
  npm run bench -- --surprise --rounds 9 --subjects c-epoll,c-io_uring,reactor,proactor
  npm run bench:instructions`;

const program = new Command('npm run bench --')
  .description(
    'echo, chat, rpc, connections, idle connections and selector turns: compare this package with others and with C',
  )
  .argument('[workload...]', 'which workloads')
  .option('--subjects <names>', 'these subjects, separated by commas', parseSubjects)
  .option('--cells <cells>', 'these cells of workloads with several cells: 50x64,1000x64', (text) => text.split(','))
  .option('--rounds <number>', 'visits of each subject in each cell', parseCount, 5)
  .option('--seconds <seconds>', 'duration of each visit', parseSeconds, 1)
  .option('--quick', `${QUICK.rounds} rounds of ${QUICK.seconds} s: less reliable figures`)
  .option(
    '--surprise [seed]',
    'echo in ten cells off the beaten track, chosen by a seed (default: by chance)',
    parseSeed,
  )
  .option('--json <file>', 'write the results', parseOutputFile)
  .option('--html <file>', 'write a page with tables and charts', parseOutputFile)
  .option('--from <file>', 'measure nothing: show the results that --json has written', parseResults)
  .option('--list', 'print the subjects, and what is missing for them')
  .addHelpText('after', HELP)
  .showHelpAfterError('(see --help)')
  .action(async (names: readonly string[], options: BenchOptions, command: Command) => {
    const unknown = names.find((name) => !WORKLOAD_NAMES.includes(name));
    if (unknown !== undefined)
      return command.error(`error: unknown workload '${unknown}'; there are: ${WORKLOAD_NAMES.join(', ')}`);
    const { surprise } = options;
    const seed = surprise === true ? randomInt(MAX_SEED + 1) : surprise;
    const plan = planOf(names.length > 0 ? names : seed === undefined ? WORKLOAD_NAMES : [], options.cells, seed);
    if (plan.isEmpty)
      return command.error(`error: unknown cell ${options.cells?.join(', ') ?? ''}; there are: ${cellNames()}`);
    if (options.list) return list();
    if (options.from !== undefined)
      return show(JSON.parse(readFileSync(options.from, 'utf8')) as BenchResults, options);
    show(await measure(plan, options.quick ? { ...options, ...QUICK } : options, seed), options);
  });

// --------------------------------------------------------------------------------------------------------------- plan

interface Plan {
  readonly served: readonly (readonly [Workload, LoadCell])[];
  readonly idle: readonly number[];
  readonly turns: readonly (readonly [TurnsRow, registered: number, active: number])[];
  readonly hasCores: boolean;
  readonly isEmpty: boolean;
}

const shortName = ({ connections, size }: LoadCell): string => `${connections}x${size}`;
const cellNames = (): string => WORKLOADS.flatMap(({ cells }) => cells.map(shortName)).join(', ');

function planOf(names: readonly string[], cells: readonly string[] | undefined, seed: number | undefined): Plan {
  const workloads = [
    ...WORKLOADS.filter(({ name }) => names.includes(name)),
    ...(seed === undefined ? [] : [surpriseOf(seed)]),
  ];
  const served = workloads.flatMap((workload) =>
    workload.cells
      .filter((cell) => cells === undefined || workload.cells.length === 1 || cells.includes(shortName(cell)))
      .map((cell) => [workload, cell] as const),
  );
  const idle = names.includes(IDLE.name) ? IDLE.connections : [];
  const turns = names.includes(TURNS.name)
    ? TURNS.mechanisms.flatMap((row: TurnsRow) =>
        row.registered.flatMap((registered) => TURNS.active.map((active) => [row, registered, active] as const)),
      )
    : [];
  const hasCores = names.includes(CORES.name);
  return { served, idle, turns, hasCores, isEmpty: served.length + idle.length + turns.length === 0 && !hasCores };
}

// ------------------------------------------------------------------------------------------------------------ measure

const presentSubjects = (subjects = SUBJECTS) =>
  present(subjects, ({ serves, command }) => command(serves[0] ?? 'echo'));
const presentCoresSubjects = () => present(CORES_SUBJECTS, ({ command }) => command());
const presentTurnPrograms = () => present(TURN_PROGRAMS, ({ command }) => command('epoll', 1, 1, 1));

function assertCanRun(): void {
  if (process.platform !== 'linux')
    throw new Error(
      'the benchmark needs Linux: its references are epoll(7) and io_uring(7) in C. Elsewhere: npx selectors-native compare',
    );
  for (const tool of ['setpriv', 'taskset'])
    if (findProgram(tool) === null) throw new Error(`${tool}(1) is not installed (Debian: util-linux)`);
  builtC('load');
}

async function measure(
  plan: Plan,
  { subjects, rounds, seconds }: BenchOptions,
  seed: number | undefined,
): Promise<BenchResults> {
  assertCanRun();
  const { here, missing } = presentSubjects(subjects);
  const turners = presentTurnPrograms();
  const several = presentCoresSubjects();
  const processors = chooseProcessors();
  const total =
    plan.served.reduce((sum, [workload]) => sum + visitsOf(servedBy(workload, here).length, rounds), 0) +
    (plan.hasCores ? visitsOf(several.here.length, rounds) : 0) +
    plan.idle.length * servedBy(WORKLOADS[0] as Workload, here).length * rounds +
    plan.turns.reduce(
      (sum, [{ mechanism }]) =>
        sum + rounds * turners.here.filter(({ mechanisms }) => mechanisms.includes(mechanism)).length,
      0,
    );
  const bar = progressBar();
  const measured: Measured = { served: [], idle: [], turns: [], cores: [] };
  // After an interrupt the finished cells are shown.
  await untilInterrupted((signal) =>
    measureAll(plan, measured, {
      ...{ subjects: here, turnPrograms: turners.here, coresSubjects: several.here },
      ...{ rounds, seconds, processors, signal, onVisit: counting(bar, total) },
    }),
  ).finally(bar.end);
  return {
    machine: Object.fromEntries([
      ...machineFacts(),
      [
        'pinned',
        processors === null
          ? 'no: only one processor'
          : `server to ${processors.server}, clients to ${processors.clients}`,
      ],
    ]),
    versions: Object.fromEntries(here.map(({ name, version }) => [name, version?.() ?? ''])),
    missing: Object.fromEntries([...missing, ...(plan.turns.length > 0 ? turners.missing : [])]),
    rounds,
    seconds,
    ...(seed === undefined ? {} : { seed }),
    ...measured,
  };
}

function counting(bar: Progress, total: number): (what: string) => void {
  let done = 0;
  return (what) => bar.update(done++, total, what);
}

interface Measured {
  readonly served: ServedCell[];
  readonly idle: IdleCell[];
  readonly turns: TurnsCell[];
  readonly cores: CoresCell[];
}

async function measureAll(plan: Plan, { served, idle, turns, cores }: Measured, options: RunOptions): Promise<void> {
  for (const [workload, cell] of plan.served) served.push(await runServed(workload, cell, options));
  if (plan.hasCores) cores.push(await runCores(options));
  for (const connections of plan.idle) idle.push(await runIdle(connections, options));
  for (const [row, registered, active] of plan.turns) turns.push(await runTurns(row, registered, active, options));
}

// --------------------------------------------------------------------------------------------------------------- show

function show(results: BenchResults, { json, html }: BenchOptions): void {
  const sections = sectionsOf(results);
  const machine = Object.entries(results.machine).map(([label, text]) => beside(label, text, 18, 100));
  process.stdout.write(`${machine.join('\n')}\n\n${sections.map(sectionText).join('\n\n')}\n`);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(results, null, 1)}\n`);
  if (html === undefined) return;
  const page = { title: 'selectors-native compared with others', subtitle: 'npm run bench', sections };
  writeFileSync(html, renderPage(page, Object.entries(results.machine)));
  process.stderr.write(`the report is in ${html}\n`);
}

function list(): void {
  const why = new Map([...presentSubjects().missing, ...presentTurnPrograms().missing]);
  const table = new Table({
    head: ['subject', 'what', 'serves', 'here'],
    colWidths: [22, 36, 8, 34],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  for (const { name, what, serves, version } of SUBJECTS)
    table.push([name, what, serves.join('\n'), why.get(name) ?? version?.() ?? 'yes']);
  for (const { name, what } of TURN_PROGRAMS) table.push([name, what, 'turns', why.get(name) ?? 'yes']);
  process.stdout.write(`${table.toString()}\n`);
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(); // `… | head -1`: the reader has closed the pipe
});
program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
