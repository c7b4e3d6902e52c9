/** The frame of a chart with a row per category: names on the left, which wrap, and one axis below. */
import { type Scale } from './axes.js';
import { axisTitle, horizontalAxis, verticalLines } from './drawing.js';
import { type Html, html } from './html.js';
import { rowName } from './names.js';

/** One row. */
export interface Row {
  readonly name: string;
  readonly marks: Html;
  /** In pixels, at least: a name of several lines makes it higher. */
  readonly height: number;
}

/** The frame with its rows. */
export function rowFrame(scale: Scale, rows: readonly Row[]): Html {
  return html`<div class="rows">
    <svg class="lines" style="grid-row: 1 / span ${rows.length}" aria-hidden="true">${verticalLines(scale)}</svg>
    ${rows.map(
      ({ name, marks, height }, i) =>
        html`<div class="name" style="grid-row: ${i + 1}">${rowName(name)}</div>
          <div class="cell" style="grid-row: ${i + 1}; min-height: ${height}px"><svg>${marks}</svg></div>`,
    )}
    <div class="scale">${horizontalAxis(scale)}${axisTitle(scale.label)}</div>
  </div>`;
}
