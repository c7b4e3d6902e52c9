/** Reports as text: cells, the 80 columns of a terminal, and the HTML source. The page in a browser: long/report-page.test.ts. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { sectionText } from '../src/terminal/report.js';
import { terminalColumns } from '../src/terminal/text.js';
import { plotOf, tableOf } from '../src/instruments/report/charts.js';
import { formatCell, formatName, shorten } from '../src/instruments/report/format.js';
import { html, scriptJson, scriptText } from '../src/instruments/report/html.js';
import { machineFacts } from '../src/instruments/report/machine.js';
import { renderPage } from '../src/instruments/report/page.js';
import { PALETTES } from '../src/instruments/report/palette.js';
import { type BarChart, type LineChart, type ReportSection, verdictOf } from '../src/instruments/report/report.js';
import { contrast, difference } from './support/colors.js';
import { HOSTILE, comparison, experiments, odd, scaling } from './support/reports.js';

describe('cells', () => {
  it.each([
    [null, '—'],
    [Number.NaN, '—'],
    [Number.POSITIVE_INFINITY, '—'],
    ['epoll_wait', 'epoll_wait'],
    ['', ''],
    [0, '0'],
    [-0, '0'],
    [7, '7'],
    [1.5, '1.50'],
    [-0.02034, '-0.0203'],
    [999.6, '1,000'],
    [12_345, '12,300'],
    [12_345.6, '12,300'],
    [1_234_567, '1,230,000'],
    [1.23e-9, '1.23e-9'],
    [-4.5e21, '-4.50e+21'],
  ])('%s is printed as %s', (cell, text) => expect(formatCell(cell)).toBe(text));

  it.each([
    [1024, '1,024'],
    [0.125, '0.125'],
    [12_345.5, '12,345.5'],
    [null, '—'],
    ['poll', 'poll'],
  ])('%s names a row as %s', (cell, text) => expect(formatName(cell)).toBe(text));

  it('are shortened by characters, not by halves of them', () => {
    expect(shorten('12345', 5)).toBe('12345');
    expect(shorten('🙂🙂🙂🙂', 3)).toBe('🙂🙂…');
  });
});

describe('HTML', () => {
  it('escapes text and attributes, except HTML', () => {
    const name = `<b>'"&`;
    expect(html`<p title="${name}">${name}${html`<i>${1}</i>`}${[html`<u></u>`]}</p>`.text).toBe(
      '<p title="&lt;b&gt;&#39;&quot;&amp;">&lt;b&gt;&#39;&quot;&amp;<i>1</i><u></u></p>',
    );
  });

  it('embeds data that cannot end its script element', () => {
    const { text } = scriptJson({ name: HOSTILE });
    expect(text).not.toContain('<');
    expect(JSON.parse(text)).toEqual({ name: HOSTILE });
  });

  it('embeds programs that cannot end their script element, and mean the same', () => {
    const { text } = scriptText('"</script>".length + "<!--".length;\r\n');
    expect(text).toBe('"<\\/script>".length + "<\\!--".length;\n');
    expect(eval(text)).toBe(13);
  });
});

/** Script elements with their contents. */
const scriptsOf = (page: string): RegExpMatchArray[] => [...page.matchAll(/<script([^>]*)>([^]*?)<\/script>/g)];

describe('the page', () => {
  const page = renderPage({ title: HOSTILE, subtitle: HOSTILE, sections: [odd, ...experiments] });

  it('turns no input into a tag', () => {
    expect(scriptsOf(page).map(([, attributes]) => attributes)).toEqual([
      ' type="application/json" id="plots"',
      '',
      '',
    ]);
    expect(page).not.toContain('<img');
    expect(page.split('globalThis.broken=1').length).toBeGreaterThan(20); // present, as text
  });

  it('allows no network, and only the scripts whose hashes it lists', () => {
    const policy = /http-equiv="Content-Security-Policy"\s+content="([^"]*)"/.exec(page)?.[1]?.replaceAll('&#39;', "'");
    const hashes = scriptsOf(page)
      .filter(([, attributes]) => attributes === '')
      .map(([, , text = '']) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`);
    expect(policy?.split('; ')).toEqual([
      "default-src 'none'",
      `script-src ${hashes.join(' ')}`,
      "style-src 'unsafe-inline'",
      "base-uri 'none'",
      "form-action 'none'",
    ]);
    const own = renderPage({ title: 't', sections: [comparison, ...experiments] }).replace(
      /<script[^]*?<\/script>/g,
      '',
    );
    expect(own).not.toMatch(/https?:|\ssrc=|<link|@import|url\(/);
  });

  it('names the machine, and has contents with the verdicts for several sections', () => {
    const machine = machineFacts(new Date('2026-01-02T03:04:05Z'));
    const text = renderPage({ title: 't', sections: experiments }, machine);
    for (const [label, fact] of machine) expect(text).toContain(`<dt>${label}</dt>\n          <dd>${fact}</dd>`);
    expect(machine.map(([label]) => label)).toEqual(['system', 'processor', 'Node.js', 'selectors-native', 'date']);
    expect(machine.at(-1)?.[1]).toBe('2026-01-02 03:04 UTC');
    const contents = /<nav[^]*<\/nav>/.exec(text)?.[0] ?? '';
    expect(contents).toContain('Hold here: 9. In part: 0. Do not:\n    2. Undecided: 1. Not tried: 0.');
    expect(contents.match(/href="#/g)).toHaveLength(experiments.length);
    for (const { id } of experiments) expect(text).toContain(`<section id="${id}">`);
    expect(renderPage({ title: 't', sections: [scaling] })).not.toContain('<nav');
  });

  it('contains no chart library without a chart', () => {
    const text = renderPage({
      title: 't',
      sections: [
        { ...scaling, charts: [] },
        { ...odd, charts: odd.charts.slice(0, 3) },
      ],
    });
    expect(text.length).toBeLessThan(40_000);
    expect(text).toContain('script-src &#39;none&#39;');
    expect(text.split('No figures to draw').length - 1).toBe(3);
  });

  it('has the figures of each chart as a table, right-aligned, with null as —', () => {
    const text = renderPage({ title: 't', sections: [scaling] });
    expect(text.match(/<figure>/g)).toHaveLength(1);
    expect(text.match(/<details>[^]*?<table>[^]*?<\/details>/g)).toHaveLength(1);
    expect(text).toContain('<td class="number">14.9</td>');
    expect(text).toContain('<td class="number">—</td>');
  });

  it('escapes the name of a section in links', () => {
    const named: ReportSection = { ...odd, id: '"><b>' };
    expect(renderPage({ title: 't', sections: [named, scaling] })).toContain('<section id="&quot;&gt;&lt;b&gt;">');
  });
});

const bar = (values: readonly (number | null)[], more: Partial<BarChart> = {}): BarChart => ({
  kind: 'bar',
  title: 't',
  value: { label: 'v' },
  categories: values.map((_, i) => `${i}`),
  series: [{ name: 's', values }],
  ...more,
});

const line = (points: LineChart['series'][number]['points'], isLogarithmic: boolean): LineChart => ({
  kind: 'line',
  title: 't',
  x: { label: 'x', isLogarithmic },
  y: { label: 'y', isLogarithmic },
  series: [{ name: 's', points }],
});

describe('plots', () => {
  it('bars are horizontal if names are many or long, and vertical otherwise', () => {
    expect(plotOf(bar([1, 2, 3]))?.traces[0]?.orientation).toBeUndefined();
    expect(plotOf(bar([1, 2], { categories: ['reactor:select', 'proactor:io_uring'] }))?.traces[0]?.orientation).toBe(
      'h',
    );
    const many = plotOf(bar(Array.from({ length: 40 }, (_, i) => i)));
    expect(many?.traces[0]?.orientation).toBe('h');
    expect(many?.height).toBeGreaterThan(40 * 20);
    expect(many?.yaxis.range).toEqual([39.5, -0.5]); // top to bottom
  });

  it('a missing value is a gap, and a chart without values has no plot', () => {
    expect(plotOf(bar([1, null, Number.NaN, Number.NEGATIVE_INFINITY, 2]))?.traces[0]?.y).toEqual([
      1,
      null,
      null,
      null,
      2,
    ]);
    const value = { label: 'v', isLogarithmic: true };
    expect(plotOf(bar([0, -1, 10], { value }))?.traces[0]?.y).toEqual([null, null, 10]);
    expect(plotOf(bar([0, -1], { value }))).toBeNull();
    expect(plotOf(bar([]))).toBeNull();
    expect(plotOf(line([], false))).toBeNull();
    expect(plotOf(line([[0, 1]], true))).toBeNull();
    expect(plotOf(line([[0, 1]], false))?.traces[0]?.x).toEqual([0]);
  });

  it('a bar on a logarithmic axis has a length, also the smallest', () => {
    for (const values of [[1, 10, 100], [1e-9, 5], [7], [1000]]) {
      const { range } = plotOf(bar(values, { value: { label: 'v', isLogarithmic: true } }))?.yaxis ?? {};
      const [from = 0, to = 0] = range ?? [];
      expect(Math.log10(Math.min(...values)) - from).toBeGreaterThan(0.15);
      expect(to).toBeGreaterThan(Math.log10(Math.max(...values)));
    }
  });

  it('a stack has a linear axis, since logarithms do not add up', () => {
    const series = ['a', 'b'].map((name) => ({ name, values: [1, 2] }));
    const plot = plotOf(bar([1, 2], { series, isStacked: true, value: { label: 'v', isLogarithmic: true } }));
    expect(plot).toMatchObject({ isStacked: true, yaxis: { type: 'linear' } });
  });

  it('decades are labelled; 2 and 5 too if there are few; only some powers of ten if there are many', () => {
    const ticks = (from: number, to: number) =>
      plotOf(
        line(
          [
            [from, 1],
            [to, 1],
          ],
          true,
        ),
      )?.xaxis.ticktext;
    expect(ticks(1, 10_000)).toEqual(['0.1', '1', '10', '100', '1,000', '10,000', '100,000']);
    expect(ticks(3, 30)).toEqual(
      ['0.1', '0.2', '0.5', '1', '2', '5', '10', '20', '50', '100', '200', '500', '1,000', '2,000', '5,000'].slice(
        0,
        15,
      ),
    );
    expect(ticks(1e-9, 1e9)).toEqual(['10⁻⁹', '10⁻⁶', '10⁻³', '10⁰', '10³', '10⁶', '10⁹']);
  });

  it('a line chart is a table with one row per x', () => {
    const chart: LineChart = {
      ...line([], false),
      series: [
        {
          name: 'a',
          points: [
            [2, 20],
            [1, 10],
          ],
        },
        { name: 'b', points: [[2, 21]] },
      ],
    };
    expect(tableOf(chart)).toMatchObject({
      columns: ['x', 'a: y', 'b: y'],
      rows: [
        [1, 10, null],
        [2, 20, 21],
      ],
    });
  });
});

describe.each(['light', 'dark'] as const)('the colours, %s,', (scheme) => {
  const { background, surface, series, text, muted, link, good, bad, open } = PALETTES[scheme];

  it('contrast: text 4.5 to 1, bars and lines 3 to 1 (WCAG 2.2, 1.4.3 and 1.4.11)', () => {
    for (const color of [text, muted, link, good, bad, open]) {
      expect(contrast(color, background), color).toBeGreaterThanOrEqual(4.5);
      expect(contrast(color, surface), color).toBeGreaterThanOrEqual(4.5);
    }
    for (const color of series) expect(contrast(color, background), color).toBeGreaterThanOrEqual(3);
  });

  // A difference of 2.3 is just noticeable side by side; these colours are not side by side.
  it.each(['normal', 'protanopia', 'deuteranopia', 'tritanopia'] as const)(
    'can be distinguished with %s vision',
    (vision) => {
      for (const [i, a] of series.entries())
        for (const b of series.slice(0, i))
          expect(difference(a, b, vision), `${a} ${b}`).toBeGreaterThan(i < 4 ? 19 : 10);
    },
  );
});

describe('the terminal', () => {
  it('has no line of more than 80 columns', () => {
    for (const section of [comparison, ...experiments, odd]) {
      const wide = sectionText(section)
        .split('\n')
        .filter((one) => Array.from(one).length > 80);
      expect(wide).toEqual([]);
    }
  });

  it('prints facts, tables and the verdict', () => {
    expect(
      sectionText({
        ...scaling,
        tables: [
          {
            title: 'One wait',
            columns: ['n', 'µs'],
            rows: [
              [1024, 1.5],
              [2, null],
            ],
          },
        ],
      }),
    ).toBe(`What a wait costs as the set grows

✓ holds: from 1 to 10,000 descriptors poll costs 398 times as much, epoll 1.04
times; select refuses the 1,025th with EINVAL.

claim   select is limited to 1024 descriptors and O(n); epoll keeps the set in
        the kernel, and what is asked does not grow with it
source  post 004, claim (b)
set-up  N socket pairs are registered, one of them is readable; the wait is made
        10,000 times and the median taken

One wait
┌───────┬──────┐
│ n     │   µs │
├───────┼──────┤
│ 1,024 │ 1.50 │
├───────┼──────┤
│ 2     │    — │
└───────┴──────┘`);
  });

  it('prints the verdict of each statement of a claim, and the outcome of the claim', () => {
    const statements = [
      { statement: 'one is woken', outcome: 'holds', because: 'One was.' },
      { statement: 'all are woken', outcome: 'not tried', because: 'This system cannot.' },
    ] as const;
    const text = sectionText({ ...scaling, facts: [], tables: [], verdict: verdictOf(statements) });
    expect(text).toBe(`What a wait costs as the set grows

~ holds in part: 1 of 2 statements hold.
  one is woken: ✓ holds
      One was.
  all are woken: - not tried
      This system cannot.`);
    const page = renderPage({ title: 't', sections: [{ ...scaling, verdict: verdictOf(statements) }] });
    for (const { statement, because } of statements) {
      expect(page).toContain(statement);
      expect(page).toContain(because);
    }
  });

  it.each([
    ['holds', ['holds', 'holds']],
    ['holds in part', ['holds', 'not tried']],
    ['holds in part', ['does not hold here', 'holds', 'undecided']],
    ['does not hold here', ['does not hold here', 'undecided']],
    ['undecided', ['undecided', 'not tried']],
    ['not tried', ['not tried', 'not tried']],
  ] as const)('a claim %s if its statements are: %j', (outcome, of) => {
    const statements = of.map((one) => ({ statement: 's', outcome: one, because: 'b' }));
    expect(verdictOf(statements).outcome).toBe(outcome);
  });

  it.each([
    [undefined, 80],
    [40, 60],
    [70, 70],
    [200, 80],
  ])('a terminal of %s columns gets lines of %d', (columns, width) => {
    const { isTTY, columns: before } = process.stdout;
    Object.assign(process.stdout, { isTTY: columns !== undefined, columns });
    try {
      expect(terminalColumns()).toBe(width);
    } finally {
      Object.assign(process.stdout, { isTTY, columns: before });
    }
  });

  it('folds a wide table: each part begins with the names of the rows, and no column is lost', () => {
    const text = sectionText(comparison);
    expect(text.match(/│ subject /g)).toHaveLength(5);
    expect(text.match(/│ node:net /g)).toHaveLength(5);
    for (const column of comparison.tables[0]?.columns ?? []) expect(text).toContain(column.split(' ')[0]);
  });

  it('passes no control character on', () => {
    const evil = 'a\u001b[2Jb\rc\u009bd';
    const section: ReportSection = {
      ...odd,
      title: evil,
      facts: [[evil, evil]],
      verdict: { outcome: 'holds', because: evil },
      tables: [{ title: evil, columns: [evil], rows: [[evil]] }],
    };
    expect(sectionText(section).replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
  });
});
