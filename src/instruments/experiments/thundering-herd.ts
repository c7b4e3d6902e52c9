/**
 * Posts 003 (c) and (d): how many of a server's processes one connection wakes, by how they accept.
 *
 * A process that is woken and finds nobody to accept is an empty wake-up, if it comes to look: Linux looks first, before select, poll or
 * epoll_wait returns, and lets who comes too late sleep on, unseen. Its context switches tell of those, too.
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
/** The connections come in so many rounds: how much one differs from another is the noise. */
const ROUNDS = 4;

export interface HerdRound {
  readonly connections: number;
  /** Wake-ups after which there was nobody to accept. */
  readonly emptyWakeups: number;
  /** How often a process gave up its processor to wait. null: this system does not tell. */
  readonly contextSwitches: number | null;
}

export interface HerdStrategy {
  readonly name: AcceptStrategy;
  readonly rounds: readonly HerdRound[];
  /** Connections of each process, the busiest first. */
  readonly shares: readonly number[];
}

export interface ThunderingHerdFigures {
  readonly processes: number;
  readonly strategies: readonly HerdStrategy[];
}

interface Sizes {
  readonly processes: number;
  /** Of each round. */
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
    await shortConnections({ port: server.port, connections, atOnce: 1 }, signal);
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

/** A connection, in each round. Empty: not told here. */
function each(rounds: readonly HerdRound[], what: Counted): readonly number[] {
  return rounds.flatMap((round) => (round[what] === null ? [] : [round[what] / round.connections]));
}

/** A connection, over all rounds. */
function overall(rounds: readonly HerdRound[], what: Counted): number | null {
  const values = each(rounds, what);
  return values.length === 0 ? null : meanOf(values);
}

const connectionsOf = (strategies: readonly HerdStrategy[]): number =>
  (strategies[0]?.rounds ?? []).reduce((sum, { connections }) => sum + connections, 0);

function tables({ processes, strategies }: ThunderingHerdFigures): readonly ReportTable[] {
  return [
    {
      title: `What one connection does to ${processes} processes that wait (mean of ${connectionsOf(strategies)})`,
      columns: [
        ...['how they accept', 'context switches a connection', 'empty wake-ups a connection'],
        'connections of each process',
      ],
      rows: strategies.map(({ name, rounds, shares }) => [
        name,
        overall(rounds, 'contextSwitches'),
        overall(rounds, 'emptyWakeups'),
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
  ).map(([name, what]) => ({ name, values: strategies.map(({ rounds }) => overall(rounds, what)) }));
  return [
    {
      kind: 'bar',
      title: 'Wake-ups by strategy',
      value: { label: 'a connection' },
      categories: strategies.map(({ name }) => name),
      series: series.filter(({ values }) => values.some((value) => value !== null)),
    },
  ];
}

/** Those that wake one. */
const ONE: readonly AcceptStrategy[] = ['lock', 'exclusive'];

function verdict({ processes, strategies }: ThunderingHerdFigures): Verdict {
  const herd = strategies.find(({ name }) => name === HERD)?.rounds ?? [];
  const others = strategies.filter(({ name }) => ONE.includes(name));
  if (herd.length < 2 || others.length === 0 || others.some(({ rounds }) => rounds.length < 2))
    return { outcome: 'undecided', because: 'Fewer than two rounds of the herd, or of those that wake one.' };
  const switches = each(herd, 'contextSwitches');
  const otherSwitches = others.map(({ rounds }) => each(rounds, 'contextSwitches'));
  if (switches.length === 0 || otherSwitches.some((values) => values.length === 0))
    return verdictOfWakeups(herd, others);
  // Each process that is woken for nothing gives up its processor once more.
  const most = Math.max(...otherSwitches.flat());
  const least = Math.min(...otherSwitches.flat());
  const saw = `a connection costs ${threeDigits(overall(herd, 'contextSwitches') ?? NaN)} context switches where all ${processes} processes wait for it, ${othersOf(others, 'contextSwitches')}`;
  if (Math.min(...switches) - most >= (processes - 1) / 2)
    return { outcome: 'holds', because: `${sentence(saw)}: most of the others are woken for nothing.` };
  if (Math.max(...switches) <= 1.25 * least)
    return { outcome: 'does not hold here', because: `${sentence(saw)}: no more are woken.` };
  return {
    outcome: 'undecided',
    because: `${sentence(saw)}, between ${threeDigits(Math.min(...switches))} and ${threeDigits(Math.max(...switches))} in single rounds: more than one is woken, or there is noise, but not clearly all.`,
  };
}

/** Where a system does not tell of context switches. None at all says nothing: see the head of this file. */
function verdictOfWakeups(herd: readonly HerdRound[], others: readonly HerdStrategy[]): Verdict {
  const empty = each(herd, 'emptyWakeups');
  const most = Math.max(...others.flatMap(({ rounds }) => each(rounds, 'emptyWakeups')));
  const saw = `a connection wakes ${threeDigits(overall(herd, 'emptyWakeups') ?? NaN)} processes for nothing where all wait for it, ${othersOf(others, 'emptyWakeups')}`;
  if (Math.min(...empty) >= 0.5 && most <= 0.05) return { outcome: 'holds', because: `${sentence(saw)}.` };
  return {
    outcome: 'undecided',
    because: `${sentence(saw)}: who comes too late may be left to sleep on, unseen, and this system does not tell of context switches.`,
  };
}

/** '2.98 with lock, 2.01 with exclusive' */
function othersOf(others: readonly HerdStrategy[], what: Counted): string {
  return others.map(({ name, rounds }) => `${threeDigits(overall(rounds, what) ?? NaN)} with ${name}`).join(', ');
}

export const thunderingHerd: Experiment<ThunderingHerdFigures> = {
  name: 'thundering-herd',
  title: 'One connection wakes all',
  claim:
    'One connection wakes all processes that wait, and one wins: the thundering herd. A lock or EPOLLEXCLUSIVE wakes one.',
  source: 'post 003, claims (c) and (d)',
  setUp: `prefork with several processes, by each way to accept. Clients come one after the other, in ${ROUNDS} rounds: connect, 64 bytes there and back, close. Counted are the processes’ wake-ups after which there was nobody to accept, and how often they gave up the processor to wait: Linux lets a process that comes too late sleep on without telling it, but its context switches show.`,
  isAvailable: true,
  why:
    process.platform === 'linux'
      ? '/proc tells of context switches'
      : 'empty wake-ups alone: this system does not tell of context switches',
  measure,
  tables,
  charts,
  verdict,
};
