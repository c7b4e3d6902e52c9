/**
 * Posts 003 (c) and (d): how many of a server's processes one connection wakes, by accept strategy.
 *
 * A process that is woken and has no connection to accept counts an empty wake-up, if its wait returns: before select, poll or epoll_wait
 * returns, Linux checks readiness again and puts a process that comes too late back to sleep. Context switches count those wake-ups, too.
 */
import { readFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MeasuredServer } from '../measuring/measured-server.js';
import { shortConnections } from '../measuring/short-connections.js';
import { spreadOf } from '../measuring/spread.js';
import { allSubjects, subjectNamed } from '../measuring/subjects.js';
import type { TextbookModel } from '../measuring/textbook.js';
import { childrenOf, voluntarySwitchesOf } from '../measuring/usage.js';
import { threeDigits } from '../report/words.js';
import { type ReportChart, type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import type { AcceptStrategy } from '../../servers.js';
import type { Experiment, MeasureContext } from './experiment.js';

/** Rounds of connections: their quartiles show the noise. */
const ROUNDS = 2;

/** One round of connections. */
export interface HerdRound {
  readonly connections: number;
  /** Wake-ups without a connection to accept. null: not counted, by the textbook's servers. */
  readonly emptyWakeups: number | null;
  /** Voluntary context switches of the processes. null: this system does not report them. */
  readonly contextSwitches: number | null;
}

/** One accept strategy of this package's prefork, or of the textbook's in C. */
export interface HerdStrategy {
  /** 'prefork:lock', 'textbook:prefork:lock' */
  readonly name: string;
  readonly rounds: readonly HerdRound[];
  /** Connections accepted by each process, the busiest first. Empty: not counted, by the textbook's servers. */
  readonly shares: readonly number[];
}

/** The figures of this experiment. */
export interface ThunderingHerdFigures {
  readonly processes: number;
  readonly strategies: readonly HerdStrategy[];
}

interface Sizes {
  readonly processes: number;
  /** Connections per round. */
  readonly connections: number;
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { processes: 8, connections: 50 },
  quick: { processes: 8, connections: 20 },
};

async function measure(context: MeasureContext): Promise<ThunderingHerdFigures> {
  const { effort, signal } = context;
  const sizes = SIZES[effort];
  const names = allSubjects()
    .filter(({ isAvailable, model, textbook }) => isAvailable && (model ?? textbook?.model) === 'prefork')
    .map(({ name }) => name);
  const strategies = [];
  for (const [index, name] of names.entries()) {
    context.progress(index, names.length, name);
    strategies.push(await herdOf(name, sizes, signal));
  }
  context.progress(names.length, names.length, 'done');
  return { processes: sizes.processes, strategies };
}

async function herdOf(name: string, { processes, connections }: Sizes, signal: AbortSignal): Promise<HerdStrategy> {
  const subject = subjectNamed(name);
  const isTextbook = subject.textbook !== undefined;
  await using server = await MeasuredServer.start(subject, { workers: processes });
  const workersOf = async () => (await server.workers()).filter(({ role }) => role === 'work');
  const pids = isTextbook ? childrenOf(server.pid) : (await workersOf()).map(({ id }) => id);
  const counted = async (): Promise<HerdRound> => ({
    connections,
    emptyWakeups: isTextbook ? null : (await workersOf()).reduce((sum, one) => sum + one.emptyWakeups, 0),
    contextSwitches: voluntarySwitchesOf(pids),
  });
  const rounds = [];
  for (let i = 0; i < ROUNDS; i++) {
    const before = await counted();
    for (let k = 0; k < connections; k++) {
      await untilAsleep(pids, signal);
      await shortConnections({ port: server.port, connections: 1, concurrency: 1 }, signal);
    }
    await untilAsleep(pids, signal);
    rounds.push(difference(await counted(), before));
  }
  return { name, rounds, shares: (await workersOf()).map(({ accepted }) => accepted).sort((a, b) => b - a) };
}

/** Waits until all processes sleep in a system call: one that is still awake may take a connection for which another one is woken. */
async function untilAsleep(pids: readonly number[], signal: AbortSignal): Promise<void> {
  if (process.platform !== 'linux') return;
  const isAsleep = (pid: number): boolean =>
    /^State:\s+S/m.test(readFileSync(`/proc/${pid}/task/${pid}/status`, 'utf8'));
  while (!pids.every(isAsleep)) {
    signal.throwIfAborted();
    await nextTurn();
  }
}

function difference(after: HerdRound, before: HerdRound): HerdRound {
  const grown = (what: Counted): number | null => {
    const [first, last] = [before[what], after[what]];
    return first === null || last === null ? null : last - first;
  };
  return {
    connections: after.connections,
    emptyWakeups: grown('emptyWakeups'),
    contextSwitches: grown('contextSwitches'),
  };
}

type Counted = 'emptyWakeups' | 'contextSwitches';

/** The figure per connection, in each round. Empty: this system does not report it. */
function perConnection(rounds: readonly HerdRound[], what: Counted): readonly number[] {
  return rounds.flatMap((round) => (round[what] === null ? [] : [round[what] / round.connections]));
}

/** The median figure per connection. null: this system does not report it. */
function medianPerConnection(rounds: readonly HerdRound[], what: Counted): number | null {
  const values = perConnection(rounds, what);
  return values.length === 0 ? null : spreadOf(values).median;
}

const connectionsOf = (strategies: readonly HerdStrategy[]): number =>
  (strategies[0]?.rounds ?? []).reduce((sum, { connections }) => sum + connections, 0);

function tables({ processes, strategies }: ThunderingHerdFigures): readonly ReportTable[] {
  return [
    {
      title: `Wake-ups of ${processes} waiting processes per connection (median of ${ROUNDS} rounds, ${connectionsOf(strategies)} connections)`,
      columns: [
        ...['accept strategy', 'context switches per connection', 'empty wake-ups per connection'],
        'connections of the busiest process, %',
      ],
      rows: strategies.map(({ name, rounds, shares }) => [
        name,
        medianPerConnection(rounds, 'contextSwitches'),
        medianPerConnection(rounds, 'emptyWakeups'),
        busiestShare(shares),
      ]),
    },
  ];
}

/** Share of the busiest process, in per cent. null: not counted */
function busiestShare(shares: readonly number[]): number | null {
  const all = shares.reduce((sum, share) => sum + share, 0);
  return all === 0 ? null : (100 * (shares[0] ?? 0)) / all;
}

function charts({ strategies }: ThunderingHerdFigures): readonly ReportChart[] {
  const series = (
    [
      ['context switches', 'contextSwitches'],
      ['empty wake-ups', 'emptyWakeups'],
    ] as const
  ).map(([name, what]) => ({ name, values: strategies.map(({ rounds }) => medianPerConnection(rounds, what)) }));
  return [
    {
      kind: 'bar',
      title: 'Wake-ups by strategy',
      value: { label: 'number per connection' },
      categories: strategies.map(({ name }) => name),
      series: series.filter(({ values }) => values.some((value) => value !== null)),
    },
  ];
}

/**
 * Context switches per connection of a server that wakes one process at a time: it sleeps in accept, before the bytes, before the end of the
 * stream, and, with a lock, before that is free: 4. One more is for other sleeps on a busy machine.
 */
const MAX_SWITCHES_OF_ONE = 5;
/** Empty wake-ups per connection, where the system does not report context switches: the herd has at least, and one process at most. */
const MIN_EMPTY_OF_HERD = 0.5;
const MAX_EMPTY_OF_ONE = 0.05;

/** The statements of the two claims: by strategy, and whether it wakes all processes or one. */
const STATEMENTS: readonly {
  readonly statement: string;
  /** The strategy of this package's prefork, and the same in C. */
  readonly ours: AcceptStrategy;
  readonly inC: TextbookModel['accept'];
  readonly wakes: 'all' | 'one';
}[] = [
  {
    statement: 'a connection wakes all processes that wait in select, poll or epoll_wait',
    ...{ ours: 'thundering-herd', inC: 'epoll', wakes: 'all' },
  },
  {
    statement: 'a connection wakes all processes that block in accept',
    ...{ ours: 'blocking', inC: 'blocking', wakes: 'all' },
  },
  { statement: 'with a lock around accept, it wakes one', ours: 'lock', inC: 'lock', wakes: 'one' },
  { statement: 'with EPOLLEXCLUSIVE, it wakes one', ours: 'exclusive', inC: 'exclusive', wakes: 'one' },
];

const verdict = (figures: ThunderingHerdFigures): Verdict =>
  verdictOf(
    STATEMENTS.map(({ statement, ours, inC, wakes }) => {
      const own = answerOf(figures, `prefork:${ours}`, wakes);
      const textbook = answerOf(figures, `textbook:prefork:${inC}`, wakes);
      return { statement, ...together(own, textbook) };
    }),
  );

type Answer = Omit<Statement, 'statement'>;

/** One answer for the servers in JavaScript and in C, if they agree. */
function together(own: Answer, textbook: Answer): Answer {
  if (textbook.outcome === 'not tried') return own;
  if (own.outcome === 'not tried') return textbook;
  const because = `${own.because} In C: ${textbook.because.charAt(0).toLowerCase()}${textbook.because.slice(1)}`;
  return { outcome: own.outcome === textbook.outcome ? own.outcome : 'undecided', because };
}

function answerOf({ processes, strategies }: ThunderingHerdFigures, name: string, wakes: 'all' | 'one'): Answer {
  const rounds = strategies.find((strategy) => strategy.name === name)?.rounds;
  if (rounds === undefined) return { outcome: 'not tried', because: `This system does not have ${name}.` };
  if (rounds.length < 2) return { outcome: 'undecided', because: 'Fewer than two rounds.' };
  const switches = perConnection(rounds, 'contextSwitches');
  if (switches.length === 0) return answerOfWakeups(rounds, wakes);
  const [min, max] = [Math.min(...switches), Math.max(...switches)];
  const because = `A connection costs ${threeDigits(spreadOf(switches).median)} context switches of the ${processes} processes (${threeDigits(min)} to ${threeDigits(max)} in single rounds).`;
  // Each process that is woken in vain makes one more voluntary context switch.
  const woken = min >= processes ? 'all' : max <= MAX_SWITCHES_OF_ONE ? 'one' : null;
  if (woken === null) return { outcome: 'undecided', because: `${because} This is neither one process nor all.` };
  return { outcome: woken === wakes ? 'holds' : 'does not hold here', because };
}

/** If the system does not report context switches. Without empty wake-ups it is undecided: see the head of this file. */
function answerOfWakeups(rounds: readonly HerdRound[], wakes: 'all' | 'one'): Answer {
  const empty = perConnection(rounds, 'emptyWakeups');
  if (empty.length === 0) return { outcome: 'not tried', because: 'This system does not report context switches.' };
  const because = `A connection wakes ${threeDigits(spreadOf(empty).median)} processes in vain`;
  if (Math.min(...empty) >= MIN_EMPTY_OF_HERD)
    return { outcome: wakes === 'all' ? 'holds' : 'does not hold here', because: `${because}.` };
  if (wakes === 'one' && Math.max(...empty) <= MAX_EMPTY_OF_ONE) return { outcome: 'holds', because: `${because}.` };
  return {
    outcome: 'undecided',
    because: `${because}: one that comes too late may sleep on without a visible wake-up, and this system does not report context switches.`,
  };
}

export const thunderingHerd: Experiment<ThunderingHerdFigures> = {
  name: 'thundering-herd',
  title: 'One connection wakes all',
  claim:
    'One connection wakes all waiting processes, and one of them gets it: the thundering herd. A lock or EPOLLEXCLUSIVE wakes only one.',
  source: 'post 003, claims (c) and (d)',
  setUp: `prefork with several processes, with each accept strategy: this package’s, and the textbook’s in C. Clients connect one at a time, in ${ROUNDS} rounds: connect, 64 bytes there and back, close. Each waits until all processes sleep (on Linux). The processes’ wake-ups without a connection to accept are counted, and their voluntary context switches: Linux puts a process that comes too late back to sleep without returning from its wait, but its context switches show the wake-up.`,
  isAvailable: true,
  why:
    process.platform === 'linux'
      ? '/proc reports context switches'
      : 'only empty wake-ups: this system does not report context switches',
  measure,
  tables,
  charts,
  verdict,
};
