/** What a process of a server gets as its argument when it is started. */
import type { Job } from './program.js';

/** POSIX: the descriptor of the first inherited socket; the others follow. */
export const FIRST_INHERITED = 3;

export interface ProcessJob extends Job {
  /** How many sockets it inherits. */
  readonly sockets: number;
}
