/** All experiments, in the order of the posts. The command line, the tests and the documents read this list. */
import { busyWait } from './busy-wait.js';
import { crashIsolation } from './crash-isolation.js';
import { epollCtlCost } from './epoll-ctl-cost.js';
import type { Experiment } from './experiment.js';
import { forgottenCopy } from './forgotten-copy.js';
import { forkCost } from './fork-cost.js';
import { headOfLine } from './head-of-line.js';
import { idleMemory } from './idle-memory.js';
import { levelOrEdge } from './level-or-edge.js';
import { oneAtATime } from './one-at-a-time.js';
import { oneCore } from './one-core.js';
import { ordering } from './ordering.js';
import { partialMessages } from './partial-messages.js';
import { passingDescriptors } from './passing-descriptors.js';
import { recvAnswers } from './recv-answers.js';
import { scaling } from './scaling.js';
import { slowPeers } from './slow-peers.js';
import { threadCost } from './thread-cost.js';
import { thunderingHerd } from './thundering-herd.js';
import { wakeups } from './wakeups.js';
import { whoCopies } from './who-copies.js';
import { writeSide } from './write-side.js';

// `unknown`: each experiment has its own type of figures. Those of measure() go back to the same experiment.
export const experiments: readonly Experiment<unknown>[] = [
  slowPeers,
  threadCost,
  idleMemory,
  recvAnswers,
  partialMessages,
  writeSide,
  busyWait,
  scaling,
  epollCtlCost,
  oneCore,
  oneAtATime,
  forkCost,
  crashIsolation,
  forgottenCopy,
  thunderingHerd,
  passingDescriptors,
  headOfLine,
  ordering,
  whoCopies,
  levelOrEdge,
  wakeups,
];
