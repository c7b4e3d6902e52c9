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

/**
 * What a limit says that has room for the first rings and not for the next one (RLIMIT_MEMLOCK), and a kernel that has forbidden io_uring
 * since (kernel.io_uring_disabled). Not EMFILE: the emulation needs descriptors too.
 */
const REFUSALS: readonly unknown[] = ['ENOMEM', 'ERR_UNAVAILABLE'];

/** @internal The emulation, in place of a default proactor that failed with this error. @throws the error, where the emulation is no remedy */
export function emulationInstead(error: unknown): BaseProactor {
  if (!REFUSALS.includes((error as NodeJS.ErrnoException | null)?.code)) throw error;
  return new EmulatedProactor();
}

/** The class itself, but for `new`: where the system refuses one more, the emulation is made. */
function withFallback(preferred: ProactorClass): ProactorClass {
  return new Proxy(preferred, {
    construct(target, values, newTarget): BaseProactor {
      try {
        return Reflect.construct(target, values, newTarget) as BaseProactor;
      } catch (error) {
        return emulationInstead(error);
      }
    },
  });
}

/**
 * The best proactor that works here, found out when the package is loaded; an EmulatedProactor where the system refuses it later.
 * What it makes is an object of one of the classes above, not a wrapper.
 */
export const DefaultProactor = (best === undefined ? EmulatedProactor : withFallback(best)) as {
  new (): BaseProactor;
  readonly isAvailable: true;
};
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
