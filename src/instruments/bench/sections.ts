/** The results as sections of a report: tables and charts. */
import { type Spread, spreadOf } from '../measuring/spread.js';
import { QUARTILES, rangeOf } from '../report/quartiles.js';
import type { Cell, LineChart, RangeChart, ReportSection, ReportTable } from '../report/report.js';
import { type Goal, goalsOf } from './goals.js';
import {
  type BenchResults,
  type IdleCell,
  type ServedCell,
  type TurnsCell,
  figures,
  ratio,
  valuesOf,
} from './results.js';
import { type BenchSubject, SUBJECTS } from './subjects.js';
import { C, OURS, TURN_PROGRAMS } from './turn-programs.js';
import { IDLE, TURNS, WORKLOADS, type Workload } from './workloads.js';

/** The default reference. */
const LIMIT = 'c-epoll';

/** '4.61 ± 0.08': median and half the interquartile range. */
const withSpread = ({ median, low, high }: Spread): string => `${median.toFixed(2)} ± ${((high - low) / 2).toFixed(2)}`;

const times = (value: number | null): string | null => (value === null ? null : value.toFixed(2));
const namesOf = (all: Readonly<Record<string, unknown>>, order: readonly string[]): readonly string[] =>
  order.filter((name) => name in all);
const subjectNames = SUBJECTS.map(({ name }) => name);
const limitOf = (name: string): string => SUBJECTS.find((one) => one.name === name)?.limit ?? LIMIT;

/** All sections of the report. */
export function sectionsOf(results: BenchResults): readonly ReportSection[] {
  return [
    aboutSection(results),
    ...WORKLOADS.flatMap((workload) => servedSections(workload, results)),
    ...idleSections(results),
    ...turnSections(results),
    ...goalSections(results),
  ];
}

function aboutSection({ versions, missing, rounds, seconds }: BenchResults): ReportSection {
  const rows = [
    ...SUBJECTS.filter(({ name }) => name in versions).map(({ name, what }): readonly Cell[] => [
      name,
      what,
      versions[name] ?? '',
    ]),
    ...Object.entries(missing).map(([name, why]): readonly Cell[] => [name, whatOf(name), `missing: ${why}`]),
  ];
  return {
    id: 'subjects',
    title: 'Subjects',
    facts: [
      ['rounds', `${rounds} of ${seconds} s, all subjects in random order in each; every byte is checked`],
      ['figures', 'medians, ± half the interquartile range; a ratio is the median of the ratios of the rounds'],
      ['CPU', "user and system time of the server's process with all its threads, by the scheduler's clock"],
      ['× its limit', 'CPU time relative to c-io_uring for subjects over io_uring, to c-epoll for all others'],
      ['clients', 'how busy their processor was: near 100 %, the clients limit the messages/s'],
    ],
    tables: [{ title: 'Subjects', columns: ['subject', 'what', 'version'], rows }],
    charts: [],
  };
}

const whatOf = (name: string): string =>
  [...SUBJECTS, ...TURN_PROGRAMS].find((one: Pick<BenchSubject, 'name' | 'what'>) => one.name === name)?.what ?? '';

// ------------------------------------------------------------------------------------------------------------ servers

function servedSections(workload: Workload, { served }: BenchResults): readonly ReportSection[] {
  const cells = workload.cells.flatMap(({ name }) => served.filter(({ cell }) => cell === name));
  if (cells.length === 0) return [];
  return [
    {
      id: workload.name,
      title: workload.title,
      facts: [...(workload.note === undefined ? [] : [['note', workload.note] as const]), ...cells.flatMap(notesOf)],
      tables: cells.map((cell) => servedTable(workload, cell)),
      charts: chartsOf(workload, cells),
    },
  ];
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

function notesOf(cell: ServedCell | IdleCell | TurnsCell): readonly (readonly [string, string])[] {
  return Object.entries(cell.failed).map(([name, why]) => [cell.cell, `${name}: ${why}`] as const);
}

function servedTable({ unit }: Workload, cell: ServedCell): ReportTable {
  const rows = namesOf(cell.rounds, subjectNames).flatMap((name): readonly (readonly Cell[])[] => {
    const all = figures(cell, name);
    if (all === null) return [];
    const limit = ratio(valuesOf(cell, name, 'cpu'), valuesOf(cell, limitOf(name), 'cpu'));
    return [
      [
        name,
        withSpread(all.cpu),
        times(limit),
        all.perSecond.median,
        all.p50,
        all.p99,
        `${Math.round(100 * all.clientBusy)} %`,
      ],
    ];
  });
  return {
    title: cell.cell,
    columns: ['subject', `CPU per ${unit}, µs`, '× its limit', `${pluralOf(unit)}/s`, 'p50, µs', 'p99, µs', 'clients'],
    rows,
  };
}

/** One chart per size of message: different sizes are not comparable. */
function chartsOf({ cells, unit }: Workload, measured: readonly ServedCell[]): readonly RangeChart[] {
  const sizes = [...new Set(cells.map(({ size }) => size))];
  return sizes.flatMap((size) => {
    const ofSize = measured.filter(({ cell }) => cells.some((one) => one.name === cell && one.size === size));
    if (ofSize.length === 0) return [];
    return [
      servedChart(`CPU time per ${unit} of ${size} bytes`, `CPU per ${unit}, µs`, ofSize, 'cpu'),
      servedChart(`${capital(pluralOf(unit))} of ${size} bytes per second`, `${pluralOf(unit)}/s`, ofSize, 'perSecond'),
    ];
  });
}

const pluralOf = (unit: Workload['unit']): string => (unit === 'delivery' ? 'deliveries' : `${unit}s`);

function servedChart(title: string, label: string, cells: readonly ServedCell[], key: 'cpu' | 'perSecond'): RangeChart {
  const categories = subjectNames.filter((name) => cells.some(({ rounds }) => name in rounds));
  return {
    kind: 'range',
    title,
    value: { label, isLogarithmic: cells.length > 1 },
    categories,
    parts: QUARTILES,
    series: cells.map((cell) => ({
      name: cell.cell,
      values: categories.map((name) => rangeOf(figures(cell, name)?.[key])),
    })),
  };
}

// --------------------------------------------------------------------------------------------------------------- idle

function idleSections({ idle }: BenchResults): readonly ReportSection[] {
  if (idle.length === 0) return [];
  const names = subjectNames.filter((name) => idle.some(({ bytes }) => name in bytes));
  const bytesOf = (cell: IdleCell, name: string): number | null => {
    const values = cell.bytes[name] ?? [];
    return values.length === 0 ? null : Math.round(spreadOf(values).median);
  };
  return [
    {
      id: IDLE.name,
      title: IDLE.title,
      facts: [['note', IDLE.note], ...idle.flatMap(notesOf)],
      tables: [
        {
          title: 'Bytes per connection',
          columns: ['subject', ...idle.map(({ cell }) => cell)],
          rows: names.map((name) => [name, ...idle.map((cell) => bytesOf(cell, name))]),
        },
      ],
      charts: [
        {
          kind: 'bar',
          title: 'Resident bytes per connection',
          value: { label: 'bytes per connection' },
          categories: names,
          series: idle.map((cell) => ({ name: cell.cell, values: names.map((name) => bytesOf(cell, name)) })),
        },
      ],
    },
  ];
}

// -------------------------------------------------------------------------------------------------------------- turns

function turnSections({ turns }: BenchResults): readonly ReportSection[] {
  if (turns.length === 0) return [];
  const mechanisms = [...new Set(turns.map(({ mechanism }) => mechanism))];
  return [
    {
      id: TURNS.name,
      title: TURNS.title,
      facts: [['note', TURNS.note], ...turns.flatMap(notesOf)],
      tables: mechanisms.map((mechanism) => turnsTable(mechanism, turns)),
      charts: mechanisms.flatMap((mechanism) => TURNS.active.map((active) => turnsChart(mechanism, active, turns))),
    },
  ];
}

function turnsTable(mechanism: string, turns: readonly TurnsCell[]): ReportTable {
  const cells = turns.filter((one) => one.mechanism === mechanism);
  const names = TURN_PROGRAMS.map(({ name }) => name).filter((name) => cells.some((one) => name in one.turns));
  return {
    title: `${mechanism}: ns per turn, and the ratio of ${OURS} to the programs in C`,
    columns: ['registered', 'active', ...names, `of ${C}`, `of ${C}, second thread`],
    rows: cells.map((one) => [
      one.registered,
      one.active,
      ...names.map((name) => medianOf(one.turns[name])),
      times(ratio(one.turns[OURS], one.turns[C])),
      times(ratio(one.turns[OURS], one.turns[`${C}, second thread`])),
    ]),
  };
}

const medianOf = (values: readonly number[] | undefined): number | null =>
  values === undefined || values.length === 0 ? null : spreadOf(values).median;

function turnsChart(mechanism: string, active: number, turns: readonly TurnsCell[]): LineChart {
  const cells = turns.filter((one) => one.mechanism === mechanism && one.active === active);
  const names = TURN_PROGRAMS.map(({ name }) => name).filter((name) => cells.some((one) => name in one.turns));
  return {
    kind: 'line',
    title: `${mechanism}, ${active} active`,
    x: { label: 'registered descriptors', isLogarithmic: true },
    y: { label: 'ns per turn', isLogarithmic: true },
    series: names.map((name) => ({
      name,
      points: cells.flatMap((one) => {
        const ns = medianOf(one.turns[name]);
        return ns === null ? [] : [[one.registered, ns] as const];
      }),
    })),
  };
}

// -------------------------------------------------------------------------------------------------------------- goals

function goalSections(results: BenchResults): readonly ReportSection[] {
  const goals = goalsOf(results).filter(({ measured }) => measured !== null);
  if (goals.length === 0) return [];
  const missed = goals.filter(({ isReached }) => isReached === false);
  return [
    {
      id: 'goals',
      title: 'Performance goals',
      facts: [
        ['reached', `${goals.length - missed.length} of ${goals.length}`],
        ['missed', 'docs/performance.md explains the causes'],
      ],
      tables: [
        {
          title: 'Goals',
          columns: ['goal', 'cell', 'bound', 'measured'],
          rows: goals.map((goal) => [goal.what, goal.cell, goal.bar, shown(goal)]),
        },
      ],
      charts: [],
    },
  ];
}

const shown = ({ measured, isReached }: Goal): string =>
  measured === null ? '' : `${isReached === true ? '✓' : '✗'} ${measured.toFixed(measured < 100 ? 3 : 0)}`;
