/** Rounds of an experiment: medians, quartiles, and verdicts on which the rounds agree. */
import { describe, expect, it } from 'vitest';
import type { Experiment, MeasureContext } from '../src/instruments/experiments/experiment.js';
import { measureRounds, medianOf, sectionOfRounds, verdictOfRounds } from '../src/instruments/experiments/rounds.js';
import { formatCell } from '../src/instruments/report/format.js';
import { type Statement, verdictOf } from '../src/instruments/report/report.js';

interface Figures {
  readonly rows: readonly { readonly name: string; readonly ms: number | null }[];
}

/** An experiment whose statement holds below 10 ms, and is undecided from 10 to 20 ms. */
const experiment: Experiment<Figures> = {
  ...{ name: 'tried', title: 'Tried', claim: 'It is fast.', source: 'post 000, claim (a)', setUp: 'none' },
  ...{ isAvailable: true, why: 'always' },
  measure: ({ progress }) => {
    progress(0, 2, 'begin');
    progress(2, 2, 'done');
    return Promise.resolve({ rows: [] });
  },
  tables: ({ rows }) => [{ title: 'Times', columns: ['name', 'ms'], rows: rows.map(({ name, ms }) => [name, ms]) }],
  charts: () => [],
  verdict: ({ rows }) =>
    verdictOf(
      rows.map(({ name, ms }): Statement => {
        const outcome = ms === null || (ms >= 10 && ms < 20) ? 'undecided' : ms < 10 ? 'holds' : 'does not hold here';
        return { statement: `${name} is fast`, outcome, because: `It takes ${ms} ms.` };
      }),
    ),
};
const rounds = (...times: readonly (number | null)[]): Figures[] => times.map((ms) => ({ rows: [{ name: 'a', ms }] }));

describe('medianOf', () => {
  it('is the median of each number, whatever the order of the rows', () => {
    const of = (a: number, b: number): Figures => ({
      rows: [
        { name: 'a', ms: a },
        { name: 'b', ms: b },
      ],
    });
    const turned = { rows: [...of(3, 30).rows].reverse() };
    expect(medianOf([of(1, 10), of(2, 20), turned])).toEqual(of(2, 20));
  });

  it('has a value that only some rounds have, and keeps texts, lists of numbers, and what no round has', () => {
    expect(medianOf(rounds(5, null, 7))).toEqual({ rows: [{ name: 'a', ms: 7 }] });
    const of = (value: number) => ({ list: [value, 2 * value], text: 'text', is: true, nothing: null });
    expect(medianOf([of(1), of(3), of(2)])).toEqual(of(2));
  });
});

describe('measureRounds', () => {
  const context = (effort: MeasureContext['effort'], steps: unknown[][]): MeasureContext => ({
    effort,
    progress: (...step) => void steps.push(step),
    signal: new AbortController().signal,
  });

  it('measures five times, and reports one progress', async () => {
    const steps: unknown[][] = [];
    expect(await measureRounds(experiment, context('full', steps))).toHaveLength(5);
    expect(steps[0]).toEqual([0, 10, 'begin, round 1 of 5']);
    expect(steps.at(-1)).toEqual([10, 10, 'done, round 5 of 5']);
  });

  it('with little effort: once', async () => {
    const steps: unknown[][] = [];
    expect(await measureRounds(experiment, context('quick', steps))).toHaveLength(1);
    expect(steps[0]).toEqual([0, 2, 'begin']);
  });
});

describe('sectionOfRounds', () => {
  it('has quartiles in its tables, and the number of rounds among its facts', () => {
    const { tables, facts } = sectionOfRounds(experiment, rounds(5, 1, 2, 4, 3));
    expect(tables[0]?.rows).toEqual([['a', { count: 5, low: 2, median: 3, high: 4 }]]);
    expect(formatCell(tables[0]?.rows[0]?.[1] ?? null)).toBe('3 (2–4)');
    expect(facts.at(-1)).toEqual(['samples', '5 rounds: the median of each figure, with its quartiles in parentheses']);
  });

  it('shows a figure once that is the same in all rounds', () => {
    expect(formatCell(sectionOfRounds(experiment, rounds(2, 2, 2)).tables[0]?.rows[0]?.[1] ?? null)).toBe('2');
  });

  it('of one round is that of its figures', () => {
    expect(sectionOfRounds(experiment, rounds(3)).tables[0]?.rows).toEqual([['a', 3]]);
  });
});

describe('verdictOfRounds', () => {
  it.each([
    ['all hold', [1, 2, 3, 4, 5], 'holds', 'It takes 3 ms.'],
    ['one of five is undecided', [1, 2, 3, 4, 15], 'holds', 'It takes 3 ms.'],
    [
      'two of five are undecided',
      [1, 2, 3, 15, 15],
      'undecided',
      'It takes 3 ms. The 5 rounds disagree (holds: 3, undecided: 2).',
    ],
    [
      'one refutes what four confirm',
      [1, 2, 3, 4, 50],
      'undecided',
      'It takes 3 ms. The 5 rounds disagree (holds: 4, does not hold here: 1). In one of them: It takes 50 ms.',
    ],
    ['all refute', [50, 60, 70], 'does not hold here', 'It takes 60 ms.'],
  ] as const)('%s', (_, times, outcome, because) => {
    const { statements, ...verdict } = verdictOfRounds(experiment, rounds(...times));
    expect(statements).toEqual([{ statement: 'a is fast', outcome, because }]);
    expect(verdict.outcome).toBe(outcome);
  });
});
