/** Formats cells, the same for the terminal and for the page. */
import type { Cell, Quartiles } from './report.js';
import { lazyFormat } from './words.js';

const NOTHING = '—';

/** Outside these bounds numbers are printed with powers of ten. */
const MAX_PLAIN = 1e15;
const MIN_PLAIN = 1e-6;

const whole = lazyFormat({ maximumSignificantDigits: 3 });
const broken = lazyFormat({ minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
const exact = lazyFormat({ maximumSignificantDigits: 15 });

/** A figure: numbers with three significant digits and grouped thousands; null, NaN and infinities as '—'. */
export function formatCell(cell: Cell): string {
  if (typeof cell === 'object') return cell === null ? NOTHING : formatQuartiles(cell);
  return typeof cell === 'number' ? formatFigure(cell) : cell;
}

const formatFigure = (value: number): string => formatNumber(value, Number.isInteger(value) ? whole() : broken());

/** '4.7 (4.5–5.1)'; without the quartiles if all are printed alike. */
function formatQuartiles({ low, median, high }: Quartiles): string {
  const [from, middle, to] = [low, median, high].map(formatFigure);
  return from === to ? `${middle}` : `${middle} (${from}–${to})`;
}

/** The name of a row: a number keeps all its digits, because 1024 descriptors are not 1020. */
export function formatName(cell: Cell): string {
  return typeof cell === 'number' ? formatNumber(cell, exact()) : formatCell(cell);
}

function formatNumber(value: number, format: Intl.NumberFormat): string {
  if (!Number.isFinite(value)) return NOTHING;
  const size = Math.abs(value);
  if (size === 0) return '0'; // not -0
  return size < MIN_PLAIN || size >= MAX_PLAIN ? value.toExponential(2) : format.format(value);
}

/** Cuts a text to `max` characters, with an ellipsis. */
export function shorten(text: string, max: number): string {
  const characters = Array.from(text);
  return characters.length <= max ? text : `${characters.slice(0, max - 1).join('')}…`;
}
