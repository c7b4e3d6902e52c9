/** Posts 004 (a) and 001 (a): a server that tries each socket in turn, and one that waits to be told, while nobody says anything. */
import { setTimeout as sleep } from 'node:timers/promises';
import { IdleConnections } from '../measuring/idle-connections.js';
import { MeasuredServer } from '../measuring/measured-server.js';
import { type Subject, allSubjects } from '../measuring/subjects.js';
import { until } from '../measuring/until.js';
import type { ReportChart, ReportTable, Verdict } from '../report/report.js';
import { threeDigits } from '../report/words.js';
import { FD_SETSIZE } from '../../syscalls.js';
import type { Experiment, MeasureContext } from './experiment.js';

export interface BusyWaitRow {
  /** 'busy-wait', 'reactor:epoll' */
  readonly subject: string;
  /** All of them idle. */
  readonly connections: number;
  /** CPU time of the server's process, as a share of the time that went by: 1 is a whole core. */
  readonly cpuShare: number;
  readonly callsPerSecond: number;
}

export interface BusyWaitFigures {
  /** Milliseconds over which each row was measured. */
  readonly window: number;
  readonly rows: readonly BusyWaitRow[];
}

const BUSY = 'busy-wait';

interface Sizes {
  readonly connections: readonly number[];
  readonly window: number;
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { connections: [1, 100, 1000], window: 400 },
  quick: { connections: [1, 100], window: 150 },
};

/** What a server's process has open beside its connections, generously. */
const OWN_DESCRIPTORS = 124;

/** As many connections as its mechanism has room for. */
const fitting = ({ mechanism }: Subject, connections: number): number =>
  mechanism === 'select' ? Math.min(connections, FD_SETSIZE - OWN_DESCRIPTORS) : connections;

// ------------------------------------------------------------------------------------------------------ how it is measured

async function measure(context: MeasureContext): Promise<BusyWaitFigures> {
  const { effort, signal } = context;
  const { connections, window } = SIZES[effort];
  const subjects = allSubjects().filter(
    ({ model, isAvailable }) => isAvailable && (model === BUSY || model === 'reactor'),
  );
  const rows: BusyWaitRow[] = [];
  for (const [i, subject] of subjects.entries()) {
    context.progress(i, subjects.length, subject.name);
    rows.push(...(await rowsOf(subject, connections, window, signal)));
  }
  context.progress(subjects.length, subjects.length, 'done');
  return { window, rows };
}

async function rowsOf(
  subject: Subject,
  numbers: readonly number[],
  window: number,
  signal: AbortSignal,
): Promise<BusyWaitRow[]> {
  // The calls are counted, and not looked at: there need be no room for them.
  const options = { isTraced: true, traceCapacity: 1, maxConnections: 10_000 } as const;
  await using server = await MeasuredServer.start(subject, options);
  using clients = new IdleConnections(server.port);
  const rows: BusyWaitRow[] = [];
  for (const wanted of numbers) {
    const connections = fitting(subject, wanted);
    clients.grow(connections);
    await until('all are connected', async () => (await server.stats())?.open === connections, signal);
    rows.push({ subject: subject.name, connections, ...(await idle(server, window, signal)) });
  }
  return rows;
}

/** What the server does while nobody asks anything of it. */
async function idle(
  server: MeasuredServer,
  window: number,
  signal: AbortSignal,
): Promise<Pick<BusyWaitRow, 'cpuShare' | 'callsPerSecond'>> {
  const now = async () => ({ cpu: await server.ownCpu(), calls: server.trace?.made ?? 0, time: performance.now() });
  const before = await now();
  await sleep(window, undefined, { signal });
  const after = await now();
  const milliseconds = after.time - before.time;
  return {
    cpuShare: (after.cpu - before.cpu) / 1000 / milliseconds,
    callsPerSecond: (1000 * ((after.calls - before.calls) >>> 0)) / milliseconds,
  };
}

// ------------------------------------------------------------------------------------------------------ what the figures say

/**
 * Of a core. Alone, a loop that never waits takes all of one; where others work as well, what they leave to it: a seventh, where as many
 * as six others want the same core. It is three times what counts as rest.
 */
const BURNS = 0.15;
/** A Node process that has nothing to do uses about a hundredth; a twentieth is still no loop. */
const RESTS = 0.05;
/** CPU time is counted in steps of up to 10 ms (a clock tick): in less, a rest cannot be told from a loop. */
const SHORTEST_WINDOW = 100;

const percent = (share: number): string => `${threeDigits(100 * share)} %`;

function verdict({ window, rows }: BusyWaitFigures): Verdict {
  const busy = rows.filter(({ subject }) => subject === BUSY).map(({ cpuShare }) => cpuShare);
  const waiting = rows.filter(({ subject }) => subject !== BUSY).map(({ cpuShare }) => cpuShare);
  if (busy.length === 0 || waiting.length === 0)
    return { outcome: 'undecided', because: 'there is nothing to compare: one of the two kinds was not measured' };
  if (window < SHORTEST_WINDOW)
    return { outcome: 'undecided', because: `${window} ms are too short a time to measure CPU time in` };
  const least = Math.min(...busy);
  const most = Math.max(...waiting);
  const figures = `idle, busy-wait took ${percent(least)} of a core or more, reactors ${percent(most)} or less`;
  if (least >= BURNS && most <= RESTS) return { outcome: 'holds', because: figures };
  if (Math.max(...busy) <= RESTS || Math.min(...waiting) >= BURNS)
    return { outcome: 'does not hold here', because: figures };
  return {
    outcome: 'undecided',
    because: `${figures}: too near to each other, as on a machine that has other things to do`,
  };
}

function tables({ rows }: BusyWaitFigures): ReportTable[] {
  return [
    {
      title: 'What it costs to serve nobody',
      columns: ['server', 'idle connections', 'CPU, % of a core', 'system calls a second'],
      rows: rows.map(({ subject, connections, cpuShare, callsPerSecond }) => [
        subject,
        connections,
        100 * cpuShare,
        callsPerSecond,
      ]),
    },
  ];
}

function charts({ rows }: BusyWaitFigures): ReportChart[] {
  const subjects = [...new Set(rows.map(({ subject }) => subject))];
  const most = (subject: string, of: (row: BusyWaitRow) => number): number =>
    Math.max(...rows.filter((row) => row.subject === subject).map(of));
  return [
    {
      kind: 'bar',
      title: 'CPU of a server to which nobody says anything',
      value: { label: '% of a core' },
      categories: subjects,
      series: [{ name: 'CPU', values: subjects.map((subject) => most(subject, ({ cpuShare }) => 100 * cpuShare)) }],
    },
    {
      kind: 'bar',
      title: 'System calls of a server to which nobody says anything',
      value: { label: 'calls a second', isLogarithmic: true },
      categories: subjects,
      series: [
        {
          name: 'system calls',
          // A logarithmic axis has no 0.
          values: subjects.map((subject) => most(subject, ({ callsPerSecond }) => callsPerSecond) || null),
        },
      ],
    },
  ];
}

export const busyWait: Experiment<BusyWaitFigures> = {
  name: 'busy-wait',
  title: 'Asking every socket, all the time',
  claim:
    'A busy loop over non-blocking sockets tries all of them to find the one that has a message: nearly all of its CPU time goes into ' +
    'asking. The call that waits for events sleeps instead.',
  source: 'post 004, claim (a); post 001, claim (a)',
  setUp:
    'busy-wait, and the reactor over each mechanism, each a process of its own, with 1, 100 and 1,000 connections that say nothing (over ' +
    'select as many as it has room for). CPU time and system calls of the server while nothing happens. Each call is counted by the ' +
    'trace, which takes about as long as the call: uncounted, busy-wait makes still more.',
  isAvailable: true,
  why: 'needs nothing but sockets',
  measure,
  tables,
  charts,
  verdict,
};
