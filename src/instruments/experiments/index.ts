/** The experiments, in the order of the posts. One row each: the command line, the tests and the documents have them from here. */
import { busyWait } from './busy-wait.js';
import type { Experiment } from './experiment.js';
import { forkCost } from './fork-cost.js';
import { headOfLine } from './head-of-line.js';
import { levelOrEdge } from './level-or-edge.js';
import { ordering } from './ordering.js';
import { partialMessages } from './partial-messages.js';
import { scaling } from './scaling.js';
import { slowPeers } from './slow-peers.js';
import { threadCost } from './thread-cost.js';
import { thunderingHerd } from './thundering-herd.js';
import { wakeups } from './wakeups.js';
import { whoCopies } from './who-copies.js';

// Figures are each experiment's own: who has them from measure() gives them to the same experiment again.
export const experiments: readonly Experiment<unknown>[] = [
  slowPeers,
  threadCost,
  partialMessages,
  busyWait,
  scaling,
  forkCost,
  thunderingHerd,
  headOfLine,
  ordering,
  whoCopies,
  levelOrEdge,
  wakeups,
];
