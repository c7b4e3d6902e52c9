/** What a server does when the system refuses what it asks for, over the models and the sizes that test/server-failures.test.ts leaves out. */
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
// Room for a ring and not for its buffers, for one, one and a half, two, three: the kernel's sizes may differ, what is promised does not.
describeLimits([335_872, 344_064, 500_000, 700_000, 1_100_000]);
describeInterruptions(others);
