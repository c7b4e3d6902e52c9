/**
 * Parts of the drawings. Places along an axis are percentages, everything else is pixels: a chart is as wide as the page, and its text and
 * symbols have one size on every screen.
 */
import type { Scale } from './axes.js';
import { shorten } from './format.js';
import { type Html, NOTHING, escapeHtml, html, Html as Trusted } from './html.js';
import { type Paint, hatchFill, symbolPath } from './paints.js';

const MAX_TOOLTIP_LINE = 60;
const MAX_LEGEND_ENTRY = 60;

/** '33.3%' */
export const percent = (share: number): string => `${Number((100 * share).toFixed(2))}%`;

/** The native tooltip of a mark. A formatted template would add spaces. */
export const tooltip = (...lines: readonly string[]): Html => {
  const shown = lines.filter((line) => line !== '').map((line) => shorten(line, MAX_TOOLTIP_LINE));
  return new Trusted(`<title>${escapeHtml(shown.join('\n'))}</title>`);
};

/** A rectangle between two shares of an axis, with its hatch. @param y and height in pixels, y from the middle of the row */
export function area(from: number, to: number, y: number, height: number, paint: Paint, title: Html): Html {
  const [left, right] = [Math.min(from, to), Math.max(from, to)];
  const place = (more: Html): Html =>
    html`<rect ${more} x="${percent(left)}" y="50%" width="${percent(right - left)}" height="${height}" transform="translate(0 ${y})"`;
  const hatch = paint.hatch === 0 ? NOTHING : html`${place(html`class="hatch" fill="${hatchFill(paint)}"`)} />`;
  return html`<g class="${paint.color}">${place(html`class="mark"`)} />${hatch}${title}</g>`;
}

/** A symbol. @param y a percentage, with an offset in pixels */
export const point = (x: number, y: string, offset: number, paint: Paint, title: Html): Html =>
  html`<svg x="${percent(x)}" y="${y}" class="at ${paint.color}">
    <path class="mark" d="${symbolPath(paint)}" transform="translate(0 ${offset})">${title}</path>
  </svg>`;

/** The lines of the grid across rows. */
export const verticalLines = ({ ticks, minor }: Scale): Html =>
  html`<g class="minor">${minor.map((at) => lineAt(at))}</g><g class="major">${ticks.map(({ at }) => lineAt(at))}</g>`;

const lineAt = (at: number): Html => html`<line x1="${percent(at)}" x2="${percent(at)}" y1="0" y2="100%" />`;

/** The labels of a horizontal axis, and its title. Spare labels disappear where they have no room. */
export const horizontalAxis = ({ ticks }: Scale): Html =>
  html`<svg class="axis" width="100%" height="20">
    ${ticks.map(
      ({ at, text, isSpare }) =>
        html`<text class="tick${isSpare ? ' spare' : ''}" x="${percent(at)}" y="14">${text}</text>`,
    )}
  </svg>`;

export const axisTitle = (label: string): Html => html`<p class="axis-title">${label}</p>`;

/** What the legend shows of a series. */
export type LegendKind = 'area' | 'point' | 'line';

/** The legend. Nothing for a single series. */
export function legendHtml(
  entries: readonly { readonly name: string; readonly paint: Paint; readonly kind: LegendKind }[],
): Html {
  if (entries.length < 2) return NOTHING;
  return html`<ul class="legend">
    ${entries.map(
      ({ name, paint, kind }) =>
        html`<li>
          <svg width="18" height="12" aria-hidden="true">${swatch(paint, kind)}</svg>
          <span class="entry">${shorten(name, MAX_LEGEND_ENTRY)}</span>
        </li>`,
    )}
  </ul>`;
}

function swatch(paint: Paint, kind: LegendKind): Html {
  if (kind === 'area') return area(0, 1, -6, 12, paint, NOTHING);
  const line = html`<line class="${paint.color} stroke" x1="0" x2="100%" y1="50%" y2="50%" />`;
  return html`${kind === 'line' ? line : NOTHING}${point(0.5, '50%', 0, paint, NOTHING)}`;
}
