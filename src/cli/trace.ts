/** `trace`: another command, and the system calls that it makes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, createWriteStream, openSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import Table from 'cli-table3';
import type { Command } from 'commander';
import type { SyscallRecord, SyscallSummary } from '../trace.js';
import { Summary, formatRecord } from '../trace/record.js';
import { ProcessesTrace } from '../trace/processes-trace.js';
import { pc } from '../terminal/colors.js';
import { ENDING } from '../terminal/interrupt.js';
import { parseOutputFile } from '../terminal/arguments.js';
import { printError } from './output.js';

/** How often the records are taken, in milliseconds. */
const EACH = 20;

interface TraceCommandOptions {
  readonly json?: true;
  readonly times?: true;
  readonly summaryOnly?: true;
  readonly only?: readonly string[];
  readonly output?: string;
}

const TEACH = `
What is printed are the system calls of this package, as strace prints them: Node's
own are not among them. Each line begins with the number of the thread that made the
call. What the command itself prints goes to the standard error.

Try it:
  selectors-native trace serve reactor --mechanism select
  selectors-native trace --times --only epoll_wait,recvfrom serve reactor
  selectors-native trace --summary-only demo
  selectors-native trace node my-program.js`;

export function addTrace(program: Command): void {
  program
    .command('trace')
    .description('run a command, and print each system call that this package makes in it')
    .addHelpText('after', TEACH)
    .argument('<command...>', 'a command of selectors-native with its options, or any program that uses the package')
    .passThroughOptions()
    .option('--json', 'one JSON object a line, for machines; the last one is the summary')
    .option('--times', 'when each call began, and how long it took, in milliseconds')
    .option('--summary-only', 'print nothing but the table at the end')
    .option('--only <names>', 'these system calls alone: epoll_wait,recvfrom', (names: string) => names.split(','))
    .option('--output <file>', 'into this file', parseOutputFile)
    .action(async (command: readonly string[], options: TraceCommandOptions) => {
      const own = program.commands.map((one) => one.name());
      process.exitCode = await trace(own.includes(command[0] ?? '') ? ownProgram(command) : command, options);
    });
}

const ownProgram = (command: readonly string[]): readonly string[] => [
  process.execPath,
  join(__dirname, 'main.js'),
  ...command,
];

/** @returns the command's exit code */
async function trace(command: readonly string[], options: TraceCommandOptions): Promise<number> {
  // First: a signal that comes meanwhile must not leave a folder behind.
  let child = null as ChildProcess | null;
  const passOn = passingOn(() => child);
  for (const signal of ENDING) process.on(signal, passOn);
  using records = new ProcessesTrace();
  const summary = new Summary();
  const output: Writable = options.output === undefined ? process.stdout : fileStream(options.output);
  const isWanted = ({ name }: SyscallRecord): boolean => options.only?.includes(name) ?? true;
  const show = (taken: readonly SyscallRecord[]): void => {
    const wanted = taken.filter(isWanted);
    for (const record of wanted) summary.add(record);
    if (options.summaryOnly || wanted.length === 0) return;
    output.write(wanted.map((record) => `${lineOf(record, options)}\n`).join(''));
  };
  const take = (): void => {
    // A slow reader: the records wait, and those for which there is no room are counted.
    if (!output.writableNeedDrain) show(records.take());
  };

  const [program = '', ...args] = command;
  const traced = (child = spawn(program, args, {
    stdio: ['inherit', process.stderr, 'inherit'],
    env: { ...process.env, ...records.env },
  }));
  // Nobody reads any further (`… | head`), or the disk is full: the command is not left behind.
  const endIt = (): void => void traced.kill();
  process.on('exit', endIt);
  const timer = setInterval(take, EACH);
  try {
    const code = await endOf(traced);
    show(records.takeRest());
    output.write(endText(summary.rows(), records.dropped, options));
    return code;
  } finally {
    clearInterval(timer);
    for (const signal of ENDING) process.off(signal, passOn);
    process.off('exit', endIt);
    if (output !== process.stdout) output.end();
  }
}

/** The same Ctrl-C may reach the command by itself: see `interrupted`. Milliseconds. */
const ALSO_SENT = 100;

/**
 * What is sent to this process is sent to the command, and this one ends when that does. A terminal's Ctrl-C goes to both: then it has ended,
 * or ends, by itself. One of kill(1), to this process alone, is passed on; so is one that may be either, a moment later, where the command
 * still runs: a program that has it twice so soon takes it for one (npx does the same).
 */
function passingOn(child: () => ChildProcess | null): (signal: NodeJS.Signals) => void {
  return (signal) => {
    const send = (): void => void child()?.kill(signal);
    if (signal === 'SIGTERM' || !hasTerminal()) send();
    else setTimeout(send, ALSO_SENT);
  };
}

/** Is there a terminal that could have sent a signal to all processes of this group? */
function hasTerminal(): boolean {
  if (process.platform === 'win32') return true;
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false; // ENXIO: there is none
  }
}

function fileStream(path: string): Writable {
  return createWriteStream(path).on('error', (error) => {
    printError(error);
    process.exit(1);
  });
}

function endOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? 'SIGTERM']));
  });
}

function lineOf(record: SyscallRecord, { json, times }: TraceCommandOptions): string {
  if (json) return JSON.stringify(record);
  const { thread, start, duration, error } = record;
  const when = times ? `${start.toFixed(3).padStart(12)} ` : '';
  const howLong = times ? ` <${duration.toFixed(3)}>` : '';
  const line = `${thread} ${when}${formatRecord(record)}${howLong}`;
  return error === null || error === 'EAGAIN' ? line : pc.red(line);
}

function endText(rows: readonly SyscallSummary[], dropped: number, { json, only }: TraceCommandOptions): string {
  if (json) return `${JSON.stringify({ summary: rows, dropped })}\n`;
  const lost = dropped === 0 ? '' : `${dropped} more calls were made too fast to be recorded\n`;
  if (rows.length === 0)
    return `${only === undefined ? 'no system call of this package' : 'none of these'} was made\n${lost}`;
  const table = new Table({
    head: ['calls', 'errors', 'ms', 'µs a call', 'system call'],
    colAligns: ['right', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [] },
  });
  for (const { name, calls, errors, milliseconds } of rows) {
    table.push([calls, errors, milliseconds.toFixed(2), ((1000 * milliseconds) / calls).toFixed(1), name]);
  }
  return `${table.toString()}\n${lost}`;
}
