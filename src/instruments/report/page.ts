/**
 * One self-contained HTML page: it opens from disk, uses no network and no script (its Content-Security-Policy allows none), and can be
 * printed. The charts are SVG.
 */
import { readFileSync } from 'node:fs';
import { distPath } from '../../package-folder.js';
import { type Html, NOTHING, html, Html as Trusted } from './html.js';
import { type Fact, machineFacts } from './machine.js';
import { colorClasses, colorNames, hatchPatterns } from './paints.js';
import { PALETTES, type Scheme } from './palette.js';
import type { Outcome, ReportSection } from './report.js';
import { badgeHtml, factsHtml, sectionHtml } from './section-html.js';

/** What the page shows. */
export interface ReportPage {
  readonly title: string;
  readonly subtitle?: string;
  /** The command that measured the figures: 'selectors-native compare --html report.html'. Default: none is shown. */
  readonly command?: string;
  readonly sections: readonly ReportSection[];
}

/**
 * Renders a page.
 * @param machine facts about the machine of the measurement. Default: this machine, now.
 * @returns the HTML
 */
export function renderPage(page: ReportPage, machine: readonly Fact[] = machineFacts()): string {
  const { title, subtitle, command, sections } = page;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${POLICY}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title}</title>
        <style>
          ${stylesheet()}
        </style>
      </head>
      <body>
        ${hatchPatterns()}
        <header>
          <h1>${title}</h1>
          ${subtitle === undefined ? NOTHING : html`<p class="subtitle">${subtitle}</p>`}
          ${command === undefined ? NOTHING : html`<p class="command"><code>${command}</code></p>`}
          ${factsHtml(machine)}
        </header>
        ${contents(sections)}
        <main>${sections.map(sectionHtml)}</main>
      </body>
    </html> `.text;
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

/** Nothing is loaded, and no script runs. 'unsafe-inline': the page's own styles. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

function stylesheet(): Html {
  const variables = (scheme: Scheme): string =>
    [...Object.entries(PALETTES[scheme]), ...colorNames(scheme)]
      .filter((entry): entry is [string, string] => typeof entry[1] === 'string')
      .map(([name, color]) => `--${name}: ${color};`)
      .join(' ');
  const css = readFileSync(distPath('instruments/report/page/page.css'), 'utf8');
  return new Trusted(`
:root { color-scheme: light; ${variables('light')} }
@media screen and (prefers-color-scheme: dark) { :root { color-scheme: dark; ${variables('dark')} } }
${colorClasses().text}
${css}`);
}
