/** The counts of a worker that exits at any point. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Row, Scoreboard } from '../src/servers/protocol/scoreboard.js';
import { Bench } from './support/bench.js';

type Counts = Partial<Row>;

it.each<[string, Counts, boolean, number]>([
  ['nothing', {}, true, 0],
  ['one that it has accepted, and not begun to serve', { accepted: 1 }, true, 1],
  ['one that it serves', { accepted: 3, opened: 3, closed: 2 }, true, 1],
  ['none but one that it has turned away', { accepted: 1, rejected: 1 }, true, 0],
  ['one that was handed to it', { assigned: 2, opened: 1, closed: 1 }, true, 1],
  ['none: it has dealt out what it has accepted', { accepted: 5 }, false, 0],
])('%s', (_, counts, servesOwn, held) => {
  using bench = new Bench();
  using scoreboard = new Scoreboard(join(bench.folder(), 'scoreboard'), 2);
  Object.assign(scoreboard.row(1), counts);
  expect(scoreboard.retire(1, servesOwn)).toBe(held);
  if (servesOwn && (counts.assigned ?? 0) === 0) expect(scoreboard.open).toBe(0);
});
