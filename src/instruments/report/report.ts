/** The result of a comparison or an experiment, which the terminal (cli/), a page (page.ts) or a program (JSON) shows. */

/** A figure that was measured several times: its median, and its first and third quartile. */
export interface Quartiles {
  readonly low: number;
  readonly median: number;
  readonly high: number;
}

/** A cell: a number is printed with three significant digits, null as '—', quartiles as '4.7 (4.5–5.1)'. */
export type Cell = string | number | null | Quartiles;

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

/** A bar chart: one bar per category and series. Its axis is linear and has 0, because the length of a bar is its value. */
export interface BarChart {
  readonly kind: 'bar';
  readonly title: string;
  readonly value: Pick<Axis, 'label'>;
  readonly categories: readonly string[];
  /** One value per category; null: none. */
  readonly series: readonly {
    readonly name: string;
    readonly values: readonly (number | null)[];
    /** The quartiles of each value. Not drawn in a stack. */
    readonly spreads?: readonly (Pick<Quartiles, 'low' | 'high'> | null)[];
  }[];
  /** The series are parts of a whole, stacked. Default: false, side by side. */
  readonly isStacked?: boolean;
  /** The series are system calls: each has the colour that it has in every chart. Default: false. */
  readonly hasCalls?: boolean;
}

/** Several measurements of one thing: three positions of their distribution, such as its quartiles. */
export interface Range {
  readonly low: number;
  readonly mid: number;
  readonly high: number;
  /** The measurements themselves, drawn as dots. */
  readonly dots?: readonly number[];
}

/** A chart of distributions: per category and series a dot with a line from `low` to `high`. */
export interface RangeChart {
  readonly kind: 'range';
  readonly title: string;
  readonly value: Axis;
  readonly categories: readonly string[];
  /** Names of low, mid and high: ['first quartile', 'median', 'third quartile']. */
  readonly parts: readonly [low: string, mid: string, high: string];
  /** One range per category; null: none. */
  readonly series: readonly { readonly name: string; readonly values: readonly (Range | null)[] }[];
}

/** A line chart: one line per series. */
export interface LineChart {
  readonly kind: 'line';
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  /** low and high: ends of an error bar, such as the quartiles. */
  readonly series: readonly {
    readonly name: string;
    readonly points: readonly (readonly [x: number, y: number, low?: number, high?: number])[];
  }[];
  /** The series are mechanisms, which have the colours of the calls that wait. Default: false. */
  readonly hasMechanisms?: boolean;
}

/** Something that happened at a time, or from a time to another. */
export interface TimedEvent {
  /** Its kind, as the legend names it. */
  readonly what: string;
  readonly from: number;
  /** Default: none, the event has no duration. */
  readonly to?: number;
  /** What exactly, for the tooltip and the table. */
  readonly detail: string;
  /** A few characters beside it. */
  readonly label?: string;
  /** Line within the row, from 0. Default: 0. */
  readonly lane?: number;
}

/** A timing diagram: what happened in each row, over time. */
export interface TimingChart {
  readonly kind: 'timing';
  readonly title: string;
  /** 'ms after the request' */
  readonly time: Pick<Axis, 'label'>;
  readonly rows: readonly { readonly name: string; readonly events: readonly TimedEvent[] }[];
}

/** A chart. */
export type ReportChart = BarChart | RangeChart | LineChart | TimingChart;

/**
 * 'undecided': the figures do not suffice for an answer, and `because` gives the reason. 'not tried': this system cannot try it. 'holds in
 * part': some statements of the claim hold, others do not, or were not tried or decided.
 */
export type Outcome = 'holds' | 'holds in part' | 'does not hold here' | 'undecided' | 'not tried';

/** One statement of a claim. */
export interface Statement {
  /** 'EPOLLEXCLUSIVE wakes one process' */
  readonly statement: string;
  readonly outcome: Exclude<Outcome, 'holds in part'>;
  /** The deciding figures, or why there are none. */
  readonly because: string;
}

/** Whether a claim holds. */
export interface Verdict {
  readonly outcome: Outcome;
  /** One sentence, with the deciding figures. */
  readonly because: string;
  /** The verdict of each statement, if the claim has several. */
  readonly statements?: readonly Statement[];
}

/** The verdict of a claim that consists of these statements, at least one. */
export function verdictOf(statements: readonly Statement[]): Verdict {
  const count = (wanted: Outcome): number => statements.filter(({ outcome }) => outcome === wanted).length;
  const holding = count('holds');
  const [first] = statements;
  const areEqual = first !== undefined && count(first.outcome) === statements.length;
  const refuted = count('does not hold here') > 0 ? 'does not hold here' : 'undecided';
  const outcome = areEqual ? first.outcome : holding > 0 ? 'holds in part' : refuted;
  return { outcome, because: `${holding} of ${statements.length} statements hold.`, statements };
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
