/** A comparison as a section of a report. */
import { plotOf } from '../report/charts.js';
import { renderPage } from '../report/page.js';
import type { BarChart, Cell, RangeChart, ReportChart, ReportSection, ReportTable } from '../report/report.js';
import { rankingOf } from './ranking.js';
import { type ReportedRow, parseRows, parseWork } from './reported.js';
import type { ComparisonRow, Work } from './row.js';

/** Calls per message below which a call has no column of its own. */
const RARE = 0.005;
const OTHERS = 'others';

const cell = (value: number): number | null => (Number.isFinite(value) ? value : null);

/** @param work the work that each subject did, if known */
export function sectionsOf(rows: readonly ReportedRow[], work?: Work): readonly ReportSection[] {
  const charts: readonly ReportChart[] = [throughput(rows), callsByName(rows), cpu(rows), latencies(rows)];
  return [
    {
      id: 'comparison',
      title: 'The same work on each subject',
      facts: notesOf(rows, work),
      tables: [figures(rows), callsTable(rows)],
      charts: charts.filter((chart) => plotOf(chart) !== null),
    },
  ];
}

/**
 * Renders a comparison as one self-contained HTML page with tables and charts.
 * @param rows as compare() returns them, or parsed from JSON
 * @param work the work that each subject did, if known
 * @returns the HTML
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE
 */
export function renderReport(rows: readonly ReportedRow[], work?: Work): string {
  return comparisonPage(rows, work);
}

/** As renderReport(). @param command the command that measured the figures; undefined: it is not known */
export function comparisonPage(rows: readonly ReportedRow[], work?: Work, command?: string): string {
  return renderPage({
    title: 'System calls, time and CPU of server models',
    subtitle: 'selectors-native compare',
    sections: sectionsOf(parseRows(rows), work === undefined ? undefined : parseWork(work)),
    ...(command === undefined ? {} : { command }),
  });
}

/** 'echo: 50 connections, 100,000 messages of 64 bytes' */
export function workText({ connections, messages, size }: Work): string {
  const number = (value: number): string => value.toLocaleString('en');
  return `echo: ${number(connections)} connections, ${number(messages)} messages of ${number(size)} bytes`;
}

/** Notes on how the figures were measured. */
export function notesOf(rows: readonly ReportedRow[], work?: Work): (readonly [label: string, text: string])[] {
  return [
    ...(work === undefined ? [] : [['work', workText(work)] as const]),
    ...(rows.some(({ subject }) => subject.startsWith('http:'))
      ? [
          [
            'http:',
            'each message is a GET, and the reply is its path, which is as long as a message of the echo',
          ] as const,
        ]
      : []),
    ...roundNotes(rows),
    ['CPU', "user and system time of the server's processes, with all their threads"],
    ['round trip', 'measured by the clients: with many at a time, most of it is waiting for the others'],
    ...countedNotes(rows),
  ];
}

/** The rounds, and the order of the subjects if their figures differ by more than their quartiles. */
function roundNotes(rows: readonly ReportedRow[]): (readonly [label: string, text: string])[] {
  const rounds = rows[0]?.rounds ?? 1;
  if (rounds === 1) return [];
  const [fastest, cheapest] = [
    rankingOf(rows, 'messagesPerSecond', 'highest'),
    rankingOf(rows, 'cpuMicrosecondsPerMessage', 'lowest'),
  ];
  return [
    ['rounds', `${rounds} per subject, in turn: medians and quartiles; ≈: the quartiles overlap`],
    ...(fastest === null ? [] : [['messages/s', fastest] as const]),
    ...(cheapest === null ? [] : [['CPU per message', cheapest] as const]),
  ];
}

/** How the system calls were counted: one note for all subjects that share it. */
function countedNotes(rows: readonly ReportedRow[]): (readonly [label: string, text: string])[] {
  const subjectsOf = new Map<string, string[]>();
  for (const { counted, subject } of rows)
    if (counted !== undefined) subjectsOf.set(counted, [...(subjectsOf.get(counted) ?? []), subject]);
  const isMajority = (names: readonly string[]): boolean => names.length > rows.length / 2;
  return [...subjectsOf].map(([counted, names]) => [
    'system calls',
    isMajority(names) ? counted : `${names.join(', ')}: ${counted}`,
  ]);
}

function figures(rows: readonly ReportedRow[]): ReportTable {
  return {
    title: 'Figures',
    columns: [
      'subject',
      'messages/s',
      'system calls per message',
      'CPU per message, µs',
      'round trip p50, µs',
      'p99, µs',
      'max, µs',
    ],
    rows: rows.map((row) => [
      row.subject,
      withQuartiles(row, 'messagesPerSecond'),
      cell(row.syscallsPerMessage),
      withQuartiles(row, 'cpuMicrosecondsPerMessage'),
      ...[row.latency.p50, row.latency.p99, row.latency.max].map(cell),
    ]),
  };
}

/** The median of the rounds with its quartiles; a number if there was one round; null if it was not measured. */
export function withQuartiles(row: ReportedRow, figure: 'messagesPerSecond' | 'cpuMicrosecondsPerMessage'): Cell {
  const median = cell(row[figure]);
  const range = row.quartiles?.[figure];
  if (median === null || range === undefined || row.rounds === 1) return median;
  return { low: range[0], median, high: range[1] };
}

/** Names of the calls that some subject makes at least RARE times per message, the most frequent first. */
function namesOf(rows: readonly ReportedRow[]): string[] {
  const sums = new Map<string, number>();
  for (const { name, perMessage } of rows.flatMap(({ syscalls }) => syscalls))
    if (perMessage >= RARE) sums.set(name, (sums.get(name) ?? 0) + perMessage);
  return [...sums].sort(([, one], [, other]) => other - one).map(([name]) => name);
}

/** Calls of this name per message. null: not counted. */
function callsOf({ syscalls }: ReportedRow, name: string): number | null {
  return syscalls.length === 0 ? null : (syscalls.find((one) => one.name === name)?.perMessage ?? 0);
}

function othersOf({ syscalls }: ReportedRow, names: readonly string[]): number | null {
  if (syscalls.length === 0) return null;
  return syscalls.reduce((sum, { name, perMessage }) => sum + (names.includes(name) ? 0 : perMessage), 0);
}

function callsTable(rows: readonly ReportedRow[]): ReportTable {
  const names = namesOf(rows);
  return {
    title: 'System calls per message, by name',
    columns: ['subject', ...names, OTHERS],
    rows: rows.map((row): readonly Cell[] => [
      row.subject,
      ...names.map((name) => callsOf(row, name)),
      othersOf(row, names),
    ]),
  };
}

const subjects = (rows: readonly ReportedRow[]): string[] => rows.map(({ subject }) => subject);

/** The medians of the rounds, with their quartiles. */
function seriesOf(
  rows: readonly ReportedRow[],
  name: string,
  key: keyof ComparisonRow['quartiles'],
): BarChart['series'][number] {
  return {
    name,
    values: rows.map((row) => cell(row[key])),
    spreads: rows.map(({ quartiles }) =>
      quartiles === undefined ? null : { low: quartiles[key][0], high: quartiles[key][1] },
    ),
  };
}

function throughput(rows: readonly ReportedRow[]): BarChart {
  return {
    kind: 'bar',
    title: 'Throughput',
    value: { label: 'messages/s' },
    categories: subjects(rows),
    series: [seriesOf(rows, 'messages/s', 'messagesPerSecond')],
  };
}

function callsByName(rows: readonly ReportedRow[]): BarChart {
  const names = namesOf(rows);
  return {
    kind: 'bar',
    title: 'System calls per message, by name',
    value: { label: 'system calls per message' },
    categories: subjects(rows),
    isStacked: true,
    hasCalls: true,
    series: [
      ...names.map((name) => ({ name, values: rows.map((row) => callsOf(row, name)) })),
      { name: OTHERS, values: rows.map((row) => othersOf(row, names)) },
    ],
  };
}

function cpu(rows: readonly ReportedRow[]): BarChart {
  return {
    kind: 'bar',
    title: "CPU time per message, of the server's processes",
    value: { label: 'CPU per message, µs' },
    categories: subjects(rows),
    series: [seriesOf(rows, 'CPU per message', 'cpuMicrosecondsPerMessage')],
  };
}

function latencies(rows: readonly ReportedRow[]): RangeChart {
  return {
    kind: 'range',
    title: 'Round-trip time',
    value: { label: 'round trip, µs', isLogarithmic: true },
    categories: subjects(rows),
    parts: ['median', '99th percentile', 'maximum'],
    series: [
      { name: 'round trip', values: rows.map(({ latency: { p50, p99, max } }) => ({ low: p50, mid: p99, high: max })) },
    ],
  };
}
