/** The constructor of each completion mechanism, by name. */
import * as index from '../../src/index.js';
import { type BaseProactor, EmulatedProactor, type Mechanism, createSelector } from '../../src/index.js';
import { completionMechanisms } from './mechanisms.js';

/** Looked up by name: the package may not export the class. */
const classOf = (name: string): (() => BaseProactor) | undefined => {
  const made = (index as Readonly<Record<string, unknown>>)[name] as (new () => BaseProactor) | undefined;
  return made && (() => new made());
};

function factoryOf(mechanism: Mechanism): (() => BaseProactor) | undefined {
  if (mechanism === 'io_uring') return classOf('IoUringProactor');
  if (mechanism === 'iocp') return classOf('IocpProactor');
  return () => new EmulatedProactor({ selector: createSelector(mechanism.slice('emulated:'.length)) });
}

export interface ProactorRow {
  readonly mechanism: Mechanism;
  /** undefined if it is not available here. */
  readonly create: (() => BaseProactor) | undefined;
  readonly why: string;
}

/** Every mechanism; one that is not available here has its reason. */
export const proactorRows: readonly ProactorRow[] = completionMechanisms.map(({ mechanism, available, why }) => {
  const create = factoryOf(mechanism);
  if (!available) return { mechanism, create: undefined, why };
  return { mechanism, create, why: create === undefined ? 'it has no class yet' : why };
});
