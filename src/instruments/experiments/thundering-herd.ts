/**
 * Posts 003 (c) and (d): how many of a server's processes one connection wakes, by accept strategy.
 *
 * A process that is woken and has no connection to accept counts an empty wake-up, if its wait returns: before select, poll or epoll_wait
 * returns, Linux checks readiness again and puts a process that comes too late back to sleep. Context switches count those wake-ups, too.
 */
import { MeasuredServer } from '../measuring/measured-server.js';
import { shortConnections } from '../measuring/short-connections.js';
import { meanOf } from '../measuring/spread.js';
import { voluntarySwitchesOf } from '../measuring/usage.js';
import { sentence, threeDigits } from '../report/words.js';
import type { ReportChart, ReportTable, Verdict } from '../report/report.js';
import { ACCEPT_STRATEGIES, type AcceptStrategy } from '../../servers.js';
import type { Experiment, MeasureContext } from './experiment.js';

const HERD: AcceptStrategy = 'thundering-herd';
/** Rounds of connections: the difference between rounds shows the noise. */
const ROUNDS = 4;

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
  full: { processes: 8, connections: 250 },
  quick: { processes: 4, connections: 40 },
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
    await shortConnections({ port: server.port, connections, concurrency: 1 }, signal);
    rounds.push(difference(await counted(), before));
  }
  const workers = (await server.workers()).filter(({ role }) => role === 'work');
  return { name: accept, rounds, shares: workers.map(({ accepted }) => accepted).sort((a, b) => b - a) };
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

/** The mean figure per connection. null: this system does not report it. */
function meanPerConnection(rounds: readonly HerdRound[], what: Counted): number | null {
  const values = perConnection(rounds, what);
  return values.length === 0 ? null : meanOf(values);
}

const connectionsOf = (strategies: readonly HerdStrategy[]): number =>
  (strategies[0]?.rounds ?? []).reduce((sum, { connections }) => sum + connections, 0);

function tables({ processes, strategies }: ThunderingHerdFigures): readonly ReportTable[] {
  return [
    {
      title: `Wake-ups of ${processes} waiting processes per connection (mean of ${connectionsOf(strategies)})`,
      columns: [
        ...['accept strategy', 'context switches per connection', 'empty wake-ups per connection'],
        'connections of each process',
      ],
      rows: strategies.map(({ name, rounds, shares }) => [
        name,
        meanPerConnection(rounds, 'contextSwitches'),
        meanPerConnection(rounds, 'emptyWakeups'),
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
  ).map(([name, what]) => ({ name, values: strategies.map(({ rounds }) => meanPerConnection(rounds, what)) }));
  return [
    {
      kind: 'bar',
      title: 'Wake-ups by strategy',
      value: { label: 'per connection' },
      categories: strategies.map(({ name }) => name),
      series: series.filter(({ values }) => values.some((value) => value !== null)),
    },
  ];
}

/** Strategies that wake one process. */
const WAKE_ONE: readonly AcceptStrategy[] = ['lock', 'exclusive'];

function verdict({ processes, strategies }: ThunderingHerdFigures): Verdict {
  const herd = strategies.find(({ name }) => name === HERD)?.rounds ?? [];
  const others = strategies.filter(({ name }) => WAKE_ONE.includes(name));
  if (herd.length < 2 || others.length === 0 || others.some(({ rounds }) => rounds.length < 2))
    return { outcome: 'undecided', because: 'Fewer than two rounds of the herd or of the strategies that wake one.' };
  const switches = perConnection(herd, 'contextSwitches');
  const otherSwitches = others.map(({ rounds }) => perConnection(rounds, 'contextSwitches'));
  if (switches.length === 0 || otherSwitches.some((values) => values.length === 0))
    return verdictOfWakeups(herd, others);
  // Each process that is woken in vain makes one more voluntary context switch.
  const max = Math.max(...otherSwitches.flat());
  const min = Math.min(...otherSwitches.flat());
  const result = `a connection costs ${threeDigits(meanPerConnection(herd, 'contextSwitches') ?? NaN)} context switches if all ${processes} processes wait for it, ${othersOf(others, 'contextSwitches')}`;
  if (Math.min(...switches) - max >= (processes - 1) / 2)
    return { outcome: 'holds', because: `${sentence(result)}: most of the others are woken in vain.` };
  if (Math.max(...switches) <= 1.25 * min)
    return { outcome: 'does not hold here', because: `${sentence(result)}: no more are woken.` };
  return {
    outcome: 'undecided',
    because: `${sentence(result)}, between ${threeDigits(Math.min(...switches))} and ${threeDigits(Math.max(...switches))} in single rounds: this may be noise or more than one wake-up, but not clearly all.`,
  };
}

/** The verdict if the system does not report context switches. Without empty wake-ups it is undecided: see the head of this file. */
function verdictOfWakeups(herd: readonly HerdRound[], others: readonly HerdStrategy[]): Verdict {
  const empty = perConnection(herd, 'emptyWakeups');
  const max = Math.max(...others.flatMap(({ rounds }) => perConnection(rounds, 'emptyWakeups')));
  const result = `a connection wakes ${threeDigits(meanPerConnection(herd, 'emptyWakeups') ?? NaN)} processes in vain if all wait for it, ${othersOf(others, 'emptyWakeups')}`;
  if (Math.min(...empty) >= 0.5 && max <= 0.05) return { outcome: 'holds', because: `${sentence(result)}.` };
  return {
    outcome: 'undecided',
    because: `${sentence(result)}: a process that comes too late may sleep on without a visible wake-up, and this system does not report context switches.`,
  };
}

/** '2.98 with lock, 2.01 with exclusive' */
function othersOf(others: readonly HerdStrategy[], what: Counted): string {
  return others
    .map(({ name, rounds }) => `${threeDigits(meanPerConnection(rounds, what) ?? NaN)} with ${name}`)
    .join(', ');
}

export const thunderingHerd: Experiment<ThunderingHerdFigures> = {
  name: 'thundering-herd',
  title: 'One connection wakes all',
  claim:
    'One connection wakes all waiting processes, and one of them gets it: the thundering herd. A lock or EPOLLEXCLUSIVE wakes only one.',
  source: 'post 003, claims (c) and (d)',
  setUp: `prefork with several processes, with each accept strategy. Clients connect one at a time, in ${ROUNDS} rounds: connect, 64 bytes there and back, close. The processes’ wake-ups without a connection to accept are counted, and their voluntary context switches: Linux puts a process that comes too late back to sleep without returning from its wait, but its context switches show the wake-up.`,
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
