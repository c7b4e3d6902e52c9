/** A registered file object as callers see it: its key, and the events of a key. */
import { invalidType, invalidValue } from '../errors.js';
import type { FileObject } from '../syscalls/file-object.js';

export const EVENT_READ = 1;
export const EVENT_WRITE = 2;
/** EVENT_READ, EVENT_WRITE, or both or-ed together. */
export type EventMask = number;

/** A registered file object: a record that never changes. `modify` makes a new one. D is the type of `data`, F that of the file objects. */
export interface SelectorKey<D = unknown, F extends FileObject = FileObject> {
  readonly fileobj: F;
  readonly fd: number;
  readonly events: EventMask;
  readonly data: D;
}

/** One ready file object: its key, and which of the key's events are ready. */
export type ReadyEvent<D = unknown, F extends FileObject = FileObject> = readonly [
  key: SelectorKey<D, F>,
  events: EventMask,
];

/** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE */
export function checkEvents(events: unknown): void {
  if (typeof events !== 'number') throw invalidType('events', 'EVENT_READ, EVENT_WRITE or both', events);
  if (events !== EVENT_READ && events !== EVENT_WRITE && events !== (EVENT_READ | EVENT_WRITE)) {
    throw invalidValue(`events must be EVENT_READ, EVENT_WRITE or both, not ${events}`);
  }
}

export function makeKey<D, F extends FileObject>(
  fileobj: F,
  fd: number,
  events: EventMask,
  data: D,
): SelectorKey<D, F> {
  return Object.freeze({ fileobj, fd, events, data });
}
