/** Charts of several rounds: medians with their spread, all measurements, and timing diagrams of one run. */
import { describe, expect, it } from 'vitest';
import { combineCharts } from '../src/instruments/experiments/chart-rounds.js';
import { plotOf } from '../src/instruments/report/charts.js';
import type { BarChart, LineChart, RangeChart, TimingChart } from '../src/instruments/report/report.js';

const bar = (...values: readonly (number | null)[]): BarChart => ({
  kind: 'bar',
  title: 'bars',
  value: { label: 'µs' },
  categories: values.map((_, i) => `category ${i}`),
  series: [{ name: 'one', values }],
});

const range = (low: number, mid: number, high: number, dots?: readonly number[]): RangeChart => ({
  kind: 'range',
  title: 'ranges',
  value: { label: 'µs' },
  categories: ['a'],
  parts: ['first quartile', 'median', 'third quartile'],
  series: [{ name: 'one', values: [dots === undefined ? { low, mid, high } : { low, mid, high, dots }] }],
});

const line = (...ys: readonly number[]): LineChart => ({
  kind: 'line',
  title: 'lines',
  x: { label: 'n' },
  y: { label: 'µs' },
  series: [{ name: 'one', points: ys.map((y, x) => [x, y] as const) }],
});

const timing = (at: number): TimingChart => ({
  kind: 'timing',
  title: 'times',
  time: { label: 'ms' },
  rows: [{ name: 'client', events: [{ what: 'reply', from: at, detail: 'd' }] }],
});

describe('combineCharts', () => {
  it('one round is as it is', () => expect(combineCharts([[bar(1)]])).toEqual([bar(1)]));

  it('bars: medians, with their quartiles, drawn as lines', () => {
    const [chart] = combineCharts([1, 5, 2, 4, 3].map((value) => [bar(value, null)])) as readonly [BarChart];
    expect(chart.series[0]).toMatchObject({ values: [3, null], spreads: [{ low: 2, high: 4 }, null] });
    const text = plotOf(chart)?.text ?? '';
    expect(text).toContain('quartiles 2 and 4');
    expect(text).toContain('Bar: median. Line: from the first to the third quartile.');
    expect(plotOf(bar(1, 2))?.text).not.toContain('quartile');
  });

  it('ranges: the median of each part, or all measurements', () => {
    const of = (charts: readonly RangeChart[]) => (combineCharts(charts.map((one) => [one]))[0] as RangeChart).series;
    expect(of([range(1, 2, 3), range(2, 3, 4), range(3, 4, 9)])[0]?.values).toEqual([{ low: 2, mid: 3, high: 4 }]);
    expect(of([range(1, 1, 1), range(2, 2, 2), range(3, 3, 3), range(4, 4, 4), range(5, 5, 5)])[0]?.values).toEqual([
      { low: 2, mid: 3, high: 4 },
    ]);
    expect(of([range(1, 2, 3, [1, 2, 3]), range(7, 8, 9, [7, 8])])[0]?.values).toEqual([
      { low: 1, mid: 3, high: 8, dots: [1, 2, 3, 7, 8] },
    ]);
  });

  it('lines: medians, with their quartiles', () => {
    const [chart] = combineCharts([line(1, 10), line(2, 30), line(3, 20)].map((one) => [one])) as readonly [LineChart];
    expect(chart.series[0]?.points.map(([x, y]) => [x, y])).toEqual([
      [0, 2],
      [1, 20],
    ]);
    expect(plotOf(chart)?.text).toContain('Vertical lines: from the first to the third quartile.');
  });

  it('a timing diagram shows one run, and names it', () => {
    const [chart] = combineCharts([[timing(5)], [timing(7)]]);
    expect(chart).toEqual({ ...timing(5), title: 'times (the first of 2 rounds)' });
  });
});
