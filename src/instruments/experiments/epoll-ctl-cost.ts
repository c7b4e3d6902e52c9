/** Post 004 (b): what epoll_ctl costs as the set grows. The kernel keeps the set in a red-black tree. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { mechanismsHere } from '../../servers/models/mechanisms.js';
import { EPOLLIN, EPOLLOUT, Epoll } from '../../syscalls.js';
import { startTrace } from '../../trace.js';
import { exponentOf } from '../measuring/power-law.js';
import { type Spread, spreadOf } from '../measuring/spread.js';
import type { ReportChart, ReportTable, Verdict } from '../report/report.js';
import { threeDigits } from '../report/words.js';
import type { Experiment, MeasureContext } from './experiment.js';
import { Sockets } from './many-sockets.js';

/** One size of the set. Durations of the system call alone, in microseconds. */
export interface EpollCtlPoint {
  readonly descriptors: number;
  readonly add: Spread;
  readonly modify: Spread;
  readonly remove: Spread;
}

/** The figures of this experiment. */
export interface EpollCtlFigures {
  readonly points: readonly EpollCtlPoint[];
}

const DESCRIPTORS: Readonly<Record<MeasureContext['effort'], readonly number[]>> = {
  full: [10, 100, 1000, 10_000, 18_000],
  quick: [10, 100, 1000],
};
/** Descriptors that are removed, added and modified at each size: spread over the whole set. */
const MAX_CALLS = 500;
const WARM_UP_ROUNDS = 2;

async function measure(context: MeasureContext): Promise<EpollCtlFigures> {
  const { effort, signal } = context;
  const sizes = DESCRIPTORS[effort];
  const points: EpollCtlPoint[] = [];
  using sockets = new Sockets();
  for (const [index, size] of sizes.entries()) {
    context.progress(index, sizes.length, `${size} descriptors`);
    if (!sockets.grow(size)) break;
    points.push(pointOf(sockets, size));
    await nextTurn(undefined, { signal });
  }
  context.progress(sizes.length, sizes.length, 'done');
  return { points };
}

function pointOf({ all }: Sockets, descriptors: number): EpollCtlPoint {
  using epoll = new Epoll();
  const set = all.slice(0, descriptors);
  for (const socket of set) epoll.add(socket, EPOLLIN);
  const step = Math.max(1, Math.floor(descriptors / MAX_CALLS));
  const chosen = set.filter((_, index) => index % step === 0).slice(0, MAX_CALLS);
  const timesOf = (call: (socket: (typeof chosen)[number]) => void): Spread => {
    using trace = startTrace({ capacity: 2 * MAX_CALLS });
    for (const socket of chosen) call(socket);
    return spreadOf(trace.records().map(({ duration }) => 1000 * duration));
  };
  let figures: EpollCtlPoint | undefined;
  for (let round = 0; round <= WARM_UP_ROUNDS; round++) {
    const remove = timesOf((socket) => epoll.delete(socket));
    const add = timesOf((socket) => epoll.add(socket, EPOLLIN));
    const modify = timesOf((socket) => epoll.modify(socket, round % 2 === 0 ? EPOLLOUT : EPOLLIN));
    figures = { descriptors, add, modify, remove };
  }
  return figures as EpollCtlPoint;
}

// ------------------------------------------------------------------------------------------------------------------ verdict

/** From this number on: below, all is in the processor's cache. */
const MIN_DESCRIPTORS = 100;
const CALLS = ['add', 'modify', 'remove'] as const;
/** The cost of a scan has exponent 1. A tree of 10,000 is twice as deep as one of 100: exponent 0.15; cache misses add to it. */
const MAX_EXPONENT_OF_TREE = 0.35;
const MIN_EXPONENT_OF_SCAN = 0.7;

const growthOf = ({ points }: EpollCtlFigures, call: (typeof CALLS)[number]): number =>
  exponentOf(
    points
      .filter(({ descriptors }) => descriptors >= MIN_DESCRIPTORS)
      .map((point) => [point.descriptors, point[call].median]),
  );

function verdict(figures: EpollCtlFigures): Verdict {
  const exponents = CALLS.map((call) => growthOf(figures, call));
  if (exponents.some((exponent) => !Number.isFinite(exponent)))
    return { outcome: 'undecided', because: `Too few sizes from ${MIN_DESCRIPTORS} descriptors on.` };
  const largest = figures.points.at(-1);
  const because = `With ${largest?.descriptors} descriptors in the set, adding one costs ${threeDigits(largest?.add.median ?? NaN)} µs, changing one ${threeDigits(largest?.modify.median ?? NaN)} µs, removing one ${threeDigits(largest?.remove.median ?? NaN)} µs; the costs grow with N^${exponents.map((one) => one.toFixed(2)).join(', N^')}.`;
  if (exponents.every((one) => one <= MAX_EXPONENT_OF_TREE)) return { outcome: 'holds', because };
  if (exponents.some((one) => one >= MIN_EXPONENT_OF_SCAN)) return { outcome: 'does not hold here', because };
  return { outcome: 'undecided', because };
}

function tables(figures: EpollCtlFigures): readonly ReportTable[] {
  return [
    {
      title: 'Cost of one epoll_ctl, µs (median)',
      columns: ['descriptors in the set', 'EPOLL_CTL_ADD', 'EPOLL_CTL_MOD', 'EPOLL_CTL_DEL'],
      rows: figures.points.map(({ descriptors, add, modify, remove }) => [
        String(descriptors),
        add.median,
        modify.median,
        remove.median,
      ]),
    },
    {
      title: `Growth from ${MIN_DESCRIPTORS} descriptors on: cost = c · N^exponent`,
      columns: ['call', 'exponent'],
      rows: CALLS.map((call) => [call, growthOf(figures, call)]),
    },
  ];
}

function charts({ points }: EpollCtlFigures): readonly ReportChart[] {
  return [
    {
      kind: 'line',
      title: 'Cost of epoll_ctl',
      x: { label: 'descriptors in the set', isLogarithmic: true },
      y: { label: 'µs per call', isLogarithmic: true },
      series: CALLS.map((call) => ({
        name: call,
        points: points.map(
          (point) => [point.descriptors, point[call].median, point[call].low, point[call].high] as const,
        ),
      })),
    },
  ];
}

const epoll = mechanismsHere.find(({ mechanism }) => mechanism === 'epoll');

export const epollCtlCost: Experiment<EpollCtlFigures> = {
  name: 'epoll-ctl-cost',
  title: 'The cost of changing the set',
  claim:
    'epoll keeps the set in the kernel, in a red-black tree: adding, changing and removing a descriptor costs about the same however many there are.',
  source: 'post 004, claim (b)',
  setUp: `Up to 18,000 connected sockets are in an epoll set. Up to ${MAX_CALLS} of them, spread over the set, are removed, added and changed; the trace times the system call itself. The last of ${WARM_UP_ROUNDS + 1} rounds counts.`,
  isAvailable: epoll?.available === true,
  why: epoll?.why ?? 'unknown',
  measure,
  tables,
  charts,
  verdict,
};
