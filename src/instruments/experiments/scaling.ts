/** Posts 004 (b) and 001 (b): what one wait costs, by how many descriptors are registered, of which one is ready. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { BaseSelector } from '../../index.js';
import { type Point, exponentOf } from '../measuring/power-law.js';
import { type Spread, spreadOf } from '../measuring/spread.js';
import type { ReportChart, ReportTable, Verdict } from '../report/report.js';
import { FD_SETSIZE } from '../../syscalls.js';
import { startTrace } from '../../trace.js';
import type { Experiment, MeasureContext } from './experiment.js';
import { type Refusal, Sockets, Watchers } from './many-sockets.js';

export interface ScalingPoint {
  readonly mechanism: string;
  /** How many are registered. */
  readonly descriptors: number;
  /** Of one wait, in microseconds: the system call alone. */
  readonly cost: Spread;
}

export interface ScalingFigures {
  readonly fdSetSize: number;
  readonly points: readonly ScalingPoint[];
  readonly refusals: readonly Refusal[];
}

interface Sizes {
  readonly descriptors: readonly number[];
  /** How often each is asked with each number of descriptors. */
  readonly rounds: number;
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { descriptors: [10, 30, 100, 300, 1000, 3000, 10_000], rounds: 301 },
  quick: { descriptors: [10, 100, 300, 1000, 3000], rounds: 51 },
};
/** Windows has no socketpair(2): a pair is a connection over the loopback there, and each takes a port. */
const MOST = process.platform === 'win32' ? 1000 : Infinity;
/** The first ones find nothing in the caches. */
const WARM_UP = 10;
/** Fewer rounds will do where they take longer than so many milliseconds; never fewer than these. */
const LONGEST = 300;
const FEWEST = 21;

// ------------------------------------------------------------------------------------------------------ how it is measured

async function measure(context: MeasureContext): Promise<ScalingFigures> {
  const { effort, signal } = context;
  const { rounds } = SIZES[effort];
  const descriptors = SIZES[effort].descriptors.filter((number) => number <= MOST);
  const points: ScalingPoint[] = [];
  using sockets = new Sockets();
  using watchers = new Watchers();
  for (const [i, wanted] of descriptors.entries()) {
    context.progress(i, descriptors.length, `${wanted} descriptors`);
    if (!sockets.grow(wanted)) break;
    watchers.register(sockets.all);
    for (const { selector, registered } of watchers.all) {
      // One that has refused some has as many as it holds: that is its last point.
      const isNew = points.every((one) => one.mechanism !== selector.mechanism || one.descriptors < registered);
      if (isNew)
        points.push({ mechanism: selector.mechanism, descriptors: registered, cost: costOf(selector, rounds) });
      await nextTurn(undefined, { signal });
    }
  }
  context.progress(descriptors.length, descriptors.length, 'done');
  return { fdSetSize: FD_SETSIZE, points, refusals: watchers.refusals };
}

const WAITS: readonly string[] = [
  'select',
  'pselect6',
  'poll',
  'ppoll',
  'WSAPoll',
  'epoll_wait',
  'epoll_pwait',
  'kevent',
];

/** As the trace clocks it: without what JavaScript and the addon do around it. */
function costOf(selector: BaseSelector, rounds: number): Spread {
  for (let i = 0; i < WARM_UP; i++) selector.select(0);
  using trace = startTrace({ capacity: rounds });
  const deadline = performance.now() + LONGEST;
  let made = 0;
  for (; made < rounds && (made < FEWEST || performance.now() < deadline); made++) {
    const ready = selector.select(0);
    if (ready.length !== 1) throw new Error(`one socket is ready, and ${selector.mechanism} tells of ${ready.length}`);
  }
  const waits = trace.records().filter(({ name }) => WAITS.includes(name));
  if (waits.length !== made) throw new Error(`${made} waits were made, and ${waits.length} recorded`);
  return spreadOf(waits.map(({ duration }) => 1000 * duration));
}

// ------------------------------------------------------------------------------------------------------ what the figures say

/** Looked through by the kernel at each wait. */
const SCANNED: readonly string[] = ['select', 'poll'];

/**
 * A wait costs a + b·N. Below some hundred descriptors, a, which is what any system call costs, hides b: growth is looked for from here on.
 */
const LARGE = 100;
/** Over less than half a decade the noise of one point makes any exponent. */
const SMALLEST_SPAN = 3;
/**
 * Where b is not 0 the exponent comes close to 1; where it is, to 0, but for the caches, which more registrations fill: less than half of
 * a doubling at ten times as many, which is 0.15. In between is neither.
 */
const GROWS = 0.6;
const STAYS = 0.2;

/** The exponent of the medians, and between which it is: those of the quartiles are other ones where the machine was busy. */
interface Growth {
  readonly mechanism: string;
  readonly exponent: number;
  readonly least: number;
  readonly most: number;
}

/** Those mechanisms of which there are points enough. */
function growthsOf({ points }: ScalingFigures): Growth[] {
  const mechanisms = [...new Set(points.map(({ mechanism }) => mechanism))];
  return mechanisms.flatMap((mechanism) => {
    const large = points.filter((one) => one.mechanism === mechanism && one.descriptors >= LARGE);
    const numbers = large.map(({ descriptors }) => descriptors);
    if (large.length < 2 || Math.max(...numbers) < SMALLEST_SPAN * Math.min(...numbers)) return [];
    const exponents = (['median', 'low', 'high'] as const).map((part) =>
      exponentOf(large.map(({ descriptors, cost }): Point => [descriptors, cost[part]])),
    );
    return [{ mechanism, exponent: exponents[0] ?? NaN, least: Math.min(...exponents), most: Math.max(...exponents) }];
  });
}

/** Two digits, and no -0.00. */
const twoDigits = (value: number): string => (Math.round(100 * value) / 100 + 0).toFixed(2);

const grows = ({ least }: Growth): boolean => least >= GROWS;
const stays = ({ most }: Growth): boolean => most <= STAYS;

function verdict(figures: ScalingFigures): Verdict {
  const growths = growthsOf(figures);
  const scanned = growths.filter(({ mechanism }) => SCANNED.includes(mechanism));
  const kept = growths.filter(({ mechanism }) => !SCANNED.includes(mechanism));
  if (scanned.length === 0 || kept.length === 0) {
    const missing = scanned.length === 0 ? 'select or poll' : 'a mechanism whose set is the kernel’s (epoll, kqueue)';
    return { outcome: 'undecided', because: `there are too few figures of ${missing} to compare` };
  }
  const told = growths.map(({ mechanism, exponent }) => `${mechanism} with N^${twoDigits(exponent)}`).join(', ');
  const limit = limitOf(figures);
  const because = `beyond ${LARGE} descriptors the cost of a wait grows: ${told}; ${limit.because}`;
  if (scanned.some(stays) || kept.some(grows)) return { outcome: 'does not hold here', because };
  const uncertain = [...scanned.filter((one) => !grows(one)), ...kept.filter((one) => !stays(one))];
  const ranges = uncertain.map(
    ({ mechanism, least, most }) => `${mechanism} ${twoDigits(least)} to ${twoDigits(most)}`,
  );
  if (ranges.length === 0) return { outcome: limit.outcome, because };
  return { outcome: 'undecided', because: `${because}; too uncertain are the exponents of ${ranges.join(', ')}` };
}

/** Of select alone. */
function limitOf({ points, refusals, fdSetSize }: ScalingFigures): Verdict {
  const refusal = refusals.find(({ mechanism }) => mechanism === 'select');
  if (refusal !== undefined) {
    const { registered, descriptor, code } = refusal;
    const because = `select had ${registered} and refused the descriptor ${descriptor} (${code})`;
    return { outcome: registered <= fdSetSize ? 'holds' : 'does not hold here', because };
  }
  const most = Math.max(
    ...points.filter(({ mechanism }) => mechanism === 'select').map(({ descriptors }) => descriptors),
  );
  return most > fdSetSize
    ? { outcome: 'does not hold here', because: `select took ${most} descriptors` }
    : { outcome: 'undecided', because: 'select was not given as many as it refuses' };
}

function tables(figures: ScalingFigures): ReportTable[] {
  const { points, refusals, fdSetSize } = figures;
  const mechanisms = [...new Set(points.map(({ mechanism }) => mechanism))];
  const numbers = [...new Set(points.map(({ descriptors }) => descriptors))].sort((one, other) => one - other);
  const costAt = (mechanism: string, descriptors: number): number | null =>
    points.find((one) => one.mechanism === mechanism && one.descriptors === descriptors)?.cost.median ?? null;
  return [
    {
      title: 'What one wait costs, in µs (median)',
      columns: ['registered', ...mechanisms],
      rows: numbers.map((number) => [String(number), ...mechanisms.map((mechanism) => costAt(mechanism, number))]),
    },
    {
      title: `From ${LARGE} descriptors on: cost = c · N^exponent`,
      columns: ['mechanism', 'exponent'],
      rows: growthsOf(figures).map(({ mechanism, exponent }) => [mechanism, exponent]),
    },
    {
      title: `Who refused one more (FD_SETSIZE is ${fdSetSize})`,
      columns: ['mechanism', 'registered', 'descriptor refused', 'error', 'message'],
      rows: refusals.map(({ mechanism, registered, descriptor, code, message }) => [
        mechanism,
        String(registered),
        String(descriptor),
        code,
        message,
      ]),
    },
  ];
}

function charts({ points }: ScalingFigures): ReportChart[] {
  const mechanisms = [...new Set(points.map(({ mechanism }) => mechanism))];
  return [
    {
      kind: 'line',
      title: 'What one wait costs, one descriptor being ready',
      x: { label: 'registered descriptors', isLogarithmic: true },
      y: { label: 'µs a wait', isLogarithmic: true },
      series: mechanisms.map((name) => ({
        name,
        points: points
          .filter(({ mechanism }) => mechanism === name)
          .map(({ descriptors, cost }) => [descriptors, cost.median] as const),
      })),
    },
  ];
}

export const scaling: Experiment<ScalingFigures> = {
  name: 'scaling',
  title: 'What it costs to ask for one among many',
  claim:
    'select and poll look through all descriptors at each wait, and select takes no more than 1024. epoll keeps the set in the kernel: ' +
    'a wait costs what is ready, and not what is registered.',
  source: 'post 004, claim (b); post 001, claim (b)',
  setUp:
    'From 10 to 10,000 connected sockets are registered with each selector, one of them ready. It asks again and again without ' +
    'waiting, and the trace clocks the system call itself. A selector is given sockets until it refuses.',
  isAvailable: true,
  why: 'select and poll are everywhere',
  measure,
  tables,
  charts,
  verdict,
};
