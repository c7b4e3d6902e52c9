/** Post 001 (c): how many cores one asynchronous process uses, and how many several processes use. */
import { availableParallelism, cpus } from 'node:os';
import { distPath } from '../../package-folder.js';
import { LineChild } from '../measuring/line-child.js';
import { MeasuredServer } from '../measuring/measured-server.js';
import { type Spread, spreadOf } from '../measuring/spread.js';
import { subjectNamed } from '../measuring/subjects.js';
import { QUARTILES, rangeOf } from '../report/quartiles.js';
import { type ReportChart, type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import { threeDigits } from '../report/words.js';
import type { Experiment, MeasureContext } from './experiment.js';
import type { OneCoreClients, OneCoreRun } from './one-core-clients.js';

/** One server under the same load. A number of cores is CPU time divided by elapsed time. */
export interface OneCoreSubject {
  readonly name: string;
  /** Processes that serve. */
  readonly processes: number;
  /** Requests answered per second. */
  readonly rate: Spread;
  /** Cores that the server uses, with all its threads and processes. null: this system does not report it. */
  readonly used: Spread | null;
  /** Cores that the clients use. */
  readonly byClients: Spread;
  /** Cores that are idle. null: this process may use only some of the machine's. */
  readonly idle: Spread | null;
}

/** The figures of this experiment. */
export interface OneCoreFigures {
  /** Cores that this process may use. */
  readonly cores: number;
  /** Empty: this machine has one core. */
  readonly subjects: readonly OneCoreSubject[];
}

const ONE = 'reactor';
const MANY = 'multi-process-reactor';
/** Of the server, so that each process always has a request to answer. */
const CONNECTIONS_PER_PROCESS = 16;
/** A list in a list in a list …: 3 kB that cost the server up to a millisecond to parse and to write, and the clients next to nothing. */
const DEPTH = 1500;
/** Processes that serve, for each process of clients. */
const SERVED_BY_ONE_CLIENT = 4;

interface Sizes {
  readonly rounds: number;
  /** Milliseconds. */
  readonly duration: number;
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { rounds: 3, duration: 700 },
  quick: { rounds: 5, duration: 150 },
};
const WARM_UP_ROUNDS = 1;

async function measure(context: MeasureContext): Promise<OneCoreFigures> {
  const { effort, signal } = context;
  const { rounds, duration } = SIZES[effort];
  const cores = availableParallelism();
  if (cores < 2) return { cores, subjects: [] };
  await using one = await Loaded.start(ONE, 1, signal);
  await using many = await Loaded.start(MANY, cores, signal);
  const all = [one, many];
  const total = (WARM_UP_ROUNDS + rounds) * all.length;
  // Interleaved: a machine that is busy for a while is busy for both.
  for (let round = 0; round < WARM_UP_ROUNDS + rounds; round++) {
    for (const [place, loaded] of all.entries()) {
      context.progress(round * all.length + place, total, `${loaded.name}, round ${round + 1}`);
      await loaded.run(duration, round >= WARM_UP_ROUNDS);
    }
  }
  context.progress(total, total, 'done');
  return { cores, subjects: all.map((loaded) => loaded.figures()) };
}

interface Round {
  readonly rate: number;
  readonly used: number;
  readonly byClients: number;
  readonly idle: number;
}

/** A server and its clients. */
class Loaded implements AsyncDisposable {
  readonly name: string;
  readonly #processes: number;
  readonly #server: MeasuredServer;
  readonly #clients: readonly LineChild[];
  readonly #rounds: Round[] = [];

  private constructor(name: string, processes: number, server: MeasuredServer, clients: readonly LineChild[]) {
    this.name = name;
    this.#processes = processes;
    this.#server = server;
    this.#clients = clients;
  }

  static async start(name: string, processes: number, signal: AbortSignal): Promise<Loaded> {
    const count = Math.ceil(processes / SERVED_BY_ONE_CLIENT);
    const connections = Math.ceil((processes * CONNECTIONS_PER_PROCESS) / count);
    // Each process takes an equal share, and no more: otherwise one of them may take most.
    const maxConnections = processes * Math.ceil((count * connections) / processes);
    const server = await MeasuredServer.start(subjectNamed(name), {
      ...{ application: 'rpc', workers: processes, maxConnections, signal },
    });
    const start: OneCoreClients = { port: server.port, connections, depth: DEPTH };
    const clients = Array.from(
      { length: count },
      () => new LineChild(distPath('instruments/experiments/one-core-clients.js'), start, { signal }),
    );
    const loaded = new Loaded(name, processes, server, clients);
    try {
      await Promise.all(clients.map((client) => client.answer()));
      return loaded;
    } catch (error) {
      await loaded[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** All clients send for `duration` milliseconds. */
  async run(duration: number, isCounted: boolean): Promise<void> {
    const [cpuBefore, idleBefore, begun] = [await this.#cpu(), idleTime(), performance.now()];
    const runs = (await Promise.all(this.#clients.map((client) => client.ask(duration)))) as OneCoreRun[];
    const [cpuAfter, idleAfter, ended] = [await this.#cpu(), idleTime(), performance.now()];
    const elapsed = Math.max(...runs.map((run) => run.elapsed));
    if (!isCounted) return;
    this.#rounds.push({
      rate: runs.reduce((sum, run) => sum + (1000 * run.replies) / run.elapsed, 0),
      used: (cpuAfter - cpuBefore) / 1000 / elapsed,
      byClients: runs.reduce((sum, run) => sum + run.cpu, 0) / elapsed,
      idle: (idleAfter - idleBefore) / (ended - begun),
    });
  }

  figures(): OneCoreSubject {
    const spread = (of: (round: Round) => number): Spread => spreadOf(this.#rounds.map(of));
    const isKnown = this.#rounds.every(({ used }) => Number.isFinite(used));
    return {
      name: this.name,
      processes: this.#processes,
      rate: spread(({ rate }) => rate),
      used: isKnown ? spread(({ used }) => used) : null,
      byClients: spread(({ byClients }) => byClients),
      idle: availableParallelism() === cpus().length ? spread(({ idle }) => idle) : null,
    };
  }

  /** In microseconds. On Linux as /proc reports it, which does not wait for the server. */
  async #cpu(): Promise<number> {
    return this.#server.usage()?.cpu ?? (await this.#server.cpu());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.kill(); // while it sends it does not read its input
    await Promise.all([...this.#clients, this.#server].map((child) => child[Symbol.asyncDispose]()));
  }
}

/** Time that the machine's cores were idle, summed, in milliseconds. */
const idleTime = (): number => cpus().reduce((sum, { times }) => sum + times.idle, 0);

// ------------------------------------------------------------------------------------------------------------------ verdict

/** V8's own threads, which collect garbage, are in the server's CPU time. */
const MAX_OF_ONE = 1.15;
/** Below, the machine was busy, or the load too small, and "at most one core" shows nothing. */
const MIN_OF_ONE = 0.75;
/** Share of all cores that counts as all: the clients need some as well. */
const MIN_SHARE_OF_ALL = 0.75;
/** Share of all cores that may be idle, and used by other programs. */
const MAX_IDLE_SHARE = 0.15;
const MAX_FOREIGN_SHARE = 0.15;
/** A factor of throughput that counts as more. Two cores may be two threads of one, and then are not twice as fast. */
const MIN_GROWTH = 1.1;

const coresOf = ({ median, low, high }: Spread): string =>
  `${threeDigits(median)} cores (${threeDigits(low)} to ${threeDigits(high)})`;

const TEXTS = [
  'one asynchronous process uses at most one core',
  'several processes use all cores',
  'throughput grows with the processes',
] as const;

function verdict({ cores, subjects }: OneCoreFigures): Verdict {
  const [one, many] = [ONE, MANY].map((name) => subjects.find((subject) => subject.name === name));
  if (one === undefined || many === undefined) {
    const because = cores < 2 ? 'This machine has one core.' : 'Nothing was measured.';
    return verdictOf(TEXTS.map((statement) => ({ statement, outcome: 'not tried', because })));
  }
  const judged = [ofOne(one), ofAll(many, cores), ofThroughput(one, many, cores)];
  return verdictOf(judged.map((result, index) => ({ statement: TEXTS[index] ?? '', ...result })));
}

type Judged = Omit<Statement, 'statement'>;

const NOT_REPORTED: Judged = {
  outcome: 'not tried',
  because: 'This system does not report the CPU time of processes.',
};

function ofOne({ used }: OneCoreSubject): Judged {
  if (used === null) return NOT_REPORTED;
  const because = `It used ${coresOf(used)} while a request was always waiting.`;
  if (used.median > MAX_OF_ONE) return { outcome: 'does not hold here', because };
  if (used.median >= MIN_OF_ONE && used.high <= MAX_OF_ONE) return { outcome: 'holds', because };
  return { outcome: 'undecided', because: `${because} Other programs kept the machine busy.` };
}

function ofAll({ processes, used, idle }: OneCoreSubject, cores: number): Judged {
  if (used === null) return NOT_REPORTED;
  const because = `${processes} processes used ${coresOf(used)} of ${cores}.`;
  if (used.median >= MIN_SHARE_OF_ALL * cores) return { outcome: 'holds', because };
  if (idle !== null && idle.median > MAX_IDLE_SHARE * cores)
    return { outcome: 'does not hold here', because: `${because} ${coresOf(idle)} were idle.` };
  return { outcome: 'undecided', because: `${because} Other programs kept the machine busy.` };
}

function ofThroughput(one: OneCoreSubject, many: OneCoreSubject, cores: number): Judged {
  const growth = many.rate.median / one.rate.median;
  const because = `${threeDigits(many.rate.median)} requests/s with ${many.processes} processes, ${threeDigits(one.rate.median)} with one: ${threeDigits(growth)} times.`;
  if (growth >= MIN_GROWTH && many.rate.low > one.rate.high) return { outcome: 'holds', because };
  const { used, byClients, idle } = many;
  const foreign = used === null || idle === null ? null : cores - used.median - byClients.median - idle.median;
  if (foreign === null || foreign > MAX_FOREIGN_SHARE * cores)
    return { outcome: 'undecided', because: `${because} Other programs kept the machine busy.` };
  return { outcome: 'does not hold here', because };
}

function tables({ subjects }: OneCoreFigures): readonly ReportTable[] {
  return [
    {
      title: 'The same load, medians. Cores: CPU time per elapsed time',
      columns: ['server', 'processes', 'requests/s', 'cores used'],
      rows: subjects.map(({ name, processes, rate, used }) => [
        ...[name, processes, rate.median, used?.median ?? null],
      ]),
    },
    {
      title: 'The other cores, medians',
      columns: ['server', 'used by clients', 'idle'],
      rows: subjects.map(({ name, byClients, idle }) => [name, byClients.median, idle?.median ?? null]),
    },
  ];
}

function charts({ subjects }: OneCoreFigures): readonly ReportChart[] {
  if (subjects.length === 0) return [];
  return [
    {
      kind: 'range',
      title: 'Throughput',
      value: { label: 'requests/s' },
      parts: QUARTILES,
      categories: subjects.map(({ name, processes }) => `${name}, ${processes}`),
      series: [{ name: 'requests/s', values: subjects.map(({ rate }) => rangeOf(rate)) }],
    },
  ];
}

const cores = availableParallelism();

export const oneCore: Experiment<OneCoreFigures> = {
  name: 'one-core',
  title: 'One core and many',
  claim: 'One asynchronous process uses at most one core. Several processes use all of them.',
  source: 'post 001, claim (c)',
  setUp: `Servers of remote procedure calls, each with ${CONNECTIONS_PER_PROCESS} connections per process: one reactor, and a reactor in each of as many processes as there are cores. Each connection sends a small request that costs the server up to a millisecond of CPU time (a list nested ${DEPTH} times, to be parsed and written), and the next one once the reply is there. The CPU time of the clients is counted apart. Rounds are interleaved.`,
  isAvailable: cores > 1,
  why: cores > 1 ? `this machine has ${cores} cores` : 'this machine has one core',
  measure,
  tables,
  charts,
  verdict,
};
