/** Reports as text: cells, the 80 columns of a terminal, and the HTML source. The page in a browser: long/report-page.test.ts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { sectionText } from '../src/terminal/report.js';
import { terminalColumns } from '../src/terminal/text.js';
import { scaleOf } from '../src/instruments/report/axes.js';
import { plotOf, tableOf } from '../src/instruments/report/charts.js';
import { formatCell, formatName, shorten } from '../src/instruments/report/format.js';
import { html } from '../src/instruments/report/html.js';
import { machineFacts } from '../src/instruments/report/machine.js';
import { renderPage } from '../src/instruments/report/page.js';
import { PALETTES } from '../src/instruments/report/palette.js';
import { callPaints, hatchPatterns, knownCalls, mechanismPaints } from '../src/instruments/report/paints.js';
import {
  type BarChart,
  type LineChart,
  type RangeChart,
  type ReportChart,
  type ReportSection,
  verdictOf,
} from '../src/instruments/report/report.js';
import { familyOf } from '../src/trace/families.js';
import { contrast, difference } from './support/colors.js';
import { root } from './support/program.js';
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
});

describe('the page', () => {
  const page = renderPage({ title: HOSTILE, subtitle: HOSTILE, sections: [odd, ...experiments] });

  it('turns no input into a tag', () => {
    expect(page).not.toContain('<script');
    expect(page).not.toContain('<img');
    expect(page.split('globalThis.broken=1').length).toBeGreaterThan(20); // present, as text
  });

  it('allows no network and no script', () => {
    const policy = /http-equiv="Content-Security-Policy"\s+content="([^"]*)"/.exec(page)?.[1]?.replaceAll('&#39;', "'");
    expect(policy?.split('; ')).toEqual([
      "default-src 'none'",
      "style-src 'unsafe-inline'",
      "base-uri 'none'",
      "form-action 'none'",
    ]);
    const own = renderPage({ title: 't', sections: [comparison, ...experiments] });
    expect(own.replace(/<a href="https:[^"]*"/g, '')).not.toMatch(/https?:|\ssrc=|<link|@import|url\((?!#hatch-)/);
    expect(own.length).toBeLessThan(250_000);
  });

  it('prints the command that made it, and links the posts to their claims', () => {
    const text = renderPage({ title: 't', command: "selectors-native experiment '<b>'", sections: [scaling] });
    expect(text).toContain('<code>selectors-native experiment &#39;&lt;b&gt;&#39;</code>');
    expect(text).toMatch(/<a href="https:[^"]*\/blob\/main\/docs\/posts\.md#post-004">post 004<\/a>, claim \(b\)/);
    expect(renderPage({ title: 't', sections: [scaling] })).not.toContain('<code>');
    expect(readFileSync(join(root, 'docs/posts.md'), 'utf8')).toContain('\n## Post 004\n');
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

  it('has a note instead of a chart without figures', () => {
    const text = renderPage({ title: 't', sections: [{ ...odd, charts: odd.charts.slice(0, 3) }] });
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

const textOf = (chart: ReportChart): string => plotOf(chart)?.text ?? '';

/** Left end and width of each bar, in percent. */
const barsOf = (chart: ReportChart): readonly (readonly [x: number, width: number])[] =>
  [
    ...textOf(chart)
      .replace(/<ul[^]*<\/ul>/, '')
      .matchAll(/<rect\s+class="mark"\s+x="([\d.]+)%"\s+y="50%"\s+width="([\d.]+)%"/g),
  ].map(([, x = '', width = '']) => [Number(x), Number(width)]);

describe('charts', () => {
  it('bars begin at 0, and their lengths are proportional', () => {
    const drawn = barsOf(bar([1, 10, 100]));
    expect(drawn.map(([x]) => x)).toEqual([0, 0, 0]);
    const [one = 0, ten = 0, hundred = 0] = drawn.map(([, width]) => width);
    expect(ten / hundred).toBeCloseTo(0.1, 3);
    expect(one / hundred).toBeCloseTo(0.01, 3);
    const [below = [], nought = [], above = []] = barsOf(bar([-1, 0, 2]));
    expect(nought[1]).toBe(0);
    expect((below[0] ?? 0) + (below[1] ?? 0)).toBeCloseTo(above[0] ?? 0, 1);
    const series = ['a', 'b'].map((name) => ({ name, values: [1, 2] }));
    const [first = [], second = []] = barsOf(bar([1, 2], { series, isStacked: true }));
    expect(second[0]).toBeCloseTo(first[1] ?? 0, 1); // the second part begins where the first ends
  });

  it('no bar can be on a logarithmic axis', () => {
    // @ts-expect-error: the axis of a bar chart has no such property
    const chart: BarChart = { ...bar([1, 1000]), value: { label: 'v', isLogarithmic: true } };
    expect(chart.kind).toBe('bar');
  });

  it('a missing value is a gap, and a chart without values has no drawing', () => {
    expect(barsOf(bar([1, null, Number.NaN, Number.NEGATIVE_INFINITY, 2]))).toHaveLength(2);
    expect(plotOf(bar([]))).toBeNull();
    expect(plotOf(bar([null, Number.NaN]))).toBeNull();
    expect(plotOf(line([], false))).toBeNull();
    expect(plotOf(line([[0, 1]], true))).toBeNull();
    expect(plotOf(line([[0, 1]], false))).not.toBeNull();
    expect(plotOf({ kind: 'timing', title: 't', time: { label: 'ms' }, rows: [] })).toBeNull();
  });

  it.each([...odd.charts, ...comparison.charts, ...scaling.charts].map((chart) => [chart.title, chart] as const))(
    '%s: no place is outside the drawing, and each axis has its title',
    (_, chart) => {
      const text = textOf(chart);
      expect(text).not.toMatch(/NaN|undefined|Infinity%/);
      for (const [, place] of text.matchAll(/"(-?[\d.]+)%"/g)) {
        expect(Number(place)).toBeGreaterThanOrEqual(0);
        expect(Number(place)).toBeLessThanOrEqual(100);
      }
      if (text === '') return;
      const axes = chart.kind === 'line' ? [chart.x, chart.y] : [chart.kind === 'timing' ? chart.time : chart.value];
      for (const { label } of axes) expect(text).toMatch(new RegExp(`class="axis-title[^"]*">${label}<`));
    },
  );

  it('decades are labelled; 2 and 5 too if there are few; only some powers of ten if there are many', () => {
    const ticks = (from: number, to: number) => scaleOf({ label: 'x', isLogarithmic: true }, [from, to]).ticks;
    const textsOf = (from: number, to: number) => ticks(from, to).map(({ text }) => text);
    expect(textsOf(1, 10_000)).toEqual(['1', '10', '100', '1,000', '10,000']);
    expect(textsOf(3, 30)).toEqual(['5', '10', '20']);
    expect(textsOf(1e-9, 1e9)).toEqual(['10⁻⁸', '10⁻⁴', '10⁰', '10⁴', '10⁸']);
    for (const { at } of ticks(1, 10_000)) expect(at >= 0 && at <= 1).toBe(true);
  });

  it.each([
    [
      [0, 4.2],
      ['0', '1', '2', '3', '4'],
    ],
    [[98_000], ['0', '20,000', '40,000', '60,000', '80,000']],
    [[0.003], ['0', '0.001', '0.002', '0.003']],
    [
      [-3, 3],
      ['-4', '-2', '0', '2'],
    ],
    [[0], ['0', '0.2', '0.4', '0.6', '0.8', '1']],
  ])('the ticks of %j are 1, 2 or 5 times a power of ten: %j', (values, texts) => {
    expect(scaleOf({ label: 'x' }, values).ticks.map(({ text }) => text)).toEqual(texts);
  });

  it('a range is a table of its three parts, and a timing diagram one of its events', () => {
    const ranges = comparison.charts[2] as RangeChart;
    expect(tableOf(ranges).columns).toEqual([
      'µs',
      'echo: p50',
      'echo: p99',
      'echo: max',
      'rpc: p50',
      'rpc: p99',
      'rpc: max',
    ]);
    const timing: ReportChart = {
      kind: 'timing',
      title: 't',
      time: { label: 'ms' },
      rows: [{ name: 'client', events: [{ what: 'request', from: 0, to: 3, detail: 'GET' }] }],
    };
    expect(tableOf(timing).rows).toEqual([['client', 'request', 'GET', 0, 3]]);
    expect(textOf(timing)).toContain('<title>client: request\nGET\n0 to 3 ms</title>');
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
  const { background, surface, series, calls, text, muted, link, good, bad, open } = PALETTES[scheme];

  it('contrast: text 4.5 to 1, bars and lines 3 to 1 (WCAG 2.2, 1.4.3 and 1.4.11)', () => {
    for (const color of [text, muted, link, good, bad, open]) {
      expect(contrast(color, background), color).toBeGreaterThanOrEqual(4.5);
      expect(contrast(color, surface), color).toBeGreaterThanOrEqual(4.5);
    }
    for (const color of series) expect(contrast(color, background), color).toBeGreaterThanOrEqual(3);
  });

  it('of system calls contrast, and differ from each other', () => {
    const shades = Object.values(calls).flat();
    for (const color of shades) expect(contrast(color, background), color).toBeGreaterThanOrEqual(3);
    for (const vision of ['normal', 'protanopia', 'deuteranopia', 'tritanopia'] as const)
      for (const [i, a] of shades.entries())
        for (const b of shades.slice(0, i)) expect(difference(a, b, vision), `${a} ${b}`).toBeGreaterThan(14);
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

describe('system calls', () => {
  const look = (name: string): string => JSON.stringify(callPaints([name])[0]);

  it('have one colour or hatch each, in the hue of their family', () => {
    expect(new Set(knownCalls.map(look)).size).toBe(knownCalls.length);
    for (const { hatch } of callPaints(knownCalls))
      expect(hatchPatterns().text.includes(`"hatch-${hatch}"`)).toBe(hatch > 0);
    for (const name of knownCalls)
      expect(callPaints([name])[0]?.color, name).toMatch(new RegExp(`^${familyOf(name)}-`));
  });

  it('have the same one in every chart, whatever the other calls are', () => {
    const [, poll] = callPaints(['recvfrom', 'poll', 'getrandom']);
    expect(poll).toEqual(callPaints(['poll'])[0]);
    expect(callPaints(['getrandom'])[0]?.color).toMatch(/^unknown-/);
    expect(mechanismPaints(['epoll', 'poll'])).toEqual(callPaints(['epoll_wait', 'poll']));
  });

  it('without a place in the tables do not share a look within a chart', () => {
    const names = Array.from({ length: 30 }, (_, i) => `unknown_call_${i}`);
    expect(new Set(callPaints(names).map((one) => JSON.stringify(one))).size).toBe(names.length);
  });

  it('are coloured by their names in a stack', () => {
    expect(textOf(comparison.charts[1] as ReportChart)).toContain('<g class="read-0"');
  });
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
