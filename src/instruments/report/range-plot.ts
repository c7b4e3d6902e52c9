/** A chart of distributions: per category and series a dot with a line, and the single measurements if there are any. */
import { isDrawn, scaleOf } from './axes.js';
import { legendHtml, percent, point, tooltip } from './drawing.js';
import { formatCell } from './format.js';
import { type Html, NOTHING, html } from './html.js';
import { seriesPaint } from './paints.js';
import type { Axis, Range, RangeChart } from './report.js';
import { rowFrame } from './row-frame.js';

/** Pixels: the pitch of the ranges of one category, and the gap between two categories. */
const PITCH = 18;
const GAP = 10;
/** Offsets of measurements that would cover each other, in pixels. */
const JITTER = [0, 4, -2, 2, -4, 3, -1, 1, -3];

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
    const samples = dots
      .filter((one) => isDrawn(one, value))
      .map((one, d) => at(one, html`<circle class="sample" cy="${JITTER[d % JITTER.length] ?? 0}" r="3" />`));
    return html`<g class="${paint.color}" transform="translate(0 ${y})"
        >${dots.length === 0 ? line : html`${samples}`}${title}</g
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
