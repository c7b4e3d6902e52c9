/** `trace`: runs a command and prints its system calls. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, createWriteStream, openSync } from 'node:fs';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import Table from 'cli-table3';
import type { Command } from 'commander';
import { distPath } from '../package-folder.js';
import type { SyscallRecord, SyscallSummary } from '../trace.js';
import { Summary } from '../trace/record.js';
import { ProcessesTrace } from '../trace/processes-trace.js';
import { TERMINATION_SIGNALS } from '../terminal/interrupt.js';
import { parseOutputFile } from '../terminal/arguments.js';
import { printError } from './output.js';
import { SubmissionsUnderCalls, TraceLines } from './trace-lines.js';

/** How often the records are read. */
const POLL_INTERVAL_MS = 20;

interface TraceCommandOptions {
  readonly json?: true;
  readonly times?: true;
  readonly summaryOnly?: true;
  readonly only?: readonly string[];
  readonly filter?: readonly string[];
  readonly all?: true;
  readonly output?: string;
}

const EXTRA_HELP = `
Prints the system calls of this package in the format of strace; those of Node.js are
not included. Each line begins with the id of the thread that made the call. The
output of the command itself goes to the standard error.

Operations of io_uring and IOCP are indented under their call: submitted, completed.
  RECV fd=20 buf_group=0 MULTISHOT user_data=7
  user_data=7 res=64 MORE|BUFFER(3)
These lines are no system calls, and the table does not count them.

Try it:
  selectors-native trace serve reactor --mechanism select
  selectors-native trace --times --only epoll_wait,recvfrom serve reactor
  selectors-native trace --filter submission,completion serve proactor
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
    .option('--filter <names>', 'only these calls and operations, by name, or submission,completion', (names: string) =>
      names.split(','),
    )
    .option('--all', 'also the calls that only find out which mechanisms the system has')
    .option('--output <file>', 'write to this file', parseOutputFile)
    .action(async (command: readonly string[], options: TraceCommandOptions) => {
      const own = program.commands.map((one) => one.name());
      process.exitCode = await trace(own.includes(command[0] ?? '') ? ownProgram(command) : command, options);
    });
}

const ownProgram = (command: readonly string[]): readonly string[] => [
  process.execPath,
  distPath('cli/main.js'),
  ...command,
];

/** @returns the command's exit code */
async function trace(command: readonly string[], options: TraceCommandOptions): Promise<number> {
  // Before the folder of the trace is created: a signal must not leave it behind.
  let child = null as ChildProcess | null;
  const passOn = passingOn(() => child);
  for (const signal of TERMINATION_SIGNALS) process.on(signal, passOn);
  using records = new ProcessesTrace(undefined, false);
  const counts = new Counts();
  const output: Writable = options.output === undefined ? process.stdout : fileStream(options.output);
  const lines = new TraceLines({
    ...(options.times && { times: options.times }),
    isTerminal: output === process.stdout && process.stdout.isTTY,
  });
  const order = new SubmissionsUnderCalls();
  const isWanted = wantedBy(options);
  const isShown = (record: SyscallRecord): boolean => isWanted(record) && (options.all === true || !record.isProbe);
  const write = (shown: readonly string[]): void => {
    if (shown.length > 0) output.write(shown.map((line) => `${line}\n`).join(''));
  };
  /** After the records are ordered: a call that is not shown has its place, too. */
  const print = (ordered: readonly SyscallRecord[]): void =>
    write(ordered.filter(isShown).map((record) => lines.lineOf(record)));
  const show = (taken: readonly SyscallRecord[]): void => {
    const shown = taken.filter(isShown);
    counts.hidden += taken.filter(isWanted).length - shown.length;
    for (const record of shown) counts.add(record);
    if (options.summaryOnly) return;
    if (options.json) write(shown.map((record) => JSON.stringify(record)));
    else print(showsCalls(options) ? order.take(taken) : taken);
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
    print(order.takeRest());
    output.write(endText(counts, records.dropped, options));
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

/** By --only and --filter: the record's name, or its kind. */
function wantedBy({ only, filter }: TraceCommandOptions): (record: SyscallRecord) => boolean {
  if (only === undefined && filter === undefined) return () => true;
  const wanted = new Set([...(only ?? []), ...(filter ?? [])]);
  return ({ kind, name }) => wanted.has(name) || (kind !== 'call' && wanted.has(kind));
}

/** Names of calls have small letters; those of operations, as RECV, have none. */
const showsCalls = ({ only, filter }: TraceCommandOptions): boolean => {
  const names = [...(only ?? []), ...(filter ?? [])].filter((name) => name !== 'submission' && name !== 'completion');
  return (only === undefined && filter === undefined) || names.some((name) => /[a-z]/.test(name));
};

/** What the end of the output counts. */
class Counts {
  readonly #summary = new Summary();
  submissions = 0;
  completions = 0;
  /** Records of probes that are not shown. */
  hidden = 0;

  add(record: SyscallRecord): void {
    if (record.kind === 'submission') this.submissions++;
    else if (record.kind === 'completion') this.completions++;
    else this.#summary.add(record);
  }

  rows(): readonly SyscallSummary[] {
    return this.#summary.rows();
  }
}

function endText(counts: Counts, dropped: number, { json, only, filter }: TraceCommandOptions): string {
  const { submissions, completions, hidden } = counts;
  const rows = counts.rows();
  if (json) return `${JSON.stringify({ summary: rows, dropped })}\n`;
  const notes = [
    ...(submissions + completions > 0
      ? [`${submissions} submissions and ${completions} completions, which are no system calls`]
      : []),
    ...(hidden > 0 ? [`${hidden} calls of probes are not shown: --all shows them`] : []),
    ...(dropped > 0 ? [`${dropped} more calls were dropped: they came too fast to be recorded`] : []),
  ]
    .map((note) => `${note}\n`)
    .join('');
  const isFiltered = only !== undefined || filter !== undefined;
  if (rows.length === 0 && submissions + completions > 0) return notes;
  if (rows.length === 0) return `${isFiltered ? 'none of these' : 'no system call of this package'} was made\n${notes}`;
  const table = new Table({
    head: ['calls', 'errors', 'ms', 'µs per call', 'system call'],
    colAligns: ['right', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [] },
  });
  for (const { name, calls, errors, milliseconds } of rows) {
    table.push([calls, errors, milliseconds.toFixed(2), ((1000 * milliseconds) / calls).toFixed(1), name]);
  }
  return `${table.toString()}\n${notes}`;
}
