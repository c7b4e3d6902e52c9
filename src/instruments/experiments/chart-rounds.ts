/** Combines the charts of several rounds into charts that show the median of the rounds and its spread. */
import { spreadOf } from '../measuring/spread.js';
import type { BarChart, LineChart, Range, RangeChart, ReportChart, TimingChart } from '../report/report.js';

/**
 * Bars and lines: medians of the rounds, with quartiles. Ranges: medians of each part, or all measurements of all rounds, or their quartiles. A
 * timing diagram shows one run: the first. Categories and series are matched by their names.
 * @param rounds the charts of each round, in the same order
 */
export function combineCharts(rounds: readonly (readonly ReportChart[])[]): readonly ReportChart[] {
  const [first = []] = rounds;
  if (rounds.length < 2) return first;
  return first.map((chart) => {
    const same = <C extends ReportChart>(wanted: C): readonly C[] =>
      rounds.flatMap((charts) =>
        charts.filter((one): one is C => one.kind === wanted.kind && one.title === wanted.title),
      );
    switch (chart.kind) {
      case 'bar':
        return barsOf(chart, same(chart));
      case 'range':
        return rangesOf(chart, same(chart));
      case 'line':
        return linesOf(chart, same(chart));
      case 'timing':
        return timesOf(chart, rounds.length);
    }
  });
}

/** The values of one series in one category, of all rounds. */
function valuesOf<T>(
  charts: readonly {
    categories: readonly string[];
    series: readonly { name: string; values: readonly (T | null)[] }[];
  }[],
  series: string,
  category: string,
): T[] {
  return charts.flatMap((chart) => {
    const value = chart.series.find(({ name }) => name === series)?.values[chart.categories.indexOf(category)];
    return value === null || value === undefined ? [] : [value];
  });
}

function barsOf(chart: BarChart, rounds: readonly BarChart[]): BarChart {
  const series = chart.series.map(({ name }) => {
    const spreads = chart.categories.map((category) => {
      const values = valuesOf(rounds, name, category).filter((value) => Number.isFinite(value));
      return values.length === 0 ? null : spreadOf(values);
    });
    return { name, values: spreads.map((one) => one?.median ?? null), spreads };
  });
  return { ...chart, series };
}

function rangesOf(chart: RangeChart, rounds: readonly RangeChart[]): RangeChart {
  const series = chart.series.map(({ name }) => ({
    name,
    values: chart.categories.map((category) => rangeOf(valuesOf(rounds, name, category))),
  }));
  return { ...chart, series };
}

/** All measurements if there are any; the spread of the rounds if each measured once; else the median of each part. */
function rangeOf(ranges: readonly Range[]): Range | null {
  if (ranges.length === 0) return null;
  const dots = ranges.flatMap((one) => one.dots ?? []);
  if (dots.length > 0) return { low: Math.min(...dots), mid: spreadOf(dots).median, high: Math.max(...dots), dots };
  if (ranges.every(({ low, high }) => low === high)) {
    const { low, median, high } = spreadOf(ranges.map(({ mid }) => mid));
    return { low, mid: median, high };
  }
  const [low = NaN, mid = NaN, high = NaN] = (['low', 'mid', 'high'] as const).map(
    (part) => spreadOf(ranges.map((one) => one[part])).median,
  );
  return { low, mid, high };
}

function linesOf(chart: LineChart, rounds: readonly LineChart[]): LineChart {
  const series = chart.series.map(({ name, points }) => {
    const all = rounds.flatMap((round) => round.series.find((one) => one.name === name)?.points ?? []);
    return {
      name,
      points: points.map(([x]) => {
        const { low, median, high } = spreadOf(all.filter((one) => one[0] === x).map((one) => one[1]));
        return [x, median, low, high] as const;
      }),
    };
  });
  return { ...chart, series };
}

const timesOf = (chart: TimingChart, rounds: number): TimingChart => ({
  ...chart,
  title: `${chart.title} (the first of ${rounds} rounds)`,
});
