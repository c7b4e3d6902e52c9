/** A bar chart: horizontal, a row per category. */
import { isDrawn, scaleOf, widthOf } from './axes.js';
import { area, legendHtml, percent, tooltip } from './drawing.js';
import { formatCell } from './format.js';
import { type Html, html } from './html.js';
import { type Paint, callPaints, seriesPaint } from './paints.js';
import type { BarChart } from './report.js';
import { rowFrame } from './row-frame.js';

/** Pixels: a bar, the pitch of the bars of one category, and the gap between two categories. */
const BAR = 14;
const PITCH = 17;
const GAP = 12;
/** Pixels between a bar and its figure. */
const LABEL_GAP = 5;

/** The drawing. null: no values. */
export function barPlot(chart: BarChart): Html | null {
  const { categories, series, value } = chart;
  const drawn = categories.map((_, i) => series.map(({ values }) => valueOf(values[i], value)));
  const values = drawn.flat().filter((one) => one !== null);
  if (values.length === 0) return null;
  const isStacked = chart.isStacked === true && series.length > 1;
  const paints = paintsOf(chart);
  const ends = isStacked
    ? drawn.map((row) => row.reduce<number>((sum, one) => sum + Math.max(0, one ?? 0), 0))
    : values;
  const room = Math.max(...ends.map((one) => widthOf(formatCell(one)))) + LABEL_GAP;
  const scale = scaleOf(value, ends, { room });
  const figure = (end: number, y: number): Html =>
    html`<text
      class="figure"
      x="${percent(scale.at(Math.max(0, end)))}"
      y="50%"
      dx="${LABEL_GAP}"
      dy="${y + BAR / 2 + 4}"
      >${formatCell(end)}</text
    >`;

  const barsOf = (i: number): Html => {
    let below = 0;
    const marks = series.map(({ name }, s) => {
      const one = drawn[i]?.[s] ?? null;
      if (one === null) return html``;
      const from = isStacked ? below : 0;
      below += Math.max(0, one);
      const y = isStacked ? -BAR / 2 - 2 : (s - series.length / 2) * PITCH + (PITCH - BAR) / 2;
      const title = tooltip(categories[i] ?? '', `${name === '' ? value.label : name}: ${formatCell(one)}`);
      const height = isStacked ? BAR + 4 : BAR;
      const bar = area(
        scale.at(from),
        scale.at(isStacked ? below : one),
        y,
        height,
        paints[s] ?? seriesPaint(s),
        title,
      );
      return isStacked ? bar : html`${bar}${figure(one, y)}`;
    });
    return html`${marks}${isStacked && below > 0 ? figure(below, -BAR / 2) : html``}`;
  };

  const rows = categories.map((name, i) => ({
    name,
    marks: barsOf(i),
    height: (isStacked ? PITCH : series.length * PITCH) + GAP,
  }));
  const legend = series.map(({ name }, s) => ({ name, paint: paints[s] ?? seriesPaint(s), kind: 'area' as const }));
  return html`${legendHtml(legend)}${rowFrame(scale, rows)}`;
}

const valueOf = (value: number | null | undefined, axis: BarChart['value']): number | null =>
  isDrawn(value ?? null, axis) ? (value ?? null) : null;

function paintsOf({ series, hasCalls }: BarChart): readonly Paint[] {
  return hasCalls === true ? callPaints(series.map(({ name }) => name)) : series.map((_, i) => seriesPaint(i));
}
