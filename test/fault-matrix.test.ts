/**
 * Faults in each loop: others are served, no byte is lost or duplicated, no busy loop, no leaked descriptor, the error is reported. The first
 * fault of each rule; test/long/fault-matrix.test.ts has all.
 */
import type { ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Result,
  SHORT_CLIENT_TIMEOUT,
  describeFaults,
  notHere,
  runUnderFaults,
  startServer,
} from './support/fault-cells.js';

describe.skipIf(notHere)(`faults${notHere}`, () => {
  describeFaults((faults) => faults.slice(0, 1));
});

describe.skipIf(notHere)(`a planted mistake is found${notHere}`, () => {
  let server: ChildProcess;
  beforeAll(() => void (server = startServer()));
  afterAll(() => void server.kill('SIGKILL'));

  it.each([
    ['drops-a-byte', 'send:short=700@every2', (result: Result) => result.seen.includes('wrong bytes')],
    ['leaks-on-EMFILE', 'accept:EMFILE@2..4', (result: Result) => result.left === 3],
  ] as const)('%s, by %s', async (mistake, plan, isFound) => {
    const cell = { make: 'planted', mechanism: mistake, mode: 'run', plan };
    expect(await runUnderFaults(server, cell, SHORT_CLIENT_TIMEOUT)).toSatisfy(isFound);
  });
});
