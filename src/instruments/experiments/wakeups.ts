/**
 * Post 003 (reactor + thread pool, multiple reactors): one thread ends the wait of another thread's loop. A wake-up is a state, not a
 * message: several wake-ups before the loop checks coalesce into one, and one made while the loop does not wait ends its next wait.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Mechanism, createProactor, createSelector } from '../../index.js';
import { mechanismsHere } from '../../servers/models/mechanisms.js';
import { WakingThreads } from '../measuring/waking-threads.js';
import { type ReportChart, type ReportTable, type Verdict, verdictOf } from '../report/report.js';
import type { Experiment, MeasureContext } from './experiment.js';

/** When the wake-ups are made. */
export const SCENARIOS = ['one by one', 'while it waits', 'while it is busy'] as const;
type Scenario = (typeof SCENARIOS)[number];

/** One mechanism in one scenario. */
export interface WakeupsRow {
  readonly mechanism: string;
  readonly scenario: Scenario;
  readonly threads: number;
  /** Wake-ups made by all threads. */
  readonly wakeups: number;
  /** Waits that returned because of a wake-up. */
  readonly returns: number;
  /** The loop kept waiting although a wake-up had been made since its last return. */
  readonly isLost: boolean;
}

/** The figures of this experiment. */
export interface WakeupsFigures {
  readonly rows: readonly WakeupsRow[];
}

interface Sizes {
  readonly threads: number;
  /** Wake-ups per thread. */
  readonly times: number;
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { threads: 8, times: 2000 },
  quick: { threads: 3, times: 200 },
};

/** Milliseconds after which a wake-up counts as lost. */
const LOST_TIMEOUT = 3000;
/** Milliseconds. A wake-up that is still pending ends the wait at once. */
const PENDING_TIMEOUT = 10;
/** Milliseconds within which the threads finish, even on a busy machine. */
const FINISH_TIMEOUT = 20_000;

// -------------------------------------------------------------------------------------------------------------- measurement

/** A selector or a proactor that watches nothing and waits only for wake-ups. */
interface Sleeper {
  readonly handle: number;
  /** Blocks until a wake-up, or for `timeout` milliseconds. */
  wait(timeout: number): void;
  close(): void;
}

function sleeperOver(mechanism: Mechanism, kind: 'readiness' | 'completion'): Sleeper {
  if (kind === 'readiness') {
    const selector = createSelector(mechanism);
    return {
      handle: selector.wakeupHandle,
      wait: (timeout) => void selector.select(timeout),
      close: () => selector.close(),
    };
  }
  const proactor = createProactor(mechanism);
  return {
    handle: proactor.wakeupHandle,
    wait: (timeout) => void proactor.wait(timeout),
    close: () => proactor.close(),
  };
}

/** With nothing to watch, a wait ends by a wake-up or after its timeout, never before it. */
function isWokenWithin(sleeper: Sleeper, timeout: number): boolean {
  const begun = performance.now();
  sleeper.wait(timeout);
  return performance.now() - begun < timeout;
}

type Counted = Pick<WakeupsRow, 'returns' | 'isLost'>;

/** Waits until the last wake-up is acknowledged. */
function whileItWaits(sleeper: Sleeper, threads: WakingThreads, wakeups: number): Counted {
  let returns = 0;
  for (let acknowledged = 0; acknowledged < wakeups;) {
    if (!isWokenWithin(sleeper, LOST_TIMEOUT)) {
      if (threads.made === acknowledged) throw new Error('the waking threads made no progress'); // no lost wake-up
      return { returns, isLost: true };
    }
    returns++;
    // The wake-ups counted so far may have coalesced into this return. A later one must end a wait of its own.
    acknowledged = threads.made;
    threads.acknowledge(acknowledged);
  }
  return { returns: returns + drainPending(sleeper), isLost: false };
}

/** Waits only after all wake-ups were made. */
function whileItIsBusy(sleeper: Sleeper, threads: WakingThreads): Counted {
  threads.waitUntilFinished(FINISH_TIMEOUT);
  if (!isWokenWithin(sleeper, LOST_TIMEOUT)) return { returns: 0, isLost: true };
  return { returns: 1 + drainPending(sleeper), isLost: false };
}

/** @returns the number of waits that pending wake-ups still end */
function drainPending(sleeper: Sleeper): number {
  let returns = 0;
  while (isWokenWithin(sleeper, PENDING_TIMEOUT)) returns++;
  return returns;
}

function measureOne(
  scenario: Scenario,
  sleeper: Sleeper,
  waking: WakingThreads,
  sizes: Sizes,
): Omit<WakeupsRow, 'mechanism'> {
  const isOneByOne = scenario === 'one by one';
  const threads = isOneByOne ? 1 : sizes.threads;
  const wakeups = threads * sizes.times;
  waking.begin({ handle: sleeper.handle, threads, times: sizes.times, isOneByOne });
  const counted =
    scenario === 'while it is busy' ? whileItIsBusy(sleeper, waking) : whileItWaits(sleeper, waking, wakeups);
  waking.acknowledge(wakeups); // a thread whose wake-up was lost still waits for it
  waking.waitUntilFinished(FINISH_TIMEOUT);
  return { scenario, threads, wakeups, ...counted };
}

async function measure(context: MeasureContext): Promise<WakeupsFigures> {
  const { effort, signal } = context;
  const sizes = SIZES[effort];
  const mechanisms = mechanismsHere.filter(
    ({ mechanism, available }) => available && !mechanism.startsWith('emulated:'),
  );
  const rows: WakeupsRow[] = [];
  await using waking = await WakingThreads.start(sizes.threads);
  for (const [i, { mechanism, kind }] of mechanisms.entries()) {
    context.progress(i, mechanisms.length, mechanism);
    const sleeper = sleeperOver(mechanism, kind);
    try {
      for (const scenario of SCENARIOS) {
        rows.push({ mechanism, ...measureOne(scenario, sleeper, waking, sizes) });
        await nextTurn(undefined, { signal });
      }
    } finally {
      sleeper.close();
    }
  }
  context.progress(mechanisms.length, mechanisms.length, 'done');
  return { rows };
}

// ------------------------------------------------------------------------------------------------------------------ verdict

/** Wake-ups per return that count as coalesced. All should coalesce into one return; a few more returns do no harm. */
const MIN_COALESCED = 10;

function verdict({ rows }: WakeupsFigures): Verdict {
  const of = (scenario: Scenario) => rows.filter((row) => row.scenario === scenario && row.wakeups >= MIN_COALESCED);
  const lost = rows.find(({ isLost }) => isLost);
  const all = rows.reduce((sum, { wakeups }) => sum + wakeups, 0);
  const hasAll = SCENARIOS.every((scenario) => of(scenario).length > 0);
  const single = of('one by one');
  const unequal = single.find(({ returns, wakeups }) => returns !== wakeups);
  const busy = of('while it is busy');
  const apart = busy.find(({ returns, wakeups }) => returns * MIN_COALESCED > wakeups);
  const max = Math.max(...busy.map(({ returns }) => returns));
  return verdictOf([
    {
      statement: 'no wake-up is lost',
      outcome: lost !== undefined ? 'does not hold here' : hasAll ? 'holds' : 'undecided',
      because:
        lost === undefined
          ? `None of ${all} wake-ups was lost.`
          : `${lost.mechanism}, ${lost.scenario}: one was lost after ${lost.returns} returns of the wait.`,
    },
    {
      statement: 'wake-ups that are made one by one end one wait each',
      outcome: single.length === 0 ? 'undecided' : unequal === undefined ? 'holds' : 'does not hold here',
      because: endedBy(unequal ?? single[0]),
    },
    {
      statement: 'those that are made while the loop does not wait are one, and end its next wait',
      outcome: busy.length === 0 ? 'undecided' : apart === undefined ? 'holds' : 'does not hold here',
      because: apart === undefined && max > 1 ? `They ended at most ${max} waits.` : endedBy(apart ?? busy[0]),
    },
  ]);
}

const endedBy = (row: WakeupsRow | undefined): string =>
  row === undefined
    ? `Fewer than ${MIN_COALESCED} wake-ups.`
    : `${row.mechanism}: ${row.wakeups} wake-ups ended ${row.returns === 1 ? 'one wait' : `${row.returns} waits`}.`;

function tables({ rows }: WakeupsFigures): ReportTable[] {
  return [
    {
      title: 'Wake-ups and the waits that they ended',
      columns: ['mechanism', 'wake-ups are made', 'threads', 'wake-ups', 'returns of the wait', 'lost'],
      rows: rows.map(({ mechanism, scenario, threads, wakeups, returns, isLost }) => [
        mechanism,
        scenario,
        threads,
        wakeups,
        returns,
        isLost ? 'yes' : 'none',
      ]),
    },
  ];
}

function charts({ rows }: WakeupsFigures): ReportChart[] {
  const mechanisms = [...new Set(rows.map(({ mechanism }) => mechanism))];
  const shareOf = (mechanism: string, scenario: Scenario): number | null => {
    const row = rows.find((one) => one.mechanism === mechanism && one.scenario === scenario);
    return row === undefined ? null : row.wakeups / Math.max(1, row.returns);
  };
  return [
    {
      kind: 'bar',
      title: 'Coalesced wake-ups',
      value: { label: 'wake-ups per return of the wait' },
      categories: mechanisms,
      series: SCENARIOS.map((scenario) => ({
        name: scenario,
        values: mechanisms.map((mechanism) => shareOf(mechanism, scenario)),
      })),
    },
  ];
}

export const wakeups: Experiment<WakeupsFigures> = {
  name: 'wakeups',
  title: 'Wake-ups coalesce, none is lost',
  claim:
    'A thread can end the wait of another thread’s loop at any time. Wake-ups made before the loop checks coalesce into one; one made ' +
    'while the loop does not wait ends its next wait; none is lost.',
  source: 'post 003, reactor + thread pool and multiple reactors; Java’s Selector.wakeup(), eventfd(2)',
  setUp:
    'Threads wake a selector or a proactor over each mechanism, which watches nothing else. One by one: one thread, which waits until each ' +
    'wake-up is acknowledged. While it waits: several threads at once. While it is busy: the same, but the loop waits only after the last ' +
    'wake-up. A wake-up is lost if the loop keeps waiting although it was woken since its last return.',
  isAvailable: true,
  why: 'every mechanism can be woken',
  measure,
  tables,
  charts,
  verdict,
};
