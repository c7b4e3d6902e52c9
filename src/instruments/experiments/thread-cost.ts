/** Posts 000 (a) and 003 (f): what a thread for each connection costs as there are more and more. */
import { freemem } from 'node:os';
import { Load } from '../measuring/load.js';
import { MeasuredServer } from '../measuring/measured-server.js';
import { subjectNamed } from '../measuring/subjects.js';
import type { ReportChart, ReportTable, Verdict } from '../report/report.js';
import { threeDigits } from '../report/words.js';
import type { Experiment, MeasureContext } from './experiment.js';

const THREADS = 'thread-per-connection';
const REACTOR = 'reactor';

/** A model with so many connections. */
export interface ThreadCostPoint {
  readonly model: string;
  readonly connections: number;
  /** Of the model; Node's own are not among them. */
  readonly threads: number;
  /** More than before the clients came, in bytes. null: this system does not tell. */
  readonly memory: number | null;
  /** A message. null: this system does not tell. */
  readonly contextSwitches: number | null;
  readonly messagesPerSecond: number;
  /** Of a round trip, in milliseconds. */
  readonly p99: number;
}

export interface ThreadCostFigures {
  readonly points: readonly ThreadCostPoint[];
  /** More connections were to be tried, and why they were not. null: all were. */
  readonly stopped: { readonly connections: number; readonly why: string } | null;
}

interface Sizes {
  readonly connections: readonly number[];
  readonly messages: number;
  /** Milliseconds: no more connections are tried that would take longer. */
  readonly longest: number;
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { connections: [10, 50, 200, 500], messages: 20_000, longest: 15_000 },
  quick: { connections: [5, 25], messages: 2000, longest: Infinity },
};
const SIZE = 64;
/** Of the machine's memory that is free, so much may be used. */
const MEMORY_SHARE = 0.5;

async function measure(context: MeasureContext): Promise<ThreadCostFigures> {
  const { effort, signal } = context;
  const { connections, messages, longest } = SIZES[effort];
  const begun = performance.now();
  const points: ThreadCostPoint[] = [];
  for (const [index, count] of connections.entries()) {
    const times = [];
    for (const model of [THREADS, REACTOR]) {
      context.progress(points.length, 2 * connections.length, `${model}, ${count} connections`);
      const startedAt = performance.now();
      points.push(await pointOf(model, count, { messages, signal }));
      times.push(performance.now() - startedAt);
    }
    const next = connections[index + 1];
    if (next === undefined || index === 0) continue; // two at least: of one nobody sees what grows
    const [ofThreads = 0, ofReactor = 0] = times;
    const expected = 2 * ofReactor + ((ofThreads - ofReactor) * next) / count;
    if (performance.now() - begun + expected > longest)
      return { points, stopped: { connections: next, why: 'it would take too long' } };
    const memory = points.at(-2)?.memory ?? 0;
    if ((memory * next) / count > MEMORY_SHARE * freemem())
      return { points, stopped: { connections: next, why: 'there is not memory enough' } };
  }
  context.progress(2 * connections.length, 2 * connections.length, 'done');
  return { points, stopped: null };
}

async function pointOf(
  model: string,
  connections: number,
  { messages, signal }: { readonly messages: number; readonly signal: AbortSignal },
): Promise<ThreadCostPoint> {
  await using server = await MeasuredServer.start(subjectNamed(model), { maxConnections: connections });
  const alone = server.usage();
  await using load = await Load.ready({ port: server.port, connections, messages, size: SIZE, warmUp: 2 }, signal);
  const before = server.usage();
  const result = await load.run();
  const after = server.usage();
  const threads = (await server.workers()).length;
  return {
    model,
    connections,
    threads,
    memory: alone === null || after === null ? null : after.memory - alone.memory,
    contextSwitches:
      before === null || after === null ? null : (after.contextSwitches - before.contextSwitches) / result.messages,
    messagesPerSecond: result.messagesPerSecond,
    p99: result.latency.p99 / 1000,
  };
}

const megabytes = (bytes: number | null): number | null => (bytes === null ? null : bytes / 1e6);

function tables({ points }: ThreadCostFigures): readonly ReportTable[] {
  return [
    {
      title: `Echoes of ${SIZE} bytes, all connections at once`,
      columns: [
        ...['model', 'connections', 'threads', 'memory more than with none, MB', 'context switches a message'],
        ...['messages a second', 'p99, ms'],
      ],
      rows: points.map((point) => [
        ...[point.model, point.connections, point.threads, megabytes(point.memory), point.contextSwitches],
        ...[point.messagesPerSecond, point.p99],
      ]),
    },
  ];
}

function charts({ points }: ThreadCostFigures): readonly ReportChart[] {
  const line = (title: string, label: string, of: (point: ThreadCostPoint) => number | null): ReportChart => ({
    kind: 'line',
    title,
    x: { label: 'connections' },
    y: { label },
    series: [THREADS, REACTOR].map((name) => ({
      name,
      points: points.flatMap((point) => {
        const value = of(point);
        return point.model !== name || value === null ? [] : [[point.connections, value] as const];
      }),
    })),
  });
  return [
    line('Memory', 'MB more than with no connection', ({ memory }) => megabytes(memory)),
    line('Context switches', 'a message', ({ contextSwitches }) => contextSwitches),
    line('Throughput', 'messages a second', ({ messagesPerSecond }) => messagesPerSecond),
  ].filter(({ series }) => series.some((one) => 'points' in one && one.points.length > 0));
}

/** At the fewest and at the most connections that were measured. */
function endsOf(points: readonly ThreadCostPoint[], name: string): readonly [ThreadCostPoint, ThreadCostPoint] | null {
  const own = points.filter(({ model }) => model === name).sort((a, b) => a.connections - b.connections);
  const [first, last] = [own[0], own.at(-1)];
  return first === undefined || last === undefined || last.connections < 2 * first.connections ? null : [first, last];
}

/** What a connection more costs. null: not told here. */
function eachOf([first, last]: readonly [ThreadCostPoint, ThreadCostPoint], what: 'threads' | 'memory'): number | null {
  const [few, many] = [first[what], last[what]];
  return few === null || many === null ? null : (many - few) / (last.connections - first.connections);
}

/** So much more than the reactor's is clearly more. */
const MORE = { memory: 10, contextSwitches: 2 };
/** Nine connections of ten: one thread each. */
const ONE_TO_ONE = 0.9;

function verdict({ points, stopped }: ThreadCostFigures): Verdict {
  const [threads, reactor] = [endsOf(points, THREADS), endsOf(points, REACTOR)];
  if (threads === null || reactor === null)
    return { outcome: 'undecided', because: 'There are no figures of few and of many connections.' };
  const [memory, reactorMemory] = [eachOf(threads, 'memory'), eachOf(reactor, 'memory')];
  const [switches, reactorSwitches] = [threads[1].contextSwitches, reactor[1].contextSwitches];
  if (memory === null || reactorMemory === null || switches === null || reactorSwitches === null)
    return { outcome: 'undecided', because: 'This system does not tell of memory and context switches.' };
  const grows = [
    (eachOf(threads, 'threads') ?? 0) >= ONE_TO_ONE,
    memory > MORE.memory * Math.max(reactorMemory, 0),
    switches > MORE.contextSwitches * reactorSwitches,
  ];
  const saw = [
    `${threads[1].connections} connections have ${threads[1].threads} threads; each costs ${threeDigits(memory / 1e6)} MB (on a reactor ${threeDigits(Math.max(reactorMemory, 0) / 1e6)})`,
    `and each message ${threeDigits(switches)} context switches (${threeDigits(reactorSwitches)})`,
  ].join(', ');
  if (grows.every((one) => one)) return { outcome: 'holds', because: `${saw}; ${collapseOf(points, stopped)}.` };
  if (!grows.some((one) => one)) return { outcome: 'does not hold here', because: `${saw}.` };
  const names = ['threads', 'memory', 'context switches'].filter((_, index) => grows[index] === false);
  return { outcome: 'undecided', because: `${saw}: not clearly more ${names.join(', ')}.` };
}

/** What it does with the most connections, of the best that it does with any, in per cent. */
function shareOfBest(points: readonly ThreadCostPoint[], name: string): number {
  const own = points.filter(({ model }) => model === name);
  const best = Math.max(...own.map(({ messagesPerSecond }) => messagesPerSecond));
  const last = own.reduce((most, point) => (point.connections > most.connections ? point : most));
  return Math.round((100 * last.messagesPerSecond) / best);
}

/** Per cent of its best. A half may be noise: each is measured once. */
const COLLAPSED = 20;

/** Is there the collapse? What was not reached cannot be told; and where the reactor falls as deep, it is not the threads. */
function collapseOf(points: readonly ThreadCostPoint[], stopped: ThreadCostFigures['stopped']): string {
  const [share, ofReactor] = [shareOfBest(points, THREADS), shareOfBest(points, REACTOR)];
  const most = Math.max(...points.map(({ connections }) => connections));
  const does = `with ${most} it does ${share} % of its best, a reactor ${ofReactor} %`;
  const why = stopped === null ? '' : ` (${stopped.connections} were not tried: ${stopped.why})`;
  if (share > COLLAPSED) return `${does}: no collapse up to there${why}`;
  return share < ofReactor / 3 ? `${does}: it collapses` : `${does}: no collapse of threads alone`;
}

export const threadCost: Experiment<ThreadCostFigures> = {
  name: 'thread-cost',
  title: 'A thread for each connection',
  claim:
    'Threads grow one to one with the connections, and memory and context switches with them: no elasticity, and a collapse where the scheduler stands no more, at about a thousand threads.',
  source: 'post 000, claim (a); post 003, claim (f)',
  setUp: `Echo servers, each a process of its own; so many clients in another process send ${SIZE} bytes, wait until they are back, and send the next. More and more connections, as far as this machine goes. The verdict is of threads, memory and context switches; a collapse is told where it was reached.`,
  isAvailable: true,
  why:
    process.platform === 'linux'
      ? '/proc tells of memory and context switches'
      : 'this system does not tell of memory and context switches: threads and throughput alone',
  measure,
  tables,
  charts,
  verdict,
};
