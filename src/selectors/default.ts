/** The selector classes by mechanism, and the ranking, as Python's: epoll | kqueue | afd | devpoll > poll > select. */
import type { FileObject } from '../syscalls/file-object.js';
import { invalidType, invalidValue } from '../errors.js';
import { READINESS_MECHANISMS, type ReadinessMechanism } from '../syscalls/probe.js';
import { AfdSelector } from './afd.js';
import type { BaseSelector } from './base.js';
import { DevpollSelector } from './devpoll.js';
import { EpollSelector } from './epoll.js';
import { KqueueSelector } from './kqueue.js';
import { PollSelector } from './poll.js';
import { SelectSelector } from './select.js';

interface SelectorClass {
  new <D = unknown, F extends FileObject = FileObject>(): BaseSelector<D, F>;
  readonly isAvailable: boolean;
}

/** One row per mechanism. A new mechanism adds its own here (CONTRIBUTING.md lists all the places). */
export const selectorClasses: Readonly<Record<ReadinessMechanism, SelectorClass>> = {
  epoll: EpollSelector,
  kqueue: KqueueSelector,
  afd: AfdSelector,
  devpoll: DevpollSelector,
  poll: PollSelector,
  select: SelectSelector,
};

const best = READINESS_MECHANISMS.map((mechanism) => selectorClasses[mechanism]).find(({ isAvailable }) => isAvailable);

/** The best selector class that works here, chosen when the package is loaded. One of the selector classes itself, not a wrapper. */
export const DefaultSelector = (best ?? SelectSelector) as {
  /** @throws EMFILE, ENFILE, ENOMEM */
  new <D = unknown, F extends FileObject = FileObject>(): BaseSelector<D, F>;
  /** select works on every system. */
  readonly isAvailable: true;
};
/** An instance of the class DefaultSelector. */
export type DefaultSelector<D = unknown, F extends FileObject = FileObject> = BaseSelector<D, F>;

/**
 * A new selector.
 * @param mechanism 'epoll', 'kqueue', 'afd', 'devpoll', 'poll' or 'select'. Default: a DefaultSelector
 * @throws ERR_INVALID_ARG_VALUE for another name; ERR_UNAVAILABLE; EMFILE, ENFILE, ENOMEM
 */
export function createSelector<D = unknown, F extends FileObject = FileObject>(mechanism?: string): BaseSelector<D, F> {
  if (mechanism === undefined) return new DefaultSelector<D, F>();
  if (typeof mechanism !== 'string') throw invalidType('mechanism', 'a string', mechanism);
  if (!Object.hasOwn(selectorClasses, mechanism)) {
    throw invalidValue(`there is no selector '${mechanism}'; there is: ${READINESS_MECHANISMS.join(', ')}`);
  }
  return new selectorClasses[mechanism as ReadinessMechanism]<D, F>();
}
