/** A bar chart: horizontal, a row per category. */
import { type Scale, isDrawn, scaleOf, widthOf } from './axes.js';
import { area, legendHtml, percent, tooltip } from './drawing.js';
import { formatCell } from './format.js';
import { type Html, NOTHING, html } from './html.js';
import { type Paint, callPaints, seriesPaint } from './paints.js';
import type { BarChart, Quartiles } from './report.js';
import { rowFrame } from './row-frame.js';

type Spread = Pick<Quartiles, 'low' | 'high'>;

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
    : [...values, ...series.flatMap((_, s) => categories.map((_, i) => spreadOf(chart, s, i)?.high ?? 0))];
  const room = Math.max(...ends.map((one) => widthOf(formatCell(one)))) + LABEL_GAP;
  const scale = scaleOf(value, ends, { room });
  const figure = (text: number, y: number, end = text): Html =>
    html`<text
      class="figure"
      x="${percent(scale.at(Math.max(0, end)))}"
      y="50%"
      dx="${LABEL_GAP}"
      dy="${y + BAR / 2 + 4}"
      >${formatCell(text)}</text
    >`;

  const barsOf = (i: number): Html => {
    let below = 0;
    const marks = series.map(({ name }, s) => {
      const one = drawn[i]?.[s] ?? null;
      if (one === null) return NOTHING;
      const from = isStacked ? below : 0;
      below += Math.max(0, one);
      const y = isStacked ? -BAR / 2 - 2 : (s - series.length / 2) * PITCH + (PITCH - BAR) / 2;
      const spread = isStacked ? null : spreadOf(chart, s, i);
      const title = tooltip(
        ...[categories[i] ?? '', `${name === '' ? value.label : name}: ${formatCell(one)}`],
        spread === null ? '' : `quartiles ${formatCell(spread.low)} and ${formatCell(spread.high)}`,
      );
      const height = isStacked ? BAR + 4 : BAR;
      const bar = area(
        scale.at(from),
        scale.at(isStacked ? below : one),
        y,
        height,
        paints[s] ?? seriesPaint(s),
        title,
      );
      if (isStacked) return bar;
      const end = Math.max(one, spread?.high ?? one);
      return html`${bar}${spread === null ? NOTHING : whisker(spread, scale, y + BAR / 2)}${figure(one, y, end)}`;
    });
    return html`${marks}${isStacked && below > 0 ? figure(below, -BAR / 2) : NOTHING}`;
  };

  const rows = categories.map((name, i) => ({
    name,
    marks: barsOf(i),
    height: (isStacked ? PITCH : series.length * PITCH) + GAP,
  }));
  const legend = series.map(({ name }, s) => ({ name, paint: paints[s] ?? seriesPaint(s), kind: 'area' as const }));
  const hasSpreads = !isStacked && series.some((_, s) => categories.some((_, i) => spreadOf(chart, s, i) !== null));
  const key = hasSpreads ? html`<p class="key">Bar: median. Line: from the first to the third quartile.</p>` : NOTHING;
  return html`${legendHtml(legend)}${rowFrame(scale, rows)}${key}`;
}

const valueOf = (value: number | null | undefined, axis: BarChart['value']): number | null =>
  isDrawn(value ?? null, axis) ? (value ?? null) : null;

/** The quartiles of a value, if they differ and are on the axis. */
function spreadOf({ series, value }: BarChart, s: number, i: number): Spread | null {
  const spread = series[s]?.spreads?.[i] ?? null;
  return spread !== null && isDrawn(spread.low, value) && isDrawn(spread.high, value) && spread.low < spread.high
    ? spread
    : null;
}

/** A line between the quartiles, across the end of the bar: with an edge, so that it is seen on the bar too. @param y from the middle */
function whisker({ low, high }: Spread, scale: Scale, y: number): Html {
  const ends = [low, high].map(
    (end) => html`<svg class="at" x="${percent(scale.at(end))}" y="50%"><path d="M0 -3.5V3.5" /></svg>`,
  );
  const drawing = html`<line
      x1="${percent(scale.at(low))}"
      x2="${percent(scale.at(high))}"
      y1="50%"
      y2="50%"
    />${ends}`;
  return html`<g transform="translate(0 ${y})"
    ><g class="whisker edge">${drawing}</g><g class="whisker">${drawing}</g></g
  >`;
}

function paintsOf({ series, hasCalls }: BarChart): readonly Paint[] {
  return hasCalls === true ? callPaints(series.map(({ name }) => name)) : series.map((_, i) => seriesPaint(i));
}
