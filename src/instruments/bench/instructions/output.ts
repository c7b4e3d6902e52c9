/** The counts as a table on a terminal, else as one line each. */
import Table from 'cli-table3';
import { pc } from '../../../terminal/colors.js';
import { type Comparison, TOLERANCE, isFailure } from './baseline.js';
import type { Workload } from './workloads.js';

export type Result = { readonly workload: Workload } & (Comparison | { readonly skipped: string });

function percent(share: number): string {
  const rounded = Math.round(1000 * share) / 10; // never '-0.0'
  return `${rounded > 0 ? '+' : ''}${rounded.toFixed(1)} %`;
}

/** '2,108', '165.3' */
const figure = (value: number | null): string =>
  value === null ? '—' : value.toLocaleString('en', { maximumFractionDigits: value < 1000 ? 1 : 0 });

const mark = (result: Comparison): string => (isFailure(result) ? pc.red('✗') : pc.green('✓'));

export const resultsText = (results: readonly Result[]): string =>
  process.stdout.isTTY ? tableText(results) : results.map(lineText).join('\n');

function tableText(results: readonly Result[]): string {
  const table = new Table({
    head: ['', 'workload', 'instructions per', 'baseline', 'now', 'difference'],
    colAligns: ['left', 'left', 'left', 'right', 'right', 'right'],
    style: { head: [], border: [] },
  });
  for (const { workload, ...result } of results) {
    const name = [pc.bold(workload.name), workload.unit];
    if ('skipped' in result) table.push(['-', ...name, '', '', 'skipped']);
    else table.push([mark(result), ...name, figure(result.baseline), figure(result.now), differenceText(result)]);
  }
  const skipped = results.flatMap((result) => ('skipped' in result ? [lineText(result)] : []));
  return [table.toString(), ...skipped].join('\n');
}

const differenceText = ({ outcome, change }: Comparison): string => (outcome === 'unknown' ? '—' : percent(change));

/** One line, which .ci/run reads. */
function lineText({ workload: { name, unit }, ...result }: Result): string {
  if ('skipped' in result) return `- ${name}: skipped: ${result.skipped}`;
  const { outcome, baseline, now } = result;
  const of = outcome === 'unknown' ? 'not in the baseline' : `${differenceText(result)} of ${figure(baseline)}`;
  return `${mark(result)} ${name}: ${figure(now)} instructions per ${unit}, ${of}`;
}

/** What to do about the counts that differ. */
export function summaryText(results: readonly Result[]): readonly string[] {
  const named = (wanted: Comparison['outcome']): string =>
    results.flatMap((one) => ('outcome' in one && one.outcome === wanted ? [one.workload.name] : [])).join(', ');
  const lines = [
    [named('more'), `beyond ${percent(TOLERANCE)}, however V8 compiles it. If intended, --update accepts it`],
    [named('fewer'), `beyond ${percent(-TOLERANCE)}: --update accepts it`],
    [named('unknown'), 'not in the baseline: --update adds it'],
  ] as const;
  return lines.filter(([names]) => names !== '').map(([names, text]) => `${names}: ${text}`);
}
