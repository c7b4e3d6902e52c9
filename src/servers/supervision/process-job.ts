/** What a process of a server is told when it is started. */
import type { Job } from './program.js';

/** Its sockets are these descriptors and those that follow, where descriptors are inherited. */
export const FIRST_INHERITED = 3;

export interface ProcessJob extends Job {
  /** How many sockets it inherits. */
  readonly sockets: number;
}
