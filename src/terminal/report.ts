/** A section of a report as text, as wide as the terminal. Charts are left out: their figures are in the tables. */
import Table from 'cli-table3';
import { formatCell, formatName } from '../instruments/report/format.js';
import type { Outcome, ReportSection, ReportTable, Statement, Verdict } from '../instruments/report/report.js';
import { pc } from './colors.js';
import { beside, terminalColumns, wrap } from './text.js';

/** Characters before text in a cell is wrapped, and before the head of a column of figures is. */
const MAX_TEXT_WIDTH = 36;
const MAX_HEAD_WIDTH = 12;
/** Characters that a table draws around each cell (`│ ` and ` `), and at the end of a row (`│`). */
const CELL_FRAME = 3;
const ROW_END = 1;

const PAINTED: Readonly<Record<Outcome, string>> = {
  holds: pc.green('✓ holds'),
  'does not hold here': pc.red('✗ does not hold here'),
  undecided: pc.yellow('? undecided'),
  'holds in part': pc.yellow('~ holds in part'),
  'not tried': pc.yellow('- not tried'),
};

export function sectionText({ title, facts, verdict, tables }: ReportSection): string {
  const indent = Math.min(20, 2 + Math.max(0, ...facts.map(([label]) => label.length)));
  return [
    pc.bold(wrap(printable(title), terminalColumns()).join('\n')),
    verdict === undefined ? '' : verdictText(verdict),
    facts.map(([label, text]) => beside(printable(label).slice(0, indent - 1), printable(text), indent)).join('\n'),
    ...tables.filter(({ columns }) => columns.length > 0).map(tableText),
  ]
    .filter((text) => text !== '')
    .join('\n\n');
}

/** The outcome, and the reason on the same line. */
function verdictText({ outcome, because, statements = [] }: Verdict): string {
  const [first = '', ...more] = wrap(printable(because), terminalColumns() - outcome.length - 4);
  return [
    [`${PAINTED[outcome]}: ${first}`, ...wrap(more.join(' '), terminalColumns())].join('\n').trimEnd(),
    ...statements.map(statementText),
  ].join('\n');
}

/** The statement and its outcome on a line, and the reason below. */
function statementText({ statement, outcome, because }: Statement): string {
  const heading = wrap(`${printable(statement)}:`, terminalColumns() - outcome.length - 5);
  return [
    `  ${heading.join('\n  ')} ${PAINTED[outcome]}`,
    ...wrap(printable(because), terminalColumns() - 6).map((line) => `      ${line}`),
  ].join('\n');
}

/** A table that is too wide is split into several, each of which begins with the first column. */
function tableText({ title, columns, rows }: ReportTable): string {
  const cells = [columns, ...rows].map((row, r) =>
    columns.map((_, i) =>
      printable(r === 0 ? (columns[i] ?? '') : (i === 0 ? formatName : formatCell)(row[i] ?? null)),
    ),
  );
  const isText = columns.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === 'string'));
  const widths = columns.map((_, i) =>
    widthOf(
      cells.map((row) => row[i] ?? ''),
      i === 0 || isText[i] === true,
    ),
  );
  const parts = fold(widths).map((part) => {
    const [head = [], ...body] = cells.map((row) =>
      part.map((i) => wrap(row[i] ?? '', widths[i] ?? terminalColumns()).join('\n')),
    );
    const table = new Table({
      head: [...head],
      colAligns: part.map((i) => (i === 0 || isText[i] === true ? 'left' : 'right')),
      style: { head: [], border: [] },
    });
    table.push(...body.map((row) => [...row]));
    return table.toString();
  });
  return [wrap(printable(title), terminalColumns()).join('\n'), ...parts].join('\n');
}

/** @param isText columns of figures are as wide as their longest word: quartiles stand below their median */
function widthOf([head = '', ...cells]: readonly string[], isText: boolean): number {
  const longestWord = (text: string): number => Math.max(...text.split(' ').map((one) => one.length));
  const longest = Math.max(1, ...cells.map((cell) => (isText ? cell.length : longestWord(cell))));
  return Math.min(MAX_TEXT_WIDTH, Math.max(longest, longestWord(head), Math.min(MAX_HEAD_WIDTH, head.length)));
}

/** Splits the columns into as few parts as fit into the terminal. @returns indices of columns */
function fold(widths: readonly number[]): readonly (readonly number[])[] {
  const first = (widths[0] ?? 0) + CELL_FRAME + ROW_END;
  const parts: number[][] = [[0]];
  let used = first;
  for (const [i, width] of widths.entries()) {
    if (i === 0) continue;
    if (used + width + CELL_FRAME > terminalColumns()) {
      parts.push([0]);
      used = first;
    }
    parts.at(-1)?.push(i);
    used += width + CELL_FRAME;
  }
  return parts;
}

/** Replaces control characters. */
const printable = (text: string): string => text.replace(/\p{Cc}+/gu, ' ');
