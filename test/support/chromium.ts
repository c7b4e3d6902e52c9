/** A headless browser, and what pages request from it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { root } from './program.js';

const PROGRAM = '/usr/bin/chromium';

/** Options that keep the browser itself off the network: no updates, no services, no profile. */
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export function reasonForNoBrowser(): string {
  if (process.env.SELECTORS_NATIVE_SANITIZED) return ' — not here: the browser would be looked at instead of the addon';
  if (process.platform === 'win32') return ' — not here: the browser is not Windows’';
  return existsSync(PROGRAM) ? '' : ` — not here: no ${PROGRAM} (Debian: chromium)`;
}

/** With an empty user data folder, which is removed with it. */
export async function startBrowser(): Promise<Browser> {
  const { chromium } = await import('playwright-core');
  return chromium.launch({ executablePath: PROGRAM, headless: true, args: ARGUMENTS });
}

export interface OpenPage extends AsyncDisposable {
  readonly page: Page;
  /** Warnings, errors, exceptions, and requests other than the file's. */
  readonly complaints: readonly string[];
}

export async function openPage(browser: Browser, url: string, options: BrowserContextOptions): Promise<OpenPage> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (['warning', 'error'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`));
  page.on('request', (request) => {
    if (request.url() !== url) complaints.push(`request: ${request.url().slice(0, 200)}`);
  });
  await page.addInitScript({ path: join(root, 'test/support/page-probe.js') });
  await page.goto(url);
  return { page, complaints, [Symbol.asyncDispose]: () => context.close() };
}
