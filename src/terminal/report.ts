/** A section of a report for a terminal of 100 columns. Its charts are not drawn there: their figures are in its tables. */
import Table from 'cli-table3';
import { formatCell, formatName } from '../instruments/report/format.js';
import type { Outcome, ReportSection, ReportTable, Verdict } from '../instruments/report/report.js';
import { pc } from './colors.js';
import { beside, wrap } from './text.js';

const COLUMNS = 100;
/** Of text in a cell, and of the words above a column of figures, where they need no more. */
const WIDEST_TEXT = 36;
const WIDEST_HEAD = 12;
/** What a table draws around a cell, and once more at its end: `│ ` and ` `, `│`. */
const FRAME = 3;
const END = 1;

const PAINTED: Readonly<Record<Outcome, string>> = {
  holds: pc.green('✓ holds'),
  'does not hold here': pc.red('✗ does not hold here'),
  undecided: pc.yellow('? undecided'),
};

export function sectionText({ title, facts, verdict, tables }: ReportSection): string {
  const indent = Math.min(20, 2 + Math.max(0, ...facts.map(([label]) => label.length)));
  return [
    pc.bold(wrap(printable(title), COLUMNS).join('\n')),
    facts
      .map(([label, text]) => beside(printable(label).slice(0, indent - 1), printable(text), indent, COLUMNS))
      .join('\n'),
    ...tables.filter(({ columns }) => columns.length > 0).map(tableText),
    verdict === undefined ? '' : verdictText(verdict),
  ]
    .filter((text) => text !== '')
    .join('\n\n');
}

/** The sentence goes on beside what came out. */
function verdictText({ outcome, because }: Verdict): string {
  const [first = '', ...more] = wrap(printable(because), COLUMNS - outcome.length - 4);
  return [`${PAINTED[outcome]}: ${first}`, ...wrap(more.join(' '), COLUMNS)].join('\n').trimEnd();
}

/** A table that is too wide becomes several, each of which begins with the names of the rows. */
function tableText({ title, columns, rows }: ReportTable): string {
  const cells = [columns, ...rows].map((row, r) =>
    columns.map((_, i) =>
      printable(r === 0 ? (columns[i] ?? '') : (i === 0 ? formatName : formatCell)(row[i] ?? null)),
    ),
  );
  const isText = columns.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === 'string'));
  const widths = columns.map((_, i) => widthOf(cells.map((row) => row[i] ?? '')));
  const parts = fold(widths).map((part) => {
    const [head = [], ...body] = cells.map((row) =>
      part.map((i) => wrap(row[i] ?? '', widths[i] ?? COLUMNS).join('\n')),
    );
    const table = new Table({
      head: [...head],
      colAligns: part.map((i) => (i === 0 || isText[i] === true ? 'left' : 'right')),
      style: { head: [], border: [] },
    });
    table.push(...body.map((row) => [...row]));
    return table.toString();
  });
  return [wrap(printable(title), COLUMNS).join('\n'), ...parts].join('\n');
}

function widthOf([head = '', ...cells]: readonly string[]): number {
  const longest = Math.max(1, ...cells.map((cell) => cell.length));
  const word = Math.max(...head.split(' ').map((one) => one.length));
  return Math.min(WIDEST_TEXT, Math.max(longest, word, Math.min(WIDEST_HEAD, head.length)));
}

/** Columns, in as few parts as there is room for. */
function fold(widths: readonly number[]): readonly (readonly number[])[] {
  const first = (widths[0] ?? 0) + FRAME + END;
  const parts: number[][] = [[0]];
  let used = first;
  for (const [i, width] of widths.entries()) {
    if (i === 0) continue;
    if (used + width + FRAME > COLUMNS) {
      parts.push([0]);
      used = first;
    }
    parts.at(-1)?.push(i);
    used += width + FRAME;
  }
  return parts;
}

/** Nothing that a terminal would obey. */
const printable = (text: string): string => text.replace(/\p{Cc}+/gu, ' ');
