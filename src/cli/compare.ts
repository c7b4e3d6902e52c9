/** `compare`: measures the same work on each subject in turn. */
import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { DEFAULT_WORK } from '../instruments/compare/options.js';
import type { Work } from '../instruments/compare/row.js';
import { machineFacts } from '../instruments/report/machine.js';
import { compare, renderReport } from '../trace.js';
import { comparisonText, subjectsText } from './compare-table.js';
import { untilInterrupted } from '../terminal/interrupt.js';
import { parseCount, parseOutputFile } from '../terminal/arguments.js';
import { progressBar } from '../terminal/progress.js';

interface CompareCommandOptions extends Work {
  readonly workers?: number;
  readonly json?: true;
  readonly html?: string;
  readonly list?: true;
}

const EXTRA_HELP = `
A subject is a server model on a mechanism (default: its best): reactor:select,
proactor:io_uring, thread-pool, prefork:lock, node:net. --list prints all of them.

Each subject serves in a process of its own, to clients in another process, and runs
twice: once to measure time, and once, slower, to count system calls.

The clients keep their connections. A worker of thread-pool, process-pool or prefork
serves one connection until it ends: these models get one worker per connection.

Try it:
  selectors-native compare reactor:select reactor:poll reactor:epoll
  selectors-native compare --connections 500 reactor:poll reactor:epoll
  selectors-native compare --html report.html`;

export function addCompare(program: Command): void {
  const { connections, messages, size } = DEFAULT_WORK;
  program
    .command('compare')
    .description('compare server models: messages/s, system calls, CPU, latency')
    .addHelpText('after', EXTRA_HELP)
    .argument('[subject...]', 'what to compare (default: those with a star in --list, which take a minute)')
    .option('--connections <number>', 'clients at the same time', parseCount, connections)
    .option('--messages <number>', 'messages per subject', parseCount, messages)
    .option('--size <bytes>', 'size of a message', parseCount, size)
    .option('--workers <number>', 'threads or processes, for models with a fixed number of them', parseCount)
    .option('--json', 'print JSON')
    .option('--html <file>', 'also write an HTML page with tables and charts', parseOutputFile)
    .option('--list', 'print all subjects')
    .action(async (subjects: readonly string[], options: CompareCommandOptions) => {
      if (options.list) process.stdout.write(`${subjectsText()}\n`);
      else await compareCommand(subjects, options);
    });
}

async function compareCommand(subjects: readonly string[], options: CompareCommandOptions): Promise<void> {
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
  writeFileSync(html, renderReport(rows, work));
  process.stderr.write(`the report is in ${html}\n`);
}
