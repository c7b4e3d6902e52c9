/** Value axes. Linear axes use Plotly's ticks; logarithmic axes get ticks with labels of one size. */
import { formatName } from './format.js';
import { type PlotAxis, plotText } from './plot.js';
import type { Axis } from './report.js';

/** With more labelled decades the labels collide on a narrow screen. */
const MAX_DECADES = 6;
/** With fewer decades 2 and 5 are labelled, too. */
const FEW_DECADES = 2;

const SUPERSCRIPT: Readonly<Record<string, string>> = {
  '-': '⁻',
  0: '⁰',
  1: '¹',
  2: '²',
  3: '³',
  4: '⁴',
  5: '⁵',
  6: '⁶',
  7: '⁷',
  8: '⁸',
  9: '⁹',
};

/** @param values the drawn values: all greater than 0 if the axis is logarithmic */
export function valueAxis(axis: Axis, values: readonly number[]): PlotAxis {
  const title = { text: plotText(axis.label) };
  if (axis.isLogarithmic !== true)
    return { title, type: 'linear', tickformat: ',.6~r', rangemode: 'tozero', showgrid: true };
  return { title, type: 'log', showgrid: true, ...logarithmicTicks(Math.min(...values), Math.max(...values)) };
}

function logarithmicTicks(smallest: number, largest: number): Pick<PlotAxis, 'tickvals' | 'ticktext' | 'minor'> {
  const from = Math.floor(Math.log10(smallest)) - 1;
  const to = Math.ceil(Math.log10(largest)) + 1;
  const decades = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  const span = Math.log10(largest / smallest);
  const each = Math.max(1, Math.ceil(span / MAX_DECADES));
  const digits = span < FEW_DECADES ? [1, 2, 5] : [1];
  const shown = decades.filter((exponent) => exponent % each === 0);
  const tickvals = shown.flatMap((exponent) => digits.map((digit) => power(digit, exponent)));
  const between = [2, 3, 4, 5, 6, 7, 8, 9];
  const minor = decades.flatMap((exponent) => between.map((digit) => power(digit, exponent)));
  const isWide = digits.length === 1 && (to > 7 || from < -5);
  return {
    tickvals,
    ticktext: isWide ? shown.map(powerOfTen) : tickvals.map(formatName),
    minor: { tickvals: minor, showgrid: each === 1 },
  };
}

/** Parses '3e-7', because 3 * 10 ** -7 is 3.0000000000000004e-7. */
const power = (digit: number, exponent: number): number => Number(`${digit}e${exponent}`);

/** '10⁻⁹': Plotly's own superscripts are too small to read. */
const powerOfTen = (exponent: number): string =>
  `10${Array.from(String(exponent), (digit) => SUPERSCRIPT[digit] ?? '').join('')}`;

/** The exponents of a logarithmic axis for bars. It begins well below the smallest value, whose bar would have no length otherwise. */
export function barRange(smallest: number, largest: number, room: number): readonly [from: number, to: number] {
  const from = Math.floor(Math.log10(smallest) - 0.2);
  const to = Math.log10(largest);
  return [from, to + room * (to - from)];
}
