/** The mechanisms of this machine, by kind. */
import { availableMechanisms } from '../../src/index.js';

const all = availableMechanisms();

/** Selectors: all of them; one that is not available has its reason. */
export const readinessMechanisms = all.filter(({ kind }) => kind === 'readiness');
/** Proactors. */
export const completionMechanisms = all.filter(({ kind }) => kind === 'completion');

/**
 * Where a mechanism is tested, for the names of tests. On Linux /dev/poll is a stand-in, which only scripts/test-devpoll.mjs loads.
 */
export const placeOf = (mechanism: string): string =>
  mechanism.endsWith('devpoll') && process.platform === 'linux'
    ? 'a stand-in for /dev/poll (test/native/as-devpoll.c)'
    : process.platform;
