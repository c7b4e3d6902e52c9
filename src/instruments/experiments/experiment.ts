/** An experiment: a claim of the posts, the measurement that tests it, and the verdict computed from the figures. */
import type { ReportChart, ReportSection, ReportTable, Verdict } from '../report/report.js';

/** What measure() gets. */
export interface MeasureContext {
  /** 'quick': takes a second or two, for tests; its figures are less reliable and may leave the verdict undecided. */
  readonly effort: 'full' | 'quick';
  /** Called as the measurement proceeds: `done` of `total` parts are finished, `what` is next. */
  progress(done: number, total: number, what: string): void;
  /** Aborted: measure() ends the processes that it started, and rejects. */
  readonly signal: AbortSignal;
}

/** @typeParam F the figures: plain data that JSON can represent */
export interface Experiment<F> {
  /** 'thundering-herd' */
  readonly name: string;
  /** Title in a few words: 'One connection wakes all'. */
  readonly title: string;
  /** The claim of the post, reworded. */
  readonly claim: string;
  /** Where the claim stands: 'post 003, claim (c)'. */
  readonly source: string;
  /** Set-up: the processes started, their work, and what is counted. */
  readonly setUp: string;
  /** Whether this system can run it. */
  readonly isAvailable: boolean;
  /** Why it is available or not, as text. */
  readonly why: string;
  /** Runs the measurement. @throws the signal's reason; an Error if a process fails */
  measure(context: MeasureContext): Promise<F>;
  /** The figures as tables. */
  tables(figures: F): readonly ReportTable[];
  /** The figures as charts. */
  charts(figures: F): readonly ReportChart[];
  /** Whether the claim holds: computed from the figures alone. */
  verdict(figures: F): Verdict;
}

/** The figures as a section of a report. */
export function sectionOf<F>(experiment: Experiment<F>, figures: F): ReportSection {
  const { name, title, claim, source, setUp } = experiment;
  return {
    id: name,
    title,
    facts: [
      ['claim', claim],
      ['source', source],
      ['set-up', setUp],
    ],
    verdict: experiment.verdict(figures),
    tables: experiment.tables(figures),
    charts: experiment.charts(figures),
  };
}
