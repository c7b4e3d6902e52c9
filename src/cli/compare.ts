/** `compare`: the same work done by each subject in turn. */
import { accessSync, constants, writeFileSync } from 'node:fs';
import { constants as system } from 'node:os';
import { dirname, resolve } from 'node:path';
import { SingleBar } from 'cli-progress';
import type { Command } from 'commander';
import { DEFAULT_WORK } from '../compare/options.js';
import type { Work } from '../compare/row.js';
import { thisMachine } from '../measuring/machine.js';
import { type ComparisonOptions, type ComparisonRow, compare, renderReport } from '../trace.js';
import { comparisonText, subjectsText } from './compare-table.js';
import { ENDING, interrupted } from './interrupt.js';
import { parseCount } from './options.js';

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
    .option('--html <file>', 'write a page with tables and charts as well')
    .option('--list', 'print the subjects that there are')
    .action(async (subjects: readonly string[], options: CompareCommandOptions) => {
      if (options.list) process.stdout.write(`${subjectsText()}\n`);
      else await compareCommand(subjects, options);
    });
}

async function compareCommand(subjects: readonly string[], options: CompareCommandOptions): Promise<void> {
  const { connections, messages, size, workers, html } = options;
  if (html !== undefined) accessSync(dirname(resolve(html)), constants.W_OK);
  const rows = await untilInterrupted({
    connections,
    messages,
    size,
    ...(workers === undefined ? {} : { workers }),
    ...(subjects.length === 0 ? {} : { subjects }),
  });
  if (rows === null) return;
  const work: Work = { connections, messages, size };
  const text = options.json ? JSON.stringify({ ...thisMachine(), ...work, rows }, null, 2) : comparisonText(rows, work);
  process.stdout.write(`${text}\n`);
  if (html === undefined) return;
  writeFileSync(html, renderReport(rows, work));
  process.stderr.write(`the report is in ${html}\n`);
}

/** @returns null: a signal has ended it, and the exit code says which */
async function untilInterrupted(options: ComparisonOptions): Promise<readonly ComparisonRow[] | null> {
  const aborting = new AbortController();
  const handlers = ENDING.map((signal) => {
    const code = 128 + system.signals[signal];
    const begin = (): void => {
      process.exitCode = code;
      aborting.abort();
    };
    return [signal, interrupted(begin, () => process.exit(code))] as const;
  });
  for (const [signal, handler] of handlers) process.on(signal, handler);
  const bar = progressBar();
  try {
    return await compare({ ...options, signal: aborting.signal, onProgress: bar.update });
  } catch (error) {
    if (!aborting.signal.aborted) throw error;
    return null;
  } finally {
    bar.stop();
    for (const [signal, handler] of handlers) process.off(signal, handler);
  }
}

/** On a terminal, and nowhere else. */
function progressBar(): { update(this: void, done: number, total: number, subject: string): void; stop(): void } {
  if (!process.stderr.isTTY) return { update: () => undefined, stop: () => undefined };
  const bar = new SingleBar({
    format: '{bar} {value}/{total} {subject}',
    barsize: 40,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    clearOnComplete: true,
    hideCursor: true,
    stream: process.stderr,
  });
  let hasStarted = false;
  return {
    update(done, total, subject) {
      if (hasStarted) bar.update(done, { subject });
      else bar.start(total, done, { subject });
      hasStarted = true;
    },
    stop: () => bar.stop(),
  };
}
