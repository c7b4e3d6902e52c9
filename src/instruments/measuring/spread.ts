/** Median and quartiles of repeated measurements. */

export interface Spread {
  /** Number of measurements. */
  readonly count: number;
  /** First quartile. */
  readonly low: number;
  readonly median: number;
  /** Third quartile. */
  readonly high: number;
}

/** @param values at least one */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? NaN;
  return { count: sorted.length, low: at(0.25), median: at(0.5), high: at(0.75) };
}

/** Arithmetic mean. NaN for no values. */
export const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
