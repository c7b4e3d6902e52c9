/**
 * Posts 003 (a) and 002 (b): the cost of a new process per short connection.
 *
 * Node cannot fork(). process-per-connection starts a new Node program that inherits the connection, which costs about a hundred times as
 * much as fork(2). Therefore the textbook's servers in C, and the start of the smallest program, are measured as well.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { MeasuredServer } from '../measuring/measured-server.js';
import { shortConnections } from '../measuring/short-connections.js';
import { type Spread, spreadOf } from '../measuring/spread.js';
import { allSubjects, subjectNamed } from '../measuring/subjects.js';
import { warmUp } from '../measuring/warm-up.js';
import { threeDigits } from '../report/words.js';
import { type ReportChart, type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import type { Experiment, MeasureContext } from './experiment.js';

const NODE_PROGRAMS = 'process-per-connection';
/** A new process per connection, and processes that are there before: in C, where it is a fork(2), and as Node programs. */
const PAIRS = [
  {
    statement: 'a fork for each connection costs more than its work (C)',
    forked: 'textbook:fork-per-connection',
    preforked: 'textbook:prefork:blocking',
  },
  {
    statement: 'a new Node.js program for each connection costs more than its work',
    forked: NODE_PROGRAMS,
    preforked: 'prefork',
  },
] as const;
const THREADS = ['textbook:thread-per-connection', 'thread-per-connection'];

/** Those that this system has. */
function modelsHere(): readonly string[] {
  const names = PAIRS.flatMap(({ forked, preforked }, i) => [forked, THREADS[i] ?? '', preforked]);
  return names.filter((name) =>
    allSubjects().some((row) => row.isAvailable && (row.name === name || row.model === name)),
  );
}
const CONCURRENT_CLIENTS = 4;
/** With fewer connections the verdict is undecided. */
const MIN_CONNECTIONS = 5;

/** One model. */
export interface ForkCostModel {
  readonly name: string;
  /** Milliseconds from connect() to the reply, one client at a time. */
  readonly latency: Spread;
  /** Connections per second, one client at a time. */
  readonly perSecond: number;
  /** Connections per second, CONCURRENT_CLIENTS clients at a time. */
  readonly perSecondAtOnce: number;
  /** CPU time of the server and its processes per connection, in milliseconds. null: this system does not report it. */
  readonly cpu: number | null;
}

/** The figures of this experiment. */
export interface ForkCostFigures {
  readonly models: readonly ForkCostModel[];
  /** Programs, and the milliseconds from the start to the exit of each. */
  readonly programs: readonly { readonly name: string; readonly time: Spread }[];
}

interface Sizes {
  /** Milliseconds per model and per number of concurrent clients. */
  readonly maxDuration: number;
  readonly connections: number;
  readonly programs: number;
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { maxDuration: 700, connections: 500, programs: 3 },
  quick: { maxDuration: 400, connections: 50, programs: 3 },
};

async function measure(context: MeasureContext): Promise<ForkCostFigures> {
  const { effort, signal } = context;
  const sizes = SIZES[effort];
  const models = [];
  const names = modelsHere();
  const parts = names.length + 1;
  for (const [index, name] of names.entries()) {
    context.progress(index, parts, name);
    models.push(await costOf(name, sizes, signal));
  }
  context.progress(names.length, parts, 'programs');
  const programs = [];
  for (const { name, command, args } of PROGRAMS) {
    const times = [];
    for (let i = 0; i < sizes.programs; i++) times.push(await runOf(command, args, signal));
    programs.push({ name, time: spreadOf(times) });
  }
  context.progress(parts, parts, 'done');
  return { models, programs };
}

async function costOf(name: string, { maxDuration, connections }: Sizes, signal: AbortSignal): Promise<ForkCostModel> {
  await using server = await MeasuredServer.start(subjectNamed(name), { workers: CONCURRENT_CLIENTS });
  await warmUp(server, CONCURRENT_CLIENTS, signal);
  const cpuBefore = await server.cpu();
  const clients = { port: server.port, connections, maxDuration, minConnections: MIN_CONNECTIONS };
  const oneByOne = await shortConnections({ ...clients, concurrency: 1 }, signal);
  const several = await shortConnections({ ...clients, concurrency: CONCURRENT_CLIENTS }, signal);
  const cpu = (await server.cpu()) - cpuBefore;
  const all = oneByOne.times.length + several.times.length;
  return {
    name,
    latency: spreadOf(oneByOne.times),
    perSecond: oneByOne.perSecond,
    perSecondAtOnce: several.perSecond,
    cpu: Number.isNaN(cpu) ? null : cpu / 1000 / all,
  };
}

const PROGRAMS = [
  ...(process.platform === 'win32'
    ? []
    : [{ name: 'fork(), exec() and exit of the smallest program (true)', command: 'true', args: [] }]),
  { name: 'the same for an empty Node program', command: process.execPath, args: ['-e', ''] },
];

/** @returns milliseconds from the start to the exit of a program */
async function runOf(command: string, args: readonly string[], signal: AbortSignal): Promise<number> {
  const begun = performance.now();
  await once(spawn(command, args, { stdio: 'ignore', windowsHide: true, signal }), 'exit');
  return performance.now() - begun;
}

function tables({ models, programs }: ForkCostFigures): readonly ReportTable[] {
  return [
    {
      title: 'Short connections: connect, 64 bytes there and back, close',
      columns: [
        ...['model', 'connections/s', `connections/s, ${CONCURRENT_CLIENTS} at a time`, 'time to reply, ms (median)'],
        'CPU per connection, ms',
      ],
      rows: models.map(({ name, perSecond, perSecondAtOnce, latency, cpu }) => [
        ...[name, perSecond, perSecondAtOnce, latency.median, cpu],
      ]),
    },
    {
      title: 'For comparison: programs started by Node',
      columns: ['program', 'from start to exit, ms (median)'],
      rows: programs.map(({ name, time }) => [name, time.median]),
    },
  ];
}

function charts({ models }: ForkCostFigures): readonly ReportChart[] {
  return [
    {
      kind: 'bar',
      title: 'Throughput of short connections',
      value: { label: 'connections/s' },
      categories: models.map(({ name }) => name),
      series: [
        { name: 'one at a time', values: models.map(({ perSecond }) => perSecond) },
        { name: `${CONCURRENT_CLIENTS} at a time`, values: models.map(({ perSecondAtOnce }) => perSecondAtOnce) },
      ],
    },
  ];
}

/** A new process costs more than the work if a connection takes more than this many times as long with it as without. */
const COST_FACTOR = 2;

const verdict = (figures: ForkCostFigures): Verdict =>
  verdictOf(PAIRS.map(({ statement, ...pair }) => ({ statement, ...costsMore(figures, pair) })));

function costsMore(
  { models, programs }: ForkCostFigures,
  pair: Pick<(typeof PAIRS)[number], 'forked' | 'preforked'>,
): Omit<Statement, 'statement'> {
  const [forked, preforked] = [pair.forked, pair.preforked].map(
    (one) => models.find(({ name }) => name === one)?.latency,
  );
  if (forked === undefined || preforked === undefined)
    return { outcome: 'not tried', because: 'This system does not have both.' };
  if (Math.min(forked.count, preforked.count) < MIN_CONNECTIONS)
    return {
      outcome: 'undecided',
      because: `Fewer than ${MIN_CONNECTIONS} connections of ${pair.forked} or of ${pair.preforked}.`,
    };
  const node = programs.at(-1)?.time.median;
  const ofNode =
    pair.forked === NODE_PROGRAMS && node !== undefined
      ? `; the start and exit of an empty Node program alone take ${threeDigits(node)} ms`
      : '';
  const result = `A connection takes ${threeDigits(forked.median)} ms with a new process and ${threeDigits(preforked.median)} ms without`;
  // Compares quartiles: overlapping ranges are noise.
  if (forked.low > COST_FACTOR * preforked.high) return { outcome: 'holds', because: `${result}${ofNode}.` };
  if (forked.high < COST_FACTOR * preforked.low)
    return { outcome: 'does not hold here', because: `${result}${ofNode}.` };
  return {
    outcome: 'undecided',
    because: `${result}, but single connections differ by as much (${threeDigits(forked.low)} to ${threeDigits(forked.high)} ms with, ${threeDigits(preforked.low)} to ${threeDigits(preforked.high)} ms without).`,
  };
}

export const forkCost: Experiment<ForkCostFigures> = {
  name: 'fork-cost',
  title: 'A new process for each connection',
  claim:
    'Processes are isolated, but costly to create and to switch: forking per short connection costs more than its work, and pre-forking avoids that cost.',
  source: 'post 003, claim (a); post 002, claim (b)',
  setUp: `Echo servers, each in a process of its own. Clients connect, send 64 bytes, receive them back and close: one at a time, then ${CONCURRENT_CLIENTS} at a time. The textbook’s servers in C fork(). Node cannot: there the process for a connection is a new Node program that inherits it. The start of the smallest program and of an empty Node program are measured for comparison.`,
  isAvailable: true,
  why: 'needs only sockets and processes',
  measure,
  tables,
  charts,
  verdict,
};
