/** Posts 000 (a) and 003 (f): the cost of a thread per connection as the number of connections grows. */
import { freemem } from 'node:os';
import { Load } from '../measuring/load.js';
import { MeasuredServer } from '../measuring/measured-server.js';
import { subjectNamed } from '../measuring/subjects.js';
import type { ReportChart, ReportTable, Verdict } from '../report/report.js';
import { threeDigits } from '../report/words.js';
import type { Experiment, MeasureContext } from './experiment.js';

const THREADS = 'thread-per-connection';
const REACTOR = 'reactor';

/** One model with a number of connections. */
export interface ThreadCostPoint {
  readonly model: string;
  readonly connections: number;
  /** Threads of the model, without Node's own. */
  readonly threads: number;
  /** Resident memory added by the connections, in bytes. null: this system does not report it. */
  readonly memory: number | null;
  /** Context switches per message. null: this system does not report them. */
  readonly contextSwitches: number | null;
  readonly messagesPerSecond: number;
  /** 99th percentile of the round trips, in milliseconds. */
  readonly p99: number;
}

/** The figures of this experiment. */
export interface ThreadCostFigures {
  readonly points: readonly ThreadCostPoint[];
  /** The first number of connections that was not tried, and why. null: all were tried. */
  readonly stopped: { readonly connections: number; readonly why: string } | null;
}

interface Sizes {
  readonly connections: readonly number[];
  readonly messages: number;
  /** Milliseconds. A number of connections that would exceed them is not tried. */
  readonly maxDuration: number;
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { connections: [10, 50, 200, 500], messages: 20_000, maxDuration: 15_000 },
  quick: { connections: [5, 25], messages: 2000, maxDuration: Infinity },
};
const SIZE = 64;
/** Share of the machine's free memory that may be used. */
const MEMORY_SHARE = 0.5;

async function measure(context: MeasureContext): Promise<ThreadCostFigures> {
  const { effort, signal } = context;
  const { connections, messages, maxDuration } = SIZES[effort];
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
    if (next === undefined || index === 0) continue; // at least two numbers: one shows no growth
    const [ofThreads = 0, ofReactor = 0] = times;
    const expected = 2 * ofReactor + ((ofThreads - ofReactor) * next) / count;
    if (performance.now() - begun + expected > maxDuration)
      return { points, stopped: { connections: next, why: 'it would take too long' } };
    const memory = points.at(-2)?.memory ?? 0;
    if ((memory * next) / count > MEMORY_SHARE * freemem())
      return { points, stopped: { connections: next, why: 'not enough memory' } };
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
        ...['model', 'connections', 'threads', 'memory of the connections, MB', 'context switches per message'],
        ...['messages/s', 'p99, ms'],
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
    line('Memory', 'memory of the connections, MB', ({ memory }) => megabytes(memory)),
    line('Context switches', 'context switches per message', ({ contextSwitches }) => contextSwitches),
    line('Throughput', 'messages/s', ({ messagesPerSecond }) => messagesPerSecond),
  ].filter(({ series }) => series.some((one) => 'points' in one && one.points.length > 0));
}

/** The points with the fewest and the most connections. null: they are less than a factor of 2 apart. */
function extremesOf(
  points: readonly ThreadCostPoint[],
  name: string,
): readonly [ThreadCostPoint, ThreadCostPoint] | null {
  const own = points.filter(({ model }) => model === name).sort((a, b) => a.connections - b.connections);
  const [first, last] = [own[0], own.at(-1)];
  return first === undefined || last === undefined || last.connections < 2 * first.connections ? null : [first, last];
}

/** Cost of one more connection. null: this system does not report it. */
function costPerConnection(
  [first, last]: readonly [ThreadCostPoint, ThreadCostPoint],
  what: 'threads' | 'memory',
): number | null {
  const [few, many] = [first[what], last[what]];
  return few === null || many === null ? null : (many - few) / (last.connections - first.connections);
}

/** Factors over the reactor's figures that count as clearly more. */
const CLEARLY_MORE = { memory: 10, contextSwitches: 2 };
/** Threads per connection that count as one each. */
const ONE_TO_ONE = 0.9;

function verdict({ points, stopped }: ThreadCostFigures): Verdict {
  const [threads, reactor] = [extremesOf(points, THREADS), extremesOf(points, REACTOR)];
  if (threads === null || reactor === null)
    return { outcome: 'undecided', because: 'No figures for both few and many connections.' };
  const [memory, reactorMemory] = [costPerConnection(threads, 'memory'), costPerConnection(reactor, 'memory')];
  const [switches, reactorSwitches] = [threads[1].contextSwitches, reactor[1].contextSwitches];
  if (memory === null || reactorMemory === null || switches === null || reactorSwitches === null)
    return { outcome: 'undecided', because: 'This system does not report memory and context switches.' };
  const grows = [
    (costPerConnection(threads, 'threads') ?? 0) >= ONE_TO_ONE,
    memory > CLEARLY_MORE.memory * Math.max(reactorMemory, 0),
    switches > CLEARLY_MORE.contextSwitches * reactorSwitches,
  ];
  const result = [
    `${threads[1].connections} connections have ${threads[1].threads} threads; each costs ${threeDigits(memory / 1e6)} MB (on a reactor ${threeDigits(Math.max(reactorMemory, 0) / 1e6)})`,
    `and each message ${threeDigits(switches)} context switches (${threeDigits(reactorSwitches)})`,
  ].join(', ');
  if (grows.every((one) => one)) return { outcome: 'holds', because: `${result}; ${collapseOf(points, stopped)}.` };
  if (!grows.some((one) => one)) return { outcome: 'does not hold here', because: `${result}.` };
  const names = ['threads', 'memory', 'context switches'].filter((_, index) => grows[index] === false);
  return { outcome: 'undecided', because: `${result}: not clearly more ${names.join(', ')}.` };
}

/** Throughput with the most connections, in per cent of the best throughput with any number. */
function shareOfBest(points: readonly ThreadCostPoint[], name: string): number {
  const own = points.filter(({ model }) => model === name);
  const best = Math.max(...own.map(({ messagesPerSecond }) => messagesPerSecond));
  const last = own.reduce((most, point) => (point.connections > most.connections ? point : most));
  return Math.round((100 * last.messagesPerSecond) / best);
}

/** Per cent of the best throughput up to which it counts as collapsed. A half may be noise, because each point is measured once. */
const MAX_COLLAPSED = 20;

/** Whether throughput collapses, as text. Only measured numbers count; if the reactor drops as far, threads are not the cause. */
function collapseOf(points: readonly ThreadCostPoint[], stopped: ThreadCostFigures['stopped']): string {
  const [share, ofReactor] = [shareOfBest(points, THREADS), shareOfBest(points, REACTOR)];
  const most = Math.max(...points.map(({ connections }) => connections));
  const drop = `with ${most} it reaches ${share} % of its best throughput, a reactor ${ofReactor} %`;
  const why = stopped === null ? '' : ` (${stopped.connections} were not tried: ${stopped.why})`;
  if (share > MAX_COLLAPSED) return `${drop}: no collapse up to this number${why}`;
  return share < ofReactor / 3 ? `${drop}: it collapses` : `${drop}: not a collapse of threads alone`;
}

export const threadCost: Experiment<ThreadCostFigures> = {
  name: 'thread-cost',
  title: 'A thread per connection',
  claim:
    'The number of threads grows one to one with the connections, and memory and context switches with it: no elasticity, and throughput collapses once the scheduler is saturated, at about a thousand threads.',
  source: 'post 000, claim (a); post 003, claim (f)',
  setUp: `Echo servers, each in a process of its own. Clients in another process send ${SIZE} bytes, wait until they are back, and send the next. The number of connections grows as far as this machine allows. The verdict is about threads, memory and context switches; a collapse is reported if it was reached.`,
  isAvailable: true,
  why:
    process.platform === 'linux'
      ? '/proc reports memory and context switches'
      : 'this system does not report memory and context switches: only threads and throughput',
  measure,
  tables,
  charts,
  verdict,
};
