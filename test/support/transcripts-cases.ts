/** One handler on every loop: both ends of seeded conversations get the same events, byte for byte. */
import { describe, expect, it } from 'vitest';
import { type EventLoop, ProactorLoop, Reactor, createProactor, createSelector } from '../../src/index.js';
import { converse } from './conversations.js';
import { readinessMechanisms } from './mechanisms.js';
import { proactorRows } from './proactors.js';

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

export function describeTranscripts(conversations: number): void {
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
}
