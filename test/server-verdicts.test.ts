/** The verdicts of the server experiments, for figures that confirm, refute, or leave the claim undecided. */
import { describe, expect, it } from 'vitest';
import { type Crash, crashIsolation } from '../src/instruments/experiments/crash-isolation.js';
import type { Experiment } from '../src/instruments/experiments/experiment.js';
import { type ForkCostFigures, forkCost } from '../src/instruments/experiments/fork-cost.js';
import { type ForgottenCopyRun, forgottenCopy } from '../src/instruments/experiments/forgotten-copy.js';
import { type HeadOfLineFigures, headOfLine } from '../src/instruments/experiments/head-of-line.js';
import { type OneAtATimeFigures, oneAtATime } from '../src/instruments/experiments/one-at-a-time.js';
import { type HeldSpread, type IdleMemoryFigures, idleMemory } from '../src/instruments/experiments/idle-memory.js';
import { type OneCoreFigures, oneCore } from '../src/instruments/experiments/one-core.js';
import { type OrderingFigures, ordering } from '../src/instruments/experiments/ordering.js';
import { type PassingFigures, passingDescriptors } from '../src/instruments/experiments/passing-descriptors.js';
import { type SlowPeersFigures, slowPeers } from '../src/instruments/experiments/slow-peers.js';
import { type ThreadCostFigures, threadCost } from '../src/instruments/experiments/thread-cost.js';
import { type ThunderingHerdFigures, thunderingHerd } from '../src/instruments/experiments/thundering-herd.js';
import { type Spread, spreadOf } from '../src/instruments/measuring/spread.js';
import type { Outcome } from '../src/instruments/report/report.js';

const about = (median: number, count = 20): Spread => ({ count, low: 0.9 * median, median, high: 1.1 * median });

type Row<F> = readonly [what: string, outcome: Outcome, figures: F, because: RegExp];

/** One test per row. */
function verdicts<F>(experiment: Experiment<F>, rows: readonly Row<F>[]): void {
  describe(experiment.name, () => {
    it.each(rows)('%s: %s', (_, outcome, figures, because) => {
      const verdict = experiment.verdict(figures);
      expect(verdict.outcome).toBe(outcome);
      const reasons = [verdict.because, ...(verdict.statements ?? []).map((one) => one.because)].join(' ');
      expect(reasons).toMatch(because);
      expect(reasons).not.toMatch(/NaN|undefined|null|Infinity/);
      expect(
        experiment.verdict(JSON.parse(JSON.stringify(figures)) as F),
        'the same verdict after a JSON round trip',
      ).toEqual(verdict);
    });
  });
}

// -------------------------------------------------------------------------------------------------------------- slow-peers

const crowd = { answered: 0, turnedAway: 8, queued: 4, inBacklog: 0 };
/** @param firstByte with 0, 3 and 4 slow clients */
const pool = (...firstByte: readonly number[]): SlowPeersFigures => ({
  workers: 4,
  hold: 1000,
  models: [
    {
      name: 'thread-pool',
      cases: firstByte.map((ms, index) => ({ slow: [0, 3, 4][index] ?? 0, firstByte: about(ms) })),
      crowd,
    },
    { name: 'reactor', cases: [{ slow: 4, firstByte: about(0.5) }], crowd },
  ],
});

verdicts(slowPeers, [
  [
    'a fresh client waits for as long as the slow ones stay',
    'holds',
    pool(0.8, 0.9, 1001),
    /0\.9 ms.*1,000 ms.*reactor after 0\.5 ms/,
  ],
  ['a fresh client is answered all the same', 'holds in part', pool(0.8, 0.9, 1.1), /after 1\.1 ms/],
  ['it waits for half as long', 'holds in part', pool(0.8, 0.9, 500), /not for as long as/],
  ['it waits as long with a worker to spare', 'holds in part', pool(0.8, 1000, 1000), /already/],
  ['it waits as long with no slow one', 'holds in part', pool(1000, 0.8, 1000), /already/],
  ['no slow clients', 'holds in part', pool(0.8), /not measured/],
  ['there is no pool', 'undecided', { ...pool(), models: [] }, /not measured/],
]);

// ------------------------------------------------------------------------------------------------------------- thread-cost

type Point = ThreadCostFigures['points'][number];

const TEXTBOOK = 'textbook:thread-per-connection';
const ISOLATES = 'thread-per-connection';
const MEMORY: Readonly<Record<string, number>> = { reactor: 20_000, [TEXTBOOK]: 12_500, [ISOLATES]: 10_000_000 };

const point = (model: string, connections: number, own: Partial<Point> = {}): Point => ({
  ...{ model, connections, threads: model === 'reactor' ? 1 : connections + 1 },
  ...{ memory: connections * (MEMORY[model] ?? NaN) },
  ...{ contextSwitches: model === 'reactor' ? 0.1 : 1.1, messagesPerSecond: 40_000, p99: 2 },
  ...own,
});
/** @param many the figures of the threads of C with `most` connections */
const threads = (many: Partial<Point> = {}, ofReactor: Partial<Point> = {}, most = 3000): ThreadCostFigures => ({
  points: [
    ...[point(TEXTBOOK, 10), point(ISOLATES, 10), point('reactor', 10)],
    ...[point(TEXTBOOK, most, many), point(ISOLATES, 200), point('reactor', most, ofReactor)],
  ],
  arrivals: [
    { model: TEXTBOOK, time: about(3.4) },
    { model: ISOLATES, time: about(900) },
    { model: 'reactor', time: about(2) },
  ],
  notTried: [{ model: ISOLATES, connections: 500, why: 'not enough memory' }],
  missing: null,
});
/** Without the textbook's program. @param many the figures of the threads with 200 connections */
const isolates = (many: Partial<Point> = {}, ofReactor: Partial<Point> = {}): ThreadCostFigures => ({
  ...threads(),
  points: [
    ...[point(ISOLATES, 10), point('reactor', 10)],
    ...[point(ISOLATES, 200, many), point('reactor', 200, ofReactor)],
  ],
  arrivals: threads().arrivals.slice(1),
  missing: 'the textbook program in C is not beside the addon',
});
const megabytes = { memory: 30e9 };

verdicts(threadCost, [
  ['threads of C: not more memory, and nothing collapses', 'holds in part', threads(), /^2 of 4 statements/],
  ['all grows, and it collapses', 'holds', threads({ ...megabytes, messagesPerSecond: 4000 }), /^4 of 4/],
  [
    'nothing grows',
    'does not hold here',
    threads({ threads: 8, memory: 1e6, contextSwitches: 0.1 }, { memory: 1e6 }),
    /^0 of 4/,
  ],
  ['the textbook program is missing', 'holds in part', isolates(), /^3 of 4/],
  ['a system that tells neither', 'undecided', threads({ memory: null, contextSwitches: null }), /does not report/],
  ['one number of connections', 'undecided', { ...threads(), points: threads().points.slice(0, 3) }, /few and many/],
  ['nothing was measured', 'undecided', { ...threads(), points: [], arrivals: [] }, /few and many/],
]);

describe('the statements of thread-cost', () => {
  const statementsOf = (figures: ThreadCostFigures): readonly string[] =>
    (threadCost.verdict(figures).statements ?? []).map(({ outcome, because }) => `${outcome}: ${because}`);

  it('say what a thread costs, and what an isolate', () => {
    expect(statementsOf(threads())).toEqual([
      'holds: 3000 connections have 3001 threads; they are threads of C; one with a V8 isolate, as in JavaScript, costs more (10,000 kB each, 12 more are served after 900 ms instead of 3.4 ms)',
      'does not hold here: 12.5 kB per connection, on a reactor 20 kB',
      'holds: 1.1 with 3000 connections, on a reactor 0.1',
      'does not hold here: with 3000 it reaches 100 % of its best, a reactor 100 %',
    ]);
    expect(statementsOf(isolates())[0]).toBe(
      'holds: 200 connections have 201 threads; each has a V8 isolate, which costs far more than a thread (the textbook program in C is not beside the addon)',
    );
  });

  const missed = [{ model: TEXTBOOK, connections: 1000, why: 'EMFILE' }];
  it.each([
    ['it collapses', threads({ messagesPerSecond: 4000 }), /^holds: .* 10 % of its best, a reactor 100 %$/],
    ['it does less', threads({ messagesPerSecond: 18_000 }), /^does not hold here: .* 45 % of its best/],
    [
      'the reactor collapses as well',
      threads({ messagesPerSecond: 4000 }, { messagesPerSecond: 3000 }),
      /^undecided: .* 10 % of its best, a reactor 8 %: not threads alone$/,
    ],
    [
      'a thousand threads were not tried',
      { ...threads({}, {}, 500), notTried: missed },
      /^not tried: with 500 .*; 1000 were not tried: EMFILE$/,
    ],
    ['the isolates were too many', isolates(), /^not tried: with 200 .*; 500 were not tried: not enough memory$/],
  ] as const)('collapse: %s', (_, figures, text) => {
    expect(statementsOf(figures)[3]).toMatch(text);
  });
});

// --------------------------------------------------------------------------------------------------------------- fork-cost

const forks = (forked: Spread, preforked: Spread): ForkCostFigures => ({
  models: [
    ...['process-per-connection', 'textbook:fork-per-connection'].map((name) => ({
      ...{ name, latency: forked, perSecond: 8, perSecondAtOnce: 16, cpu: 80 },
    })),
    ...['prefork', 'textbook:prefork:blocking'].map((name) => ({
      ...{ name, latency: preforked, perSecond: 2000, perSecondAtOnce: 4000, cpu: 0.2 },
    })),
  ],
  programs: [
    { name: 'true', time: about(1.3) },
    { name: 'node', time: about(40) },
  ],
});

verdicts(forkCost, [
  [
    'a process costs many times the work',
    'holds',
    forks(about(110), about(0.4)),
    /2 of 2.*110 ms with.*0\.4 ms without\..*empty Node program alone take 40 ms/,
  ],
  ['a process costs nothing to speak of', 'does not hold here', forks(about(0.5), about(0.4)), /0 of 2.*0\.5 ms with/],
  ['it costs about as much as the work', 'undecided', forks(about(0.8), about(0.4)), /differ by as much/],
  [
    'single ones differ more than the two do',
    'undecided',
    forks({ count: 20, low: 1, median: 110, high: 200 }, { count: 20, low: 0.4, median: 1, high: 90 }),
    /1 to 200 ms.*0\.4 to 90 ms/,
  ],
  ['too few connections', 'undecided', forks(about(110, 2), about(0.4)), /Fewer than 5/],
  ['no prefork', 'not tried', { models: [], programs: [] }, /does not have both/],
]);

// --------------------------------------------------------------------------------------------------------- thundering-herd

const rounds = (empty: readonly number[], switches: readonly (number | null)[]) =>
  empty.map((emptyWakeups, index) => {
    const each = switches[index] ?? null;
    return { connections: 100, emptyWakeups: 100 * emptyWakeups, contextSwitches: each === null ? null : 100 * each };
  });
const none = [null, null];
const herd = (
  own: ReturnType<typeof rounds>,
  lock: ReturnType<typeof rounds>,
  others: Partial<Record<'blocking' | 'exclusive', ReturnType<typeof rounds>>> = {},
): ThunderingHerdFigures => ({
  processes: 8,
  strategies: [
    { name: 'prefork:thundering-herd', rounds: own, shares: [] },
    { name: 'prefork:blocking', rounds: others.blocking ?? rounds([0, 0], [2, 2]), shares: [] },
    { name: 'prefork:lock', rounds: lock, shares: [] },
    { name: 'prefork:exclusive', rounds: others.exclusive ?? lock, shares: [] },
  ],
});

verdicts(thunderingHerd, [
  [
    'processes in epoll_wait are all woken, those in accept are not',
    'holds in part',
    herd(rounds([0, 0], [9.4, 9.6]), rounds([0, 0], [3, 3])),
    /3 of 4 statements/,
  ],
  [
    'all are woken, also in accept, except with a lock or EPOLLEXCLUSIVE',
    'holds',
    herd(rounds([0, 0], [9.4, 9.6]), rounds([0, 0], [3, 3]), { blocking: rounds([0, 0], [9, 9]) }),
    /4 of 4 statements/,
  ],
  [
    'one is woken however they accept',
    'holds in part',
    herd(rounds([0, 0], [2, 2.1]), rounds([0, 0], [2, 2])),
    /2 of 4 statements/,
  ],
  [
    'a lock wakes as many',
    'holds in part',
    herd(rounds([0, 0], [9.5, 9.5]), rounds([0, 0], [9.5, 9.5])),
    /1 of 4 statements/,
  ],
  ['a single round', 'does not hold here', herd(rounds([0.6], [9.5]), rounds([0], [2])), /0 of 4 statements/],
  ['nothing was measured', 'not tried', { processes: 8, strategies: [] }, /0 of 4 statements/],
]);

describe('the statements of thundering-herd', () => {
  const first = (figures: ThunderingHerdFigures) => thunderingHerd.verdict(figures).statements?.[0];
  const lock = rounds([0, 0], [2, 2]);
  it.each([
    ['all are woken, seen by context switches alone', 'holds', rounds([0, 0], [9.4, 9.6]), /9\.4 to 9\.6/],
    ['some are woken', 'undecided', rounds([0, 0], [6, 7]), /neither one process nor all/],
    ['all in one round, one in the other', 'undecided', rounds([0, 0], [9.5, 2]), /2 to 9\.5/],
    ['no context switches, but many wake-ups', 'holds', rounds([0.6, 0.9], none), /0\.\d+ processes in vain/],
    ['neither context switches nor wake-ups', 'undecided', rounds([0, 0.003], none), /does not report/],
    ['a single round', 'undecided', rounds([0.6], [9.5]), /Fewer than two rounds/],
  ] as const)('%s: %s', (_, outcome, own, because) => {
    expect(first(herd(own, lock))).toMatchObject({ outcome, because: expect.stringMatching(because) as string });
  });

  it('servers in C that disagree leave a statement undecided, those that agree are named', () => {
    const { processes, strategies } = herd(rounds([0, 0], [9.4, 9.6]), lock);
    const withC = (...switches: number[]): ThunderingHerdFigures => ({
      ...{ processes },
      strategies: [...strategies, { name: 'textbook:prefork:epoll', rounds: rounds([0, 0], switches), shares: [] }],
    });
    expect(first(withC(9.5, 9.5))).toMatchObject({
      ...{ outcome: 'holds', because: expect.stringMatching(/In C: a connection costs 9\.5/) as string },
    });
    expect(first(withC(2, 2))).toMatchObject({ outcome: 'undecided' });
  });

  it('what this system does not have was not tried', () => {
    const { statements } = thunderingHerd.verdict({
      processes: 8,
      strategies: herd(lock, lock).strategies.slice(0, 3),
    });
    expect(statements?.at(-1)).toMatchObject({ outcome: 'not tried' });
  });
});

// ------------------------------------------------------------------------------------------- one-at-a-time, crash-isolation

const second = (iterative: number, other: number): OneAtATimeFigures => ({
  hold: 1000,
  models: [
    { name: 'iterative', second: about(iterative) },
    { name: 'reactor', second: about(other) },
  ],
});

verdicts(oneAtATime, [
  ['the second client waits for the first', 'holds', second(1120, 1), /2 of 2/],
  ['it is served at once by both', 'holds in part', second(1, 1), /1 of 2/],
  ['it waits in both', 'holds in part', second(1120, 1120), /1 of 2/],
  ['it waits for a while', 'undecided', second(700, 700), /0 of 2/],
  ['nothing was measured', 'undecided', { hold: 1000, models: [] }, /Nothing/],
]);

const crash = (workersAre: 'processes' | 'threads', survivors: number, servesNewClients: boolean): Crash => ({
  ...{ model: workersAre === 'threads' ? 'thread-pool' : 'process-pool', workersAre },
  ...{ clients: 4, survivors, servesNewClients },
});

verdicts(crashIsolation, [
  [
    'a process costs one client, a thread all',
    'holds',
    { crashes: [crash('processes', 3, true), crash('threads', 0, false)] },
    /2 of 2/,
  ],
  [
    'a process takes others with it once',
    'holds in part',
    { crashes: [crash('processes', 3, true), crash('processes', 2, true), crash('threads', 0, false)] },
    /1 of 2/,
  ],
  [
    'threads survive',
    'does not hold here',
    { crashes: [crash('processes', 3, false), crash('threads', 3, true)] },
    /0 of 2/,
  ],
  ['processes alone', 'holds in part', { crashes: [crash('processes', 3, true)] }, /1 of 2/],
  ['nothing was measured', 'not tried', { crashes: [] }, /0 of 2/],
]);

// --------------------------------------------------------------------------------- forgotten-copy, passing-descriptors

const run = (closesCopy: boolean, seesEnd: boolean, delay: number): ForgottenCopyRun => ({
  closesCopy,
  seesEnd,
  delay,
});

verdicts(forgottenCopy, [
  [
    'the end comes with the last copy',
    'holds',
    { hold: 500, runs: [run(true, true, 2), run(false, false, 501)] },
    /2 of 2/,
  ],
  [
    'it comes although a copy is open',
    'holds in part',
    { hold: 500, runs: [run(true, true, 2), run(false, true, 1)] },
    /1 of 2/,
  ],
  [
    'it comes once',
    'holds in part',
    { hold: 500, runs: [run(true, true, 2), run(false, false, 501), run(false, true, 1)] },
    /1 of 2/,
  ],
  ['a forgotten copy alone', 'holds in part', { hold: 500, runs: [run(false, false, 501)] }, /1 of 2/],
  ['nothing was measured', 'not tried', { hold: 500, runs: [] }, /0 of 2/],
]);

/** @param rates of the server that passes descriptors, and of the one with a lock: in C, and of this package */
const passing = (...rates: readonly number[]): PassingFigures => {
  const names = ['textbook:process-pool', 'textbook:prefork:lock', 'process-pool', 'prefork:lock'];
  return { subjects: rates.map((rate, index) => ({ name: names[index] ?? '', rate: about(rate) })) };
};

verdicts(passingDescriptors, [
  ['passing is slower', 'holds', passing(1000, 2000, 500, 1000), /2 of 2/],
  ['in C alone', 'holds in part', passing(1000, 2000, 1000, 500), /1 of 2/],
  ['the lock is slower', 'does not hold here', passing(2000, 1000, 1000, 500), /0 of 2/],
  ['too near to each other', 'undecided', passing(1000, 1050, 1000, 1050), /0 of 2/],
  ['no C program', 'not tried', passing(), /0 of 2/],
]);

// ------------------------------------------------------------------------------------------------------------ head-of-line

/** @param heldUp how many of 100 requests are delayed: by the reactor, by the pool */
const line = (heldUp: number | null, heldUpByPool: number, alone = 3): HeadOfLineFigures => ({
  long: 1000,
  models: [
    { name: 'reactor', alone: about(alone, 100), behind: about((heldUp ?? 100) > 50 ? 1005 : 4, 100), delayed: heldUp },
    { name: 'reactor-thread-pool', alone: about(4, 100), behind: about(5, 100), delayed: heldUpByPool },
  ].map((model) => ({ ...model, times: { alone: [model.alone.median], behind: [model.behind.median] } })),
});

verdicts(headOfLine, [
  [
    'the reactor’s all wait, the pool’s do not',
    'holds',
    line(100, 0),
    /delays 100 of 100.*from 3 to 1,010 ms.*4 threads behind it, 0/,
  ],
  ['nobody waits', 'does not hold here', line(0, 0), /delays 0 of 100/],
  ['the pool’s wait as well', 'undecided', line(100, 100), /not the reactor alone/],
  ['half of them wait', 'undecided', line(50, 0), /some, but not all/],
  ['they wait as long alone', 'undecided', line(null, 0, 600), /already/],
  ['nothing was measured', 'undecided', { long: 1000, models: [] }, /not measured/],
]);

// ---------------------------------------------------------------------------------------------------------------- ordering

const order = (outOfOrder: Readonly<Record<string, number>>, times = 3): OrderingFigures => ({
  sleep: 150,
  models: Object.entries(outOfOrder).map(([name, count]) => ({
    ...{ name, rounds: times, outOfOrder: count },
    replies: [],
  })),
});
const perTask = 'reactor-thread-per-task';

verdicts(ordering, [
  [
    'a thread for each task alone',
    'holds',
    order({ [perTask]: 3, 'multi-reactor': 0, reactor: 0 }),
    /3 of 3 times, the 2 other models never/,
  ],
  ['once is enough', 'holds', order({ [perTask]: 1, 'multi-reactor': 0 }), /1 of 3 times/],
  [
    'another model, too',
    'holds',
    order({ [perTask]: 3, 'multi-reactor': 0, proactor: 1 }),
    /so do proactor; sub-reactors never/,
  ],
  ['it keeps the order', 'does not hold here', order({ [perTask]: 0, 'multi-reactor': 0 }), /keeps the order/],
  [
    'sub-reactors do not',
    'does not hold here',
    order({ [perTask]: 3, 'multi-reactor': 1 }),
    /multi-reactor also answers out of order/,
  ],
  ['asked once only', 'undecided', order({ [perTask]: 0, 'multi-reactor': 0 }, 1), /fewer than 2 rounds/],
  ['no sub-reactors', 'undecided', order({ [perTask]: 3 }), /not measured/],
  ['no thread for each task', 'undecided', order({ 'multi-reactor': 0 }), /not measured/],
]);

it('a spread: the lower and the upper quartile, in any order of samples', () => {
  expect(spreadOf([5, 1, 4, 2, 3])).toEqual({ count: 5, low: 2, median: 3, high: 4 });
  expect(spreadOf([7])).toEqual({ count: 1, low: 7, median: 7, high: 7 });
});

// ---------------------------------------------------------------------------------------------------------------- one-core

interface Load {
  /** Cores used by the reactor, and by two processes. */
  readonly used: readonly (number | null)[];
  /** Requests per second of the same. */
  readonly rates: readonly number[];
  /** Cores idle while two processes serve. */
  readonly idle?: number | null;
}

const onTwoCores = ({ used, rates, idle = 0.05 }: Load): OneCoreFigures => ({
  cores: 2,
  subjects: ['reactor', 'multi-process-reactor'].map((name, index) => {
    const cores = used[index] ?? null;
    return {
      ...{ name, processes: index + 1, rate: about(rates[index] ?? 0), byClients: about(0.05) },
      used: cores === null ? null : about(cores),
      idle: idle === null ? null : about(idle),
    };
  }),
});

verdicts(oneCore, [
  ['one core of one, two of two', 'holds', onTwoCores({ used: [0.96, 1.85], rates: [900, 1700] }), /3 of 3/],
  ['one process uses two', 'holds in part', onTwoCores({ used: [1.8, 1.85], rates: [900, 1700] }), /2 of 3/],
  ['two processes use one', 'holds in part', onTwoCores({ used: [0.96, 0.96], rates: [900, 900], idle: 1 }), /1 of 3/],
  ['other programs use the rest', 'undecided', onTwoCores({ used: [0.6, 0.9], rates: [600, 620] }), /0 of 3/],
  [
    'a machine of which this process may use two cores',
    'undecided',
    onTwoCores({ used: [0.6, 0.9], rates: [600, 620], idle: null }),
    /0 of 3/,
  ],
  ['a system without CPU times', 'holds in part', onTwoCores({ used: [null, null], rates: [900, 1700] }), /1 of 3/],
  ['a machine with one core', 'not tried', { cores: 1, subjects: [] }, /0 of 3/],
]);

it('one-core: a machine with one core is the reason', () => {
  const { statements = [] } = oneCore.verdict({ cores: 1, subjects: [] });
  expect(new Set(statements.map(({ because }) => because))).toEqual(new Set(['This machine has one core.']));
});

// ------------------------------------------------------------------------------------------------------------- idle-memory

const HELD = {
  reactor: 1000,
  proactor: 2000,
  'multi-reactor': 5000,
  'textbook:thread-per-connection': 12_600,
  'textbook:fork-per-connection': 61_400,
  'thread-per-connection': 13e6,
  'process-per-connection': 14e6,
} as const;
type Held = Partial<Record<keyof typeof HELD, number | null>>;

/** @param own bytes that differ from HELD; null: not measured. @param added by the connection of a pool's worker */
const holding = (own: Held = {}, added = 1000, reserved = 8.4e6): IdleMemoryFigures => {
  const held = (bytes: number): HeldSpread => ({
    ...{ own: about(bytes), resident: about(bytes), reserved: about(reserved) },
  });
  const all: readonly (readonly [string, number | null])[] = Object.entries({ ...HELD, ...own });
  const pool = { name: 'thread-pool', connection: held(added), worker: held(13e6) };
  return {
    models: [
      ...all.flatMap(([name, bytes]) => (bytes === null ? [] : [{ name, connection: held(bytes), worker: null }])),
      pool,
    ],
    missing: all.filter(([, bytes]) => bytes === null).map(([name]) => ({ name, why: 'it is not built' })),
  };
};
const noTextbook = { 'textbook:thread-per-connection': null, 'textbook:fork-per-connection': null };

verdicts(idleMemory, [
  ['each holds what serves it', 'holds', holding(), /6 of 6/],
  ['an event loop holds more', 'holds in part', holding({ proactor: 20_000 }), /5 of 6/],
  ['an event loop holds about as much', 'holds in part', holding({ proactor: 10_000 }), /5 of 6/],
  ['no stack is reserved', 'holds in part', holding({}, 1000, 12_600), /5 of 6/],
  ['a fork holds less than a thread', 'holds in part', holding({ 'textbook:fork-per-connection': 4096 }), /5 of 6/],
  ['an isolate holds little', 'holds in part', holding({ 'thread-per-connection': 1e6 }), /4 of 6/],
  ['a connection holds as much as its worker', 'holds in part', holding({}, 13e6), /5 of 6/],
  ['the textbook program is missing', 'holds in part', holding(noTextbook), /3 of 6/],
  ['nothing was measured', 'not tried', { models: [], missing: [] }, /0 of 6/],
]);

describe('the statements of idle-memory', () => {
  const statementsOf = (figures: IdleMemoryFigures): readonly string[] =>
    (idleMemory.verdict(figures).statements ?? []).map(({ outcome, because }) => `${outcome}: ${because}`);

  it('have their figures with units, none negative', () => {
    expect(statementsOf(holding({ reactor: -20 }, -5))).toEqual([
      'holds: reactor 0 kB, proactor 2 kB, multi-reactor 5 kB.',
      'holds: A thread of C reserves 8.4 MB of addresses, and has written 12.6 kB.',
      'holds: 61.4 kB against 12.6 kB, both in C.',
      'holds: A thread with an isolate holds 13 MB, a thread of C 12.6 kB.',
      'holds: A process with Node holds 14 MB, a thread with an isolate 13 MB.',
      'holds: Per worker, and added by its connection: thread-pool 13 MB, 0 kB.',
    ]);
  });

  it('have the reason where a model is missing', () => {
    expect(statementsOf(holding(noTextbook))[1]).toBe('not tried: No textbook:thread-per-connection: it is not built.');
  });
});
