/** A claim of the posts as something that is measured: what it says, how it is measured, and what the figures say of it. */
import type { ReportChart, ReportSection, ReportTable, Verdict } from '../report/report.js';

export interface MeasureContext {
  /** 'quick': so little that it is over in a second or two, for tests; the figures are then worth less, and may not decide. */
  readonly effort: 'full' | 'quick';
  /** Told as it goes on. */
  progress(done: number, total: number, what: string): void;
  /** Aborted: measure() ends what it has started, and rejects. */
  readonly signal: AbortSignal;
}

/** @typeParam F the figures: plain data, as JSON has it */
export interface Experiment<F> {
  /** 'thundering-herd' */
  readonly name: string;
  /** A few words: 'One connection wakes all'. */
  readonly title: string;
  /** The post's, in our words. */
  readonly claim: string;
  /** 'post 003, claim (c)' */
  readonly source: string;
  /** What is started, what is asked of it, what is counted. */
  readonly setUp: string;
  readonly isAvailable: boolean;
  /** Why it is, or is not. */
  readonly why: string;
  measure(context: MeasureContext): Promise<F>;
  tables(figures: F): readonly ReportTable[];
  charts(figures: F): readonly ReportChart[];
  /** Of the figures alone. */
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
