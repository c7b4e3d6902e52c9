/** Posts 004 (a) and 001 (a): a server that polls each socket in turn, and one that waits for events, while all connections are idle. */
import { setTimeout as sleep } from 'node:timers/promises';
import { IdleConnections } from '../measuring/idle-connections.js';
import { MeasuredServer } from '../measuring/measured-server.js';
import { type Subject, allSubjects } from '../measuring/subjects.js';
import { until } from '../measuring/until.js';
import { type ReportChart, type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import { threeDigits } from '../report/words.js';
import { FD_SETSIZE } from '../../syscalls.js';
import type { Experiment, MeasureContext } from './experiment.js';

/** One server with a number of idle connections. */
export interface BusyWaitRow {
  /** 'busy-wait', 'reactor:epoll' */
  readonly subject: string;
  /** Number of idle connections. */
  readonly connections: number;
  /** CPU time of the server's process divided by the elapsed time: 1 is a whole core. */
  readonly cpuShare: number;
  /** System calls per second. */
  readonly callsPerSecond: number;
}

/** The figures of this experiment. */
export interface BusyWaitFigures {
  /** Duration of each measurement, in milliseconds. */
  readonly window: number;
  readonly rows: readonly BusyWaitRow[];
}

const BUSY = 'busy-wait';

interface Sizes {
  readonly connections: readonly number[];
  readonly window: number;
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { connections: [1, 100, 1000], window: 150 },
  quick: { connections: [1, 100], window: 150 },
};

/** Descriptors of a server's process besides its connections, with room to spare. */
const OWN_DESCRIPTORS = 124;

/** The number of connections, limited to what the mechanism can watch. */
const limitTo = ({ mechanism }: Subject, connections: number): number =>
  mechanism === 'select' ? Math.min(connections, FD_SETSIZE - OWN_DESCRIPTORS) : connections;

// -------------------------------------------------------------------------------------------------------------- measurement

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
  // Only the number of calls is used, so the trace needs no room for records.
  const options = { isTraced: true, traceCapacity: 1, maxConnections: 10_000 } as const;
  await using server = await MeasuredServer.start(subject, options);
  using clients = new IdleConnections(server.port);
  const rows: BusyWaitRow[] = [];
  for (const wanted of numbers) {
    const connections = limitTo(subject, wanted);
    clients.grow(connections);
    await until('all clients are connected', async () => (await server.stats())?.open === connections, signal);
    rows.push({ subject: subject.name, connections, ...(await measureIdle(server, window, signal)) });
  }
  return rows;
}

/** Measures the server while all connections are idle. */
async function measureIdle(
  server: MeasuredServer,
  window: number,
  signal: AbortSignal,
): Promise<Pick<BusyWaitRow, 'cpuShare' | 'callsPerSecond'>> {
  const sample = async () => ({ cpu: await server.ownCpu(), calls: server.trace?.made ?? 0, time: performance.now() });
  const before = await sample();
  await sleep(window, undefined, { signal });
  const after = await sample();
  const milliseconds = after.time - before.time;
  return {
    cpuShare: (after.cpu - before.cpu) / 1000 / milliseconds,
    callsPerSecond: (1000 * ((after.calls - before.calls) >>> 0)) / milliseconds,
  };
}

// ------------------------------------------------------------------------------------------------------------------ verdict

/**
 * Share of a core from which a server counts as busy. A loop that never waits takes a whole core, or what other processes leave of it: a
 * seventh if six others compete for the same core. This is three times MAX_IDLE.
 */
const MIN_BUSY = 0.15;
/** Share of a core up to which a server counts as idle. An idle Node process uses about 0.01. */
const MAX_IDLE = 0.05;
/** Milliseconds. CPU time has steps of up to 10 ms (a clock tick): a shorter window cannot separate idle from busy. */
const MIN_WINDOW = 100;

const percent = (share: number): string => `${threeDigits(100 * share)} %`;

function verdict({ window, rows }: BusyWaitFigures): Verdict {
  const shares = (isBusy: boolean): number[] =>
    rows.filter(({ subject }) => (subject === BUSY) === isBusy).map(({ cpuShare }) => cpuShare);
  const statement = (text: string, values: readonly number[], expected: 'busy' | 'idle'): Statement => {
    if (values.length === 0) return { statement: text, outcome: 'not tried', because: 'This system has none.' };
    if (window < MIN_WINDOW)
      return { statement: text, outcome: 'undecided', because: `${window} ms is too short to measure CPU time.` };
    const [min, max] = [Math.min(...values), Math.max(...values)];
    const because = `With idle connections it takes ${percent(min)} to ${percent(max)} of a core.`;
    const found = min >= MIN_BUSY ? 'busy' : max <= MAX_IDLE ? 'idle' : null;
    if (found === null) return { statement: text, outcome: 'undecided', because };
    return { statement: text, outcome: found === expected ? 'holds' : 'does not hold here', because };
  };
  return verdictOf([
    statement('a loop that tries every socket takes the core', shares(true), 'busy'),
    statement('a call that waits for events sleeps', shares(false), 'idle'),
  ]);
}

function tables({ rows }: BusyWaitFigures): ReportTable[] {
  return [
    {
      title: 'Cost of idle connections',
      columns: ['server', 'idle connections', 'CPU, % of a core', 'system calls/s'],
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
  const maxOf = (subject: string, of: (row: BusyWaitRow) => number): number =>
    Math.max(...rows.filter((row) => row.subject === subject).map(of));
  return [
    {
      kind: 'bar',
      title: 'CPU of a server whose connections are idle',
      value: { label: '% of a core' },
      categories: subjects,
      series: [{ name: 'CPU', values: subjects.map((subject) => maxOf(subject, ({ cpuShare }) => 100 * cpuShare)) }],
    },
    {
      kind: 'bar',
      title: 'System calls of a server whose connections are idle',
      value: { label: 'system calls/s' },
      categories: subjects,
      series: [
        {
          name: 'system calls',
          values: subjects.map((subject) => maxOf(subject, ({ callsPerSecond }) => callsPerSecond)),
        },
      ],
    },
  ];
}

export const busyWait: Experiment<BusyWaitFigures> = {
  name: 'busy-wait',
  title: 'Polling every socket all the time',
  claim:
    'A busy loop over non-blocking sockets tries all of them to find the one that has a message, and spends nearly all of its CPU time on ' +
    'these attempts. A call that waits for events sleeps instead.',
  source: 'post 004, claim (a); post 001, claim (a)',
  setUp:
    'busy-wait and the reactor over each mechanism, each in a process of its own, with 1, 100 and 1,000 idle connections (select: as many ' +
    'as an fd_set holds). CPU time and system calls of the server are measured while nothing happens. The trace counts each call, which ' +
    'takes about as long as the call itself: without the trace, busy-wait makes even more.',
  isAvailable: true,
  why: 'needs only sockets',
  measure,
  tables,
  charts,
  verdict,
};
