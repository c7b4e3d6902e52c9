/** Commands of the program under callgrind, one per line. It answers each when it is done, so both sides run in lock-step. */

export const COMMANDS = {
  /** Accept the waiting connections. */
  admit: 0,
  /** Serve the requests that were sent. */
  exchange: 1,
  /** Do nothing: measures the cost of a command and its answer. */
  nothing: 2,
  /** Dump the counts so far and start at 0. */
  mark: 3,
  /** Collect the garbage now, so that it is not collected during a count. */
  collect: 4,
  /** Let callgrind count from now on. */
  instrument: 5,
} as const;

/** The argument of the program. */
export interface Start {
  /** Name of the workload. */
  readonly name: string;
  /** Where the clients connect. */
  readonly path: string;
  /** Path of the addon bench/c/instrument.c. */
  readonly instrument: string;
}

/** The first line that the program prints. */
export interface Started {
  /** Why this system cannot run the workload; '': it can. */
  readonly lacks: string;
}
