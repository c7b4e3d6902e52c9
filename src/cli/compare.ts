/** `compare`: the same work done by each subject in turn. */
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

const TEACH = `
A subject is a server model over a mechanism, or over its best: reactor:select,
proactor:io_uring, thread-pool, prefork:lock, node:net. --list prints them all.

Each serves in a process of its own, to clients in another, and runs twice: once for
the time, once while its system calls are counted, which is slower.

The clients keep their connections. A worker of thread-pool, process-pool or prefork
serves one until it ends: they get as many workers as there are connections.

Try it:
  selectors-native compare reactor:select reactor:poll reactor:epoll
  selectors-native compare --connections 500 reactor:poll reactor:epoll
  selectors-native compare --html report.html`;

export function addCompare(program: Command): void {
  const { connections, messages, size } = DEFAULT_WORK;
  program
    .command('compare')
    .description('server models side by side: messages a second, system calls, CPU, latency')
    .addHelpText('after', TEACH)
    .argument('[subject...]', 'what to compare (default: those with a star in --list; takes a minute)')
    .option('--connections <number>', 'clients that ask at the same time', parseCount, connections)
    .option('--messages <number>', 'of each subject', parseCount, messages)
    .option('--size <bytes>', 'of a message', parseCount, size)
    .option('--workers <number>', 'threads or processes of the models that have a number of them', parseCount)
    .option('--json', 'for machines')
    .option('--html <file>', 'write a page with tables and charts as well', parseOutputFile)
    .option('--list', 'print the subjects that there are')
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
