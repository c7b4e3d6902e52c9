/**
 * What loops with threads beside them live by (post 003: reactor + thread pool, multiple reactors): one thread ends another's wait. The wake-up is
 * a state, and not a message: many of them before the loop looks are one, and one that comes while it does not wait is there when it does.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Mechanism, createProactor, createSelector } from '../../index.js';
import { mechanismsHere } from '../../servers/models/mechanisms.js';
import { WakingThreads } from '../measuring/waking-threads.js';
import type { ReportChart, ReportTable, Verdict } from '../report/report.js';
import type { Experiment, MeasureContext } from './experiment.js';

export const SCENARIOS = ['one by one', 'while it waits', 'while it is busy'] as const;
type Scenario = (typeof SCENARIOS)[number];

export interface WakeupsRow {
  readonly mechanism: string;
  readonly scenario: Scenario;
  readonly threads: number;
  /** Of all of them. */
  readonly wakeups: number;
  /** How often the wait returned because of them. */
  readonly returns: number;
  /** The loop went on waiting although there had been a wake-up since it was back last. */
  readonly isLost: boolean;
}

export interface WakeupsFigures {
  readonly rows: readonly WakeupsRow[];
}

interface Sizes {
  readonly threads: number;
  /** Of each thread. */
  readonly times: number;
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { threads: 8, times: 2000 },
  quick: { threads: 3, times: 200 },
};

/** Milliseconds. Who is not woken in the first is not woken at all; what is left over is there at once, and so within the second. */
const LONG = 3000;
const SHORT = 10;
/** Within so many, threads have done what they were asked, however busy the machine is. */
const LONGEST = 20_000;

// ------------------------------------------------------------------------------------------------------ how it is measured

/** A selector or a proactor that watches nothing but whether somebody wakes it. */
interface Sleeper {
  readonly handle: number;
  /** BLOCKS up to so many milliseconds. */
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

/** With nothing to watch, a wait ends when its time is over, which is never early, or because it was woken. */
function isWokenWithin(sleeper: Sleeper, timeout: number): boolean {
  const begun = performance.now();
  sleeper.wait(timeout);
  return performance.now() - begun < timeout;
}

type Counted = Pick<WakeupsRow, 'returns' | 'isLost'>;

/** Waits until the last wake-up has been noticed. */
function whileItWaits(sleeper: Sleeper, threads: WakingThreads, wakeups: number): Counted {
  let returns = 0;
  for (let noticed = 0; noticed < wakeups;) {
    if (!isWokenWithin(sleeper, LONG)) {
      if (threads.made === noticed) throw new Error('the threads do not go on'); // which is no fault of the loop's
      return { returns, isLost: true };
    }
    returns++;
    // Those that are counted by now need not wake it again; one that is not yet must.
    noticed = threads.made;
    threads.acknowledge(noticed);
  }
  return { returns: returns + leftOver(sleeper), isLost: false };
}

/** Looks only when all of them were made. */
function whileItIsBusy(sleeper: Sleeper, threads: WakingThreads): Counted {
  threads.waitUntilFinished(LONGEST);
  if (!isWokenWithin(sleeper, LONG)) return { returns: 0, isLost: true };
  return { returns: 1 + leftOver(sleeper), isLost: false };
}

function leftOver(sleeper: Sleeper): number {
  let returns = 0;
  while (isWokenWithin(sleeper, SHORT)) returns++;
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
  waking.acknowledge(wakeups); // where one was lost, its thread waits
  waking.waitUntilFinished(LONGEST);
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

// ------------------------------------------------------------------------------------------------------ what the figures say

/** So many wake-ups at least must have become one, where nobody looked meanwhile. One is what is meant; some more would do no harm. */
const MANY = 10;

function verdict({ rows }: WakeupsFigures): Verdict {
  const missing = SCENARIOS.find((scenario) => rows.every((row) => row.scenario !== scenario || row.wakeups < MANY));
  if (missing !== undefined)
    return {
      outcome: 'undecided',
      because: `there are no figures, or of too few wake-ups, of what happens ${missing}`,
    };
  const lost = rows.find(({ isLost }) => isLost);
  if (lost !== undefined) {
    const because = `${lost.mechanism}, ${lost.scenario}: a wake-up was lost after ${lost.returns} returns of the wait`;
    return { outcome: 'does not hold here', because };
  }
  const of = (scenario: Scenario) => rows.filter((row) => row.scenario === scenario);
  const unequal = of('one by one').find(({ returns, wakeups }) => returns !== wakeups);
  if (unequal !== undefined) {
    const because = `${unequal.mechanism}: ${unequal.wakeups} wake-ups one by one made the wait return ${unequal.returns} times`;
    return { outcome: 'does not hold here', because };
  }
  const uncoalesced = of('while it is busy').find(({ returns, wakeups }) => returns * MANY > wakeups);
  if (uncoalesced !== undefined) {
    const { mechanism, wakeups, returns } = uncoalesced;
    const because = `${mechanism}: ${wakeups} wake-ups, made while it was busy, made the wait return ${returns} times`;
    return { outcome: 'does not hold here', because };
  }
  const all = rows.reduce((sum, { wakeups }) => sum + wakeups, 0);
  const most = Math.max(...of('while it is busy').map(({ returns }) => returns));
  const because =
    `none of ${all} was lost; one by one, each made the wait return once; ` +
    `all that were made while the loop was busy made it return ${most === 1 ? 'once' : `at most ${most} times`}`;
  return { outcome: 'holds', because };
}

function tables({ rows }: WakeupsFigures): ReportTable[] {
  return [
    {
      title: 'Wake-ups, and how often the wait returned for them',
      columns: ['mechanism', 'wake-ups come', 'threads', 'wake-ups', 'returns of the wait', 'lost'],
      rows: rows.map(({ mechanism, scenario, threads, wakeups, returns, isLost }) => [
        mechanism,
        scenario,
        threads,
        String(wakeups),
        String(returns),
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
      title: 'How many wake-ups counted as one',
      value: { label: 'wake-ups a return of the wait', isLogarithmic: true },
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
  title: 'Many count as one, none is lost',
  claim:
    'A thread can end the wait of another’s loop at any time. Wake-ups that come before the loop looks count as one; one that comes while ' +
    'it does not wait ends the next wait; none is lost.',
  source: 'post 003, reactor + thread pool and multiple reactors; Java’s Selector.wakeup(), eventfd(2)',
  setUp:
    'Threads wake a selector, or a proactor, of each mechanism, which watches nothing else: one thread that waits each time until it was ' +
    'noticed; several threads at once, while the loop waits for nothing else; the same while it does something else and looks only at the end. ' +
    'One is lost if the loop goes on waiting although it was woken since it was back last.',
  isAvailable: true,
  why: 'every mechanism can be woken',
  measure,
  tables,
  charts,
  verdict,
};
