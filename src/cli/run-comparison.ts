/** What `compare` runs and prints. */
import { writeFileSync } from 'node:fs';
import type { Work } from '../instruments/compare/row.js';
import { comparisonPage } from '../instruments/compare/sections.js';
import { machineFacts } from '../instruments/report/machine.js';
import { compare } from '../trace.js';
import { comparisonText } from './compare-table.js';
import { commandLine } from './output.js';
import { untilInterrupted } from '../terminal/interrupt.js';
import { progressBar } from '../terminal/progress.js';

export { subjectsText } from './compare-table.js';

export interface CompareCommandOptions extends Work {
  readonly workers?: number;
  readonly json?: true;
  readonly html?: string;
  readonly list?: true;
}

export async function compareCommand(subjects: readonly string[], options: CompareCommandOptions): Promise<void> {
  const { connections, messages, size, workers, html, json } = options;
  const work: Work = { connections, messages, size };
  const bar = progressBar();
  const rows = await untilInterrupted((signal) =>
    compare({
      ...work,
      ...(workers === undefined ? {} : { workers }),
      ...(subjects.length === 0 ? {} : { subjects }),
      onProgress: bar.update,
      signal,
    }),
  ).finally(bar.end);
  if (rows === null) return;
  const machine = machineFacts();
  const text = json
    ? JSON.stringify({ machine: Object.fromEntries(machine), ...work, rows }, null, 2)
    : comparisonText(rows, work, machine);
  process.stdout.write(`${text}\n`);
  if (html === undefined) return;
  writeFileSync(html, comparisonPage(rows, work, commandLine()));
  process.stderr.write(`the report is in ${html}\n`);
}
