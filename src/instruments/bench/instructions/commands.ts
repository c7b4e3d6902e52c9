/** What the program under callgrind is told, a line each; it answers each when it is done. So both sides go in step: an exchange is a turn. */

export const COMMANDS = {
  /** Accept those who have connected. */
  admit: 0,
  /** Serve what was sent. */
  exchange: 1,
  /** Nothing: what it costs to be told and to answer. */
  nothing: 2,
  /** What was counted so far is written down, and counted anew from here. */
  mark: 3,
  /** The garbage is collected, so that it is not while something is counted. */
  collect: 4,
} as const;

export interface Start {
  /** Of the workload. */
  readonly name: string;
  /** Where the clients connect. */
  readonly path: string;
}

/** The first line of the program. */
export interface Started {
  /** Why this system cannot; '' where it can. */
  readonly lacks: string;
}
