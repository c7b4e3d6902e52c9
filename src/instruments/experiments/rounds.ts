/**
 * Repeats the measurement of an experiment, and combines the rounds: each figure is the median of the rounds, with its quartiles, and a
 * statement has a verdict only if the rounds agree.
 */
import { spreadOf } from '../measuring/spread.js';
import {
  type Cell,
  type Outcome,
  type ReportSection,
  type ReportTable,
  type Statement,
  type Verdict,
  verdictOf,
} from '../report/report.js';
import { combineCharts } from './chart-rounds.js';
import { type Experiment, type MeasureContext, sectionOf } from './experiment.js';

/** Rounds of each effort. */
const ROUNDS: Readonly<Record<MeasureContext['effort'], number>> = { full: 5, quick: 1 };
/** Of all rounds, those that may be undecided while the statement still has a verdict. */
const MAX_UNDECIDED = 1;

/** Measures one round after another. @returns the figures of each round @throws as measure() */
export async function measureRounds<F>(experiment: Experiment<F>, context: MeasureContext): Promise<readonly F[]> {
  const count = ROUNDS[context.effort];
  const rounds: F[] = [];
  for (let round = 0; round < count; round++) {
    const name = (what: string): string => (count === 1 ? what : `${what}, round ${round + 1} of ${count}`);
    const progress: MeasureContext['progress'] = (done, total, what) =>
      context.progress(round * total + done, count * total, name(what));
    rounds.push(await experiment.measure({ ...context, progress }));
  }
  return rounds;
}

/** The rounds as a section of a report. @param rounds the figures of each, at least one */
export function sectionOfRounds<F>(experiment: Experiment<F>, rounds: readonly F[]): ReportSection {
  const section = sectionOf(experiment, medianOf(rounds));
  if (rounds.length === 1) return section;
  const tables = rounds.map((figures) => experiment.tables(figures));
  return {
    ...section,
    facts: [
      ...section.facts,
      ['samples', `${rounds.length} rounds: the median of each figure, with its quartiles in parentheses`],
    ],
    verdict: verdictOfRounds(experiment, rounds),
    charts: combineCharts(rounds.map((figures) => experiment.charts(figures))),
    tables: section.tables.map((table, i) => withQuartiles(table, tables.map((one) => one[i]).filter(isDefined))),
  };
}

const isDefined = <T>(value: T | undefined): value is T => value !== undefined;

// ------------------------------------------------------------------------------------------------------------------ figures

/**
 * The median of each number in some plain data of the same shape. Elements of lists that have texts are matched by their texts, others by
 * their position. What is no number, or is missing in some rounds, is that of the first one.
 */
export function medianOf<F>(rounds: readonly F[]): F {
  return medianOfValues(rounds) as F;
}

function medianOfValues(values: readonly unknown[]): unknown {
  const [first] = values;
  if (typeof first === 'number') {
    const numbers = values.filter((value): value is number => typeof value === 'number' && !Number.isNaN(value));
    return numbers.length === 0 ? NaN : spreadOf(numbers).median;
  }
  if (Array.isArray(first)) {
    const lists = values.filter((value): value is unknown[] => Array.isArray(value)).map(byTexts);
    return [...byTexts(first)].map(([key, element]) => {
      const matching = lists.flatMap((list) => (list.has(key) ? [list.get(key)] : []));
      return medianOfValues([element, ...matching.slice(1)]);
    });
  }
  if (typeof first !== 'object' || first === null) return first;
  const objects = values.filter((value): value is Record<string, unknown> => typeof value === 'object' && !!value);
  return Object.fromEntries(Object.keys(first).map((name) => [name, medianOfValues(objects.map((one) => one[name]))]));
}

/** The elements by their texts; those with equal texts, and those without, are numbered. */
function byTexts(list: readonly unknown[]): Map<string, unknown> {
  const seen = new Map<string, number>();
  return new Map(
    list.map((element) => {
      const texts = textsOf(element);
      const number = seen.get(texts) ?? 0;
      seen.set(texts, number + 1);
      return [`${texts} ${number}`, element];
    }),
  );
}

/** The texts of an object or a row of cells as one. */
function textsOf(value: unknown): string {
  const parts: unknown[] = typeof value === 'object' && value !== null ? Object.values(value) : [];
  return JSON.stringify(parts.filter((part) => typeof part === 'string'));
}

/** The table with quartiles in place of its numbers. The first column names the rows. */
function withQuartiles(table: ReportTable, rounds: readonly ReportTable[]): ReportTable {
  const byRow = rounds.map(({ rows }) => byTexts(rows) as Map<string, readonly Cell[]>);
  const rows = [...(byTexts(table.rows) as Map<string, readonly Cell[]>)].map(([key, row]) =>
    row.map((cell, column) => {
      if (column === 0 || typeof cell !== 'number') return cell;
      const values = byRow.map((of) => of.get(key)?.[column]).filter((value) => typeof value === 'number');
      return values.length < 2 ? cell : spreadOf(values);
    }),
  );
  return { ...table, rows };
}

// ------------------------------------------------------------------------------------------------------------------ verdict

type Single = Pick<Statement, 'outcome' | 'because'>;
type Answer = Pick<Verdict, 'outcome' | 'because'>;

/** The verdict on the medians; undecided where the rounds disagree. */
export function verdictOfRounds<F>(experiment: Experiment<F>, rounds: readonly F[]): Verdict {
  const { statements, ...verdict } = experiment.verdict(medianOf(rounds));
  const each = rounds.map((figures) => experiment.verdict(figures));
  if (statements === undefined) {
    const { outcome, because } = verdict;
    return {
      ...verdict,
      ...agreed({ outcome: outcome as Single['outcome'], because }, each),
    };
  }
  return verdictOf(
    statements.map((one) => {
      const outcomes = each.map((round) => round.statements?.find(({ statement }) => statement === one.statement));
      return {
        ...one,
        ...agreed(
          one,
          outcomes.map((found) => found ?? MISSING),
        ),
      };
    }),
  );
}

/** A round whose verdict does not have the statement. */
const MISSING: Answer = { outcome: 'undecided', because: '' };

/** @param rounds the answer of each */
function agreed({ outcome, because }: Single, rounds: readonly Answer[]): Single {
  const count = (wanted: Outcome): number => rounds.filter((one) => one.outcome === wanted).length;
  const others = rounds.length - count(outcome) - (outcome === 'undecided' ? 0 : count('undecided'));
  if (others === 0 && (outcome === 'undecided' || count('undecided') <= MAX_UNDECIDED)) return { outcome, because };
  const tally = [...new Set(rounds.map((one) => one.outcome))].map((one) => `${one}: ${count(one)}`).join(', ');
  // The medians may hide what one round refutes: a wake-up that was lost once.
  const refuted = rounds.find((one) => one.outcome === 'does not hold here' && outcome !== one.outcome);
  return {
    outcome: 'undecided',
    because: `${asSentence(because)} The ${rounds.length} rounds disagree (${tally}).${refuted === undefined ? '' : ` In one of them: ${refuted.because}`}`,
  };
}

const asSentence = (text: string): string => `${text.replace(/\.$/, '')}.`;
