/** The results as sections of a report: tables and charts. */
import { type Spread, spreadOf } from '../measuring/spread.js';
import { QUARTILES, rangeOf } from '../report/quartiles.js';
import type { Cell, LineChart, RangeChart, ReportSection, ReportTable } from '../report/report.js';
import { type Goal, goalsOf } from './goals.js';
import { CORES, CORES_SUBJECTS, limitOf as limitOfCores, modelledSpeedup, serverAlone, speedup } from './cores.js';
import { type Judgement, disturbanceOf, halfRange } from './judging.js';
import {
  type BenchResults,
  type CoresCell,
  type CoresRound,
  type IdleCell,
  type ServedCell,
  type TurnsCell,
  difference,
  figures,
  ratio,
  valuesOf,
} from './results.js';
import { type BenchSubject, SUBJECTS } from './subjects.js';
import { surpriseOf } from './surprise.js';
import { C, C_SECOND_THREAD, OURS, TURN_PROGRAMS } from './turn-programs.js';
import { IDLE, TURNS, WORKLOADS, type Workload } from './workloads.js';

/** The default reference. */
const LIMIT = 'c-epoll';
/** End of the names of the subjects that serve rpc without JSON. */
const NO_JSON = '-no-json';

/** '4.61 ± 0.08': median and half the interquartile range. null: not measured. @param digits after the point. Default: 2 below 1000, else 0 */
function withSpread(spread: Spread | null, digits = (spread?.median ?? 0) < 1000 ? 2 : 0): string | null {
  if (spread === null) return null;
  const format = (value: number): string =>
    value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${format(spread.median)} ± ${format(halfRange(spread))}`;
}

const spreadOrNull = (values: readonly number[] | undefined): Spread | null =>
  values === undefined || values.length === 0 ? null : spreadOf(values);
const namesOf = (all: Readonly<Record<string, unknown>>, order: readonly string[]): readonly string[] =>
  order.filter((name) => name in all);
const subjectNames = SUBJECTS.map(({ name }) => name);
function limitOf(name: string, { rounds }: ServedCell): string {
  const { limit = LIMIT } = SUBJECTS.find((one) => one.name === name) ?? {};
  return limit in rounds ? limit : LIMIT;
}

/** All sections of the report. */
export function sectionsOf(results: BenchResults): readonly ReportSection[] {
  const { seed } = results;
  return [
    aboutSection(results),
    ...[...WORKLOADS, ...(seed === undefined ? [] : [surpriseOf(seed)])].flatMap((workload) =>
      servedSections(workload, results),
    ),
    ...coresSections(results),
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
      [
        'figures',
        'medians of the rounds, ± half the interquartile range; a ratio is the median of the ratios of the rounds',
      ],
      ['CPU', "user and system time of the server's process with all its threads, by the scheduler's clock"],
      ['× its limit', 'CPU time relative to c-io_uring for proactor where that serves the workload, else to c-epoll'],
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
      tables: cells.flatMap((cell) => [servedTable(workload, cell), ...jsonTables(cell)]),
      charts: workload.isMixed ? [ratioChart(cells)] : chartsOf(workload, cells),
    },
  ];
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

function notesOf(cell: ServedCell | IdleCell | TurnsCell | CoresCell): readonly (readonly [string, string])[] {
  const disturbance = 'bytes' in cell ? null : disturbanceOf(cell.otherWork);
  return [
    ...(disturbance === null ? [] : [[cell.cell, `disturbed: ${disturbance}`] as const]),
    ...Object.entries(cell.failed).map(([name, why]) => [cell.cell, `${name}: ${why}`] as const),
  ];
}

function servedTable({ unit }: Workload, cell: ServedCell): ReportTable {
  const rows = namesOf(cell.rounds, subjectNames).flatMap((name): readonly (readonly Cell[])[] => {
    const all = figures(cell, name);
    if (all === null) return [];
    const limit = ratio(valuesOf(cell, name, 'cpu'), valuesOf(cell, limitOf(name, cell), 'cpu'));
    return [
      [
        name,
        withSpread(all.cpu),
        withSpread(limit),
        withSpread(all.perSecond, 0),
        withSpread(all.p50, 0),
        withSpread(all.p99, 0),
        `${Math.round(100 * all.clientBusy.median)} ± ${Math.round(100 * halfRange(all.clientBusy))} %`,
      ],
    ];
  });
  return {
    title: cell.cell,
    columns: ['subject', `CPU per ${unit}, µs`, '× its limit', `${pluralOf(unit)}/s`, 'p50, µs', 'p99, µs', 'clients'],
    rows,
  };
}

/** What of the CPU time is JSON's: the difference to the same loop without JSON, round by round. */
function jsonTables(cell: ServedCell): readonly ReportTable[] {
  const rows = ['reactor', 'proactor'].flatMap((name): readonly (readonly Cell[])[] => {
    const [whole, frames] = [valuesOf(cell, name, 'cpu'), valuesOf(cell, `${name}${NO_JSON}`, 'cpu')];
    const ofJson = difference(whole, frames);
    if (ofJson === null) return [];
    const limit = ratio(frames, valuesOf(cell, LIMIT, 'cpu'));
    return [[name, ...[spreadOrNull(whole), spreadOrNull(frames), ofJson, limit].map((spread) => withSpread(spread))]];
  });
  const columns = ['loop', 'CPU per message, µs', 'without JSON, µs', 'JSON and text, µs', `without JSON, × ${LIMIT}`];
  return rows.length === 0 ? [] : [{ title: `${cell.cell}: what is JSON's`, columns, rows }];
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

/** CPU time relative to C on epoll, of all subjects in all cells. */
function ratioChart(measured: readonly ServedCell[]): RangeChart {
  const names = subjectNames.filter((name) => name !== LIMIT && measured.some(({ rounds }) => name in rounds));
  return {
    kind: 'range',
    title: `CPU time per message, relative to ${LIMIT}`,
    value: { label: `times ${LIMIT}` },
    categories: measured.map(({ cell }) => cell),
    parts: QUARTILES,
    series: names.map((name) => ({
      name,
      values: measured.map((cell) =>
        rangeOf(ratio(valuesOf(cell, name, 'cpu'), valuesOf(cell, LIMIT, 'cpu')) ?? undefined),
      ),
    })),
  };
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

// -------------------------------------------------------------------------------------------------------------- cores

function coresSections({ cores = [] }: BenchResults): readonly ReportSection[] {
  return cores.map((cell) => ({
    id: CORES.name,
    title: CORES.title,
    facts: [
      ['note', CORES.note],
      ['× one core', 'messages/s relative to one loop whose clients are on the same core: with two cores, 2 at most'],
      ['limit', 'cores / CPU per message: all that these cores can give with these clients on them'],
      ['server alone', "a model: cores / the server's CPU per message, if the clients ran elsewhere"],
      [
        '× one loop',
        'server alone, relative to one loop with clients on both cores: half of the messages cross in both',
      ],
      ...notesOf(cell),
    ],
    tables: [coresTable(cell)],
    charts: [
      {
        kind: 'range',
        title: 'Messages per second',
        value: { label: 'messages/s' },
        categories: CORES_SUBJECTS.map(({ name }) => name).filter((name) => name in cell.rounds),
        parts: QUARTILES,
        series: [
          {
            name: cell.cell,
            values: CORES_SUBJECTS.filter(({ name }) => name in cell.rounds).map(({ name }) =>
              rangeOf(spreadOf((cell.rounds[name] ?? []).map(({ perSecond }) => perSecond))),
            ),
          },
        ],
      },
    ],
  }));
}

function coresTable(cell: CoresCell): ReportTable {
  const rows = CORES_SUBJECTS.filter(({ name }) => name in cell.rounds).map((subject): readonly Cell[] => {
    const { name, placement } = subject;
    const rounds = cell.rounds[name] ?? [];
    const of = (figure: (round: CoresRound) => number): Spread => spreadOf(rounds.map(figure));
    return [
      name,
      withSpread(
        of(({ perSecond }) => perSecond),
        0,
      ),
      withSpread(placement === 'clients on both' ? null : speedup(cell.rounds, subject)),
      withSpread(of(({ serverCpu }) => serverCpu)),
      withSpread(of(({ clientCpu }) => clientCpu)),
      withSpread(
        of((round) => limitOfCores(round, placement)),
        0,
      ),
      withSpread(
        of((round) => serverAlone(round, placement)),
        0,
      ),
      withSpread(placement === 'one core' ? null : modelledSpeedup(cell.rounds, subject)),
    ];
  });
  const cpu = ['CPU of server, µs', 'CPU of clients, µs'];
  const columns = ['server', 'messages/s', '× one core', ...cpu, 'limit', 'server alone', '× one loop'];
  return { title: cell.cell, columns, rows };
}

// --------------------------------------------------------------------------------------------------------------- idle

function idleSections({ idle }: BenchResults): readonly ReportSection[] {
  if (idle.length === 0) return [];
  const names = subjectNames.filter((name) => idle.some(({ bytes }) => name in bytes));
  const bytesOf = (cell: IdleCell, name: string): Spread | null => spreadOrNull(cell.bytes[name]);
  return [
    {
      id: IDLE.name,
      title: IDLE.title,
      facts: [['note', IDLE.note], ...idle.flatMap(notesOf)],
      tables: [
        {
          title: 'Bytes per connection',
          columns: ['subject', ...idle.map(({ cell }) => cell)],
          rows: names.map((name) => [name, ...idle.map((cell) => withSpread(bytesOf(cell, name), 0))]),
        },
      ],
      charts: [
        {
          kind: 'bar',
          title: 'Resident bytes per connection',
          value: { label: 'bytes per connection' },
          categories: names,
          series: idle.map((cell) => ({
            name: cell.cell,
            values: names.map((name) => Math.round(bytesOf(cell, name)?.median ?? NaN)),
            spreads: names.map((name) => bytesOf(cell, name)),
          })),
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
      ...names.map((name) => withSpread(spreadOrNull(one.turns[name]), 0)),
      withSpread(ratio(one.turns[OURS], one.turns[C])),
      withSpread(ratio(one.turns[OURS], one.turns[C_SECOND_THREAD])),
    ]),
  };
}

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
        const ns = spreadOrNull(one.turns[name]);
        return ns === null ? [] : [[one.registered, ns.median, ns.low, ns.high] as const];
      }),
    })),
  };
}

// -------------------------------------------------------------------------------------------------------------- goals

function goalSections(results: BenchResults): readonly ReportSection[] {
  const goals = goalsOf(results).filter(({ measured }) => measured !== null);
  if (goals.length === 0) return [];
  const count = (outcome: Judgement['outcome']): number =>
    goals.filter(({ judgement }) => judgement?.outcome === outcome).length;
  const unjudged = goals.filter(({ judgement }) => judgement?.outcome === 'not judged');
  return [
    {
      id: 'goals',
      title: 'Performance goals',
      facts: [
        ['reached', `${count('reached')} of ${goals.length}`],
        ['missed', `${count('missed')}; docs/performance.md explains the causes`],
        [
          'not judged',
          `${unjudged.length}, printed as –: other work on the machine, too few rounds, or rounds that differ too much`,
        ],
        ...unjudged.map(({ what, cell, bar, judgement }): readonly [string, string] => [
          cell,
          `– ${what} ${bar}: ${judgement?.outcome === 'not judged' ? judgement.because : ''}`,
        ]),
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

const MARKS: Readonly<Record<Judgement['outcome'], string>> = { reached: '✓', missed: '✗', 'not judged': '–' };

const shown = ({ measured, judgement }: Goal): string =>
  measured === null || judgement === null
    ? ''
    : `${MARKS[judgement.outcome]} ${withSpread(measured, measured.median < 100 ? 3 : 0)}`;
