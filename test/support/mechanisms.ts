/** The mechanisms of this machine, by what they are for. */
import { availableMechanisms } from '../../src/index.js';

const all = availableMechanisms();

/** Of selectors, the ones that are not available among them, with their reason. */
export const readinessMechanisms = all.filter(({ kind }) => kind === 'readiness');
/** Of proactors. */
export const completionMechanisms = all.filter(({ kind }) => kind === 'completion');
