/** Fits y = c · x^exponent, a straight line on two logarithmic axes. */

export type Point = readonly [x: number, y: number];

/**
 * The exponent by least squares of the logarithms. 1: y is proportional to x; 0: y does not depend on x. NaN for fewer than two different x.
 * @param points x and y greater than 0
 */
export function exponentOf(points: readonly Point[]): number {
  const logarithms = points.map(([x, y]) => [Math.log(x), Math.log(y)] as const);
  const mean = (index: 0 | 1): number => logarithms.reduce((sum, one) => sum + one[index], 0) / logarithms.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  let products = 0;
  let squares = 0;
  for (const [x, y] of logarithms) {
    products += (x - meanX) * (y - meanY);
    squares += (x - meanX) ** 2;
  }
  return products / squares;
}
