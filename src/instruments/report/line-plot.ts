/** A line chart: one line per series, with a marker at each point. */
import { valueAxis } from './axes.js';
import { formatCell, formatName } from './format.js';
import { type Plot, isDrawn, tooltip } from './plot.js';
import type { LineChart } from './report.js';

const HEIGHT = 380;

/** The Plotly description of a line chart. */
export function linePlot({ series, x, y }: LineChart): Plot {
  const lines = series.map(({ name, points }) => ({
    name,
    points: points.filter((point) => isDrawn(point[0], x) && isDrawn(point[1], y)),
  }));
  const all = lines.flatMap(({ points }) => points);
  return {
    kind: 'line',
    traces: lines.map(({ name, points }) => ({
      name,
      x: points.map((point) => point[0]),
      y: points.map((point) => point[1]),
      customdata: points.map((point) =>
        tooltip(name, `${x.label}: ${formatName(point[0])}`, `${y.label}: ${formatCell(point[1])}`),
      ),
    })),
    isStacked: false,
    xaxis: {
      ...valueAxis(
        x,
        all.map((point) => point[0]),
      ),
      rangemode: 'normal',
    },
    yaxis: valueAxis(
      y,
      all.map((point) => point[1]),
    ),
    height: HEIGHT,
  };
}
