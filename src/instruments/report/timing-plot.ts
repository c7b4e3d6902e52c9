/** A timing diagram: a row per client, connection or mode, and what happened in it over time. */
import { scaleOf } from './axes.js';
import { area, legendHtml, percent, point, tooltip } from './drawing.js';
import { formatCell } from './format.js';
import { type Html, NOTHING, html } from './html.js';
import { type Paint, seriesPaint } from './paints.js';
import type { TimedEvent, TimingChart } from './report.js';
import { rowFrame } from './row-frame.js';

/** Pixels: the height of a span, of one that has moments on it, the pitch of the lanes of a row, and the gap between two rows. */
const SPAN = 12;
const THIN_SPAN = 4;
const PITCH = 18;
const GAP = 12;

/** The kinds of events, in the order of their first appearance. */
export const kindsOf = ({ rows }: TimingChart): readonly string[] => [
  ...new Set(rows.flatMap(({ events }) => events.map(({ what }) => what))),
];

/** The drawing. null: no events. */
export function timingPlot(chart: TimingChart): Html | null {
  const all = chart.rows.flatMap(({ events }) => events);
  if (all.length === 0) return null;
  const kinds = kindsOf(chart);
  const scale = scaleOf(
    chart.time,
    all.flatMap(({ from, to = from }) => [from, to]),
    { room: 16 },
  );
  const paintOf = (what: string): Paint => seriesPaint(kinds.indexOf(what));

  const eventOf = (event: TimedEvent, row: string, lanes: number, height: number): Html => {
    const { what, from, to, detail, label = '', lane = 0 } = event;
    const y = (lane - (lanes - 1) / 2) * PITCH;
    const time = to === undefined ? formatCell(from) : `${formatCell(from)} to ${formatCell(to)}`;
    const title = tooltip(`${row}: ${what}`, detail, `${time} ${chart.time.label}`);
    const mark =
      to === undefined
        ? point(scale.at(from), '50%', y, paintOf(what), title)
        : area(scale.at(from), scale.at(to), y - height / 2, height, paintOf(what), title);
    const text = html`<text
      class="figure"
      x="${percent(scale.at(to ?? from))}"
      y="50%"
      dx="${to === undefined ? 7 : 4}"
      dy="${y + 4}"
      >${label}</text
    >`;
    return html`${mark}${label === '' ? NOTHING : text}`;
  };

  const rows = chart.rows.map(({ name, events }) => {
    const lanes = 1 + Math.max(0, ...events.map(({ lane = 0 }) => lane));
    const [spans, moments] = [events.filter(({ to }) => to !== undefined), events.filter(({ to }) => to === undefined)];
    const heightOf = ({ lane = 0 }: TimedEvent): number =>
      moments.some((one) => (one.lane ?? 0) === lane) ? THIN_SPAN : SPAN;
    return {
      name,
      marks: html`${[...spans, ...moments].map((event) => eventOf(event, name, lanes, heightOf(event)))}`,
      height: lanes * PITCH + GAP,
    };
  });
  const legend = kinds.map((name) => ({
    name,
    paint: paintOf(name),
    kind: all.some(({ what, to }) => what === name && to !== undefined) ? ('area' as const) : ('point' as const),
  }));
  return html`${legendHtml(legend)}${rowFrame(scale, rows)}`;
}
