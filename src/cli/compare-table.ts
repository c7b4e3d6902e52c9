/** A comparison as a table of less than 100 columns, and the subjects that there are. */
import Table from 'cli-table3';
import { defaultSubjects } from '../instruments/compare/options.js';
import { notesOf } from '../instruments/compare/sections.js';
import type { Work } from '../instruments/compare/row.js';
import { allSubjects } from '../instruments/measuring/subjects.js';
import type { Fact } from '../instruments/report/machine.js';
import type { ComparisonRow } from '../trace.js';
import { pc } from '../terminal/colors.js';
import { beside } from '../terminal/text.js';

/** Calls that are rarer are added up. */
const RARE = 0.005;
const UNKNOWN = '—';
/** Of what is said below the table. */
const INDENT = 18;

const whole = (value: number): string =>
  Number.isFinite(value) ? value.toLocaleString('en', { maximumFractionDigits: 0 }) : UNKNOWN;
const fixed = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : UNKNOWN);

/** '2.04 in all', and each name below. */
function callLines({ syscalls, syscallsPerMessage }: ComparisonRow): string[] {
  if (Number.isNaN(syscallsPerMessage)) return [UNKNOWN];
  const common = syscalls.filter(({ perMessage }) => perMessage >= RARE);
  const rare = syscalls.filter((one) => !common.includes(one)).reduce((sum, { perMessage }) => sum + perMessage, 0);
  const width = syscallsPerMessage.toFixed(2).length;
  const line = (value: number, name: string): string => `${value.toFixed(2).padStart(width)} ${name}`;
  return [
    pc.bold(line(syscallsPerMessage, 'in all')),
    ...common.map(({ name, perMessage }) => line(perMessage, name)),
    ...(rare >= RARE ? [line(rare, 'others')] : []),
  ];
}

function latencyLines({ latency }: ComparisonRow): string[] {
  const values = [latency.p50, latency.p99, latency.max].map(whole);
  const width = Math.max(...values.map(({ length }) => length));
  return ['p50', 'p99', 'max'].map((name, i) => `${name} ${(values[i] ?? '').padStart(width)} µs`);
}

/** @param machine where it was measured */
export function comparisonText(rows: readonly ComparisonRow[], work: Work, machine: readonly Fact[]): string {
  const table = new Table({
    head: ['subject', 'messages/s', 'system calls a message', 'CPU a message', 'round trip'],
    colAligns: ['left', 'right', 'left', 'right', 'left'],
    style: { head: [], border: [] },
  });
  for (const row of rows) {
    const cpu = row.cpuMicrosecondsPerMessage;
    table.push([
      pc.bold(row.subject),
      whole(row.messagesPerSecond),
      callLines(row).join('\n'),
      Number.isNaN(cpu) ? UNKNOWN : `${fixed(cpu, 1)} µs`,
      latencyLines(row).join('\n'),
    ]);
  }
  const facts = [...notesOf(rows, work), ...machine];
  const notes = facts.map(([label, text]) => beside(label, text, INDENT));
  const all = rows.some(isIncomplete) ? [...notes, beside(UNKNOWN, 'nobody can tell on this system', INDENT)] : notes;
  return `${table.toString()}\n${all.join('\n')}`;
}

const isIncomplete = ({ syscallsPerMessage, cpuMicrosecondsPerMessage }: ComparisonRow): boolean =>
  Number.isNaN(syscallsPerMessage) || Number.isNaN(cpuMicrosecondsPerMessage);

/** One a line: those that are compared where none is named have a star. */
export function subjectsText(): string {
  const chosen = defaultSubjects().map((name) => bestOf(name));
  const lines = allSubjects().map(({ name, isAvailable, why }) => {
    if (!isAvailable) return `  ${name} ${pc.yellow(`(not here: ${why})`)}`;
    return chosen.includes(name) ? `* ${pc.bold(name)}` : `  ${name}`;
  });
  return `${lines.join('\n')}
* is compared where none is named. A model without its mechanism runs on its best:
  multi-reactor is ${bestOf('multi-reactor')} here. What the models are: selectors-native models`;
}

/** A model that was named without its mechanism runs on the first. */
function bestOf(name: string): string {
  const rows = allSubjects();
  return (rows.find((row) => row.name === name) ?? rows.find((row) => row.model === name))?.name ?? name;
}
