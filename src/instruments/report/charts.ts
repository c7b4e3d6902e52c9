/** Charts: their drawing, the figures that are not drawn, a description, and their figures as a table. */
import { isDrawn } from './axes.js';
import { barPlot } from './bar-plot.js';
import type { Html } from './html.js';
import { linePlot } from './line-plot.js';
import { drawnRange, rangePlot } from './range-plot.js';
import type { Axis, Cell, LineChart, RangeChart, ReportChart, ReportTable, TimingChart } from './report.js';
import { kindsOf, timingPlot } from './timing-plot.js';

/** The drawing of a chart. null: it has no values to draw. */
export function plotOf(chart: ReportChart): Html | null {
  if (chart.kind === 'bar') return barPlot(chart);
  if (chart.kind === 'range') return rangePlot(chart);
  return chart.kind === 'line' ? linePlot(chart) : timingPlot(chart);
}

/** Number of figures that have no place on a logarithmic axis. */
export function leftOut(chart: ReportChart): number {
  const lost = (value: number | null, axis: Axis): boolean => isDrawn(value, { label: '' }) && !isDrawn(value, axis);
  if (chart.kind === 'line')
    return chart.series.flatMap(({ points }) => points).filter(([x, y]) => lost(x, chart.x) || lost(y, chart.y)).length;
  if (chart.kind !== 'range') return 0;
  const { value, series } = chart;
  const ranges = series.flatMap(({ values }) => values).filter((one) => drawnRange(one, { label: '' }) !== null);
  return ranges.filter((one) => drawnRange(one, value) === null).length;
}

/** A description for screen readers. */
export function describe(chart: ReportChart): string {
  const [kind, axes] = kindAndAxes(chart);
  const [parts, names] =
    chart.kind === 'timing' ? ['Events', kindsOf(chart)] : ['Series', chart.series.map(({ name }) => name)];
  return `${kind}: ${chart.title}. ${axes}. ${parts}: ${names.join(', ')}. The figures are in the table below.`;
}

function kindAndAxes(chart: ReportChart): readonly [kind: string, axes: string] {
  const scale = ({ label, isLogarithmic }: Axis): string => `${label}${isLogarithmic === true ? ' (logarithmic)' : ''}`;
  switch (chart.kind) {
    case 'bar':
      return ['Bar chart', `${chart.value.label} of ${chart.categories.length} categories`];
    case 'range':
      return [
        'Range chart',
        `${scale(chart.value)} of ${chart.categories.length} categories: ${chart.parts.join(', ')}`,
      ];
    case 'line':
      return ['Line chart', `${scale(chart.y)} against ${scale(chart.x)}`];
    case 'timing':
      return ['Timing diagram', `${chart.rows.length} rows over time, ${chart.time.label}`];
  }
}

/** The figures of a chart as a table. */
export function tableOf(chart: ReportChart): ReportTable {
  const { title } = chart;
  switch (chart.kind) {
    case 'bar':
      return {
        title,
        columns: [chart.value.label, ...chart.series.map(({ name }) => name)],
        rows: chart.categories.map((name, i) => [name, ...chart.series.map(({ values }) => values[i] ?? null)]),
      };
    case 'range':
      return rangeTable(chart);
    case 'line':
      return {
        title,
        columns: [chart.x.label, ...chart.series.map(({ name }) => withUnit(name, chart.y))],
        rows: linesAsRows(chart.series),
      };
    case 'timing':
      return timingTable(chart);
  }
}

const withUnit = (name: string, { label }: Axis): string => (name === '' ? label : `${name}: ${label}`);

function rangeTable({ title, value, categories, parts, series }: RangeChart): ReportTable {
  return {
    title,
    columns: [
      value.label,
      ...series.flatMap(({ name }) => parts.map((part) => (name === '' ? part : `${name}: ${part}`))),
    ],
    rows: categories.map((category, i) => [
      category,
      ...series.flatMap(({ values }) => {
        const range = values[i] ?? null;
        return range === null ? [null, null, null] : [range.low, range.mid, range.high];
      }),
    ]),
  };
}

/** One row per x. */
function linesAsRows(series: LineChart['series']): readonly (readonly Cell[])[] {
  const all = series.map(({ points }) => new Map(points.map(([x, y]) => [x, y] as const)));
  const xs = [...new Set(all.flatMap((line) => [...line.keys()]))].sort((a, b) => a - b);
  return xs.map((x) => [x, ...all.map((line) => line.get(x) ?? null)]);
}

function timingTable({ title, time, rows }: TimingChart): ReportTable {
  return {
    title,
    columns: ['row', 'event', 'what exactly', `from, ${time.label}`, 'to'],
    rows: rows.flatMap(({ name, events }) =>
      events.map(({ what, detail, from, to = null }) => [name, what, detail, from, to]),
    ),
  };
}
