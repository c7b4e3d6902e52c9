/** The raw system calls that this machine has. */
import { describe, expect, it } from 'vitest';
import { availableMechanisms } from '../src/index.js';
import { Afd, Devpoll, Epoll, Kqueue } from '../src/syscalls.js';
import { lacksOf } from './contract/capabilities.js';
import { rawCases } from './contract/raw.js';
import { Bench } from './support/bench.js';
import { placeOf } from './support/mechanisms.js';
import { runCases } from './support/run-cases.js';

for (const [mechanism, cases] of Object.entries(rawCases) as [keyof typeof rawCases, (typeof rawCases)['select']][]) {
  const row = availableMechanisms().find((one) => one.mechanism === mechanism);
  describe(`${mechanism}, the call, on ${placeOf(mechanism)}`, () => {
    if (row?.available === true) runCases(cases, lacksOf(mechanism), () => ({ bench: new Bench() }));
    else it.skip(`not run: ${row?.why}`, () => undefined);
  });
}

const missing = Object.entries({ Afd, Devpoll, Epoll, Kqueue }).filter(([name]) =>
  availableMechanisms().some(({ mechanism, available }) => mechanism === name.toLowerCase() && !available),
);

describe('a mechanism that this system lacks', () => {
  if (missing.length === 0) it.skip('this machine has them all', () => undefined);
  it.each(missing)('%s exists, and its error names the alternative', (_, Missing) => {
    const calls = [() => new Missing(), ...('fromFd' in Missing ? [() => Missing.fromFd(0)] : [])];
    for (const call of calls) {
      expect(call).toThrow(
        expect.objectContaining({ code: 'ERR_UNAVAILABLE', message: expect.stringContaining('select') as string }),
      );
    }
  });
});
