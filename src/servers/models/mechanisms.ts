/** Which mechanisms there are, and which of them this system has: asked once, for each answer takes some system calls. */
import { type Mechanism, availableMechanisms } from '../../index.js';

export const mechanismsHere = availableMechanisms();

const ofKind = (kind: 'readiness' | 'completion'): readonly Mechanism[] =>
  mechanismsHere.flatMap((row) => (row.kind === kind ? [row.mechanism] : []));

export const READINESS = ofKind('readiness');
export const COMPLETION = ofKind('completion');
