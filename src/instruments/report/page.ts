/**
 * One self-contained HTML page: it opens from disk, uses no network (its Content-Security-Policy allows none), and can be printed. Plotly,
 * which draws the charts, is embedded.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { plotOf } from './charts.js';
import { type Html, NOTHING, html, Html as Trusted, scriptElement, scriptJson, scriptText } from './html.js';
import { type Fact, machineFacts } from './machine.js';
import { PALETTES, type Palette } from './palette.js';
import type { Plot } from './plot.js';
import type { Outcome, ReportChart, ReportSection } from './report.js';
import { badgeHtml, factsHtml, sectionHtml } from './section-html.js';

/** What the page shows. */
export interface ReportPage {
  readonly title: string;
  readonly subtitle?: string;
  readonly sections: readonly ReportSection[];
}

/**
 * Renders a page.
 * @param machine facts about the machine of the measurement. Default: this machine, now.
 * @returns the HTML
 */
export function renderPage(page: ReportPage, machine: readonly Fact[] = machineFacts()): string {
  const { title, subtitle, sections } = page;
  const { plots, numbers } = plotsOf(sections);
  const scripts = plots.length === 0 ? [] : [library(), own('draw.js')];
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${policy(scripts)}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title}</title>
        <style>
          ${stylesheet()}
        </style>
      </head>
      <body>
        <header>
          <h1>${title}</h1>
          ${subtitle === undefined ? NOTHING : html`<p class="subtitle">${subtitle}</p>`} ${factsHtml(machine)}
        </header>
        <noscript><p class="note">The charts need JavaScript. Their figures are in the tables.</p></noscript>
        ${contents(sections)}
        <main>${sections.map((section) => sectionHtml(section, (chart) => numbers.get(chart) ?? null))}</main>
        <script type="application/json" id="plots">
          ${scriptJson({ plots, palettes: PALETTES })}
        </script>
        ${scripts.map(scriptElement)}
      </body>
    </html> `.text;
}

function plotsOf(sections: readonly ReportSection[]): { plots: readonly Plot[]; numbers: Map<ReportChart, number> } {
  const plots: Plot[] = [];
  const numbers = new Map<ReportChart, number>();
  for (const chart of sections.flatMap(({ charts }) => charts)) {
    const plot = plotOf(chart);
    if (plot !== null) numbers.set(chart, plots.push(plot) - 1);
  }
  return { plots, numbers };
}

/** Links to the sections, with their verdicts. Nothing for a single section. */
function contents(sections: readonly ReportSection[]): Html {
  if (sections.length < 2) return NOTHING;
  const entries = sections.map(
    ({ id, title, verdict }) =>
      html`<li>
        <a href="#${encodeURIComponent(id)}">${title}</a>
        ${verdict === undefined ? NOTHING : badgeHtml(verdict.outcome)}
      </li> `,
  );
  return html`<nav aria-label="Contents">
    <h2>Contents</h2>
    ${tally(sections)}
    <ol>
      ${entries}
    </ol>
  </nav>`;
}

/** 'Claims: 12. Hold here: 9. …' */
function tally(sections: readonly ReportSection[]): Html {
  const outcomes = sections.flatMap(({ verdict }) => (verdict === undefined ? [] : [verdict.outcome]));
  if (outcomes.length === 0) return NOTHING;
  const count = (wanted: Outcome): number => outcomes.filter((one) => one === wanted).length;
  return html`<p>
    Claims: ${outcomes.length}. Hold here: ${count('holds')}. In part: ${count('holds in part')}. Do not:
    ${count('does not hold here')}. Undecided: ${count('undecided')}. Not tried: ${count('not tried')}.
  </p>`;
}

/** Nothing is loaded, and only these scripts run. 'unsafe-inline': Plotly creates a style element. */
function policy(scripts: readonly Html[]): string {
  const hashes = scripts.map(({ text }) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`);
  return `default-src 'none'; script-src ${hashes.join(' ') || "'none'"}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'`;
}

const library = (): Html =>
  scriptText(readFileSync(createRequire(__filename).resolve('plotly.js-basic-dist-min'), 'utf8'));

const own = (name: string): Html => scriptText(readFileSync(join(__dirname, 'page', name), 'utf8'));

function stylesheet(): Html {
  const variables = (palette: Palette): string =>
    Object.entries(palette)
      .filter((entry): entry is [string, string] => typeof entry[1] === 'string')
      .map(([name, color]) => `--${name}: ${color};`)
      .join(' ');
  const css = readFileSync(join(__dirname, 'page/page.css'), 'utf8');
  return new Trusted(`
:root { color-scheme: light; ${variables(PALETTES.light)} }
@media screen and (prefers-color-scheme: dark) { :root { color-scheme: dark; ${variables(PALETTES.dark)} } }
${css}`);
}
