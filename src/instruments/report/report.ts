/** What a comparison or an experiment has to show, for whoever draws it: the terminal (cli/), a page (page.ts), a machine (as JSON). */

/** A number is printed with three significant digits, null as '—'. */
export type Cell = string | number | null;

export interface ReportTable {
  readonly title: string;
  /** With their units: 'CPU a message, µs'. The first one names the row. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

export interface Axis {
  /** With its unit. */
  readonly label: string;
  readonly isLogarithmic?: boolean;
}

export interface BarChart {
  readonly kind: 'bar';
  readonly title: string;
  readonly value: Axis;
  readonly categories: readonly string[];
  /** As many values each as there are categories. */
  readonly series: readonly { readonly name: string; readonly values: readonly (number | null)[] }[];
  /** The series are parts of a whole, one on top of the other. */
  readonly isStacked?: boolean;
}

export interface LineChart {
  readonly kind: 'line';
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly {
    readonly name: string;
    readonly points: readonly (readonly [x: number, y: number])[];
  }[];
}

export type ReportChart = BarChart | LineChart;

/** 'undecided': the figures do not carry an answer, and `because` says why not. */
export type Outcome = 'holds' | 'does not hold here' | 'undecided';

export interface Verdict {
  readonly outcome: Outcome;
  /** One sentence, with the figures that decide. */
  readonly because: string;
}

export interface ReportSection {
  /** Of a link: letters, digits and hyphens. */
  readonly id: string;
  readonly title: string;
  /** Before the tables: ['claim', '…'], ['source', 'post 004 (b)'], ['set-up', '…']. */
  readonly facts: readonly (readonly [label: string, text: string])[];
  readonly verdict?: Verdict;
  readonly tables: readonly ReportTable[];
  readonly charts: readonly ReportChart[];
}
