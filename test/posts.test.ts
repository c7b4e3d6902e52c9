/** docs/posts.md: the row of each claim names the experiments that measure it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { experiments } from '../src/instruments/experiments/index.js';
import { root } from './support/program.js';

/** The rows by post and claim: '003 (c)'. */
const rows = new Map<string, string>();
let post = '';
for (const line of readFileSync(join(root, 'docs/posts.md'), 'utf8').split('\n')) {
  post = /^## Post (\d{3})/.exec(line)?.[1] ?? post;
  const claim = /^\| (\([a-z]\)) \|/.exec(line)?.[1];
  if (claim !== undefined) rows.set(`${post} ${claim}`, line);
}

/** 'post 000, claims (b) and (c); post 003, claim (f)' → '000 (b)', '000 (c)', '003 (f)' */
const claimsOf = (source: string): readonly string[] =>
  source.split(';').flatMap((part) => {
    const number = /post (\d{3})/.exec(part)?.[1] ?? '';
    return Array.from(part.matchAll(/\([a-z]\)/g), ([claim]) => `${number} ${claim}`);
  });

const linkTo = (name: string): string => `[${name}](../src/instruments/experiments/${name}.ts)`;

describe('docs/posts.md', () => {
  it.each(experiments.map(({ name, source }) => [name, source]))('has %s in the rows of: %s', (name, source) => {
    for (const claim of claimsOf(source)) expect(rows.get(claim), claim).toContain(linkTo(name));
    expect([...rows.values()].some((row) => row.includes(linkTo(name))) || claimsOf(source).length === 0).toBe(true);
  });

  it('names each experiment by a link', () => {
    const names = new Set(experiments.map(({ name }) => name));
    for (const [claim, row] of rows) {
      const counterpart = row.split(' | ').at(-1) ?? '';
      if (!counterpart.startsWith('experiment')) continue;
      const links = Array.from(counterpart.matchAll(/\[([a-z-]+)\]\(\.\.\/src\/instruments\//g), ([, name]) => name);
      expect(links.length, claim).toBeGreaterThan(0);
      for (const link of links) expect(names, claim).toContain(link);
    }
  });
});
