/** The ranking of proactors: IOCP on Windows, io_uring on Linux where the kernel allows it, else the emulation over the best selector. */
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

/** One row per mechanism of the kernel. */
export const proactorClasses: Readonly<Record<CompletionMechanism, ProactorClass>> = {
  iocp: IocpProactor,
  io_uring: IoUringProactor,
};

const best = COMPLETION_MECHANISMS.map((mechanism) => proactorClasses[mechanism]).find(
  ({ isAvailable }) => isAvailable,
);

/**
 * Errors of a ring where the emulation still works: RLIMIT_MEMLOCK has no room for one more ring; the kernel forbids io_uring since the
 * package was loaded (kernel.io_uring_disabled). Not EMFILE: the emulation needs descriptors too.
 */
const REFUSALS: readonly unknown[] = ['ENOMEM', 'ERR_UNAVAILABLE'];

/** @internal An emulation in place of a default proactor that failed with this error. @throws the error, where the emulation cannot help */
export function fallbackFor(error: unknown): BaseProactor {
  if (!REFUSALS.includes((error as NodeJS.ErrnoException | null)?.code)) throw error;
  return new EmulatedProactor();
}

/** The class itself, except that `new` makes an emulation where the system refuses the class. */
function withFallback(preferred: ProactorClass): ProactorClass {
  return new Proxy(preferred, {
    construct(target, args, newTarget): BaseProactor {
      try {
        return Reflect.construct(target, args, newTarget) as BaseProactor;
      } catch (error) {
        return fallbackFor(error);
      }
    },
  });
}

/**
 * The best proactor of this machine, probed when the package is loaded: IocpProactor, IoUringProactor, or EmulatedProactor. Its objects are
 * of that class; where the system refuses one later, `new` makes an EmulatedProactor.
 */
export const DefaultProactor = (best === undefined ? EmulatedProactor : withFallback(best)) as {
  /** Makes a proactor of the best class. @throws EMFILE and other errors that the emulation has too */
  new (): BaseProactor;
  /** The emulation works everywhere. */
  readonly isAvailable: true;
};
/** Any proactor: see the constant of this name. */
export type DefaultProactor = BaseProactor;

const EMULATED = 'emulated:';
const NAMES: readonly string[] = [...COMPLETION_MECHANISMS, ...EMULATED_MECHANISMS];

/**
 * Makes a proactor by the name of its mechanism.
 * @param mechanism 'iocp', 'io_uring', 'emulated:epoll' … Default: a DefaultProactor
 * @throws ERR_INVALID_ARG_TYPE; ERR_INVALID_ARG_VALUE: there is no such mechanism; ERR_UNAVAILABLE: this machine lacks it
 */
export function createProactor(mechanism?: string): BaseProactor {
  if (mechanism === undefined) return new DefaultProactor();
  if (typeof mechanism !== 'string') throw invalidType('mechanism', 'a string', mechanism);
  if (!NAMES.includes(mechanism))
    throw invalidValue(`there is no proactor '${mechanism}'; there is: ${NAMES.join(', ')}`);
  if (!mechanism.startsWith(EMULATED)) return new proactorClasses[mechanism as CompletionMechanism]();
  return new EmulatedProactor({ selector: createSelector(mechanism.slice(EMULATED.length)) });
}
