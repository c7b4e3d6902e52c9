/** A bar chart: vertical if the names fit below the bars, else horizontal. */
import { barRange, valueAxis } from './axes.js';
import { formatCell } from './format.js';
import { type Plot, type PlotAxis, isDrawn, tooltip } from './plot.js';
import type { Axis, BarChart } from './report.js';

/** Characters that fit side by side on a screen of 400 pixels. */
const CHARACTERS_ACROSS = 36;
/** Share of the axis for the figures at the ends of the bars. */
const ROOM_FOR_FIGURES = 0.22;
/** Heights in CSS pixels: of a vertical chart; of a horizontal bar, the gap between two categories, and the axis. */
const VERTICAL_HEIGHT = 340;
const BAR = 18;
const GAP = 12;
const AXIS = 62;

/** The Plotly description of a bar chart. */
export function barPlot(chart: BarChart): Plot {
  const { categories, series } = chart;
  const isStacked = chart.isStacked === true && series.length > 1;
  const value: Axis = isStacked ? { label: chart.value.label } : chart.value; // logarithms do not add up
  const isHorizontal = mustBeHorizontal(categories);
  const names = categories.map((_, i) => i);
  const traces = series.map(({ name, values }) => {
    const drawn = names.map((i) => drawnOrNull(values[i] ?? null, value));
    return {
      name,
      ...(isHorizontal ? { x: drawn, y: names, orientation: 'h' as const } : { x: names, y: drawn }),
      ...(series.length === 1 ? { text: drawn.map((one) => (one === null ? '' : formatCell(one))) } : {}),
      customdata: categories.map((category, i) =>
        tooltip(category, `${name === '' ? value.label : name}: ${formatCell(values[i] ?? null)}`),
      ),
    };
  });
  const [long, across] = [barAxis(chart, value), nameAxis(categories, isHorizontal)];
  return {
    kind: 'bar',
    traces,
    isStacked,
    ...(isHorizontal ? { xaxis: long, yaxis: across } : { xaxis: across, yaxis: long }),
    height: isHorizontal ? categories.length * (BAR * (isStacked ? 1 : series.length) + GAP) + AXIS : VERTICAL_HEIGHT,
  };
}

const drawnOrNull = (value: number | null, axis: Axis): number | null => (isDrawn(value, axis) ? value : null);

function mustBeHorizontal(categories: readonly string[]): boolean {
  const longest = Math.max(0, ...categories.map((name) => name.length));
  return categories.length * (longest + 2) > CHARACTERS_ACROSS;
}

/** Horizontal bars are ordered from the top down: Plotly counts upwards. */
function nameAxis(categories: readonly string[], isHorizontal: boolean): PlotAxis {
  const last = categories.length - 0.5;
  return {
    type: 'linear',
    range: isHorizontal ? [last, -0.5] : [-0.5, last],
    tickvals: categories.map((_, i) => i),
    ticktext: categories,
    isNames: true,
    showgrid: false,
  };
}

function barAxis({ series, categories }: BarChart, value: Axis): PlotAxis {
  const drawn = series.flatMap(({ values }) => values.slice(0, categories.length)).filter((one) => isDrawn(one, value));
  const axis = valueAxis(value, drawn);
  const [smallest, largest] = [Math.min(...drawn), Math.max(...drawn)];
  const room = series.length === 1 ? ROOM_FOR_FIGURES : 0.02;
  if (axis.type === 'log') return { ...axis, range: barRange(smallest, largest, room) };
  // Figures at the ends of the bars need more room than Plotly leaves.
  if (series.length === 1 && smallest >= 0 && largest > 0) return { ...axis, range: [0, largest * (1 + room)] };
  return axis;
}
