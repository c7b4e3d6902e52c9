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
import { voluntarySwitchesOf } from '../measuring/usage.js';
import { threeDigits } from '../report/words.js';
import { type ReportChart, type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import { ACCEPT_STRATEGIES, type AcceptStrategy } from '../../servers.js';
import type { Experiment, MeasureContext } from './experiment.js';

/** Rounds of connections: their quartiles show the noise. */
const ROUNDS = 2;

/** One round of connections. */
export interface HerdRound {
  readonly connections: number;
  /** Wake-ups without a connection to accept. */
  readonly emptyWakeups: number;
  /** Voluntary context switches of the processes. null: this system does not report them. */
  readonly contextSwitches: number | null;
}

/** One accept strategy. */
export interface HerdStrategy {
  readonly name: AcceptStrategy;
  readonly rounds: readonly HerdRound[];
  /** Connections accepted by each process, the busiest first. */
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
  quick: { processes: 4, connections: 20 },
};

async function measure(context: MeasureContext): Promise<ThunderingHerdFigures> {
  const { effort, signal } = context;
  const sizes = SIZES[effort];
  const names = ACCEPT_STRATEGIES.filter(({ isAvailable }) => isAvailable).map(({ name }) => name);
  const strategies = [];
  for (const [index, name] of names.entries()) {
    context.progress(index, names.length, name);
    strategies.push(await herdOf(name, sizes, signal));
  }
  context.progress(names.length, names.length, 'done');
  return { processes: sizes.processes, strategies };
}

async function herdOf(
  accept: AcceptStrategy,
  { processes, connections }: Sizes,
  signal: AbortSignal,
): Promise<HerdStrategy> {
  const subject = { name: `prefork:${accept}`, model: 'prefork', accept } as const;
  await using server = await MeasuredServer.start(subject, { workers: processes });
  const pids = (await server.workers()).filter(({ role }) => role === 'work').map(({ id }) => id);
  const counted = async (): Promise<HerdRound> => {
    const workers = (await server.workers()).filter(({ role }) => role === 'work');
    return {
      connections,
      emptyWakeups: workers.reduce((sum, one) => sum + one.emptyWakeups, 0),
      contextSwitches: voluntarySwitchesOf(workers.map(({ id }) => id)),
    };
  };
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
  const workers = (await server.workers()).filter(({ role }) => role === 'work');
  return { name: accept, rounds, shares: workers.map(({ accepted }) => accepted).sort((a, b) => b - a) };
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
  const hasSwitches = after.contextSwitches !== null && before.contextSwitches !== null;
  return {
    connections: after.connections,
    emptyWakeups: after.emptyWakeups - before.emptyWakeups,
    contextSwitches: hasSwitches ? after.contextSwitches - before.contextSwitches : null,
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
        'connections of each process',
      ],
      rows: strategies.map(({ name, rounds, shares }) => [
        name,
        medianPerConnection(rounds, 'contextSwitches'),
        medianPerConnection(rounds, 'emptyWakeups'),
        shares.join(' '),
      ]),
    },
  ];
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
 * Context switches per connection of a server that wakes one process at a time: it sleeps before the connection and before its bytes, and
 * with a lock before that, too.
 */
const MAX_SWITCHES_OF_ONE = 3.9;
/** Empty wake-ups per connection, where the system does not report context switches: the herd has at least, and one process at most. */
const MIN_EMPTY_OF_HERD = 0.5;
const MAX_EMPTY_OF_ONE = 0.05;

/** The statements of the two claims: by strategy, and whether it wakes all processes or one. */
const STATEMENTS: readonly (readonly [statement: string, strategy: AcceptStrategy, wakes: 'all' | 'one'])[] = [
  ['a connection wakes all processes that wait in select, poll or epoll_wait', 'thundering-herd', 'all'],
  ['a connection wakes all processes that block in accept', 'blocking', 'all'],
  ['with a lock around accept, it wakes one', 'lock', 'one'],
  ['with EPOLLEXCLUSIVE, it wakes one', 'exclusive', 'one'],
];

const verdict = (figures: ThunderingHerdFigures): Verdict =>
  verdictOf(STATEMENTS.map(([statement, strategy, wakes]) => ({ statement, ...answerOf(figures, strategy, wakes) })));

function answerOf(
  { processes, strategies }: ThunderingHerdFigures,
  name: AcceptStrategy,
  wakes: 'all' | 'one',
): Omit<Statement, 'statement'> {
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
function answerOfWakeups(rounds: readonly HerdRound[], wakes: 'all' | 'one'): Omit<Statement, 'statement'> {
  const empty = perConnection(rounds, 'emptyWakeups');
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
  setUp: `prefork with several processes, with each accept strategy. Clients connect one at a time, in ${ROUNDS} rounds: connect, 64 bytes there and back, close. Each waits until all processes sleep (on Linux). The processes’ wake-ups without a connection to accept are counted, and their voluntary context switches: Linux puts a process that comes too late back to sleep without returning from its wait, but its context switches show the wake-up.`,
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
