/**
 * Posts 003 (a) and 002 (b): what a new process for each short connection costs.
 *
 * Node cannot fork(). The process of process-per-connection is a new program that inherits the connection: its start is Node's start, a
 * hundred times as dear as fork(2). So what the smallest program costs is measured as well.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { MeasuredServer } from '../measuring/measured-server.js';
import { shortConnections } from '../measuring/short-connections.js';
import { type Spread, spreadOf } from '../measuring/spread.js';
import { subjectNamed } from '../measuring/subjects.js';
import { threeDigits } from '../report/words.js';
import type { ReportChart, ReportTable, Verdict } from '../report/report.js';
import type { Experiment, MeasureContext } from './experiment.js';

const FORKED = 'process-per-connection';
const PREFORKED = 'prefork';
const MODELS = [FORKED, 'thread-per-connection', PREFORKED];
const AT_ONCE = 4;
/** Fewer connections than that say nothing. */
const FEWEST = 5;

export interface ForkCostModel {
  readonly name: string;
  /** Milliseconds from the first packet to the answer, one client after the other. */
  readonly latency: Spread;
  readonly perSecond: number;
  /** With AT_ONCE clients at once. */
  readonly perSecondAtOnce: number;
  /** CPU time of the server and its processes for each connection, in milliseconds. null: this system does not tell. */
  readonly cpu: number | null;
}

export interface ForkCostFigures {
  readonly models: readonly ForkCostModel[];
  /** Milliseconds from the start of a program to its end. */
  readonly programs: readonly { readonly name: string; readonly time: Spread }[];
}

interface Sizes {
  /** Milliseconds for each model, and each way of coming. */
  readonly longest: number;
  readonly connections: number;
  readonly programs: number;
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { longest: 2000, connections: 500, programs: 10 },
  quick: { longest: 400, connections: 50, programs: 3 },
};

async function measure(context: MeasureContext): Promise<ForkCostFigures> {
  const { effort, signal } = context;
  const sizes = SIZES[effort];
  const models = [];
  for (const [index, name] of MODELS.entries()) {
    context.progress(index, MODELS.length + 1, name);
    models.push(await costOf(name, sizes, signal));
  }
  context.progress(MODELS.length, MODELS.length + 1, 'programs');
  const programs = [];
  for (const { name, command, args } of PROGRAMS) {
    const times = [];
    for (let i = 0; i < sizes.programs; i++) times.push(await runOf(command, args, signal));
    programs.push({ name, time: spreadOf(times) });
  }
  context.progress(MODELS.length + 1, MODELS.length + 1, 'done');
  return { models, programs };
}

async function costOf(name: string, { longest, connections }: Sizes, signal: AbortSignal): Promise<ForkCostModel> {
  await using server = await MeasuredServer.start(subjectNamed(name), { workers: AT_ONCE });
  const cpuBefore = server.usage()?.cpu;
  const clients = { port: server.port, connections, longest, fewest: FEWEST };
  const oneByOne = await shortConnections({ ...clients, atOnce: 1 }, signal);
  const several = await shortConnections({ ...clients, atOnce: AT_ONCE }, signal);
  const cpuAfter = server.usage()?.cpu;
  const all = oneByOne.times.length + several.times.length;
  return {
    name,
    latency: spreadOf(oneByOne.times),
    perSecond: oneByOne.perSecond,
    perSecondAtOnce: several.perSecond,
    cpu: cpuBefore === undefined || cpuAfter === undefined ? null : (cpuAfter - cpuBefore) / 1000 / all,
  };
}

const PROGRAMS = [
  ...(process.platform === 'win32'
    ? []
    : [{ name: 'fork(), exec() and the end of the smallest program (true)', command: 'true', args: [] }]),
  { name: 'the same of an empty Node program', command: process.execPath, args: ['-e', ''] },
];

/** From its start to its end, in milliseconds. */
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
        ...['model', 'connections a second', `the same, ${AT_ONCE} at once`, 'time to the answer, ms (median)'],
        'CPU a connection, ms',
      ],
      rows: models.map(({ name, perSecond, perSecondAtOnce, latency, cpu }) => [
        ...[name, perSecond, perSecondAtOnce, latency.median, cpu],
      ]),
    },
    {
      title: 'For comparison: programs, as Node starts them',
      columns: ['program', 'from start to end, ms (median)'],
      rows: programs.map(({ name, time }) => [name, time.median]),
    },
  ];
}

function charts({ models }: ForkCostFigures): readonly ReportChart[] {
  return [
    {
      kind: 'bar',
      title: 'Short connections a second',
      value: { label: 'connections a second', isLogarithmic: true },
      categories: models.map(({ name }) => name),
      series: [
        { name: 'one after the other', values: models.map(({ perSecond }) => perSecond) },
        { name: `${AT_ONCE} at once`, values: models.map(({ perSecondAtOnce }) => perSecondAtOnce) },
      ],
    },
  ];
}

/** A new process costs more than the work if what it takes with one is more than twice what it takes without. */
const TWICE = 2;

function verdict({ models, programs }: ForkCostFigures): Verdict {
  const [forked, preforked] = [FORKED, PREFORKED].map((one) => models.find(({ name }) => name === one)?.latency);
  if (forked === undefined || preforked === undefined || Math.min(forked.count, preforked.count) < FEWEST)
    return { outcome: 'undecided', because: `Fewer than ${FEWEST} connections of ${FORKED} or of ${PREFORKED}.` };
  const node = programs.at(-1)?.time.median;
  const saw = `A connection takes ${threeDigits(forked.median)} ms with a new process and ${threeDigits(preforked.median)} ms without`;
  const what =
    node === undefined
      ? 'a new process is a Node program here, not a fork()'
      : `a new process is a Node program here, whose start and end alone take ${threeDigits(node)} ms, not a fork()`;
  // A quarter of the ones against a quarter of the others: what is between is noise.
  if (forked.low > TWICE * preforked.high) return { outcome: 'holds', because: `${saw}; ${what}.` };
  if (forked.high < TWICE * preforked.low) return { outcome: 'does not hold here', because: `${saw}; ${what}.` };
  return {
    outcome: 'undecided',
    because: `${saw}, but single ones differ by as much (${threeDigits(forked.low)} to ${threeDigits(forked.high)} ms with, ${threeDigits(preforked.low)} to ${threeDigits(preforked.high)} ms without).`,
  };
}

export const forkCost: Experiment<ForkCostFigures> = {
  name: 'fork-cost',
  title: 'A new process for each connection',
  claim:
    'Processes are isolated but costly to make and to switch: forking for each short connection costs more than its work, and pre-forking saves that.',
  source: 'post 003, claim (a); post 002, claim (b)',
  setUp: `Echo servers, each a process of its own. Clients connect, send 64 bytes, get them back and leave: one after the other, then ${AT_ONCE} at once. Node cannot fork(): the process for a connection is a new Node program that inherits it, which costs about a hundred times as much as fork(2); so the figures are those of new programs. What starting the smallest program takes, and an empty Node, is measured beside it.`,
  isAvailable: true,
  why: 'needs nothing but sockets and processes',
  measure,
  tables,
  charts,
  verdict,
};
