/**
 * Posts 000 (a) and 003 (f): the cost of a thread per connection as the number of connections grows.
 *
 * A thread of the JavaScript model has a V8 isolate (a JavaScript engine) of its own, which costs far more than the thread. Therefore the
 * textbook's program in C, whose threads have none, is measured as well, with more connections; the verdict is about its threads.
 */
import { freemem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../measuring/client.js';
import { Load } from '../measuring/load.js';
import { MeasuredServer } from '../measuring/measured-server.js';
import { type Spread, spreadOf } from '../measuring/spread.js';
import { subjectNamed } from '../measuring/subjects.js';
import { textbookProgram } from '../measuring/textbook.js';
import { type ReportChart, type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import { threeDigits } from '../report/words.js';
import type { Experiment, MeasureContext } from './experiment.js';

/** Threads without an engine. */
const TEXTBOOK = 'textbook:thread-per-connection';
/** Threads with a V8 isolate each. */
const ISOLATES = 'thread-per-connection';
const REACTOR = 'reactor';
/** Clients that connect at once. */
const ARRIVING = 12;
/** Milliseconds between two rounds, in which the threads of the last one end. */
const PAUSE = 300;

/** One model with a number of connections. */
export interface ThreadCostPoint {
  readonly model: string;
  readonly connections: number;
  /** Threads of the model, without Node's own. null: this system does not report them. */
  readonly threads: number | null;
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
  /** Milliseconds until ARRIVING clients that connect at once have a reply, by model. */
  readonly arrivals: readonly { readonly model: string; readonly time: Spread }[];
  /** Models, the first number of connections that was not tried with each, and why. */
  readonly notTried: readonly NotTried[];
  /** Why the textbook's program is missing. null: it was measured. */
  readonly missing: string | null;
}

interface NotTried {
  readonly model: string;
  readonly connections: number;
  readonly why: string;
}

interface Sizes {
  readonly connections: readonly number[];
  readonly messages: number;
  /** Rounds of arriving clients. */
  readonly rounds: number;
  /** Milliseconds. A number of isolates that would exceed them is not tried. */
  readonly maxDuration: number;
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { connections: [10, 50, 200, 500, 1000, 3000], messages: 10_000, rounds: 1, maxDuration: 4000 },
  quick: { connections: [5, 25], messages: 2000, rounds: 1, maxDuration: Infinity },
};
const SIZE = 64;
/** Share of the machine's free memory that may be used. */
const MEMORY_SHARE = 0.5;

async function measure(context: MeasureContext): Promise<ThreadCostFigures> {
  const { effort, signal } = context;
  const { connections, messages, rounds } = SIZES[effort];
  const { path, why } = textbookProgram();
  const models = [...(path === null ? [] : [TEXTBOOK]), ISOLATES, REACTOR];
  const total = models.length * (connections.length + 1);
  const limits = new IsolateLimits(SIZES[effort]);
  const points: ThreadCostPoint[] = [];
  const notTried: NotTried[] = [];
  for (const [index, count] of connections.entries()) {
    for (const [place, model] of models.entries()) {
      context.progress(index * models.length + place, total, `${model}, ${count} connections`);
      if (notTried.some((one) => one.model === model)) continue;
      const reason = model === ISOLATES ? limits.whyNot(count) : null;
      try {
        if (reason !== null) throw new Error(reason);
        const startedAt = performance.now();
        const point = await pointOf(model, count, { messages, signal });
        if (model === ISOLATES) limits.add(point, performance.now() - startedAt);
        points.push(point);
      } catch (error) {
        signal.throwIfAborted();
        if (index < 2) throw error; // at least two numbers: one shows no growth
        notTried.push({ model, connections: count, why: error instanceof Error ? error.message : String(error) });
      }
    }
  }
  const arrivals = [];
  for (const [place, model] of models.entries()) {
    context.progress(connections.length * models.length + place, total, `${model}, ${ARRIVING} more clients`);
    arrivals.push({ model, time: spreadOf(await arrivalsOf(model, rounds, signal)) });
  }
  context.progress(total, total, 'done');
  return { points, arrivals, notTried, missing: path === null ? why : null };
}

/** How many isolates are tried: as many as there is memory and time for. */
class IsolateLimits {
  readonly #maxDuration: number;
  readonly #begun = performance.now();
  #last: { readonly connections: number; readonly memory: number; readonly time: number } | null = null;
  #tried = 0;

  constructor({ maxDuration }: Sizes) {
    this.#maxDuration = maxDuration;
  }

  /** The point took `time` milliseconds. */
  add({ connections, memory }: ThreadCostPoint, time: number): void {
    this.#last = { connections, memory: memory ?? 0, time };
    this.#tried++;
  }

  /** Why this number of connections is not tried. null: it is. */
  whyNot(count: number): string | null {
    if (this.#last === null || this.#tried < 2) return null;
    const { connections, memory, time } = this.#last;
    const spent = performance.now() - this.#begun;
    if (spent + (time * count) / connections > this.#maxDuration) return 'it would take too long';
    return (memory * count) / connections > MEMORY_SHARE * freemem() ? 'not enough memory' : null;
  }
}

/** Milliseconds until ARRIVING clients that connect at once all have their first byte back, one per round. */
async function arrivalsOf(model: string, rounds: number, signal: AbortSignal): Promise<number[]> {
  await using server = await MeasuredServer.start(subjectNamed(model), { maxConnections: 2 * ARRIVING });
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    if (round > 0) await sleep(PAUSE, undefined, { signal });
    const begun = performance.now();
    const clients = await Promise.all(
      Array.from({ length: ARRIVING }, async () => {
        const client = await Client.connect(server.port, signal);
        client.send(Buffer.of(0));
        await client.receive();
        return client;
      }),
    );
    times.push(performance.now() - begun);
    for (const client of clients) client[Symbol.dispose]();
  }
  return times;
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
  const workers = (await server.workers()).length;
  return {
    model,
    connections,
    // The program in C has one more thread, which waits for the end of its input.
    threads: model !== TEXTBOOK ? workers : after === null ? null : after.threads - 1,
    memory: alone === null || after === null ? null : after.memory - alone.memory,
    contextSwitches:
      before === null || after === null ? null : (after.contextSwitches - before.contextSwitches) / result.messages,
    messagesPerSecond: result.messagesPerSecond,
    p99: result.latency.p99 / 1000,
  };
}

const megabytes = (bytes: number | null): number | null => (bytes === null ? null : bytes / 1e6);

/** What one more connection is, by model. */
const KINDS: Readonly<Record<string, string>> = {
  [TEXTBOOK]: 'a thread (C)',
  [ISOLATES]: 'a thread with a V8 isolate',
  [REACTOR]: 'an object in one V8 isolate',
};

/** What one more connection costs, by model; the textbook's row also if it is missing. */
function costRows({ points, arrivals, missing }: ThreadCostFigures): ReportTable['rows'] {
  const rows = arrivals.map(({ model, time }) => {
    const extremes = extremesOf(points, model);
    const memory = extremes === null ? null : costPerConnection(extremes, 'memory');
    return [model, KINDS[model] ?? '', memory === null ? null : memory / 1000, time.median, time.median / ARRIVING];
  });
  return missing === null ? rows : [[TEXTBOOK, `not measured: ${missing}`, null, null, null], ...rows];
}

function tables(figures: ThreadCostFigures): readonly ReportTable[] {
  const { points } = figures;
  return [
    {
      title: `What one more connection costs (memory without the kernel's; ${ARRIVING} clients connect at once)`,
      columns: [
        ...[
          'model',
          'a connection is',
          'memory per connection, kB',
          `${ARRIVING} more clients served after, ms (median)`,
        ],
        'the same per client, ms',
      ],
      rows: costRows(figures),
    },
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
  const line = (title: string, label: string, of: (point: ThreadCostPoint) => number | null) => ({
    kind: 'line' as const,
    title,
    x: { label: 'connections' },
    y: { label },
    series: [TEXTBOOK, ISOLATES, REACTOR]
      .map((name) => ({
        name,
        points: points.flatMap((point) => {
          const value = of(point);
          return point.model !== name || value === null ? [] : [[point.connections, value] as const];
        }),
      }))
      .filter((series) => series.points.length > 0),
  });
  return [
    line('Memory', 'memory of the connections, MB', ({ memory }) => megabytes(memory)),
    line('Context switches', 'context switches per message', ({ contextSwitches }) => contextSwitches),
    line('Throughput', 'messages/s', ({ messagesPerSecond }) => messagesPerSecond),
  ].filter(({ series }) => series.length > 0);
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

/** A number of threads at which throughput should have collapsed. */
const SATURATED = 1000;

const outcomeOf = (holds: boolean): Statement['outcome'] => (holds ? 'holds' : 'does not hold here');

function verdict(figures: ThreadCostFigures): Verdict {
  const { points } = figures;
  const model = points.some((point) => point.model === TEXTBOOK) ? TEXTBOOK : ISOLATES;
  const [threads, reactor] = [extremesOf(points, model), extremesOf(points, REACTOR)];
  if (threads === null || reactor === null)
    return { outcome: 'undecided', because: 'No figures for both few and many connections.' };
  const perConnection = costPerConnection(threads, 'threads');
  const [memory, reactorMemory] = [costPerConnection(threads, 'memory'), costPerConnection(reactor, 'memory')];
  const last = threads[1];
  const [switches, ofReactor] = [last.contextSwitches, atSameNumber(points, last)?.contextSwitches ?? null];
  if (perConnection === null || memory === null || reactorMemory === null || switches === null || ofReactor === null)
    return { outcome: 'undecided', because: 'This system does not report memory and context switches.' };
  return verdictOf([
    {
      statement: 'threads grow one to one with connections',
      outcome: outcomeOf(perConnection >= ONE_TO_ONE),
      because: `${last.connections} connections have ${last.threads ?? 0} threads; ${ofIsolates(figures, model)}`,
    },
    {
      statement: 'memory grows clearly more than on a reactor',
      outcome: outcomeOf(memory > CLEARLY_MORE.memory * Math.max(reactorMemory, 0)),
      because: `${kilobytes(memory)} kB per connection, on a reactor ${kilobytes(Math.max(reactorMemory, 0))} kB`,
    },
    {
      statement: 'a message costs clearly more context switches than on a reactor',
      outcome: outcomeOf(switches > CLEARLY_MORE.contextSwitches * ofReactor),
      because: `${threeDigits(switches)} with ${last.connections} connections, on a reactor ${threeDigits(ofReactor)}`,
    },
    collapseOf(figures, model, last),
  ]);
}

const kilobytes = (bytes: number): string => threeDigits(bytes / 1000);

/** The reactor's point with as many connections. undefined: it has none. */
const atSameNumber = (
  points: readonly ThreadCostPoint[],
  { connections }: ThreadCostPoint,
): ThreadCostPoint | undefined => points.find((point) => point.model === REACTOR && point.connections === connections);

/** What an isolate costs, as text, beside the threads of C; or that the threads measured have an isolate each. */
function ofIsolates({ points, arrivals, missing }: ThreadCostFigures, model: string): string {
  if (model === ISOLATES)
    return `each has a V8 isolate, which costs far more than a thread${missing === null ? '' : ` (${missing})`}`;
  const extremes = extremesOf(points, ISOLATES);
  const memory = extremes === null ? null : costPerConnection(extremes, 'memory');
  const time = (name: string): number | undefined => arrivals.find((one) => one.model === name)?.time.median;
  const [ofThreads, isolates] = [time(TEXTBOOK), time(ISOLATES)];
  const parts = [
    ...(memory === null ? [] : [`${kilobytes(memory)} kB each`]),
    ...(ofThreads === undefined || isolates === undefined
      ? []
      : [`${ARRIVING} more are served after ${threeDigits(isolates)} ms instead of ${threeDigits(ofThreads)} ms`]),
  ];
  return `they are threads of C; one with a V8 isolate, as in JavaScript, costs more${parts.length === 0 ? '' : ` (${parts.join(', ')})`}`;
}

/** Throughput with this many connections, in per cent of the best throughput with any number. */
function shareOfBest(points: readonly ThreadCostPoint[], name: string, connections: number): number {
  const own = points.filter(({ model }) => model === name);
  const best = Math.max(...own.map(({ messagesPerSecond }) => messagesPerSecond));
  const at = own.find((point) => point.connections === connections)?.messagesPerSecond ?? best;
  return Math.round((100 * at) / best);
}

/** Per cent of the best throughput up to which it counts as collapsed. A half may be noise, because each point is measured once. */
const MAX_COLLAPSED = 20;

/** Only measured numbers count; if the reactor drops as far, threads are not the cause. */
function collapseOf(
  { points, notTried }: ThreadCostFigures,
  name: string,
  { connections }: ThreadCostPoint,
): Statement {
  const statement = `throughput collapses at about ${SATURATED} threads`;
  const [share, ofReactor] = [shareOfBest(points, name, connections), shareOfBest(points, REACTOR, connections)];
  const drop = `with ${connections} it reaches ${share} % of its best, a reactor ${ofReactor} %`;
  if (share <= MAX_COLLAPSED && share < ofReactor / 3) return { statement, outcome: 'holds', because: drop };
  const next = notTried.find(({ model }) => model === name);
  const because = next === undefined ? drop : `${drop}; ${next.connections} were not tried: ${next.why}`;
  if (share <= MAX_COLLAPSED) return { statement, outcome: 'undecided', because: `${because}: not threads alone` };
  return { statement, outcome: connections < SATURATED ? 'not tried' : 'does not hold here', because };
}

export const threadCost: Experiment<ThreadCostFigures> = {
  name: 'thread-cost',
  title: 'A thread per connection',
  claim:
    'The number of threads grows one to one with the connections, and memory and context switches with it: no elasticity, and throughput collapses once the scheduler is saturated, at about a thousand threads.',
  source: 'post 000, claim (a); post 003, claim (f)',
  setUp: `Echo servers, each in a process of its own. Clients in another process send ${SIZE} bytes, wait until they are back, and send the next. The number of connections grows as far as this machine allows. The verdict is about the threads of the textbook's server in C, which have no V8 isolate; the JavaScript model shows what an isolate adds. What was not tried is not judged.`,
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
