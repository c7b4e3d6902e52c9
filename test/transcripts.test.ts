/** One handler on every loop: both ends of 1,000 seeded conversations get the same events, byte for byte. */
import { describe, expect, it } from 'vitest';
import { type EventLoop, ProactorLoop, Reactor, createProactor, createSelector } from '../src/index.js';
import { converse } from './support/conversations.js';
import { readinessMechanisms } from './support/mechanisms.js';
import { proactorRows } from './support/proactors.js';

const isSlow = process.platform === 'win32' || process.env.SELECTORS_NATIVE_SANITIZED === '1';
const conversations = isSlow ? 200 : 1000;
const SEED = 2026;

const loops: readonly (readonly [name: string, make: () => EventLoop])[] = [
  ...readinessMechanisms
    .filter(({ available }) => available)
    .map(
      ({ mechanism }) =>
        [`reactor on ${mechanism}`, () => new Reactor({ selector: createSelector(mechanism) })] as const,
    ),
  ...proactorRows
    .filter(({ create }) => create !== undefined)
    .map(
      ({ mechanism }) =>
        [`proactor on ${mechanism}`, () => new ProactorLoop({ proactor: createProactor(mechanism) })] as const,
    ),
];

describe(`transcripts of ${conversations} conversations`, () => {
  let first: readonly string[] | undefined;

  it.each(loops)('%s', (_name, make) => {
    using loop = make();
    const transcripts = converse(loop, SEED, conversations);
    expect(new Set(transcripts).size).toBe(conversations);
    first ??= transcripts;
    // Shows only the first difference.
    const different = transcripts.findIndex((transcript, i) => transcript !== first?.[i]);
    expect(transcripts[different], `conversation ${different}`).toBe(first[different]);
  });
});
