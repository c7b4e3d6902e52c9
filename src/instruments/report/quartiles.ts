/** Medians with their quartiles, in charts. */
import type { Range, RangeChart } from './report.js';

/** The parts of a range that is a median with its quartiles. */
export const QUARTILES: RangeChart['parts'] = ['first quartile', 'median', 'third quartile'];

/** @param spread undefined: not measured */
export const rangeOf = (
  spread: { readonly low: number; readonly median: number; readonly high: number } | undefined,
): Range | null => (spread === undefined ? null : { low: spread.low, mid: spread.median, high: spread.high });
