/** The HTML report as a reader sees it: opened from disk in a browser, narrow and wide, light and dark, and printed. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { renderPage } from '../../src/instruments/report/page.js';
import type { Axis, ReportChart, ReportSection } from '../../src/instruments/report/report.js';
import { openPage, reasonForNoBrowser, startBrowser } from '../support/chromium.js';
import { temporaryFolder } from '../support/folders.js';
import { comparison, experiments, odd } from '../support/reports.js';
import { until } from '../support/servers.js';

const reason = reasonForNoBrowser();

const REPORTS: Readonly<Record<string, readonly ReportSection[]>> = {
  'a comparison': [comparison],
  'twelve experiments': experiments,
  'odd data': [odd, comparison],
};

/** The smallest readable text, in pixels; and the contrast of WCAG 2.2 AA for text. */
const MIN_TEXT_SIZE = 11;
const MIN_CONTRAST = 4.5;

interface DrawnChart {
  readonly label: string;
  readonly role: string;
  readonly width: number;
  readonly room: number;
  readonly marks: number;
  readonly legend: number;
  readonly fills: readonly string[];
}

interface DrawnText {
  readonly text: string;
  readonly size: number;
  readonly contrast: number;
}

const charts = (page: Page) => page.evaluate<readonly DrawnChart[]>('probe.charts()');
const facts = (page: Page) =>
  page.evaluate<{ overflow: number; background: string; broken: unknown; tags: number }>('probe.page()');

const isFinite = (value: number | null | undefined): boolean => Number.isFinite(value);

/** The number of marks that the data require: a bar of 0 has no area, and a logarithmic axis shows only values above 0. */
function marksOf(chart: ReportChart): number {
  switch (chart.kind) {
    case 'bar':
      return chart.series.flatMap(({ values }) => values).filter((value) => value !== 0 && isFinite(value)).length;
    case 'range':
      return chart.series
        .flatMap(({ values }) => values)
        .filter((one) => one !== null && [one.low, one.mid, one.high].every((value) => value > 0 && isFinite(value)))
        .length;
    case 'line': {
      const has = (value: number, { isLogarithmic }: Axis): boolean =>
        isFinite(value) && (isLogarithmic !== true || value > 0);
      return chart.series.flatMap(({ points }) => points).filter(([x, y]) => has(x, chart.x) && has(y, chart.y)).length;
    }
    case 'timing':
      return chart.rows.flatMap(({ events }) => events).filter(({ from, to }) => from !== to).length;
  }
}

/** One entry per series; of a timing diagram per kind of event. None for a single one. */
function legendOf(chart: ReportChart): number {
  const entries =
    chart.kind === 'timing'
      ? new Set(chart.rows.flatMap(({ events }) => events.map(({ what }) => what))).size
      : chart.series.length;
  return entries > 1 ? entries : 0;
}

const firstFill = (drawn: readonly DrawnChart[]): string | undefined => drawn[0]?.fills[0];

/** Bars of 0 are drawn, but invisible. */
const isDrawn = (chart: ReportChart): boolean => marksOf(chart) > 0 || chart.title === 'noughts';

describe.skipIf(reason)(`the page of a report, in Chromium${reason}`, () => {
  const folder = temporaryFolder();
  let browser: Browser;

  beforeAll(async () => {
    for (const [title, sections] of Object.entries(REPORTS))
      writeFileSync(join(folder.path, `${title}.html`), renderPage({ title, sections }));
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser.close();
    folder.close();
  });

  const urlOf = (title: string): string => pathToFileURL(join(folder.path, `${title}.html`)).href;

  const ways = Object.keys(REPORTS).flatMap((title) =>
    [400, 1600].flatMap((width) => (['light', 'dark'] as const).map((colorScheme) => ({ title, width, colorScheme }))),
  );

  it.each(ways)('$title at $width pixels, $colorScheme', async ({ title, width, colorScheme }) => {
    await using opened = await openPage(browser, urlOf(title), { viewport: { width, height: 900 }, colorScheme });
    const { page, complaints } = opened;

    const wanted = (REPORTS[title] ?? []).flatMap((section) => section.charts).filter(isDrawn);
    const drawn = await charts(page);
    expect(drawn.map(({ marks }) => marks)).toEqual(wanted.map(marksOf));
    expect(drawn.map(({ legend }) => legend)).toEqual(wanted.map(legendOf));
    for (const { role, label, width: drawnWidth, room } of drawn) {
      expect({ role, label }).toEqual({
        role: 'img',
        label: expect.stringMatching(/^(Bar chart|Range chart|Line chart|Timing diagram): /),
      });
      expect(Math.abs(drawnWidth - room)).toBeLessThanOrEqual(1);
    }

    const texts = await page.evaluate<readonly DrawnText[]>('probe.texts()');
    expect(texts.length).toBeGreaterThan(50);
    expect(texts.filter(({ size }) => size < MIN_TEXT_SIZE)).toEqual([]);
    expect(texts.filter(({ contrast }) => contrast < MIN_CONTRAST)).toEqual([]);
    expect(await page.evaluate('probe.collisions()')).toEqual([]);
    expect(await facts(page)).toMatchObject({ overflow: 0, broken: null, tags: 0 });
    expect(complaints).toEqual([]);
  });

  it('follows the width of the window, and the change from light to dark', async () => {
    await using opened = await openPage(browser, urlOf('a comparison'), {
      viewport: { width: 1600, height: 900 },
      colorScheme: 'light',
    });
    const { page, complaints } = opened;
    const before = await charts(page);
    await page.setViewportSize({ width: 400, height: 900 });
    await until('narrow', async () =>
      (await charts(page)).every(({ width, room }) => room < 400 && Math.abs(width - room) <= 1),
    );
    await page.emulateMedia({ colorScheme: 'dark' });
    await until('dark', async () => firstFill(await charts(page)) !== firstFill(before));
    expect((await facts(page)).background).not.toBe('rgb(255, 255, 255)');
    expect(complaints).toEqual([]);
  });

  it('shows the figures of a bar under the pointer', async () => {
    await using opened = await openPage(browser, urlOf('a comparison'), { viewport: { width: 1600, height: 900 } });
    expect(await opened.page.evaluate('probe.firstTooltip()')).toBe('reactor:select\nmessages a second: 61,200');
  });

  it('prints light, sharp and at the width of the paper, from a dark screen', async () => {
    await using opened = await openPage(browser, urlOf('twelve experiments'), {
      viewport: { width: 1600, height: 900 },
      colorScheme: 'dark',
    });
    const { page, complaints } = opened;
    const onScreen = await charts(page);
    const pdf = await page.pdf({ format: 'A4' });
    expect(pdf.subarray(0, 5).toString()).toBe('%PDF-');
    expect(pdf.includes('/Subtype /Image')).toBe(false); // charts are lines, not pixels
    const sheets = pdf.toString('latin1').match(/\/Type \/Page\b(?!s)/g) ?? [];
    expect(sheets.length).toBeGreaterThan(experiments.length / 3);
    expect(sheets.length).toBeLessThanOrEqual(experiments.length + 2);
    await until('dark again', async () => firstFill(await charts(page)) === firstFill(onScreen));

    await page.emulateMedia({ media: 'print' });
    await until('light', async () => (await charts(page)).every(({ fills }) => fills[0] !== firstFill(onScreen)));
    expect((await facts(page)).background).toBe('rgb(255, 255, 255)');
    const texts = await page.evaluate<readonly DrawnText[]>('probe.texts()');
    expect(texts.filter(({ contrast }) => contrast < MIN_CONTRAST)).toEqual([]);
    expect(complaints).toEqual([]);
  });

  it('makes no network request, whatever it contains', async () => {
    let asked = 0;
    const server = createServer(() => asked++).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await using opened = await openPage(browser, urlOf('a comparison'), {});
    expect(await opened.page.evaluate(`probe.forbidden('http://127.0.0.1:${port}/')`)).toBe('img-src');
    await until('the console reports the violation', () =>
      opened.complaints.join().includes('Content Security Policy'),
    );
    server.close();
    expect(asked).toBe(0);
  });
});
