/** `trace`: runs a command and prints its system calls. */
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
import { TERMINATION_SIGNALS } from '../terminal/interrupt.js';
import { parseOutputFile } from '../terminal/arguments.js';
import { printError } from './output.js';

/** How often the records are read. */
const POLL_INTERVAL_MS = 20;

interface TraceCommandOptions {
  readonly json?: true;
  readonly times?: true;
  readonly summaryOnly?: true;
  readonly only?: readonly string[];
  readonly output?: string;
}

const EXTRA_HELP = `
Prints the system calls of this package in the format of strace; those of Node.js are
not included. Each line begins with the id of the thread that made the call. The
output of the command itself goes to the standard error.

Try it:
  selectors-native trace serve reactor --mechanism select
  selectors-native trace --times --only epoll_wait,recvfrom serve reactor
  selectors-native trace --summary-only demo
  selectors-native trace node my-program.js`;

export function addTrace(program: Command): void {
  program
    .command('trace')
    .description('run a command, and print the system calls that this package makes in it')
    .addHelpText('after', EXTRA_HELP)
    .argument('<command...>', 'a command of selectors-native with its options, or any program that uses the package')
    .passThroughOptions()
    .option('--json', 'print one JSON object per line; the last one is the summary')
    .option('--times', 'print start and duration of each call, in milliseconds')
    .option('--summary-only', 'print only the table at the end')
    .option('--only <names>', 'only these system calls: epoll_wait,recvfrom', (names: string) => names.split(','))
    .option('--output <file>', 'write to this file', parseOutputFile)
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
  // Before the folder of the trace is created: a signal must not leave it behind.
  let child = null as ChildProcess | null;
  const passOn = passingOn(() => child);
  for (const signal of TERMINATION_SIGNALS) process.on(signal, passOn);
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
    // Back-pressure: records wait in their ring; those for which there is no room are dropped and counted.
    if (!output.writableNeedDrain) show(records.take());
  };

  const [program = '', ...args] = command;
  const traced = (child = spawn(program, args, {
    stdio: ['inherit', process.stderr, 'inherit'],
    env: { ...process.env, ...records.env },
  }));
  // The reader has exited (`… | head`), or the disk is full: the command must not go on running.
  const killTraced = (): void => void traced.kill();
  process.on('exit', killTraced);
  const timer = setInterval(take, POLL_INTERVAL_MS);
  try {
    const code = await endOf(traced);
    show(records.takeRest());
    output.write(endText(summary.rows(), records.dropped, options));
    return code;
  } finally {
    clearInterval(timer);
    for (const signal of TERMINATION_SIGNALS) process.off(signal, passOn);
    process.off('exit', killTraced);
    if (output !== process.stdout) output.end();
  }
}

/** Delay before a signal is passed on that the terminal may have sent to the command as well: see passingOn(). */
const PASS_ON_DELAY_MS = 100;

/**
 * Passes signals on to the command; this process exits when the command does. A terminal sends Ctrl-C to both processes, kill(1) only to this
 * one, and a handler cannot tell which. So a signal that a terminal may have sent is passed on after a delay, if the command still runs; a
 * program that receives it twice within that time treats it as one (see REPEAT_WINDOW_MS; npx does the same).
 */
function passingOn(child: () => ChildProcess | null): (signal: NodeJS.Signals) => void {
  return (signal) => {
    const send = (): void => void child()?.kill(signal);
    if (signal === 'SIGTERM' || !hasTerminal()) send();
    else setTimeout(send, PASS_ON_DELAY_MS);
  };
}

/** A terminal could have sent the signal to all processes of this group. */
function hasTerminal(): boolean {
  if (process.platform === 'win32') return true;
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false; // ENXIO: no controlling terminal
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
  const lost = dropped === 0 ? '' : `${dropped} more calls were dropped: they came too fast to be recorded\n`;
  if (rows.length === 0)
    return `${only === undefined ? 'no system call of this package' : 'none of these'} was made\n${lost}`;
  const table = new Table({
    head: ['calls', 'errors', 'ms', 'µs per call', 'system call'],
    colAligns: ['right', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [] },
  });
  for (const { name, calls, errors, milliseconds } of rows) {
    table.push([calls, errors, milliseconds.toFixed(2), ((1000 * milliseconds) / calls).toFixed(1), name]);
  }
  return `${table.toString()}\n${lost}`;
}
