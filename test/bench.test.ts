/** `npm run bench`: the evaluation of its figures. The runs are in test/long/bench.test.ts. */
import { describe, expect, it } from 'vitest';
import { goalsOf } from '../src/instruments/bench/goals.js';
import { type BenchResults, type Round, ratio } from '../src/instruments/bench/results.js';
import { sectionsOf } from '../src/instruments/bench/sections.js';

describe('figures', () => {
  it('a ratio is the median of the ratios per round, not the ratio of the medians', () => {
    expect(ratio([2, 40, 6], [1, 10, 2])).toBe(3);
    expect(ratio([2, 4], undefined)).toBeNull();
    expect(ratio([2, 4, 9], [1])).toBe(2);
  });

  const round = (cpu: number, perSecond: number): Round => ({ cpu, perSecond, p50: 1, p99: 2, clientBusy: 0.5 });
  const results = (reactor: number): BenchResults => ({
    machine: {},
    versions: { 'c-epoll': '', reactor: '' },
    missing: { bun: 'not installed' },
    rounds: 2,
    seconds: 1,
    served: [
      {
        cell: 'echo 50 x 64',
        rounds: {
          'c-epoll': [round(4, 200_000), round(8, 100_000)],
          reactor: [round(4 * reactor, 150_000), round(8 * reactor, 75_000)],
          'node-net': [round(8, 100_000), round(16, 50_000)],
        },
        failed: { go: 'it ended with 1: why' },
      },
    ],
    idle: [{ cell: 'idle 10000', bytes: { reactor: [700, 769, 900] }, failed: {} }],
    turns: [
      {
        ...{ cell: 'epoll 100, 1 active', mechanism: 'epoll', registered: 100, active: 1 },
        turns: { c: [300], 'selectors-native': [390], cpython: [780] },
        failed: {},
      },
    ],
  });
  const goal = (reactor: number, what: string, bar: string) =>
    goalsOf(results(reactor)).find((one) => one.what === what && one.bar.startsWith(bar) && one.measured !== null);

  it('a goal is reached at its bar, and missed beyond it', () => {
    expect(goal(1.04, 'echo, epoll', '≤ 1.04 CPU of c-epoll')).toMatchObject({ measured: 1.04, isReached: true });
    expect(goal(1.05, 'echo, epoll', '≤ 1.04 CPU of c-epoll')).toMatchObject({ measured: 1.05, isReached: false });
    expect(goal(1, 'messages/s', '≥ 1.5 times node-net')).toMatchObject({ measured: 1.5, isReached: true });
    expect(goal(1, 'messages/s', '≥ 1.1 times bun')).toBeUndefined();
    expect(goal(1, 'epoll turn', '≤ 1.35 CPU of c')).toMatchObject({ measured: 1.3, isReached: true });
    expect(goal(1, 'epoll turn', '≥ 2.5 times faster than cpython')).toMatchObject({ measured: 2, isReached: false });
    expect(goal(1, 'idle, bytes per connection', '≤ 768')).toMatchObject({ measured: 769, isReached: false });
  });

  it('a failed or missing subject is reported with the reason', () => {
    const sections = sectionsOf(results(1));
    expect(sections.find(({ id }) => id === 'subjects')?.tables[0]?.rows).toContainEqual([
      'bun',
      'Bun.listen',
      'missing: not installed',
    ]);
    expect(sections.find(({ id }) => id === 'echo')?.facts).toContainEqual([
      'echo 50 x 64',
      'go: it ended with 1: why',
    ]);
  });

  it.each(['goals', 'idle', 'turns'])('there is a section of %s if it was measured, and none otherwise', (id) => {
    const idsOf = (all: BenchResults) => sectionsOf(all).map((section) => section.id);
    expect(idsOf(results(1))).toContain(id);
    expect(idsOf({ ...results(1), served: [], idle: [], turns: [] })).toEqual(['subjects']);
  });
});
