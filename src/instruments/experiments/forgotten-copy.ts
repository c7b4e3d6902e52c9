/** Post 003 (j): a process that starts another one for a connection must close its own copy of the connection. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Socket } from '../../index.js';
import { Client } from '../measuring/client.js';
import { type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import { threeDigits } from '../report/words.js';
import type { Experiment, MeasureContext } from './experiment.js';

/** One connection that a child process served. */
export interface ForgottenCopyRun {
  /** The parent closed its copy when it had started the child. */
  readonly closesCopy: boolean;
  /** The client saw the end of the connection before the parent closed its copy. */
  readonly seesEnd: boolean;
  /** Milliseconds after the child's exit at which the client saw the end. */
  readonly delay: number;
}

/** The figures of this experiment. */
export interface ForgottenCopyFigures {
  /** Milliseconds after the child's exit at which a parent that forgot its copy closes it. */
  readonly hold: number;
  readonly runs: readonly ForgottenCopyRun[];
}

const SIZES: Readonly<Record<MeasureContext['effort'], { readonly hold: number; readonly rounds: number }>> = {
  full: { hold: 300, rounds: 1 },
  quick: { hold: 100, rounds: 1 },
};
/** Echoes once on the descriptor 3, and exits. */
const CHILD = `
  const { readSync, writeSync } = require('node:fs');
  const bytes = Buffer.alloc(64);
  writeSync(3, bytes, 0, readSync(3, bytes));
`;

/** For promises that are awaited later: an error before that is not unhandled. */
const ignore = (): void => undefined;

async function measure(context: MeasureContext): Promise<ForgottenCopyFigures> {
  const { effort, signal } = context;
  const { hold, rounds } = SIZES[effort];
  const plan = Array.from({ length: rounds }, () => [true, false]).flat();
  const runs: ForgottenCopyRun[] = [];
  for (const [index, closesCopy] of plan.entries()) {
    context.progress(index, plan.length, closesCopy ? 'the copy is closed' : 'the copy is forgotten');
    runs.push(await serveOne(closesCopy, hold, signal));
  }
  context.progress(plan.length, plan.length, 'done');
  return { hold, runs };
}

async function serveOne(closesCopy: boolean, hold: number, signal: AbortSignal): Promise<ForgottenCopyRun> {
  using listener = new Socket().bind({ host: '127.0.0.1', port: 0 }).listen();
  using client = await Client.connect((listener.localAddress as { port: number }).port, signal);
  using connection = listener.accept() as Socket; // it has connected, so this does not wait
  const child = spawn(process.execPath, ['-e', CHILD], { stdio: ['ignore', 'inherit', 'inherit', connection.fd] });
  try {
    const exited = once(child, 'exit', { signal });
    exited.catch(ignore);
    await once(child, 'spawn', { signal });
    if (closesCopy) connection.close();
    client.send(Buffer.of(1));
    await client.receive();
    await exited;
    const begun = performance.now();
    let sawEnd = false;
    const end = client.receive().then((bytes) => {
      sawEnd = bytes === null;
      return performance.now() - begun;
    });
    end.catch(ignore);
    if (!closesCopy) await Promise.race([end, sleep(hold, undefined, { signal })]);
    const seesEnd = closesCopy || sawEnd;
    connection.close();
    return { closesCopy, seesEnd, delay: await end };
  } finally {
    await ended(child);
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

// ------------------------------------------------------------------------------------------------------------------ verdict

function verdict({ hold, runs }: ForgottenCopyFigures): Verdict {
  const statement = (text: string, closesCopy: boolean): Statement => {
    const tried = runs.filter((run) => run.closesCopy === closesCopy);
    if (tried.length === 0) return { statement: text, outcome: 'not tried', because: 'It was not measured.' };
    const seen = tried.filter(({ seesEnd }) => seesEnd).length;
    const longest = Math.max(...tried.map(({ delay }) => delay));
    const when = closesCopy
      ? 'of the child’s exit'
      : `of the child’s exit; the parent closed its copy after ${hold} ms`;
    return {
      statement: text,
      outcome: closesCopy === (seen === tried.length) && (closesCopy || seen === 0) ? 'holds' : 'does not hold here',
      because: `The client saw the end within ${threeDigits(longest)} ms ${when} (connections: ${tried.length}).`,
    };
  };
  return verdictOf([
    statement('if the parent closes its copy, the client sees the end when the child has exited', true),
    statement('if the parent forgets its copy, the client sees no end until the parent closes it', false),
  ]);
}

function tables({ runs }: ForgottenCopyFigures): readonly ReportTable[] {
  return [
    {
      title: 'When the client sees the end of the connection',
      columns: ['the parent', 'end seen before the parent closes', 'ms after the child’s exit'],
      rows: runs.map(({ closesCopy, seesEnd, delay }) => [
        closesCopy ? 'closes its copy' : 'forgets its copy',
        seesEnd ? 'yes' : 'no',
        delay,
      ]),
    },
  ];
}

export const forgottenCopy: Experiment<ForgottenCopyFigures> = {
  name: 'forgotten-copy',
  title: 'A connection that the parent keeps open',
  claim:
    'A process that starts another one for a connection must close its own copy of the connection, or the client never sees the end.',
  source: 'post 003, claim (j)',
  setUp:
    'A server accepts a connection and starts a child process that inherits it, echoes one byte and exits. The server closes its own copy at once, or only after the child has exited.',
  isAvailable: process.platform !== 'win32',
  why:
    process.platform === 'win32' ? 'on Windows a process does not inherit sockets' : 'needs only sockets and processes',
  measure,
  tables,
  charts: () => [],
  verdict,
};
