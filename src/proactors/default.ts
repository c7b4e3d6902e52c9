/** The ranking: IOCP on Windows, io_uring on Linux where the kernel allows it, else the emulation over the best selector. */
import { invalidType, invalidValue } from '../errors.js';
import { createSelector } from '../selectors/default.js';
import { COMPLETION_MECHANISMS, type CompletionMechanism, EMULATED_MECHANISMS } from '../syscalls/probe.js';
import type { BaseProactor } from './base.js';
import { EmulatedProactor } from './emulated.js';
import { IoUringProactor } from './io-uring.js';
import { IocpProactor } from './iocp.js';

interface ProactorClass {
  new (): BaseProactor;
  readonly isAvailable: boolean;
}

/** One row a mechanism of the kernel's. */
export const proactorClasses: Readonly<Record<CompletionMechanism, ProactorClass>> = {
  iocp: IocpProactor,
  io_uring: IoUringProactor,
};

const best = COMPLETION_MECHANISMS.map((mechanism) => proactorClasses[mechanism]).find(
  ({ isAvailable }) => isAvailable,
);

/** The best proactor that works here, found out when the package is loaded. One of the classes above, not a wrapper. */
export const DefaultProactor = (best ?? EmulatedProactor) as { new (): BaseProactor; readonly isAvailable: true };
export type DefaultProactor = BaseProactor;

const EMULATED = 'emulated:';
const NAMES: readonly string[] = [...COMPLETION_MECHANISMS, ...EMULATED_MECHANISMS];

/** A proactor by the name of its mechanism; the default one where none is said. @throws ERR_INVALID_ARG_VALUE, ERR_UNAVAILABLE */
export function createProactor(mechanism?: string): BaseProactor {
  if (mechanism === undefined) return new DefaultProactor();
  if (typeof mechanism !== 'string') throw invalidType('mechanism', 'a string', mechanism);
  if (!NAMES.includes(mechanism))
    throw invalidValue(`there is no proactor '${mechanism}'; there is: ${NAMES.join(', ')}`);
  if (!mechanism.startsWith(EMULATED)) return new proactorClasses[mechanism as CompletionMechanism]();
  return new EmulatedProactor({ selector: createSelector(mechanism.slice(EMULATED.length)) });
}
