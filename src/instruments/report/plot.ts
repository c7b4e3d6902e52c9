/** The input of Plotly (plotly.com/javascript/reference) without colours and widths, which depend on the screen: page/draw.js adds them. */
import { escapeHtml } from './html.js';
import { shorten } from './format.js';
import type { Axis } from './report.js';

/** One chart. */
export interface Plot {
  readonly kind: 'bar' | 'line';
  readonly traces: readonly PlotTrace[];
  readonly xaxis: PlotAxis;
  readonly yaxis: PlotAxis;
  readonly isStacked: boolean;
  /** In CSS pixels, without the legend. */
  readonly height: number;
}

/** One series. */
export interface PlotTrace {
  /** Unescaped and in full: page/draw.js shortens it to the width and escapes it, as it does with the names on an axis. */
  readonly name: string;
  readonly x: readonly (number | null)[];
  readonly y: readonly (number | null)[];
  readonly orientation?: 'h' | 'v';
  /** Labels at the ends of the bars. */
  readonly text?: readonly string[];
  /** Tooltip of each point. */
  readonly customdata: readonly string[];
}

/** One axis. */
export interface PlotAxis {
  readonly title?: { readonly text: string };
  readonly type: 'linear' | 'log';
  /** Exponents, if the axis is logarithmic. */
  readonly range?: readonly [from: number, to: number];
  readonly tickvals?: readonly number[];
  readonly ticktext?: readonly string[];
  readonly tickformat?: string;
  readonly minor?: { readonly tickvals: readonly number[]; readonly showgrid: boolean };
  readonly showgrid: boolean;
  readonly rangemode?: 'tozero' | 'normal';
  /** `ticktext` holds names of categories. */
  readonly isNames?: boolean;
}

/** Escapes text for Plotly, which interprets some HTML: `<b>`, `<a>`, `&amp;`. */
export const plotText = (text: string): string => escapeHtml(text).replaceAll('&#39;', "'").replaceAll('&quot;', '"');

const MAX_TOOLTIP_LINE = 44;

/** A tooltip of several lines. */
export const tooltip = (...lines: readonly string[]): string =>
  lines.map((line) => plotText(shorten(line, MAX_TOOLTIP_LINE))).join('<br>');

/** Whether a value has a place on the axis. Infinity, NaN and null have none; 0 and negative values have none on a logarithmic axis. */
export const isDrawn = (value: number | null, { isLogarithmic }: Axis): value is number =>
  value !== null && Number.isFinite(value) && (isLogarithmic !== true || value > 0);
