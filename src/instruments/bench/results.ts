/** The results of the benchmark, as written to JSON, and figures computed from them. */
import type { OtherWork } from '../measuring/busyness.js';
import { type Spread, spreadOf } from '../measuring/spread.js';

/** One visit of the clients. */
export interface Round {
  /** CPU time of all threads of the server, in microseconds per message (chat: per delivery; connect: per connection). */
  readonly cpu: number;
  /** Messages (deliveries, connections) per second. */
  readonly perSecond: number;
  /** Median round trip, in microseconds. */
  readonly p50: number;
  /** 99th percentile of the round trips, in microseconds. */
  readonly p99: number;
  /** Share of the time that the clients' processor was busy: near 1, the clients limit the throughput. */
  readonly clientBusy: number;
}

/** The rounds of a workload's cell, by subject. */
export interface ServedCell {
  readonly cell: string;
  readonly rounds: Readonly<Record<string, readonly Round[]>>;
  /** Subjects that could not be measured, and why. */
  readonly failed: Readonly<Record<string, string>>;
  /** What else used the processors meanwhile. Default: a file without it cannot be judged. */
  readonly otherWork?: OtherWork;
}

/** Memory of idle connections, by subject. */
export interface IdleCell {
  readonly cell: string;
  /** Resident bytes per connection, by subject: one value per round, each of a new server. */
  readonly bytes: Readonly<Record<string, readonly number[]>>;
  readonly failed: Readonly<Record<string, string>>;
}

/** Selector turns, by program. */
export interface TurnsCell {
  readonly cell: string;
  readonly mechanism: string;
  readonly registered: number;
  readonly active: number;
  /** CPU nanoseconds per turn, by program: one value per round. */
  readonly turns: Readonly<Record<string, readonly number[]>>;
  readonly failed: Readonly<Record<string, string>>;
  /** As in ServedCell. */
  readonly otherWork?: OtherWork;
}

/** One visit of a server on one core or on two. Times in microseconds per message. */
export interface CoresRound {
  readonly perSecond: number;
  readonly serverCpu: number;
  readonly clientCpu: number;
}

/** Servers on one core and on two, by subject (cores.ts). */
export interface CoresCell {
  readonly cell: string;
  readonly rounds: Readonly<Record<string, readonly CoresRound[]>>;
  readonly failed: Readonly<Record<string, string>>;
  /** As in ServedCell. */
  readonly otherWork?: OtherWork;
}

/** The JSON of --json. */
export interface BenchResults {
  readonly machine: Readonly<Record<string, string>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly missing: Readonly<Record<string, string>>;
  readonly rounds: number;
  readonly seconds: number;
  /** The seed of --surprise. Default: it was not asked for. */
  readonly seed?: number;
  readonly served: readonly ServedCell[];
  readonly idle: readonly IdleCell[];
  readonly turns: readonly TurnsCell[];
  /** Default: a file of an earlier version has none. */
  readonly cores?: readonly CoresCell[];
}

/** Figures of one subject in one cell. null: not measured. */
export function figures(cell: ServedCell, subject: string): Readonly<Record<keyof Round, Spread>> | null {
  const rounds = cell.rounds[subject] ?? [];
  if (rounds.length === 0) return null;
  const of = (key: keyof Round): Spread => spreadOf(rounds.map((round) => round[key]));
  return { cpu: of('cpu'), perSecond: of('perSecond'), p50: of('p50'), p99: of('p99'), clientBusy: of('clientBusy') };
}

/** A figure of two measurements of the same round, for all rounds that have both. null: there is none. */
function ofRounds(
  values: readonly number[] | undefined,
  others: readonly number[] | undefined,
  figure: (value: number, other: number) => number,
): Spread | null {
  const both = (values ?? []).flatMap((value, round) => {
    const other = others?.[round];
    return other === undefined ? [] : [figure(value, other)];
  });
  return both.length === 0 ? null : spreadOf(both);
}

/** The ratios of each round, because conditions vary less within a round than between rounds; their median is the ratio. */
export const ratio = (values: readonly number[] | undefined, of: readonly number[] | undefined): Spread | null =>
  ofRounds(values, of, (value, other) => value / other);

/** The differences of each round. */
export const difference = (values: readonly number[] | undefined, to: readonly number[] | undefined): Spread | null =>
  ofRounds(values, to, (value, other) => value - other);

export const valuesOf = (cell: ServedCell | undefined, subject: string, key: keyof Round): number[] | undefined =>
  cell?.rounds[subject]?.map((round) => round[key]);
