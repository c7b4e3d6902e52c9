/** The system-call experiments: each runs once, small, to its verdict; and is aborted while it runs. */
import { describe, expect, it } from 'vitest';
import type { BusyWaitFigures } from '../../src/instruments/experiments/busy-wait.js';
import type { EpollCtlFigures } from '../../src/instruments/experiments/epoll-ctl-cost.js';
import type { MeasureContext } from '../../src/instruments/experiments/experiment.js';
import type { LevelOrEdgeFigures } from '../../src/instruments/experiments/level-or-edge.js';
import type { PartialMessagesFigures } from '../../src/instruments/experiments/partial-messages.js';
import type { ScalingFigures } from '../../src/instruments/experiments/scaling.js';
import type { WakeupsFigures } from '../../src/instruments/experiments/wakeups.js';
import type { WhoCopiesFigures } from '../../src/instruments/experiments/who-copies.js';
import { FD_SETSIZE } from '../../src/syscalls.js';
import { experiment } from '../support/built-experiments.js';
import { childrenOf, threadCount } from '../support/processes.js';
import { until } from '../support/servers.js';

/** Facts that hold however busy the machine is. */
const FACTS: Readonly<Record<string, (figures: unknown) => void>> = {
  'partial-messages'(figures) {
    for (const { frames, right, writes, reads, delivery } of (figures as PartialMessagesFigures).rows) {
      expect(right).toBe(frames);
      // The next piece is sent only after this one was read.
      if (reads !== null && delivery !== 'many frames a write') expect(reads).toBeGreaterThanOrEqual(writes);
    }
  },
  'busy-wait'(figures) {
    const { rows } = figures as BusyWaitFigures;
    const calls = (isOne: (subject: string) => boolean) =>
      rows.filter(({ subject }) => isOne(subject)).map(({ callsPerSecond }) => callsPerSecond);
    expect(rows.length).toBeGreaterThanOrEqual(6);
    expect(Math.min(...calls((name) => name === 'busy-wait'))).toBeGreaterThan(500);
    expect(Math.max(...calls((name) => name !== 'busy-wait'))).toBeLessThan(500);
  },
  scaling(figures) {
    const { points, refusals } = figures as ScalingFigures;
    const selects = points.filter(({ mechanism }) => mechanism === 'select').map(({ descriptors }) => descriptors);
    expect(refusals).toEqual([expect.objectContaining({ mechanism: 'select', code: 'ERR_OUT_OF_RANGE' })]);
    expect(Math.max(...selects)).toBeLessThanOrEqual(FD_SETSIZE);
    expect(refusals[0]?.registered).toBe(Math.max(...selects));
    if (process.platform !== 'win32') expect(refusals[0]?.descriptor).toBeGreaterThanOrEqual(FD_SETSIZE);
    for (const { cost } of points) expect(cost.low).toBeGreaterThan(0);
  },
  'who-copies'(figures) {
    for (const { kind, reads, dropped } of (figures as WhoCopiesFigures).rows) {
      expect(dropped).toBe(0);
      if (kind === 'reactor') expect(reads).toBeGreaterThan(0.9);
    }
  },
  'level-or-edge'(figures) {
    const { steps, modes } = figures as LevelOrEdgeFigures;
    for (const { reported } of modes) expect(reported).toHaveLength(steps.length);
    expect(experiment('level-or-edge').verdict(figures).outcome).toBe('holds');
  },
  wakeups(figures) {
    for (const { isLost, returns, wakeups } of (figures as WakeupsFigures).rows) {
      expect(isLost).toBe(false);
      expect(returns).toBeGreaterThan(0);
      expect(returns).toBeLessThanOrEqual(wakeups);
    }
    expect(experiment('wakeups').verdict(figures).outcome).toBe('holds');
  },
  'recv-answers'(figures) {
    expect(experiment('recv-answers').verdict(figures)).toMatchObject({ outcome: 'holds' });
  },
  'write-side'(figures) {
    expect(experiment('write-side').verdict(figures)).toMatchObject({ outcome: 'holds' });
  },
  'epoll-ctl-cost'(figures) {
    for (const { add, modify, remove } of (figures as EpollCtlFigures).points)
      for (const { low } of [add, modify, remove]) expect(low).toBeGreaterThan(0);
  },
};

const running = (): { readonly threads: number; readonly children: number } => ({
  threads: threadCount(),
  children: childrenOf(process.pid).length,
});

describe.each(Object.keys(FACTS))('%s', (name) => {
  const { isAvailable, why } = experiment(name);
  const reason = isAvailable ? '' : ` (not here: ${why})`;

  it.skipIf(!isAvailable)(`runs to its verdict${reason}`, async () => {
    const one = experiment<unknown>(name);
    const steps: (readonly [number, number])[] = [];
    const figures = await one.measure({
      effort: 'quick',
      progress: (done, total) => void steps.push([done, total]),
      signal: new AbortController().signal,
    });
    const { outcome, because } = one.verdict(figures);
    console.log(`${name}: ${outcome}: ${because}`);
    expect(JSON.parse(JSON.stringify(figures))).toEqual(figures);
    expect(steps.at(-1)?.[0]).toBe(steps.at(-1)?.[1]);
    for (const { columns, rows } of one.tables(figures)) {
      expect(rows.length + columns.length).toBeGreaterThan(0);
      for (const row of rows) expect(row).toHaveLength(columns.length);
    }
    for (const chart of one.charts(figures)) {
      expect((chart.kind === 'timing' ? chart.rows : chart.series).length).toBeGreaterThan(0);
      if (chart.kind === 'bar' || chart.kind === 'range')
        for (const { values } of chart.series) expect(values).toHaveLength(chart.categories.length);
    }
    FACTS[name]?.(figures);
  });

  it.skipIf(!isAvailable)(`rejects when aborted, and leaves no process and no thread behind${reason}`, async () => {
    const before = running();
    const giveUp = new AbortController();
    const context: MeasureContext = { effort: 'full', progress: () => giveUp.abort(), signal: giveUp.signal };
    await expect(experiment(name).measure(context)).rejects.toThrow();
    await until('what it has started has ended', () => {
      const { threads, children } = running();
      return threads <= before.threads && children <= before.children;
    });
  });
});
