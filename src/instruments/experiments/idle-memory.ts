/**
 * The memory that an idle connection holds, by model; and how much of it a thread, a process and a V8 isolate hold.
 *
 * Each figure is a slope: the difference between two numbers of connections, or of workers, divided by the difference of these numbers.
 * What the first connection costs, and what the server costs without any, is not in it.
 */
import { Client } from '../measuring/client.js';
import { MeasuredServer } from '../measuring/measured-server.js';
import { type Spread, spreadOf } from '../measuring/spread.js';
import { allSubjects, subjectNamed } from '../measuring/subjects.js';
import { QUARTILES, rangeOf } from '../report/quartiles.js';
import { type ReportChart, type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import { threeDigits } from '../report/words.js';
import type { Experiment, MeasureContext } from './experiment.js';
import { type HeldMemory, reportsHeldMemory, settledMemory } from './held-memory.js';

/** Spreads over the rounds, in bytes. */
export type HeldSpread = Readonly<Record<keyof HeldMemory, Spread>>;

/** One model. */
export interface IdleMemoryModel {
  readonly name: string;
  /** Per idle connection. In a pool: what the connection adds to its worker. */
  readonly connection: HeldSpread;
  /** Per worker without a connection. null: not a pool. */
  readonly worker: HeldSpread | null;
}

/** The figures of this experiment. */
export interface IdleMemoryFigures {
  readonly models: readonly IdleMemoryModel[];
  /** Models that this system lacks, and why. */
  readonly missing: readonly { readonly name: string; readonly why: string }[];
}

const THREAD = 'textbook:thread-per-connection';
const FORK = 'textbook:fork-per-connection';
const ISOLATE = 'thread-per-connection';
const PROCESS = 'process-per-connection';
const LOOPS = ['reactor', 'proactor', 'multi-reactor'] as const;
const POOLS = ['thread-pool', 'prefork', 'textbook:thread-pool', 'textbook:prefork:blocking'] as const;

/** What one more connection holds; of a pool, one more worker. The processes in C are forked. */
const KINDS: Readonly<Record<string, string>> = {
  [THREAD]: 'thread (C)',
  [FORK]: 'process (C)',
  [ISOLATE]: 'thread, isolate',
  [PROCESS]: 'process, Node',
  ...Object.fromEntries(LOOPS.map((name) => [name, 'object'])),
  'thread-pool': 'thread, isolate',
  prefork: 'process, Node',
  'textbook:thread-pool': 'thread (C)',
  'textbook:prefork:blocking': 'process (C)',
};
const NAMES = [...LOOPS, THREAD, FORK, ISOLATE, PROCESS, ...POOLS];

/** Two numbers of connections; of a pool, of workers. */
type Numbers = readonly [few: number, many: number];

interface Sizes {
  readonly rounds: number;
  readonly objects: Numbers;
  /** Threads and processes without an isolate. */
  readonly small: Numbers;
  readonly isolates: Numbers;
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { rounds: 1, objects: [200, 2000], small: [20, 100], isolates: [1, 4] },
  quick: { rounds: 1, objects: [50, 250], small: [5, 25], isolates: [1, 2] },
};
/** Clients that connect at once. */
const BATCH = 50;

const numbersOf = (name: string, { objects, small, isolates }: Sizes): Numbers =>
  LOOPS.some((loop) => loop === name) ? objects : name.startsWith('textbook:') ? small : isolates;

const isPool = (name: string): boolean => POOLS.some((pool) => pool === name);

async function measure(context: MeasureContext): Promise<IdleMemoryFigures> {
  const { effort, signal } = context;
  const sizes = SIZES[effort];
  const missing = NAMES.flatMap((name) => {
    const why = whyMissing(name);
    return why === null ? [] : [{ name, why }];
  });
  const names = NAMES.filter((name) => whyMissing(name) === null);
  const samples = new Map<string, Sample[]>(names.map((name) => [name, []]));
  const total = sizes.rounds * names.length;
  for (let round = 0; round < sizes.rounds; round++) {
    for (const [place, name] of names.entries()) {
      context.progress(round * names.length + place, total, `${name}, round ${round + 1}`);
      const numbers = numbersOf(name, sizes);
      samples.get(name)?.push(await (isPool(name) ? samplePool : sampleConnections)(name, numbers, signal));
    }
  }
  context.progress(total, total, 'done');
  return { models: Array.from(samples, ([name, taken]) => modelOf(name, taken)), missing };
}

/** Why this system lacks a model. null: it has it. */
function whyMissing(name: string): string | null {
  const rows = allSubjects().filter((row) => row.name === name || row.name.startsWith(`${name}:`));
  return rows.some(({ isAvailable }) => isAvailable) ? null : (rows[0]?.why ?? 'this package has no such model');
}

/** Bytes per connection, and per worker of a pool. */
interface Sample {
  readonly connection: HeldMemory;
  readonly worker: HeldMemory | null;
}

/** A server whose memory grows with its connections. */
async function sampleConnections(name: string, [few, many]: Numbers, signal: AbortSignal): Promise<Sample> {
  await using server = await MeasuredServer.start(subjectNamed(name), { maxConnections: 2 * many, signal });
  using clients = new IdleClients(server.port, signal);
  await clients.grow(few);
  const before = await settledMemory(server.pid, signal);
  await clients.grow(many);
  const after = await settledMemory(server.pid, signal);
  return { connection: slope(before, after, many - few), worker: null };
}

/** Two servers with different numbers of workers, each without and with a connection per worker. */
async function samplePool(name: string, [few, many]: Numbers, signal: AbortSignal): Promise<Sample> {
  const [empty] = await memoryOfPool(name, few, signal);
  const [emptier, full] = await memoryOfPool(name, many, signal);
  return { connection: slope(emptier, full, many), worker: slope(empty, emptier, many - few) };
}

/** @returns the memory without and with a connection per worker */
async function memoryOfPool(
  name: string,
  workers: number,
  signal: AbortSignal,
): Promise<readonly [without: HeldMemory, withConnections: HeldMemory]> {
  await using server = await MeasuredServer.start(subjectNamed(name), { workers, maxConnections: 2 * workers, signal });
  {
    // Each worker serves one client before the measurement: all have started then.
    using first = new IdleClients(server.port, signal);
    await first.grow(workers);
  }
  const without = await settledMemory(server.pid, signal);
  using clients = new IdleClients(server.port, signal);
  await clients.grow(workers);
  return [without, await settledMemory(server.pid, signal)];
}

/** Clients that have exchanged one message each, and send nothing more. */
class IdleClients implements Disposable {
  readonly #port: number;
  readonly #signal: AbortSignal;
  readonly #clients: Client[] = [];

  constructor(port: number, signal: AbortSignal) {
    this.#port = port;
    this.#signal = signal;
  }

  /** Connects until there are `count`. */
  async grow(count: number): Promise<void> {
    while (this.#clients.length < count) {
      const length = Math.min(BATCH, count - this.#clients.length);
      await Promise.all(Array.from({ length }, () => this.#connect()));
    }
  }

  async #connect(): Promise<void> {
    const client = await Client.connect(this.#port, this.#signal);
    this.#clients.push(client);
    client.send(Buffer.alloc(64, 'x'));
    if ((await client.receive()) === null) throw new Error('the server closed a connection without a reply');
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.splice(0)) client[Symbol.dispose]();
  }
}

const slope = (before: HeldMemory, after: HeldMemory, count: number): HeldMemory => ({
  own: (after.own - before.own) / count,
  resident: (after.resident - before.resident) / count,
  reserved: (after.reserved - before.reserved) / count,
});

function modelOf(name: string, samples: readonly Sample[]): IdleMemoryModel {
  const spread = (held: readonly HeldMemory[]): HeldSpread => ({
    own: spreadOf(held.map(({ own }) => own)),
    resident: spreadOf(held.map(({ resident }) => resident)),
    reserved: spreadOf(held.map(({ reserved }) => reserved)),
  });
  const workers = samples.flatMap(({ worker }) => (worker === null ? [] : [worker]));
  return {
    name,
    connection: spread(samples.map(({ connection }) => connection)),
    worker: workers.length === 0 ? null : spread(workers),
  };
}

// ------------------------------------------------------------------------------------------------------------------ verdict

/** Bytes that an object and its buffers may take. */
const MAX_OF_LOOP = 10_000;
/** A stack of which at least one page is written, and far more is reserved. */
const PAGE = 4096;
const MIN_RESERVED = 4;
/** Factor by which an isolate holds more than a thread. */
const MIN_ISOLATE = 100;
/** Share of a process with Node that is its isolate. */
const MIN_SHARE = 0.5;
/** Factor by which a worker holds more than its connection. */
const MIN_WORKER = 10;

type Judged = Omit<Statement, 'statement'>;

/** '12.6 kB', '13.1 MB' */
function bytes(value: number): string {
  const kilobytes = Math.max(0, value) / 1000;
  return kilobytes < 1000 ? `${threeDigits(kilobytes)} kB` : `${threeDigits(kilobytes / 1000)} MB`;
}

const outcomeOf = (holds: boolean): Statement['outcome'] => (holds ? 'holds' : 'does not hold here');

function verdict(figures: IdleMemoryFigures): Verdict {
  const find = (name: string): HeldSpread | undefined => figures.models.find((one) => one.name === name)?.connection;
  const [thread, fork, isolate, node] = [THREAD, FORK, ISOLATE, PROCESS].map(find);
  const ofC = (judge: (thread: HeldSpread) => Judged): Judged =>
    thread === undefined ? notTried(figures, THREAD) : judge(thread);
  const judged: readonly (readonly [string, Judged])[] = [
    ['an idle connection of an event loop holds less than 10 kB', ofLoops(figures)],
    ['an idle connection of a thread model holds a thread’s stack', ofC(ofStack)],
    [
      'a forked process holds more than a thread',
      ofC((one) => (fork === undefined ? notTried(figures, FORK) : ofFork(one.own, fork.own))),
    ],
    [
      `a V8 isolate holds more than ${MIN_ISOLATE} times as much as a thread`,
      ofC((one) => (isolate === undefined ? notTried(figures, ISOLATE) : ofIsolate(one.own, isolate.own))),
    ],
    [
      'most of a process with Node is its isolate',
      isolate === undefined || node === undefined ? notTried(figures, PROCESS) : ofProcess(isolate.own, node.own),
    ],
    ['a worker of a pool holds its memory even if it has no connection', ofPools(figures)],
  ];
  return verdictOf(judged.map(([statement, result]) => ({ statement, ...result })));
}

function notTried({ missing }: IdleMemoryFigures, name: string): Judged {
  const why = missing.find((one) => one.name === name)?.why;
  return { outcome: 'not tried', because: why === undefined ? 'It was not measured.' : `No ${name}: ${why}.` };
}

function ofLoops(figures: IdleMemoryFigures): Judged {
  const loops = figures.models.filter(({ name }) => LOOPS.some((loop) => loop === name));
  if (loops.length === 0) return notTried(figures, LOOPS[0]);
  const because = `${loops.map(({ name, connection }) => `${name} ${bytes(connection.own.median)}`).join(', ')}.`;
  if (loops.every(({ connection }) => connection.own.high < MAX_OF_LOOP)) return { outcome: 'holds', because };
  const isMore = loops.some(({ connection }) => connection.own.low >= MAX_OF_LOOP);
  return { outcome: isMore ? 'does not hold here' : 'undecided', because };
}

function ofStack({ own, reserved }: HeldSpread): Judged {
  return {
    outcome: outcomeOf(own.median >= PAGE && reserved.median >= MIN_RESERVED * own.median),
    because: `A thread of C reserves ${bytes(reserved.median)} of addresses, and has written ${bytes(own.median)}.`,
  };
}

function ofFork(thread: Spread, fork: Spread): Judged {
  const because = `${bytes(fork.median)} against ${bytes(thread.median)}, both in C.`;
  if (fork.low > thread.high) return { outcome: 'holds', because };
  return { outcome: thread.low > fork.high ? 'does not hold here' : 'undecided', because };
}

function ofIsolate(thread: Spread, isolate: Spread): Judged {
  return {
    outcome: outcomeOf(isolate.median > MIN_ISOLATE * thread.median),
    because: `A thread with an isolate holds ${bytes(isolate.median)}, a thread of C ${bytes(thread.median)}.`,
  };
}

function ofProcess(isolate: Spread, node: Spread): Judged {
  return {
    outcome: outcomeOf(isolate.median >= MIN_SHARE * node.median),
    because: `A process with Node holds ${bytes(node.median)}, a thread with an isolate ${bytes(isolate.median)}.`,
  };
}

function ofPools(figures: IdleMemoryFigures): Judged {
  const pools = figures.models.flatMap(({ name, connection, worker }) =>
    worker === null ? [] : [{ name, connection: connection.own.median, worker: worker.own.median }],
  );
  if (pools.length === 0) return notTried(figures, POOLS[0]);
  return {
    outcome: outcomeOf(pools.every(({ connection, worker }) => worker >= MIN_WORKER * Math.max(0, connection))),
    because: `Per worker, and added by its connection: ${pools.map(({ name, connection, worker }) => `${name} ${bytes(worker)}, ${bytes(connection)}`).join('; ')}.`,
  };
}

function tables({ models, missing }: IdleMemoryFigures): readonly ReportTable[] {
  const perConnection = models.filter(({ worker }) => worker === null);
  const pools = models.flatMap(({ name, connection, worker }) =>
    worker === null ? [] : [{ name, connection, worker }],
  );
  return [
    {
      title: 'Written by the server and not shared, per idle connection',
      columns: ['model', 'holds', 'kB'],
      rows: perConnection.map(({ name, connection: { own } }) => [name, KINDS[name] ?? '', own.median / 1000]),
    },
    {
      title: 'Resident (shared pages count per process) and reserved',
      columns: ['model', 'resident, kB', 'reserved, kB'],
      rows: perConnection.map(({ name, connection: { resident, reserved } }) => [
        ...[name, resident.median / 1000, reserved.median / 1000],
      ]),
    },
    {
      title: 'Pools: written and not shared, kB',
      columns: ['model', 'holds', 'per worker', 'connection adds'],
      rows: [
        ...pools.map(({ name, connection, worker }) => [
          ...[name, KINDS[name] ?? '', worker.own.median / 1000, connection.own.median / 1000],
        ]),
        ...missing.map(({ name, why }) => [name, `not measured: ${why}`, null, null]),
      ],
    },
  ];
}

function charts({ models }: IdleMemoryFigures): readonly ReportChart[] {
  const measured = models.map(({ name, connection, worker }) => ({
    name: `${name}: ${KINDS[name] ?? ''}${worker === null ? '' : ', per worker'}`,
    own: (worker ?? connection).own,
  }));
  return [
    {
      kind: 'range',
      title: 'Memory that one more idle connection, or one more worker of a pool, holds',
      value: { label: 'written and not shared, kB', isLogarithmic: true },
      categories: measured.map(({ name }) => name),
      parts: QUARTILES,
      series: [{ name: 'memory', values: measured.map(({ own }) => rangeOf(inKilobytes(own))) }],
    },
  ];
}

const inKilobytes = ({ low, median, high }: Spread) => ({ low: low / 1000, median: median / 1000, high: high / 1000 });

export const idleMemory: Experiment<IdleMemoryFigures> = {
  name: 'idle-memory',
  title: 'Idle connections hold memory',
  claim:
    'An idle connection holds the memory of what serves it: an object in an event loop, a thread with its stack, or a process; in JavaScript a thread and a process also hold a V8 isolate.',
  source: 'post 000, claim (a); post 002, claims (b) and (c)',
  setUp: `Echo servers, each in a process of its own: the models of this package, and the textbook's in C. Each client sends 64 bytes, waits until they are back, and stays. The memory is that of the server and its child processes without the kernel's: what one more connection, or one more worker of a pool, adds to it.`,
  isAvailable: reportsHeldMemory,
  why: reportsHeldMemory
    ? '/proc reports the memory of each process'
    : 'only Linux reports which memory a process shares (smaps_rollup)',
  measure,
  tables,
  charts,
  verdict,
};
