/** What `compare` runs and prints. */
import { writeFileSync } from 'node:fs';
import type { Work } from '../instruments/compare/row.js';
import { comparisonPage } from '../instruments/compare/sections.js';
import { machineFacts } from '../instruments/report/machine.js';
import { compare } from '../trace.js';
import { comparisonText } from './compare-table.js';
import { BUSY, Busyness } from '../instruments/measuring/busyness.js';
import { pc } from '../terminal/colors.js';
import { beside } from '../terminal/text.js';
import { commandLine } from './output.js';
import { untilInterrupted } from '../terminal/interrupt.js';
import { progressBar } from '../terminal/progress.js';

export { subjectsText } from './compare-table.js';

export interface CompareCommandOptions extends Work {
  readonly rounds: number;
  readonly workers?: number;
  readonly json?: true;
  readonly html?: string;
  readonly list?: true;
}

export async function compareCommand(subjects: readonly string[], options: CompareCommandOptions): Promise<void> {
  const { connections, messages, size, rounds, workers, html, json } = options;
  const work: Work = { connections, messages, size };
  const bar = progressBar();
  const measured = await untilInterrupted(async (signal) => {
    const busyness = await Busyness.watch(signal);
    const rows = await compare({
      ...work,
      rounds,
      ...(workers === undefined ? {} : { workers }),
      ...(subjects.length === 0 ? {} : { subjects }),
      onProgress: bar.update,
      signal,
    });
    return { rows, warning: busyness.warning() };
  }).finally(bar.end);
  if (measured === null) return;
  const { rows, warning } = measured;
  const machine = machineFacts();
  if (warning !== null && !json) process.stdout.write(`${pc.yellow(beside(BUSY, warning, BUSY.length + 2))}\n\n`);
  const text = json
    ? JSON.stringify({ machine: Object.fromEntries(machine), busy: warning, ...work, rows }, null, 2)
    : comparisonText(rows, work, machine);
  process.stdout.write(`${text}\n`);
  if (html === undefined) return;
  writeFileSync(html, comparisonPage(rows, work, commandLine()));
  process.stderr.write(`the report is in ${html}\n`);
}
