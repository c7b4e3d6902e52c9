/** Servers whose system calls fail, for the models and sizes that test/server-failures.test.ts omits. */
import { describe, expect, it } from 'vitest';
import { Bench } from '../support/bench.js';
import {
  describeDyingTogether,
  describeDyingWorkers,
  describeHandOvers,
  describeInterruptions,
  describeLimits,
  serveWith,
  working,
} from '../support/server-failures-cases.js';
import { FEW } from '../support/servers.js';
import { noStrace } from '../support/strace.js';

const others = working.filter((name) => !FEW.includes(name));

describe.skipIf(noStrace)(`a call that fails once while a connection is passed on${noStrace}`, () => {
  describeHandOvers(others);
});
describe.skipIf(noStrace)(`workers that exit at once${noStrace}`, { concurrent: true }, () => {
  it.each([['multi-reactor', 'eventfd2', 'error=EMFILE:when=4+']])(
    '%s: the server ends with the reason',
    async (model, call, fault) => {
      using bench = new Bench();
      const { code, stderr, stdout } = await serveWith(bench, call, fault, [model, '--workers', '2']).ended;
      expect(stderr + stdout).toMatch(/EMFILE/);
      expect(code).toBe(1);
    },
  );
});

describeDyingTogether(working);
describeDyingWorkers(working.filter((name) => name !== 'thread-pool'));
// Memory for a ring without its buffers, for one, one and a half, two, three rings: kernels differ in sizes, the behaviour is the same.
describeLimits([335_872, 339_968, 344_064, 500_000, 700_000, 1_100_000]);
describeInterruptions(others);
