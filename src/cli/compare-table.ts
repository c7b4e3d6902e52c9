/** A comparison as a table of 80 columns, and the list of subjects. */
import Table from 'cli-table3';
import { defaultSubjects } from '../instruments/compare/options.js';
import { notesOf } from '../instruments/compare/sections.js';
import type { Work } from '../instruments/compare/row.js';
import { allSubjects } from '../instruments/measuring/subjects.js';
import type { Fact } from '../instruments/report/machine.js';
import type { ComparisonRow } from '../trace.js';
import { threeDigits } from '../instruments/report/words.js';
import { pc } from '../terminal/colors.js';
import { beside } from '../terminal/text.js';

/** Calls below this number per message are summed up as 'others'. */
const RARE = 0.005;
const UNKNOWN = '—';
/** The column of the text in the notes below the table. */
const INDENT = 18;
const MAX_NAME = 14;

const whole = (value: number): string =>
  Number.isFinite(value) ? value.toLocaleString('en', { maximumFractionDigits: 0 }) : UNKNOWN;
const fixed = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : UNKNOWN);

/** '2.04 total', and one line per system call. */
function callLines({ syscalls, syscallsPerMessage }: ComparisonRow): string[] {
  if (Number.isNaN(syscallsPerMessage)) return [UNKNOWN];
  const common = syscalls.filter(({ perMessage }) => perMessage >= RARE);
  const rare = syscalls.filter((one) => !common.includes(one)).reduce((sum, { perMessage }) => sum + perMessage, 0);
  const width = syscallsPerMessage.toFixed(2).length;
  const line = (value: number, name: string): string => `${value.toFixed(2).padStart(width)} ${name}`;
  return [
    pc.bold(line(syscallsPerMessage, 'total')),
    ...common.map(({ name, perMessage }) => line(perMessage, name)),
    ...(rare >= RARE ? [line(rare, 'others')] : []),
  ];
}

/** 'multi-reactor-thread-pool:epoll' is wrapped after a separator. */
function nameLines(name: string): string[] {
  const lines = [''];
  for (const part of name.split(/(?<=[-:])/)) {
    const line = lines.at(-1) ?? '';
    if (line.length + part.length <= MAX_NAME) lines[lines.length - 1] = line + part;
    else lines.push(part);
  }
  return lines;
}

function latencyLines({ latency }: ComparisonRow): string[] {
  const values = [latency.p50, latency.p99, latency.max].map(whole);
  const width = Math.max(...values.map(({ length }) => length));
  return ['p50', 'p99', 'max'].map((name, i) => `${name} ${(values[i] ?? '').padStart(width)}`);
}

/** '67.3–73.4 k' */
const thousands = (low: number, high: number): string =>
  low < 1000 ? `${whole(low)}–${whole(high)}` : `${threeDigits(low / 1000)}–${threeDigits(high / 1000)} k`;

/** The median, and the quartiles on a line of their own. */
function cellLines(
  row: ComparisonRow,
  figure: 'messagesPerSecond' | 'cpuMicrosecondsPerMessage',
  format: (value: number) => string,
  formatRange: (low: number, high: number) => string = (low, high) => `${format(low)}–${format(high)}`,
): string {
  const median = row[figure];
  if (Number.isNaN(median)) return UNKNOWN;
  const [low, high] = row.quartiles[figure];
  return row.rounds === 1 ? format(median) : `${format(median)}\n${formatRange(low, high)}`;
}

/** @param machine the machine on which it was measured */
export function comparisonText(rows: readonly ComparisonRow[], work: Work, machine: readonly Fact[]): string {
  const table = new Table({
    head: ['subject', 'messages/s', 'system calls\nper message', 'CPU, µs/\nmessage', 'round trip,\nµs'],
    colAligns: ['left', 'right', 'left', 'right', 'left'],
    style: { head: [], border: [] },
  });
  for (const row of rows) {
    table.push([
      pc.bold(nameLines(row.subject).join('\n')),
      cellLines(row, 'messagesPerSecond', whole, thousands),
      callLines(row).join('\n'),
      cellLines(row, 'cpuMicrosecondsPerMessage', (value) => fixed(value, 1)),
      latencyLines(row).join('\n'),
    ]);
  }
  const facts = [...notesOf(rows, work), ...machine];
  const notes = facts.map(([label, text]) => beside(label, text, INDENT));
  const all = rows.some(isIncomplete) ? [...notes, beside(UNKNOWN, 'not measurable on this system', INDENT)] : notes;
  return `${table.toString()}\n${all.join('\n')}`;
}

const isIncomplete = ({ syscallsPerMessage, cpuMicrosecondsPerMessage }: ComparisonRow): boolean =>
  Number.isNaN(syscallsPerMessage) || Number.isNaN(cpuMicrosecondsPerMessage);

/** One subject per line; a star marks those that are compared by default. */
export function subjectsText(): string {
  const chosen = defaultSubjects().map((name) => bestOf(name));
  const lines = allSubjects().map(({ name, isAvailable, why }) => {
    if (!isAvailable) return beside('', `${name} (not here: ${why})`, 2);
    return chosen.includes(name) ? `* ${pc.bold(name)}` : `  ${name}`;
  });
  return `${lines.join('\n')}
* compared by default. A model that is named without a mechanism runs on its best:
  multi-reactor is ${bestOf('multi-reactor')} here.
About the models: selectors-native models`;
}

/** A model that is named without a mechanism runs on its first one. */
function bestOf(name: string): string {
  const rows = allSubjects();
  return (rows.find((row) => row.name === name) ?? rows.find((row) => row.model === name))?.name ?? name;
}
