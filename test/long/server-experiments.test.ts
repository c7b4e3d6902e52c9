/** The server experiments, each run once from the built files, because the programs that they start load built files. */
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import type { MeasureContext } from '../../src/instruments/experiments/experiment.js';
import type { ForkCostFigures } from '../../src/instruments/experiments/fork-cost.js';
import type { HeadOfLineFigures } from '../../src/instruments/experiments/head-of-line.js';
import type * as entry from '../../src/instruments/experiments/index.js';
import type { IdleMemoryFigures } from '../../src/instruments/experiments/idle-memory.js';
import type { OneCoreFigures } from '../../src/instruments/experiments/one-core.js';
import type { OrderingFigures } from '../../src/instruments/experiments/ordering.js';
import type { SlowPeersFigures } from '../../src/instruments/experiments/slow-peers.js';
import type { ThreadCostFigures } from '../../src/instruments/experiments/thread-cost.js';
import type { ThunderingHerdFigures } from '../../src/instruments/experiments/thundering-herd.js';
import { childrenOf, isRunning } from '../support/processes.js';
import { inTime, until } from '../support/servers.js';

const { experiments } = createRequire(import.meta.url)('../../dist/instruments/experiments/index.js') as typeof entry;
const NAMES = [
  ...[
    'slow-peers',
    'thread-cost',
    'idle-memory',
    'one-core',
    'one-at-a-time',
    'fork-cost',
    'crash-isolation',
    'forgotten-copy',
  ],
  ...['thundering-herd', 'passing-descriptors', 'head-of-line', 'ordering'],
];
const chosen = experiments.filter(({ name }) => NAMES.includes(name));

const isLinux = process.platform === 'linux';
const linuxOnly = isLinux ? '' : ' — not here: only Linux lists child processes';

/** All descendant processes. */
const descendants = (pid: number): number[] => childrenOf(pid).flatMap((child) => [child, ...descendants(child)]);

/** What holds for all figures of an experiment, however busy the machine is. */
const ALWAYS: Readonly<Record<string, (figures: never) => void>> = {
  'slow-peers': ({ models }: SlowPeersFigures) => {
    for (const { name, cases, crowd } of models) {
      expect(cases.map(({ slow }) => slow)).toEqual([0, 1, 2]);
      const { answered, turnedAway, queued, inBacklog } = crowd;
      expect(answered + turnedAway + queued + inBacklog, name).toBe(12);
      if (name !== 'thread-pool') continue;
      expect(answered).toBe(0);
      expect(queued).toBeLessThanOrEqual(4); // the queue's capacity
    }
  },
  'thread-cost': ({ points, arrivals }: ThreadCostFigures) => {
    for (const { model, connections, threads } of points)
      if (threads !== null) expect(threads, model).toBe(model === 'reactor' ? 1 : connections + 1);
    expect(new Set(arrivals.map(({ model }) => model))).toEqual(new Set(points.map(({ model }) => model)));
  },
  'idle-memory': ({ models }: IdleMemoryFigures) => {
    for (const { name, connection, worker } of models)
      if (/^textbook|process|thread-per/.test(name)) expect((worker ?? connection).own.low, name).toBeGreaterThan(4096);
  },
  'one-core': ({ cores, subjects }: OneCoreFigures) => {
    expect(subjects.map(({ processes }) => processes)).toEqual([1, cores]);
    for (const { rate } of subjects) expect(rate.count).toBeGreaterThanOrEqual(5);
  },
  'fork-cost': ({ models }: ForkCostFigures) => {
    for (const { latency } of models) expect(latency.count).toBeGreaterThanOrEqual(5);
  },
  'thundering-herd': ({ processes, strategies }: ThunderingHerdFigures) => {
    for (const { name, rounds, shares } of strategies) {
      if (name.startsWith('textbook:')) continue; // it does not count them
      expect(shares).toHaveLength(processes);
      const came = rounds.reduce((sum, { connections }) => sum + connections, 0);
      expect(shares.reduce((sum, share) => sum + share)).toBe(came);
    }
  },
  'head-of-line': ({ models }: HeadOfLineFigures) => {
    for (const { alone, behind } of models) expect(behind.count).toBe(alone.count);
  },
  ordering: ({ models }: OrderingFigures) => {
    for (const { name, outOfOrder } of models) if (name !== 'reactor-thread-per-task') expect(outOfOrder, name).toBe(0);
  },
};

const context = (own: Partial<MeasureContext>): MeasureContext => ({
  effort: 'quick',
  progress: () => undefined,
  signal: new AbortController().signal,
  ...own,
});

it('are complete', () => {
  expect(chosen.map(({ name }) => name)).toEqual(NAMES);
});

describe.each(chosen.filter(({ isAvailable }) => isAvailable))('$name', (experiment) => {
  it('reaches its verdict, and leaves nothing behind', async () => {
    const steps: (readonly [done: number, total: number])[] = [];
    const figures = await experiment.measure(context({ progress: (done, total) => steps.push([done, total]) }));
    expect(JSON.parse(JSON.stringify(figures)), 'plain data').toEqual(figures);
    ALWAYS[experiment.name]?.(figures as never);
    const { outcome, because } = experiment.verdict(figures);
    // The claims are well established: a refutation means that the experiment measured something else.
    if (experiment.name !== 'passing-descriptors')
      // two short rounds of four servers
      expect(['holds', 'holds in part', 'undecided'], because).toContain(outcome);
    expect(because).toMatch(/^[A-Z0-9].*\.$/);
    for (const { columns, rows } of experiment.tables(figures)) {
      expect(rows.length).toBeGreaterThan(0);
      for (const row of rows) expect(row).toHaveLength(columns.length);
    }
    for (const chart of experiment.charts(figures)) {
      expect((chart.kind === 'timing' ? chart.rows : chart.series).length).toBeGreaterThan(0);
      if (chart.kind === 'bar' || chart.kind === 'range')
        for (const { values } of chart.series) expect(values).toHaveLength(chart.categories.length);
    }
    const [done, total] = steps.at(-1) ?? [];
    expect(done).toBe(total);
    expect(steps).toEqual([...steps].sort(([a], [b]) => a - b));
    expect(descendants(process.pid)).toEqual([]);
  });

  it.skipIf(!isLinux)(`rejects when aborted, and ends what it has started${linuxOnly}`, async () => {
    const ending = new AbortController();
    const ended = experiment.measure(context({ signal: ending.signal })).then(
      () => 'resolved',
      () => 'rejected',
    );
    let started: number[] = [];
    await until('something has started', () => (started = descendants(process.pid)).length > 0);
    ending.abort();
    expect(await inTime('its end', ended)).toBe('rejected');
    expect(descendants(process.pid)).toEqual([]);
    expect(started.filter(isRunning)).toEqual([]);
  });
});
