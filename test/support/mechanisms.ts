/** The mechanisms of this machine, by kind. */
import { availableMechanisms } from '../../src/index.js';

const all = availableMechanisms();

/** Selectors: all of them; one that is not available has its reason. */
export const readinessMechanisms = all.filter(({ kind }) => kind === 'readiness');
/** Proactors. */
export const completionMechanisms = all.filter(({ kind }) => kind === 'completion');
