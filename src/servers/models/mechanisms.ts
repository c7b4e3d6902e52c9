/** Which mechanisms this system has: probed once per thread, since each probe costs some system calls. */
import { type Mechanism, availableMechanisms } from '../../index.js';

export const mechanismsHere = availableMechanisms();

const ofKind = (kind: 'readiness' | 'completion'): readonly Mechanism[] =>
  mechanismsHere.flatMap((row) => (row.kind === kind ? [row.mechanism] : []));

/** The mechanisms of selectors, whether this system has them or not. The best comes first. */
export const SELECTOR_MECHANISMS = ofKind('readiness');
/** The mechanisms of proactors, whether this system has them or not. The best comes first. */
export const PROACTOR_MECHANISMS = ofKind('completion');
