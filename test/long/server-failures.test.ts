/** Servers whose system calls fail, for the models and sizes that test/server-failures.test.ts omits. */
import { describe } from 'vitest';
import {
  describeDyingTogether,
  describeDyingWorkers,
  describeHandOvers,
  describeInterruptions,
  describeLimits,
  working,
} from '../support/server-failures-cases.js';
import { FEW } from '../support/servers.js';
import { noStrace } from '../support/strace.js';

const others = working.filter((name) => !FEW.includes(name));

describe.skipIf(noStrace)(`a call that fails once while a connection is passed on${noStrace}`, () => {
  describeHandOvers(others);
});
describeDyingTogether(others);
describeDyingWorkers(others);
// Memory for a ring without its buffers, for one, one and a half, two, three rings: kernels differ in sizes, the behaviour is the same.
describeLimits([335_872, 344_064, 500_000, 700_000, 1_100_000]);
describeInterruptions(others);
