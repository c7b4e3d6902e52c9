/**
 * The measurement. In each cell all subjects are started and visited once to warm up, then all of them in each round, in random order. So
 * other work of the machine affects all subjects alike.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { builtC } from './build.js';
import { ServerProcess, TooFewDescriptors, measured } from './child.js';
import { type Processors, boundTo } from './processors.js';
import { CORES, type CoresSubject } from './cores.js';
import type { CoresCell, CoresRound, IdleCell, Round, ServedCell, TurnsCell } from './results.js';
import type { BenchSubject } from './subjects.js';
import type { TurnProgram } from './turn-programs.js';
import { otherWorkBetween, workUpToNow } from '../measuring/busyness.js';
import { IDLE, type LoadCell, TURNS, type TurnsRow, type Workload } from './workloads.js';

/** Options of a measurement. */
export interface RunOptions {
  readonly subjects: readonly BenchSubject[];
  readonly turnPrograms: readonly TurnProgram[];
  readonly coresSubjects: readonly CoresSubject[];
  readonly rounds: number;
  /** Duration of one visit. */
  readonly seconds: number;
  readonly processors: Processors | null;
  readonly signal: AbortSignal;
  /** Called before each visit. */
  readonly onVisit: (what: string) => void;
}

/** What bench/c/load.c prints. */
interface LoadFigures {
  readonly messages: number;
  readonly seconds: number;
  /** Nanoseconds. */
  readonly serverCpu: number;
  readonly clientCpu: number;
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** Seconds of a visit before the measurement. */
const WARM_UP = 0.2;
/** The same for a server that has just been started. */
const CORES_WARM_UP = 0.5;
/** Milliseconds between two visits. */
const PAUSE = 30;
const MANY = 1000;
/** The same after a visit with MANY connections or more. */
const PAUSE_AFTER_MANY = 250;
/** Minimum seconds of turns. The programs themselves warm up their just-in-time compiler. */
const MIN_TURN_SECONDS = 0.2;

function shuffled<T>(all: readonly T[]): T[] {
  const order = all.map((one) => ({ one, at: Math.random() }));
  return order.sort((a, b) => a.at - b.at).map(({ one }) => one);
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Visits of one cell. A subject that fails once is left out from then on, and its error is reported. */
class Visits<T> {
  readonly values: Record<string, T[]> = {};
  readonly failed: Record<string, string> = {};
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  async visit(name: string, run: () => Promise<T>, isCounted = true): Promise<void> {
    if (name in this.failed) return;
    try {
      const value = await run();
      if (isCounted) (this.values[name] ??= []).push(value);
    } catch (error) {
      this.#signal.throwIfAborted();
      Reflect.deleteProperty(this.values, name); // discards all samples of a subject that failed once
      this.failed[name] = error instanceof TooFewDescriptors ? `left out: ${error.message}` : messageOf(error);
    }
  }
}

/** Number of visits of a cell, for the progress bar. */
export const visitsOf = (subjects: number, rounds: number): number => subjects * (rounds + 1);

/** The subjects that serve a workload. */
export const servedBy = (workload: Workload, subjects: readonly BenchSubject[]): readonly BenchSubject[] =>
  subjects.filter(({ serves }) => serves.includes(workload.application));

/** Measures one cell of a workload. */
export async function runServed(workload: Workload, cell: LoadCell, options: RunOptions): Promise<ServedCell> {
  const { rounds, seconds, processors, signal, onVisit } = options;
  const before = workUpToNow();
  await using stack = new AsyncDisposableStackOf();
  const subjects = servedBy(workload, options.subjects);
  const visits = new Visits<Round>(signal);
  const servers = new Map<string, ServerProcess>();
  for (const { name, command } of subjects) {
    await visits.visit(
      name,
      async () => {
        const bound = [...boundTo(processors?.server), ...command(workload.application)];
        servers.set(name, stack.use(await ServerProcess.start(bound, signal)));
        return NOTHING;
      },
      false,
    );
  }
  for (let round = 0; round <= rounds; round++) {
    for (const { name } of shuffled(subjects)) {
      const server = servers.get(name);
      if (server === undefined) continue;
      onVisit(`${cell.name}, ${name}`);
      await visits.visit(name, () => load(workload, cell, server, seconds, options), round > 0);
      // The server still handles the closed connections, on the processor that the next subject needs.
      await sleep(cell.connections >= MANY ? PAUSE_AFTER_MANY : PAUSE);
    }
  }
  return {
    cell: cell.name,
    rounds: visits.values,
    failed: visits.failed,
    otherWork: otherWorkBetween(before, workUpToNow()),
  };
}

/** The command line of bench/c/load.c. */
function clients(
  workload: string,
  { port }: ServerProcess,
  flags: Readonly<Record<string, number | readonly number[]>>,
  processor: number | undefined,
): readonly string[] {
  const options = Object.entries(flags).flatMap(([flag, values]) =>
    [values].flat().flatMap((value) => [`-${flag}`, String(value)]),
  );
  return [...boundTo(processor), builtC('load'), ...options, workload, String(port)];
}

/** The result of a visit that is not counted. */
const NOTHING: Round = { cpu: NaN, perSecond: NaN, p50: NaN, p99: NaN, clientBusy: NaN };

async function load(
  { name, application }: Workload,
  { connections, size, pipelined }: LoadCell,
  server: ServerProcess,
  seconds: number,
  { processors, signal }: RunOptions,
): Promise<Round> {
  server.assertServes();
  const workload = name === 'connect' ? name : application;
  const flags = { c: connections, s: size, p: pipelined, t: seconds, w: WARM_UP, k: server.pid };
  const figures = await measured<LoadFigures>(clients(workload, server, flags, processors?.clients), signal);
  return {
    cpu: figures.serverCpu / 1000 / figures.messages,
    perSecond: figures.messages / figures.seconds,
    p50: figures.p50,
    p99: figures.p99,
    clientBusy: figures.clientCpu / 1e9 / figures.seconds,
  };
}

/**
 * Memory per idle connection. Each visit starts a new server, because memory that has grown is reused. The server serves other connections
 * before, because code that is compiled for the first connections is not part of their memory.
 */
export async function runIdle(connections: number, options: RunOptions): Promise<IdleCell> {
  const { rounds, processors, signal, onVisit } = options;
  const subjects = options.subjects.filter(({ serves }) => serves.includes('echo'));
  const visits = new Visits<number>(signal);
  for (let round = 0; round < rounds; round++) {
    for (const { name, command } of shuffled(subjects)) {
      onVisit(`idle ${connections}, ${name}`);
      await visits.visit(name, async () => {
        await using server = await ServerProcess.start([...boundTo(processors?.server), ...command('echo')], signal);
        await measured(clients('echo', server, { t: IDLE.servesBefore }, processors?.clients), signal);
        const flags = { c: connections, s: IDLE.size, k: server.pid };
        const figures = await measured<{ before: number; memory: number }>(
          clients('idle', server, flags, processors?.clients),
          signal,
        );
        return (figures.memory - figures.before) / connections;
      });
    }
  }
  return { cell: `idle ${connections}`, bytes: visits.values, failed: visits.failed };
}

/** Measures servers on one core and on two. @throws if there is only one */
export async function runCores(options: RunOptions): Promise<CoresCell> {
  const { coresSubjects, rounds, processors, signal, onVisit } = options;
  if (processors === null) throw new Error('two processors are needed');
  const { connections, size, name: cell } = CORES;
  const visits = new Visits<CoresRound>(signal);
  const before = workUpToNow();
  for (let round = 0; round <= rounds; round++) {
    for (const subject of shuffled(coresSubjects)) {
      onVisit(`${cell}, ${subject.name}`);
      await visits.visit(subject.name, () => coresVisit(subject, processors, options), round > 0);
      await sleep(PAUSE);
    }
  }
  const otherWork = otherWorkBetween(before, workUpToNow());
  return { cell: `${cell} ${connections} x ${size}`, rounds: visits.values, failed: visits.failed, otherWork };
}

/** Each visit starts the server: a waiting server of several threads would run on the cores of the others. */
async function coresVisit(
  { placement, command }: CoresSubject,
  { server: first, clients: second }: Processors,
  { seconds, signal }: RunOptions,
): Promise<CoresRound> {
  const cores = placement === 'two cores' ? [first, second] : [first];
  await using server = await ServerProcess.start([...boundTo(...cores), ...command()], signal);
  const flags = { c: CORES.connections, s: CORES.size, t: seconds, w: CORES_WARM_UP };
  const all = await Promise.all(
    (placement === 'one core' ? [first] : [first, second]).map((core, i) =>
      measured<LoadFigures>(clients('echo', server, i === 0 ? { ...flags, k: server.pids } : flags, core), signal),
    ),
  );
  // The first clients have read the server's CPU time, over their own time.
  const [one] = all as [LoadFigures];
  const perSecond = all.reduce((sum, figures) => sum + figures.messages / figures.seconds, 0);
  return {
    perSecond,
    serverCpu: one.serverCpu / 1000 / one.seconds / perSecond,
    clientCpu: all.reduce((sum, figures) => sum + figures.clientCpu / 1000 / figures.seconds, 0) / perSecond,
  };
}

/** Measures one cell of selector turns. */
export async function runTurns(
  { mechanism }: TurnsRow,
  registered: number,
  active: number,
  { turnPrograms, rounds, seconds, processors, signal, onVisit }: RunOptions,
): Promise<TurnsCell> {
  const programs = turnPrograms.filter(({ mechanisms }) => mechanisms.includes(mechanism));
  const cell = `${mechanism} ${registered}, ${active} active`;
  const visits = new Visits<number>(signal);
  const before = workUpToNow();
  for (let round = 0; round < rounds; round++) {
    for (const { name, command } of shuffled(programs)) {
      onVisit(`${cell}, ${name}`);
      await visits.visit(name, async () => {
        const eventfds = [registered, active, TURNS.first].map(String);
        const program = command(mechanism, registered, active, Math.max(MIN_TURN_SECONDS, seconds / 2));
        const bound = [...boundTo(processors?.server), builtC('with-eventfds'), ...eventfds, ...program];
        const { ns, ready } = await measured<{ ns: number; ready: number }>(bound, signal);
        if (Math.abs(ready - active) > 0.01) throw new Error(`${active} are ready, but it reports ${ready}`);
        return ns;
      });
    }
  }
  const otherWork = otherWorkBetween(before, workUpToNow());
  return { cell, mechanism, registered, active, turns: visits.values, failed: visits.failed, otherWork };
}

/** AsyncDisposableStack, which Node 20 lacks. */
class AsyncDisposableStackOf implements AsyncDisposable {
  readonly #all: AsyncDisposable[] = [];

  use<T extends AsyncDisposable>(one: T): T {
    this.#all.push(one);
    return one;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#all.map((one) => one[Symbol.asyncDispose]()));
  }
}
