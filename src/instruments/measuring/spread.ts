/** What many measurements of the same thing come to. */

export interface Spread {
  /** Of measurements. */
  readonly count: number;
  /** A quarter of them is below. */
  readonly low: number;
  readonly median: number;
  /** A quarter of them is above. */
  readonly high: number;
}

/** @param values one at least */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? NaN;
  return { count: sorted.length, low: at(0.25), median: at(0.5), high: at(0.75) };
}

export const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
