/** Posts 004 (b) and 001 (b): the cost of one wait by the number of registered descriptors, one of which is ready. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { BaseSelector } from '../../index.js';
import { type Point, exponentOf } from '../measuring/power-law.js';
import { type Spread, spreadOf } from '../measuring/spread.js';
import { type ReportChart, type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import { FD_SETSIZE } from '../../syscalls.js';
import { startTrace } from '../../trace.js';
import type { Experiment, MeasureContext } from './experiment.js';
import { type Refusal, Sockets, Watchers } from './many-sockets.js';

/** One mechanism with a number of descriptors. */
export interface ScalingPoint {
  readonly mechanism: string;
  /** Number of registered descriptors. */
  readonly descriptors: number;
  /** Duration of one wait, in microseconds: the system call alone. */
  readonly cost: Spread;
}

/** The figures of this experiment. */
export interface ScalingFigures {
  /** FD_SETSIZE of this system. */
  readonly fdSetSize: number;
  /** The measured costs. */
  readonly points: readonly ScalingPoint[];
  /** The first refusal of each mechanism that has a limit. */
  readonly refusals: readonly Refusal[];
}

interface Sizes {
  readonly descriptors: readonly number[];
  /** Maximum number of waits per mechanism and number of descriptors. */
  readonly rounds: number;
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { descriptors: [10, 30, 100, 300, 1000, 3000, 10_000], rounds: 301 },
  quick: { descriptors: [10, 100, 300, 1000, 3000], rounds: 51 },
};
/** Windows has no socketpair(2): a pair is a loopback connection there, and each takes a port. */
const MAX_DESCRIPTORS = process.platform === 'win32' ? 1000 : Infinity;
/** The first waits run with cold caches. */
const WARM_UP = 10;
/** Milliseconds after which no more than MIN_ROUNDS waits are made. */
const MAX_DURATION = 300;
const MIN_ROUNDS = 21;

// -------------------------------------------------------------------------------------------------------------- measurement

async function measure(context: MeasureContext): Promise<ScalingFigures> {
  const { effort, signal } = context;
  const { rounds } = SIZES[effort];
  const descriptors = SIZES[effort].descriptors.filter((number) => number <= MAX_DESCRIPTORS);
  const points: ScalingPoint[] = [];
  using sockets = new Sockets();
  using watchers = new Watchers();
  for (const [i, wanted] of descriptors.entries()) {
    context.progress(i, descriptors.length, `${wanted} descriptors`);
    if (!sockets.grow(wanted)) break;
    watchers.register(sockets.all);
    for (const { selector, registered } of watchers.all) {
      // After a refusal the set is at its maximum: that is its last point.
      const hasMore = points.every((one) => one.mechanism !== selector.mechanism || one.descriptors < registered);
      if (hasMore)
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
  'ioctl', // DP_POLL of /dev/poll
];

/** The duration of the system call, as the trace records it, without JavaScript and the addon. */
function costOf(selector: BaseSelector, rounds: number): Spread {
  for (let i = 0; i < WARM_UP; i++) selector.select(0);
  using trace = startTrace({ capacity: rounds });
  const deadline = performance.now() + MAX_DURATION;
  let made = 0;
  for (; made < rounds && (made < MIN_ROUNDS || performance.now() < deadline); made++) {
    const ready = selector.select(0);
    if (ready.length !== 1) throw new Error(`one socket is ready, but ${selector.mechanism} reports ${ready.length}`);
  }
  const waits = trace.records().filter(({ name }) => WAITS.includes(name));
  if (waits.length !== made) throw new Error(`${made} waits were made, but ${waits.length} recorded`);
  return spreadOf(waits.map(({ duration }) => 1000 * duration));
}

// ------------------------------------------------------------------------------------------------------------------ verdict

/** Mechanisms whose set the kernel scans at each wait. */
const SCANNED: readonly string[] = ['select', 'poll'];

/**
 * A wait costs a + b·N. Below some hundred descriptors a, the cost of any system call, hides b. The exponent is fitted from this number on.
 */
const MIN_DESCRIPTORS = 100;
/** Ratio of the largest to the smallest number. Over less than half a decade the noise of one point dominates the exponent. */
const MIN_SPAN = 3;
/**
 * If b is not 0 the exponent approaches 1, else 0. More registrations also fill the caches, which costs less than half of a doubling for ten
 * times as many: 0.15. Between the two bounds the verdict is undecided.
 */
const MIN_GROWING = 0.6;
const MAX_CONSTANT = 0.2;

/** The exponent of the medians, and its range with those of the quartiles, which differ on a busy machine. */
interface Growth {
  readonly mechanism: string;
  readonly exponent: number;
  readonly min: number;
  readonly max: number;
}

/** The growth of each mechanism that has enough points. */
function growthsOf({ points }: ScalingFigures): Growth[] {
  const mechanisms = [...new Set(points.map(({ mechanism }) => mechanism))];
  return mechanisms.flatMap((mechanism) => {
    const large = points.filter((one) => one.mechanism === mechanism && one.descriptors >= MIN_DESCRIPTORS);
    const numbers = large.map(({ descriptors }) => descriptors);
    if (large.length < 2 || Math.max(...numbers) < MIN_SPAN * Math.min(...numbers)) return [];
    const exponents = (['median', 'low', 'high'] as const).map((part) =>
      exponentOf(large.map(({ descriptors, cost }): Point => [descriptors, cost[part]])),
    );
    return [{ mechanism, exponent: exponents[0] ?? NaN, min: Math.min(...exponents), max: Math.max(...exponents) }];
  });
}

/** With two decimals, and without -0.00. */
const twoDecimals = (value: number): string => (Math.round(100 * value) / 100 + 0).toFixed(2);

const isGrowing = ({ min }: Growth): boolean => min >= MIN_GROWING;
const isConstant = ({ max }: Growth): boolean => max <= MAX_CONSTANT;

function verdict(figures: ScalingFigures): Verdict {
  const growths = growthsOf(figures);
  return verdictOf([
    growthStatement(
      'a wait of select and poll costs more with each registered descriptor',
      growths.filter(({ mechanism }) => SCANNED.includes(mechanism)),
      'growing',
    ),
    growthStatement(
      'a wait of epoll, kqueue and AFD costs the same however many descriptors are registered',
      growths.filter(({ mechanism }) => !SCANNED.includes(mechanism)),
      'constant',
    ),
    { statement: 'select refuses descriptors beyond its limit', ...limitOf(figures) },
  ]);
}

/** @param growths those of the mechanisms that the statement is about */
function growthStatement(statement: string, growths: readonly Growth[], expected: 'growing' | 'constant'): Statement {
  if (growths.length === 0)
    return { statement, outcome: 'not tried', because: 'No figures of one for few and for many descriptors.' };
  const exponents = growths.map(({ mechanism, exponent }) => `${mechanism} with N^${twoDecimals(exponent)}`).join(', ');
  const because = `Beyond ${MIN_DESCRIPTORS} descriptors the cost grows: ${exponents}.`;
  const [isSo, isOpposite] = expected === 'growing' ? [isGrowing, isConstant] : [isConstant, isGrowing];
  if (growths.some(isOpposite)) return { statement, outcome: 'does not hold here', because };
  const uncertain = growths.filter((one) => !isSo(one));
  if (uncertain.length === 0) return { statement, outcome: 'holds', because };
  const ranges = uncertain.map(({ mechanism, min, max }) => `${mechanism} ${twoDecimals(min)} to ${twoDecimals(max)}`);
  return { statement, outcome: 'undecided', because: `${because} Too uncertain: ${ranges.join(', ')}.` };
}

/** Whether select refuses descriptors beyond FD_SETSIZE. */
function limitOf({ points, refusals, fdSetSize }: ScalingFigures): Omit<Statement, 'statement'> {
  const refusal = refusals.find(({ mechanism }) => mechanism === 'select');
  if (refusal !== undefined) {
    const { registered, descriptor, code } = refusal;
    const because = `It had ${registered} descriptors and refused descriptor ${descriptor} (${code}).`;
    return { outcome: registered <= fdSetSize ? 'holds' : 'does not hold here', because };
  }
  const numbers = points.filter(({ mechanism }) => mechanism === 'select').map(({ descriptors }) => descriptors);
  const registered = Math.max(0, ...numbers);
  return registered > fdSetSize
    ? { outcome: 'does not hold here', because: `It accepted ${registered} descriptors.` }
    : { outcome: 'undecided', because: 'It was not given more descriptors than it accepts.' };
}

function tables(figures: ScalingFigures): ReportTable[] {
  const { points, refusals, fdSetSize } = figures;
  const mechanisms = [...new Set(points.map(({ mechanism }) => mechanism))];
  const numbers = [...new Set(points.map(({ descriptors }) => descriptors))].sort((one, other) => one - other);
  const costAt = (mechanism: string, descriptors: number): number | null =>
    points.find((one) => one.mechanism === mechanism && one.descriptors === descriptors)?.cost.median ?? null;
  return [
    {
      title: 'Cost of one wait, µs (median)',
      columns: ['registered', ...mechanisms],
      rows: numbers.map((number) => [String(number), ...mechanisms.map((mechanism) => costAt(mechanism, number))]),
    },
    {
      title: `Growth from ${MIN_DESCRIPTORS} descriptors on: cost = c · N^exponent`,
      columns: ['mechanism', 'exponent'],
      rows: growthsOf(figures).map(({ mechanism, exponent }) => [mechanism, exponent]),
    },
    {
      title: `Refused descriptors (FD_SETSIZE is ${fdSetSize})`,
      columns: ['mechanism', 'registered', 'refused descriptor', 'error', 'message'],
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
      title: 'Cost of one wait with one ready descriptor',
      x: { label: 'registered descriptors', isLogarithmic: true },
      y: { label: 'µs per wait', isLogarithmic: true },
      hasMechanisms: true,
      series: mechanisms.map((name) => ({
        name,
        points: points
          .filter(({ mechanism }) => mechanism === name)
          .map(({ descriptors, cost }) => [descriptors, cost.median, cost.low, cost.high] as const),
      })),
    },
  ];
}

export const scaling: Experiment<ScalingFigures> = {
  name: 'scaling',
  title: 'The cost of waiting for one among many',
  claim:
    'select and poll scan all descriptors at each wait, and select accepts at most 1024. epoll keeps the set in the kernel: the cost of ' +
    'a wait depends on the number of ready descriptors, not of registered ones.',
  source: 'post 004, claim (b); post 001, claim (b)',
  setUp:
    'From 10 to 10,000 connected sockets are registered with each selector, one of them ready. It is polled repeatedly with a timeout ' +
    'of 0, and the trace times the system call itself. Each selector gets sockets until it refuses one.',
  isAvailable: true,
  why: 'select and poll exist on every system',
  measure,
  tables,
  charts,
  verdict,
};
