/** A chart of distributions: per category and series a dot with a line, and the single measurements if there are any. */
import { isDrawn, scaleOf } from './axes.js';
import { legendHtml, percent, point, tooltip } from './drawing.js';
import { formatCell } from './format.js';
import { type Html, NOTHING, html, Html as Trusted } from './html.js';
import { seriesPaint } from './paints.js';
import type { Axis, Range, RangeChart } from './report.js';
import { rowFrame } from './row-frame.js';

/** Pixels: the pitch of the ranges of one category, and the gap between two categories. */
const PITCH = 18;
const GAP = 10;
/** More dots than these are smaller. */
const MANY = 60;
/** Offsets of measurements that would cover each other, in pixels. */
const JITTER = [0, 5, -2.5, 2.5, -5, 4, -1, 1, -4];

/** A range that has a place on the axis. */
export const drawnRange = (range: Range | null | undefined, axis: Axis): Range | null =>
  range !== null && range !== undefined && [range.low, range.mid, range.high].every((one) => isDrawn(one, axis))
    ? range
    : null;

/** The drawing. null: no values. */
export function rangePlot({ categories, series, value, parts }: RangeChart): Html | null {
  const drawn = categories.map((_, i) => series.map(({ values }) => drawnRange(values[i], value)));
  const ranges = drawn.flat().filter((one) => one !== null);
  if (ranges.length === 0) return null;
  const scale = scaleOf(
    value,
    ranges.flatMap(({ low, mid, high, dots = [] }) => [low, mid, high, ...dots.filter((one) => isDrawn(one, value))]),
    { room: value.isLogarithmic === true ? 0 : 10 },
  );

  const rangeOf = (i: number, s: number): Html => {
    const range = drawn[i]?.[s] ?? null;
    if (range === null) return NOTHING;
    const paint = seriesPaint(s);
    const { low, mid, high, dots = [] } = range;
    const y = (s - (series.length - 1) / 2) * PITCH;
    const title = tooltip(
      ...[categories[i] ?? '', series[s]?.name ?? '', value.label],
      parts.map((part, p) => `${part} ${formatCell([low, mid, high][p] ?? null)}`).join(', '),
    );
    const at = (one: number, drawing: Html): Html =>
      html`<svg class="at" x="${percent(scale.at(one))}" y="50%">${drawing}</svg>`;
    const line = html`<line
        class="stroke"
        x1="${percent(scale.at(low))}"
        x2="${percent(scale.at(high))}"
        y1="50%"
        y2="50%"
      />${[low, high].map((end) => at(end, html`<path class="stroke" d="M0 -4V4" />`))}`;
    const places = dots.filter((one) => isDrawn(one, value)).map((one) => percent(scale.at(one)));
    return html`<g class="${paint.color}" transform="translate(0 ${y})"
        >${dots.length === 0 ? line : samples(places)}${title}</g
      >${point(scale.at(mid), '50%', y, paint, title)}`;
  };

  const rows = categories.map((name, i) => ({
    name,
    marks: html`${series.map((_, s) => rangeOf(i, s))}`,
    height: series.length * PITCH + GAP,
  }));
  const legend = series.map(({ name }, s) => ({ name, paint: seriesPaint(s), kind: 'line' as const }));
  const [low, mid, high] = parts;
  const hasDots = ranges.some(({ dots = [] }) => dots.length > 0);
  const key = hasDots ? `Pale dots: the measurements. Mark: ${mid}.` : `Mark: ${mid}. Line: from ${low} to ${high}.`;
  return html`${legendHtml(legend)}${rowFrame(scale, rows)}
    <p class="key">${key}</p>`;
}

/** Pale dots, in lanes. A thousand of them are no rarity: formatted templates would add a third to a page. */
function samples(places: readonly string[]): Html {
  const size = places.length > MANY ? 2 : 3;
  const lanes = JITTER.map((y, lane) => {
    const dots = places.filter((_, i) => i % JITTER.length === lane);
    const circles = dots.map((x) => `<circle cx="${x}" cy="50%" r="${size}" />`);
    return `<g transform="translate(0 ${y})">${circles.join('')}</g>`;
  });
  return new Trusted(`<g class="sample">${lanes.join('')}</g>`);
}
