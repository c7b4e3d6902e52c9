/** Reports as the commands make them, with realistic figures; and one with every edge case. */
import type { BarChart, LineChart, Outcome, RangeChart, ReportSection } from '../../src/instruments/report/report.js';

const SUBJECTS = [
  'reactor:select',
  'reactor:poll',
  'reactor:epoll',
  'proactor:io_uring',
  'proactor:emulated:epoll',
  'thread-pool',
  'multi-reactor-thread-pool',
  'prefork',
  'node:net',
] as const;

const RATES = [61_234, 60_480.4, 98_712, 121_903, 93_004, 31_870, 112_400, 30_122.7, 45_688];
const CALLS: Readonly<Record<string, readonly (number | null)[]>> = {
  recvfrom: [1, 1, 1, null, 1.004, 2, 1, 2, 1],
  sendto: [1, 1, 1, null, 1, 1, 1, 1, 1],
  epoll_wait: [null, null, 0.0204, null, 0.021, null, 0.31, null, 0.27],
  select: [0.0203, null, null, null, null, null, null, null, null],
  poll: [null, 0.0202, null, null, null, null, null, null, null],
  io_uring_enter: [null, null, null, 0.0412, null, null, null, null, null],
  futex: [null, null, null, null, null, 1.92, 0.87, null, null],
  accept4: [0.0005, 0.0005, 0.0005, 0.0005, 0.0005, 0.0005, 0.0005, 0.0005, 0.0005],
};

export const comparison: ReportSection = {
  id: 'comparison',
  title: 'Comparison of 9 servers',
  facts: [
    ['work', '50 connections, 200,000 messages of 64 bytes, each answered before the next is sent'],
    ['clients', 'one process of their own, the same for all'],
  ],
  tables: [
    {
      title: 'The same work, done by each',
      columns: [
        'subject',
        'messages a second',
        'system calls a message',
        'CPU a message, µs',
        'p50, µs',
        'p99, µs',
        'max, µs',
        ...Object.keys(CALLS).map((name) => `${name} a message`),
      ],
      rows: SUBJECTS.map((name, i) => [
        name,
        RATES[i] ?? null,
        Object.values(CALLS).reduce((sum, calls) => sum + (calls[i] ?? 0), 0),
        9e5 / (RATES[i] ?? 1),
        4.1e7 / (RATES[i] ?? 1),
        1.1e8 / (RATES[i] ?? 1),
        1.2e9 / (RATES[i] ?? 1),
        ...Object.values(CALLS).map((calls) => calls[i] ?? null),
      ]),
    },
  ],
  charts: [
    {
      kind: 'bar',
      title: 'Throughput',
      value: { label: 'messages a second' },
      categories: SUBJECTS,
      series: [{ name: '', values: RATES }],
    },
    {
      kind: 'bar',
      title: 'System calls a message, by name',
      value: { label: 'calls a message' },
      categories: SUBJECTS,
      series: Object.entries(CALLS).map(([name, values]) => ({ name, values })),
      isStacked: true,
      hasCalls: true,
    },
    {
      kind: 'range',
      title: 'Latency',
      value: { label: 'µs', isLogarithmic: true },
      categories: SUBJECTS,
      parts: ['p50', 'p99', 'max'],
      series: [
        { name: 'echo', values: RATES.map((rate) => ({ low: 4.1e7 / rate, mid: 1.1e8 / rate, high: 1.2e9 / rate })) },
        {
          name: 'rpc',
          values: RATES.map((rate, i) => {
            const [low, mid, high] = [5e7 / rate, 2e8 / rate, 2e9 / rate];
            return i === 3 ? null : { low, mid, high, dots: [low, 1.2 * low, mid, 2 * mid, high] };
          }),
        },
      ],
    },
  ],
};

const COUNTS = [1, 4, 16, 64, 256, 1020, 4096, 10_000];

const scalingChart: LineChart = {
  kind: 'line',
  title: 'Cost of one wait against registered descriptors',
  x: { label: 'registered descriptors', isLogarithmic: true },
  y: { label: 'one wait, µs', isLogarithmic: true },
  series: [
    { name: 'select', points: COUNTS.slice(0, 6).map((n) => [n, 0.55 + n * 0.0141] as const) },
    { name: 'poll', points: COUNTS.map((n) => [n, 0.48 + n * 0.0198] as const) },
    { name: 'epoll', points: COUNTS.map((n) => [n, 0.412 + Math.log10(n) * 0.004] as const) },
  ],
  hasMechanisms: true,
};

export const scaling: ReportSection = {
  id: 'scaling',
  title: 'What a wait costs as the set grows',
  facts: [
    [
      'claim',
      'select is limited to 1024 descriptors and O(n); epoll keeps the set in the kernel, and what is asked does not grow with it',
    ],
    ['source', 'post 004, claim (b)'],
    [
      'set-up',
      'N socket pairs are registered, one of them is readable; the wait is made 10,000 times and the median taken',
    ],
  ],
  verdict: {
    outcome: 'holds',
    because:
      'from 1 to 10,000 descriptors poll costs 398 times as much, epoll 1.04 times; select refuses the 1,025th with EINVAL.',
  },
  tables: [
    {
      title: 'One wait, µs',
      columns: ['descriptors', 'select', 'poll', 'epoll'],
      rows: COUNTS.map((n) => [
        n,
        n > 1024 ? null : 0.55 + n * 0.0141,
        0.48 + n * 0.0198,
        0.412 + Math.log10(n) * 0.004,
      ]),
    },
  ],
  charts: [scalingChart],
};

const CLAIMS: readonly (readonly [id: string, title: string, outcome: Outcome])[] = [
  ['slow-peers', 'Slow peers stall a thread pool', 'holds'],
  ['thread-cost', 'A thread for each connection', 'does not hold here'],
  ['partial-messages', 'Half frames and sticky frames', 'holds'],
  ['busy-wait', 'Asking in vain burns the CPU', 'holds'],
  ['fork-cost', 'A process for each connection', 'holds'],
  ['thundering-herd', 'One connection wakes all', 'does not hold here'],
  ['head-of-line', 'One long task delays a hundred short ones', 'holds'],
  ['ordering', 'Answers out of order', 'holds'],
  ['who-copies', 'Which process makes the read', 'holds'],
  ['level-or-edge', 'What each mode reports', 'undecided'],
  ['wakeups', 'Wake-ups are coalesced, never lost', 'holds'],
];

const STRATEGIES = ['accept', 'lock', 'EPOLLEXCLUSIVE'];

const herd: BarChart = {
  kind: 'bar',
  title: 'Wake-ups a connection',
  value: { label: 'wake-ups a connection' },
  categories: STRATEGIES,
  series: [
    { name: '4 processes', values: [3.71, 1, 1.02] },
    { name: '16 processes', values: [14.2, 1, 1.08] },
  ],
};

const claim = ([id, title, outcome]: (typeof CLAIMS)[number]): ReportSection => ({
  id,
  title,
  facts: [
    [
      'claim',
      'The thundering herd: one connection wakes all waiting children and one wins; a lock or EPOLLEXCLUSIVE wakes one',
    ],
    ['source', 'post 003, claims (c) and (d)'],
    ['set-up', '4 and 16 children wait for the same listening socket; 500 connections come one after the other'],
  ],
  verdict: { outcome, because: 'with 16 children a connection wakes 14.2 of them without a lock, 1 with one.' },
  tables: [
    {
      title: 'Wake-ups a connection',
      columns: ['strategy', '4 processes', '16 processes', 'what is seen'],
      rows: [
        ['accept', 3.71, 14.2, 'all wake, one wins'],
        ['lock', 1, 1, 'one wakes'],
        ['EPOLLEXCLUSIVE', 1.02, 1.08, 'one wakes, seldom two'],
      ],
    },
  ],
  charts: [herd],
});

export const experiments: readonly ReportSection[] = [scaling, ...CLAIMS.map(claim)];

/** No tag of it may be interpreted, in HTML, in attributes or in the text of SVG. */
export const HOSTILE = `</script><script>globalThis.broken=1</script><img src=x onerror="globalThis.broken=1"><!--<b>'"&amp;`;

const LONG = 'a-name-that-nobody-would-give:but-somebody-did:'.repeat(5);

const bars = (title: string, categories: readonly string[], values: readonly (number | null)[]): BarChart => ({
  kind: 'bar',
  title,
  value: { label: 'µs' },
  categories,
  series: [{ name: 'µs', values }],
});

const ranges = (title: string, values: RangeChart['series'][number]['values']): RangeChart => ({
  kind: 'range',
  title,
  value: { label: 'µs', isLogarithmic: true },
  categories: values.map((_, i) => `${i} ${LONG}`),
  parts: ['p50', 'p99', 'max'],
  series: [{ name: 'µs', values }],
});

const lines = (title: string, points: LineChart['series'][number]['points'], isLogarithmic: boolean): LineChart => ({
  kind: 'line',
  title,
  x: { label: 'n', isLogarithmic },
  y: { label: 'µs', isLogarithmic },
  series: [{ name: 'line', points }],
});

export const odd: ReportSection = {
  id: 'odd',
  title: HOSTILE,
  facts: [
    [HOSTILE, HOSTILE],
    [LONG, LONG],
  ],
  verdict: { outcome: 'undecided', because: HOSTILE },
  tables: [
    { title: HOSTILE, columns: [HOSTILE, LONG, 'n'], rows: [[HOSTILE, LONG, Number.NaN]] },
    { title: 'no rows', columns: ['a', 'b'], rows: [] },
    { title: 'nothing', columns: [], rows: [] },
  ],
  charts: [
    bars('no categories', [], []),
    { ...bars('no series', ['a', 'b'], []), series: [] },
    bars('no figures', ['a', 'b'], [null, Number.NaN]),
    bars('holes', ['a', 'b', 'c', 'd'], [1, null, Number.NaN, Number.POSITIVE_INFINITY]),
    bars('fewer values than categories', ['a', 'b', 'c'], [1]),
    bars('below 0', ['a', 'b', 'c'], [-1, 0, 2]),
    bars('noughts', ['a', 'b'], [0, 0]),
    bars('decades', ['a', 'b', 'c'], [0, 10, 1e4]),
    ranges('no ranges', [null, null]),
    ranges('odd ranges', [
      { low: 0, mid: 1, high: 2 },
      { low: 1e-3, mid: 1, high: Number.NaN },
      { low: 1, mid: 1, high: 1, dots: [Number.NaN, 0, 1] },
      { low: 1e-6, mid: 1, high: 1e6 },
    ]),
    { kind: 'timing', title: 'no events', time: { label: 'ms' }, rows: [{ name: 'row', events: [] }] },
    {
      kind: 'timing',
      title: 'events',
      time: { label: 'ms' },
      rows: [
        { name: LONG, events: [{ what: HOSTILE, from: 0, to: 5, detail: HOSTILE, label: 'a' }] },
        {
          name: HOSTILE,
          events: [
            { what: 'moment', from: 7, detail: LONG, label: '<b>', lane: 1 },
            { what: 'span', from: 3, to: 3, detail: '' },
          ],
        },
      ],
    },
    bars(
      '40 categories',
      Array.from({ length: 40 }, (_, i) => `category ${i}`),
      Array.from({ length: 40 }, (_, i) => i * i),
    ),
    bars(HOSTILE, [HOSTILE, LONG, HOSTILE], [1, 2, 3]),
    {
      ...bars('ten series', ['a', LONG], []),
      series: Array.from({ length: 10 }, (_, i) => ({ name: `${i} ${HOSTILE}`, values: [i + 1, 10 - i] })),
    },
    lines('no points', [], true),
    lines('one point', [[1, 5]], true),
    lines('one point, linear', [[1, 5]], false),
    lines(
      'not above 0',
      [
        [0, 1],
        [1, -1],
        [2, 3],
        [3, Number.NaN],
        [4, 5],
      ],
      true,
    ),
    lines(
      'from tiny to huge',
      [
        [1e-9, 1e-12],
        [1, 1],
        [1e9, 1e12],
      ],
      true,
    ),
  ],
};
