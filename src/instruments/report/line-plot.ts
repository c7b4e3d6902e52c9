/** A line chart: one line per series, with a symbol at each point, and error bars. */
import { type Scale, isDrawn, scaleOf, widthOf } from './axes.js';
import { axisTitle, horizontalAxis, legendHtml, percent, point, tooltip, verticalLines } from './drawing.js';
import { formatCell, formatName } from './format.js';
import { type Html, NOTHING, html } from './html.js';
import { type Paint, mechanismPaints, seriesPaint } from './paints.js';
import type { LineChart } from './report.js';

type Point = LineChart['series'][number]['points'][number];

/** The drawing. null: no points. */
export function linePlot({ series, x, y, hasMechanisms }: LineChart): Html | null {
  const lines = series.map(({ points }) => points.filter((one) => isDrawn(one[0], x) && isDrawn(one[1], y)));
  const all = lines.flat();
  if (all.length === 0) return null;
  const xs = scaleOf(
    x,
    all.map((one) => one[0]),
    { hasZero: false },
  );
  const ys = scaleOf(
    y,
    all.flatMap(([, ...values]) => values.filter((one): one is number => isDrawn(one ?? null, y))),
  );
  const paints =
    hasMechanisms === true ? mechanismPaints(series.map(({ name }) => name)) : series.map((_, i) => seriesPaint(i));
  const paintOf = (i: number): Paint => paints[i] ?? seriesPaint(i);
  const pointTitle = (name: string, [px, py, low, high]: Point): Html =>
    tooltip(
      ...[name, `${x.label}: ${formatName(px)}`, `${y.label}: ${formatCell(py)}`],
      low === undefined || high === undefined ? '' : `from ${formatCell(low)} to ${formatCell(high)}`,
    );
  const marks = lines.map((points, i) => {
    const paint = paintOf(i);
    const at = points.map(
      (one) =>
        html`${bars(one, xs, ys, paint)}${point(xs.at(one[0]), percent(1 - ys.at(one[1])), 0, paint, pointTitle(series[i]?.name ?? '', one))}`,
    );
    return html`${curve(points, xs, ys, paint)}${at}`;
  });
  const legend = series.map(({ name }, i) => ({ name, paint: paintOf(i), kind: 'line' as const }));
  const width = Math.max(...ys.ticks.map(({ text }) => widthOf(text))) + 8;
  return html`${legendHtml(legend)}
    <p class="axis-title vertical">${y.label}</p>
    <div class="plane" style="grid-template-columns: ${width}px minmax(0, 1fr)">
      <svg class="axis" width="${width}" height="100%">
        ${ys.ticks.map(({ at, text }) => html`<text class="tick end" x="${width - 6}" y="${percent(1 - at)}" dy="4">${text}</text>`)}
      </svg>
      <svg class="field">${verticalLines(xs)}${horizontalLines(ys)}${marks}</svg>
      <div class="scale">${horizontalAxis(xs)}${axisTitle(x.label)}</div>
    </div>
    ${all.some((one) => one.length > 2) ? html`<p class="key">Vertical lines: from the first to the third quartile.</p>` : NOTHING}`;
}

/** Stretched to the width; its lines are not. */
function curve(points: readonly Point[], xs: Scale, ys: Scale, { color }: Paint): Html {
  if (points.length < 2) return NOTHING;
  const places = points.map((one) => `${(100 * xs.at(one[0])).toFixed(2)},${(100 * (1 - ys.at(one[1]))).toFixed(2)}`);
  return html`<svg class="${color}" viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="100%">
    <polyline class="stroke curve" points="${places.join(' ')}" />
  </svg>`;
}

/** The error bar of a point. */
function bars([x, , low, high]: Point, xs: Scale, ys: Scale, { color }: Paint): Html {
  const axis = { label: '', isLogarithmic: ys.isLogarithmic };
  if (!isDrawn(low ?? null, axis) || !isDrawn(high ?? null, axis)) return NOTHING;
  const at = percent(xs.at(x));
  return html`<line
    class="${color} stroke error"
    x1="${at}"
    x2="${at}"
    y1="${percent(1 - ys.at(low ?? 1))}"
    y2="${percent(1 - ys.at(high ?? 1))}"
  />`;
}

const horizontalLines = ({ ticks, minor }: Scale): Html => {
  const line = (at: number): Html => html`<line x1="0" x2="100%" y1="${percent(1 - at)}" y2="${percent(1 - at)}" />`;
  return html`<g class="minor">${minor.map(line)}</g><g class="major">${ticks.map(({ at }) => line(at))}</g>`;
};
