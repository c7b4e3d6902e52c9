/** Cells as text, the same for the terminal and for the page. */
import type { Cell } from './report.js';

const NOTHING = '—';

/** What a reader still takes in with thousands and leading noughts; beyond, powers of ten. */
const LARGEST = 1e15;
const SMALLEST = 1e-6;

const whole = new Intl.NumberFormat('en-GB', { maximumSignificantDigits: 3 });
const broken = new Intl.NumberFormat('en-GB', { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
const exact = new Intl.NumberFormat('en-GB', { maximumSignificantDigits: 15 });

/** A figure: numbers with three significant digits and their thousands separated, null and what is no number as '—'. */
export function formatCell(cell: Cell): string {
  return typeof cell === 'number' ? formatNumber(cell, Number.isInteger(cell) ? whole : broken) : (cell ?? NOTHING);
}

/** What names a row: a number keeps all its digits, for 1024 descriptors are not 1020. */
export function formatName(cell: Cell): string {
  return typeof cell === 'number' ? formatNumber(cell, exact) : (cell ?? NOTHING);
}

function formatNumber(value: number, format: Intl.NumberFormat): string {
  if (!Number.isFinite(value)) return NOTHING;
  const size = Math.abs(value);
  if (size === 0) return '0'; // not -0
  return size < SMALLEST || size >= LARGEST ? value.toExponential(2) : format.format(value);
}

/** At most so many characters. */
export function shorten(text: string, longest: number): string {
  const characters = Array.from(text);
  return characters.length <= longest ? text : `${characters.slice(0, longest - 1).join('')}…`;
}
