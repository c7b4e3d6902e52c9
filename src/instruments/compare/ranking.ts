/** The order of the subjects by a figure: only those whose quartiles do not overlap are ranked. */
import type { ReportedRow } from './reported.js';

type QuartileRange = readonly [low: number, high: number];
type Figure = 'messagesPerSecond' | 'cpuMicrosecondsPerMessage';

/**
 * 'reactor:epoll > reactor:poll ≈ thread-pool': '≈' stands between subjects whose quartiles overlap.
 * @returns null: fewer than two subjects, or no rounds that show a spread
 */
export function rankingOf(rows: readonly ReportedRow[], figure: Figure, best: 'highest' | 'lowest'): string | null {
  const sign = best === 'highest' ? -1 : 1;
  const ranked = rows
    .flatMap(({ subject, quartiles, ...row }) => {
      const range = quartiles?.[figure];
      return range === undefined || Number.isNaN(row[figure]) ? [] : [{ subject, median: row[figure], range }];
    })
    .sort((one, other) => sign * (one.median - other.median));
  if (ranked.length < 2) return null;
  return ranked
    .map(({ subject, range }, i) => {
      const before = ranked[i - 1]?.range;
      return before === undefined
        ? subject
        : `${overlap(before, range) ? '≈' : best === 'highest' ? '>' : '<'} ${subject}`;
    })
    .join(' ');
}

const overlap = ([low, high]: QuartileRange, [otherLow, otherHigh]: QuartileRange): boolean =>
  low <= otherHigh && otherLow <= high;
