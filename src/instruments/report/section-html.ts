/** The HTML of a section: facts, verdict, charts, tables. */
import { describe, leftOut, plotOf, tableOf } from './charts.js';
import { formatCell, formatName } from './format.js';
import { type Html, NOTHING, html } from './html.js';
import { type Fact, documentUrl } from './machine.js';
import { breakable } from './names.js';
import type { Outcome, ReportChart, ReportSection, ReportTable, Statement, Verdict } from './report.js';

const BADGES: Readonly<Record<Outcome, readonly [kind: string, sign: string]>> = {
  holds: ['good', '✓'],
  'does not hold here': ['bad', '✗'],
  undecided: ['open', '?'],
  'holds in part': ['open', '~'],
  'not tried': ['open', '–'],
};

/** A badge with a sign and words, so that it does not depend on its colour. */
export function badgeHtml(outcome: Outcome): Html {
  const [kind, sign] = BADGES[outcome];
  return html`<span class="badge ${kind}"><span class="sign" aria-hidden="true">${sign}</span> ${outcome}</span>`;
}

export function sectionHtml({ id, title, facts, verdict, tables, charts }: ReportSection): Html {
  return html`<section id="${id}">
    <h2>${title}</h2>
    ${factsHtml(facts)} ${verdict === undefined ? NOTHING : verdictHtml(verdict, sourceOf(facts))}
    ${charts.length === 0 ? NOTHING : html`<div class="charts">${charts.map(figureHtml)}</div>`}
    ${tables.map(
      (table) =>
        html`<h3>${table.title}</h3>
          ${tableHtml(table)}`,
    )}
  </section> `;
}

/** Labelled texts as a definition list. */
export function factsHtml(facts: readonly Fact[]): Html {
  if (facts.length === 0) return NOTHING;
  return html`<dl>
    ${facts.map(
      ([label, text]) =>
        html`<div>
          <dt>${label}</dt>
          <dd>${linked(text)}</dd>
        </div>`,
    )}
  </dl>`;
}

/** A number of a post, as in 'post 003, claim (c)' and 'posts 002 to 004'. */
const POST = /\b(post 0\d\d|(?<=\bposts [^.]*)0\d\d)\b/;

/** Posts are links to their claims in docs/posts.md. */
function linked(text: string): Html {
  const parts = text.split(POST).map((part, i) => (i % 2 === 0 ? html`${part}` : postLink(part)));
  return html`${parts}`;
}

const postLink = (text: string): Html =>
  html`<a href="${documentUrl('docs/posts.md')}#post-${text.slice(-3)}">${text}</a>`;

/** Where the claim stands. null: the section has no claim of a post. */
function sourceOf(facts: readonly Fact[]): string | null {
  const source = facts.find(([label]) => label === 'source')?.[1] ?? '';
  return POST.test(source) ? source : null;
}

function verdictHtml({ outcome, because, statements = [] }: Verdict, source: string | null): Html {
  return html`<div class="verdict ${BADGES[outcome][0]}">
    <p>${badgeHtml(outcome)} ${because}</p>
    ${
      statements.length === 0
        ? NOTHING
        : html`<ul>
            ${statements.map(statementHtml)}
          </ul>`
    }
    ${source === null ? NOTHING : html`<p class="note">The claim: ${linked(source)}.</p>`}
  </div>`;
}

function statementHtml({ statement, outcome, because }: Statement): Html {
  return html`<li>${statement}: ${badgeHtml(outcome)}<br />${because}</li> `;
}

function figureHtml(chart: ReportChart): Html {
  const lost = leftOut(chart);
  const plot = plotOf(chart);
  const drawing =
    plot === null
      ? html`<p class="note">No figures to draw.</p>`
      : html`<div class="plot" role="img" aria-label="${describe(chart)}">${plot}</div>`;
  const note = html`<p class="note">
    Not drawn: ${lost} of the figures, which are not greater than 0 and have no place on a logarithmic axis.
  </p>`;
  return html`<figure>
    <figcaption>${chart.title}</figcaption>
    ${drawing} ${lost === 0 ? NOTHING : note}
    <details>
      <summary>The figures of this chart</summary>
      ${tableHtml(tableOf(chart))}
    </details>
  </figure> `;
}

function tableHtml({ title, columns, rows }: ReportTable): Html {
  const texts = columns.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === 'string'));
  const kind = (i: number): string => (i === 0 || texts[i] === true ? 'text' : 'number');
  const head = columns.map((column, i) => html`<th scope="col" class="${kind(i)}">${column}</th>`);
  const body = rows.map(
    (row) =>
      html`<tr>
        ${row.map((cell, i) =>
          i === 0
            ? html`<th scope="row" class="${texts[0] === true ? 'text' : 'figure'}">${breakable(formatName(cell))}</th>`
            : html`<td class="${kind(i)}">${formatCell(cell)}</td>`,
        )}
      </tr> `,
  );
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${title}">
    <table>
      <thead>
        <tr>
          ${head}
        </tr>
      </thead>
      <tbody>
        ${body}
      </tbody>
    </table>
  </div> `;
}
