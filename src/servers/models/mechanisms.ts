/** Which mechanisms this package knows, as the models want them. */
import { type Mechanism, availableMechanisms } from '../../index.js';

const ofKind = (kind: 'readiness' | 'completion'): readonly Mechanism[] =>
  availableMechanisms().flatMap((row) => (row.kind === kind ? [row.mechanism] : []));

export const READINESS = ofKind('readiness');
export const COMPLETION = ofKind('completion');
