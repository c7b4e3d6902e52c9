/** What `experiment` runs and prints. */
import { writeFileSync } from 'node:fs';
import Table from 'cli-table3';
import type { Experiment, MeasureContext } from '../instruments/experiments/experiment.js';
import { experiments } from '../instruments/experiments/index.js';
import { BUSY, Busyness } from '../instruments/measuring/busyness.js';
import { measureRounds, sectionOfRounds } from '../instruments/experiments/rounds.js';
import { type Fact, machineFacts } from '../instruments/report/machine.js';
import { renderPage } from '../instruments/report/page.js';
import type { ReportSection } from '../instruments/report/report.js';
import { pc } from '../terminal/colors.js';
import { untilInterrupted } from '../terminal/interrupt.js';
import { commandLine, printError } from './output.js';
import { progressBar } from '../terminal/progress.js';
import { sectionText } from '../terminal/report.js';
import { beside, terminalColumns, wrap } from '../terminal/text.js';

export interface ExperimentCommandOptions {
  readonly quick?: true;
  readonly json?: true;
  readonly html?: string;
}

const ALL = 'all';
/** Columns of the frame around the two cells of a row. */
const FRAME_COLUMNS = 7;

type AnyExperiment = Experiment<unknown>;

const available = (): readonly AnyExperiment[] => experiments.filter(({ isAvailable }) => isAvailable);
const find = (name: string): AnyExperiment | undefined => experiments.find((one) => one.name === name);
const named = (name: string): AnyExperiment => find(name) as AnyExperiment;

/** Checks the names before anything is started. null: all can run. */
export function wrongChoice(names: readonly string[]): string | null {
  for (const name of names.filter((one) => one !== ALL)) {
    const experiment = find(name);
    if (experiment === undefined) {
      const all = [...experiments.map((one) => one.name), ALL].join(', ');
      return `there is no experiment '${name}'; there is: ${all}`;
    }
    if (!experiment.isAvailable) return `${name} is not available here: ${experiment.why}`;
  }
  return null;
}

export function list({ json }: ExperimentCommandOptions): void {
  const rows = experiments.map(({ name, title, claim, source, isAvailable, why }) => ({
    ...{ name, title, claim, source, isAvailable, why },
  }));
  process.stdout.write(json ? `${JSON.stringify(rows, null, 2)}\n` : `${tableOf(rows)}\n`);
}

type Row = Pick<AnyExperiment, 'name' | 'claim' | 'source' | 'isAvailable' | 'why'>;

function tableOf(rows: readonly Row[]): string {
  const table = new Table({
    head: ['experiment', 'claim, source, available here?'],
    style: { head: [], border: [] },
  });
  const width = terminalColumns() - FRAME_COLUMNS - Math.max(...rows.map(({ name }) => name.length));
  for (const { name, claim, source, isAvailable, why } of rows) {
    const here = `here: ${isAvailable ? pc.green('yes') : pc.yellow('no')}: ${why}`;
    const lines = [claim, source, here].flatMap((text) => wrap(text, width));
    table.push([pc.bold(name), lines.join('\n')]);
  }
  return `${table.toString()}\n\nRun one: selectors-native experiment slow-peers\nAll:     selectors-native experiment ${ALL} --html report.html`;
}

/**
 * Runs them one after the other, since experiments that run side by side would disturb each other.
 * @param names of experiments that are available; ALL: all of those
 */
export async function runExperiments(names: readonly string[], options: ExperimentCommandOptions): Promise<void> {
  const chosen = names.includes(ALL) ? available() : names.map(named);
  const done = await untilInterrupted(async (signal) => {
    const outcomes: Outcome[] = [];
    const busyness = await Busyness.watch(signal);
    const warning = busyness.warning();
    if (!options.json && warning !== null) process.stdout.write(`${pc.yellow(busyText(warning))}\n\n`);
    for (const [index, experiment] of chosen.entries()) {
      const outcome = await outcomeOf(experiment, { index, of: chosen.length, signal, options });
      if (outcome === null) continue;
      if (!options.json) process.stdout.write(`${outcomes.length === 0 ? '' : '\n'}${sectionText(outcome.section)}\n`);
      outcomes.push(outcome);
    }
    return { outcomes, warning: busyness.warning() };
  });
  if (done === null) return;
  const { outcomes, warning } = done;
  if (!options.json && outcomes.length > 0) process.stdout.write(`\n${machineText(warning)}\n`);
  writeAll(done, options);
}

const LABEL_COLUMNS = 18;
const busyText = (warning: string): string => beside(BUSY, warning, LABEL_COLUMNS);

const factsOf = (warning: string | null): readonly Fact[] =>
  warning === null ? machineFacts() : [[BUSY, warning], ...machineFacts()];

const machineText = (warning: string | null): string =>
  factsOf(warning)
    .map(([label, text]) => beside(label, text, LABEL_COLUMNS))
    .join('\n');

/** What was measured. */
interface Measured {
  readonly outcomes: readonly Outcome[];
  /** Why the figures may be wrong. null: the machine was not busy */
  readonly warning: string | null;
}

interface Outcome {
  readonly experiment: AnyExperiment;
  /** The figures of each round. */
  readonly rounds: readonly unknown[];
  readonly section: ReportSection;
}

interface Place {
  readonly index: number;
  readonly of: number;
  readonly signal: AbortSignal;
  readonly options: ExperimentCommandOptions;
}

/** @returns null: it has failed, and the error was printed. @throws when it was aborted */
async function outcomeOf(experiment: AnyExperiment, { index, of, signal, options }: Place): Promise<Outcome | null> {
  const bar = progressBar();
  const context: MeasureContext = {
    effort: options.quick ? 'quick' : 'full',
    progress: (done, total, what) => bar.update(index + done / total, of, `${experiment.name}: ${what}`),
    signal,
  };
  try {
    const rounds = await measureRounds(experiment, context);
    return { experiment, rounds, section: sectionOfRounds(experiment, rounds) };
  } catch (error) {
    signal.throwIfAborted();
    bar.end();
    printError(new Error(`${experiment.name}: ${(error as Error).message}`));
    process.exitCode = 1;
    return null;
  } finally {
    bar.end();
  }
}

function writeAll({ outcomes, warning }: Measured, { json, html, quick }: ExperimentCommandOptions): void {
  if (json) {
    const rows = outcomes.map(
      ({ experiment: { name, title, claim, source, setUp }, rounds, section: { verdict } }) => ({
        ...{ name, title, claim, source, setUp, rounds, verdict, busy: warning },
      }),
    );
    process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  }
  if (html === undefined) return;
  const subtitle = `${process.platform} ${process.arch}, Node ${process.versions.node}${quick ? ', with little effort' : ''}`;
  const sections = outcomes.map(({ section }) => section);
  const title = 'The claims of the posts, measured';
  writeFileSync(html, renderPage({ title, subtitle, command: commandLine(), sections }, factsOf(warning)));
}
