/** Charts: their plot, the figures that are not drawn, a description, and their figures as a table. */
import { barPlot } from './bar-plot.js';
import { linePlot } from './line-plot.js';
import { type Plot, isDrawn } from './plot.js';
import type { Axis, Cell, ReportChart, ReportTable } from './report.js';

/** The plot of a chart. null: it has no values to draw. */
export function plotOf(chart: ReportChart): Plot | null {
  const plot = chart.kind === 'bar' ? barPlot(chart) : linePlot(chart);
  const isEmpty = plot.traces.every(({ x, y }) => !x.some((value, i) => value !== null && y[i] !== null));
  return isEmpty ? null : plot;
}

/** Number of figures that have no place on a logarithmic axis. */
export function leftOut(chart: ReportChart): number {
  const lost = (value: number | null, axis: Axis): boolean => isDrawn(value, { label: '' }) && !isDrawn(value, axis);
  if (chart.kind === 'line')
    return chart.series.flatMap(({ points }) => points).filter(([x, y]) => lost(x, chart.x) || lost(y, chart.y)).length;
  if (chart.isStacked === true) return 0;
  return chart.series.flatMap(({ values }) => values).filter((value) => lost(value, chart.value)).length;
}

/** A description for screen readers. */
export function describe(chart: ReportChart): string {
  const names = chart.series.map(({ name }) => name).join(', ');
  const axes =
    chart.kind === 'bar'
      ? `${chart.value.label} of ${chart.categories.length} categories`
      : `${chart.y.label} against ${chart.x.label}`;
  return `${chart.kind === 'bar' ? 'Bar' : 'Line'} chart: ${chart.title}. ${axes}. Series: ${names}. The figures are in the table below.`;
}

/** The figures of a chart as a table. */
export function tableOf(chart: ReportChart): ReportTable {
  const columns = chart.series.map(({ name }) => name);
  if (chart.kind === 'bar') {
    const rows = chart.categories.map((name, i) => [name, ...chart.series.map(({ values }) => values[i] ?? null)]);
    return { title: chart.title, columns: [chart.value.label, ...columns], rows };
  }
  return {
    title: chart.title,
    columns: [chart.x.label, ...columns.map((name) => withUnit(name, chart.y))],
    rows: linesAsRows(chart.series),
  };
}

const withUnit = (name: string, { label }: Axis): string => (name === '' ? label : `${name}: ${label}`);

type Lines = Extract<ReportChart, { kind: 'line' }>['series'];

/** One row per x. */
function linesAsRows(series: Lines): readonly (readonly Cell[])[] {
  const all = series.map(({ points }) => new Map(points));
  const xs = [...new Set(all.flatMap((line) => [...line.keys()]))].sort((a, b) => a - b);
  return xs.map((x) => [x, ...all.map((line) => line.get(x) ?? null)]);
}
