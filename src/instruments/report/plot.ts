/** What Plotly draws (plotly.com/javascript/reference), but for colours and widths: those are the screen's, and page/draw.js adds them. */
import { escapeHtml } from './html.js';
import { shorten } from './format.js';
import type { Axis } from './report.js';

export interface Plot {
  readonly kind: 'bar' | 'line';
  readonly traces: readonly PlotTrace[];
  readonly xaxis: PlotAxis;
  readonly yaxis: PlotAxis;
  readonly isStacked: boolean;
  /** In CSS pixels, without the legend. */
  readonly height: number;
}

export interface PlotTrace {
  /** As it is: page/draw.js shortens it to what the width allows, and escapes it. So with the names on an axis. */
  readonly name: string;
  readonly x: readonly (number | null)[];
  readonly y: readonly (number | null)[];
  readonly orientation?: 'h' | 'v';
  /** Beside the bars. */
  readonly text?: readonly string[];
  /** Of each point's tooltip. */
  readonly customdata: readonly string[];
}

export interface PlotAxis {
  readonly title?: { readonly text: string };
  readonly type: 'linear' | 'log';
  /** Of a logarithmic axis: the exponents. */
  readonly range?: readonly [from: number, to: number];
  readonly tickvals?: readonly number[];
  readonly ticktext?: readonly string[];
  readonly tickformat?: string;
  readonly minor?: { readonly tickvals: readonly number[]; readonly showgrid: boolean };
  readonly showgrid: boolean;
  readonly rangemode?: 'tozero' | 'normal';
  /** Its ticktext are names of categories. */
  readonly isNames?: boolean;
}

/** Plotly takes text for a small HTML: `<b>`, `<a>`, `&amp;`. */
export const plotText = (text: string): string => escapeHtml(text).replaceAll('&#39;', "'").replaceAll('&quot;', '"');

const LONGEST_IN_TOOLTIP = 44;

export const tooltip = (...lines: readonly string[]): string =>
  lines.map((line) => plotText(shorten(line, LONGEST_IN_TOOLTIP))).join('<br>');

/** Does it have a place on the axis? Infinity, NaN and null have none, and what is not above 0 has none on a logarithmic axis. */
export const isDrawn = (value: number | null, { isLogarithmic }: Axis): value is number =>
  value !== null && Number.isFinite(value) && (isLogarithmic !== true || value > 0);
