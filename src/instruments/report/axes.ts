/** Value axes: their ends, their ticks, and the place of a value as a share of the drawing. */
import { formatName } from './format.js';
import type { Axis } from './report.js';

/** With more labelled decades the labels collide on a narrow screen. */
const MAX_DECADES = 5;
/** With fewer decades 2 and 5 are labelled, too. */
const FEW_DECADES = 2;
/** Steps of a linear axis, at most. */
const MAX_STEPS = 5;
/** Pixels: the narrowest drawing, and a digit of a label. */
const NARROWEST = 190;
const DIGIT = 7;
/** Pixels between two labels. */
const TICK_GAP = 14;

const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹';

/** A labelled line of the grid. */
export interface Tick {
  /** Share of the drawing, 0 to 1. */
  readonly at: number;
  readonly text: string;
  /** Its label disappears where labels have no room. */
  readonly isSpare: boolean;
}

/** An axis whose ends are known. */
export interface Scale {
  readonly label: string;
  readonly isLogarithmic: boolean;
  readonly ticks: readonly Tick[];
  /** Lines without labels. */
  readonly minor: readonly number[];
  /** Share of the drawing: 0 at the smaller end, 1 at the larger. */
  at(value: number): number;
}

/** How an axis is laid out. */
interface ScaleOptions {
  /** 0 is on a linear axis. Default: true. */
  readonly hasZero?: boolean;
  /** Room in pixels beyond the largest value, for a label. Default: 0. */
  readonly room?: number;
}

/** Whether a value has a place on the axis. Infinity, NaN and null have none; 0 and negative values have none on a logarithmic axis. */
export const isDrawn = (value: number | null, { isLogarithmic }: Axis): value is number =>
  value !== null && Number.isFinite(value) && (isLogarithmic !== true || value > 0);

/** Width of a label in pixels, approximately. */
export const widthOf = (text: string): number => Array.from(text).length * DIGIT;

/** @param values the drawn values, at least one: all greater than 0 if the axis is logarithmic */
export function scaleOf(axis: Axis, values: readonly number[], { hasZero = true, room = 0 }: ScaleOptions = {}): Scale {
  const share = room / (NARROWEST - room);
  const scale =
    axis.isLogarithmic === true ? logarithmic(axis, values, share) : linear(axis, values, { hasZero, share });
  const width = scale.ticks.reduce((sum, { text }) => sum + widthOf(text) + TICK_GAP, 0);
  return width > NARROWEST ? scale : { ...scale, ticks: scale.ticks.map((tick) => ({ ...tick, isSpare: false })) };
}

function linear(
  { label }: Axis,
  values: readonly number[],
  { hasZero, share }: { hasZero: boolean; share: number },
): Scale {
  const all = hasZero ? [0, ...values] : values;
  const [smallest, largest] = [Math.min(...all), Math.max(...all)];
  const step = stepOf(smallest === largest ? Math.abs(largest) || 1 : largest - smallest);
  const from = Math.floor(smallest / step) * step;
  const wanted = largest + Math.max(0, share) * (largest - from);
  const to = wanted > from ? wanted : from + MAX_STEPS * step;
  const at = (value: number): number => (value - from) / (to - from);
  const count = Math.floor((to - from) / step + 1e-9);
  const ticks = Array.from({ length: count + 1 }, (_, i) => Number((from + i * step).toPrecision(12)));
  return {
    label,
    isLogarithmic: false,
    ticks: ticks.map((value, i) => ({ at: at(value), text: formatName(value), isSpare: i % 2 === 1 })),
    minor: [],
    at,
  };
}

/** 1, 2 or 5 times a power of ten. */
function stepOf(span: number): number {
  const power = 10 ** Math.floor(Math.log10(span / MAX_STEPS));
  return power * ([1, 2, 5].find((factor) => factor * power * MAX_STEPS >= span) ?? 10);
}

function logarithmic({ label }: Axis, values: readonly number[], share: number): Scale {
  const [smallest, largest] = [Math.log10(Math.min(...values)), Math.log10(Math.max(...values))];
  const from = smallest - Math.max(0.1, 0.04 * (largest - smallest));
  const end = largest + Math.max(0.1, 0.04 * (largest - smallest));
  const to = end + Math.max(0, share) * (end - from);
  const at = (value: number): number => (Math.log10(value) - from) / (to - from);
  const decades = Array.from({ length: Math.ceil(to) - Math.floor(from) + 1 }, (_, i) => Math.floor(from) + i);
  const each = Math.max(1, Math.ceil((to - from) / MAX_DECADES));
  const digits = to - from < FEW_DECADES ? [1, 2, 5] : [1];
  const isShown = (value: number): boolean => at(value) >= 0 && at(value) <= 1;
  const labelled = decades
    .filter((exponent) => exponent % each === 0)
    .flatMap((exponent) => digits.map((digit) => ({ exponent, digit, value: power(digit, exponent) })))
    .filter(({ value }) => isShown(value));
  const powers = labelled.filter(({ digit }) => digit === 1).length;
  const isWide = to > 7 || from < -5;
  const minor =
    each > 1 ? [] : decades.flatMap((exponent) => [2, 3, 4, 5, 6, 7, 8, 9].map((digit) => power(digit, exponent)));
  return {
    label,
    isLogarithmic: true,
    ticks: labelled.map(({ exponent, digit, value }, i) => ({
      at: at(value),
      text: isWide ? powerOfTen(exponent) : formatName(value),
      isSpare: powers > 1 && powers < labelled.length ? digit !== 1 : i % 2 === 1,
    })),
    minor: minor.filter(isShown).map(at),
    at,
  };
}

/** Parses '3e-7', because 3 * 10 ** -7 is 3.0000000000000004e-7. */
const power = (digit: number, exponent: number): number => Number(`${digit}e${exponent}`);

/** '10⁻⁹' */
const powerOfTen = (exponent: number): string =>
  `10${Array.from(String(exponent), (digit) => SUPERSCRIPTS[Number(digit)] ?? '⁻').join('')}`;
