/** The result of a comparison or an experiment, which the terminal (cli/), a page (page.ts) or a program (JSON) shows. */

/** A cell: a number is printed with three significant digits, null as '—'. */
export type Cell = string | number | null;

/** A table. */
export interface ReportTable {
  readonly title: string;
  /** Column headings with units: 'CPU per message, µs'. The first column names the row. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** An axis of values. */
export interface Axis {
  /** Title with its unit: 'messages/s'. */
  readonly label: string;
  readonly isLogarithmic?: boolean;
}

/** A bar chart: one bar per category and series. */
export interface BarChart {
  readonly kind: 'bar';
  readonly title: string;
  readonly value: Axis;
  readonly categories: readonly string[];
  /** One value per category; null: none. */
  readonly series: readonly { readonly name: string; readonly values: readonly (number | null)[] }[];
  /** The series are parts of a whole, stacked. Default: false, side by side. */
  readonly isStacked?: boolean;
}

/** A line chart: one line per series. */
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

/** A chart. */
export type ReportChart = BarChart | LineChart;

/** 'undecided': the figures do not suffice for an answer, and `because` gives the reason. */
export type Outcome = 'holds' | 'does not hold here' | 'undecided';

/** Whether a claim holds. */
export interface Verdict {
  readonly outcome: Outcome;
  /** One sentence, with the deciding figures. */
  readonly because: string;
}

/** One section of a report. */
export interface ReportSection {
  /** Anchor of links: letters, digits and hyphens. */
  readonly id: string;
  readonly title: string;
  /** Labelled texts in front of the tables: ['claim', '…'], ['source', 'post 004 (b)'], ['set-up', '…']. */
  readonly facts: readonly (readonly [label: string, text: string])[];
  readonly verdict?: Verdict;
  readonly tables: readonly ReportTable[];
  readonly charts: readonly ReportChart[];
}
