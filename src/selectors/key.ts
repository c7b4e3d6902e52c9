/** A registered file object as programs see it: its key, and the events of a key. */
import { invalidType, invalidValue } from '../errors.js';
import type { FileObject } from '../syscalls/file-object.js';

/** Ready for reading: bytes, a connection to accept, the end of the stream, or an error. */
export const EVENT_READ = 1;
/** Ready for writing: room in the send buffer, a connect that has completed or failed, or an error. */
export const EVENT_WRITE = 2;
/** EVENT_READ, EVENT_WRITE, or both or-ed together. */
export type EventMask = number;

/** A registered file object. A frozen record: modify() makes a new one. D is the type of `data`, F that of the file objects. */
export interface SelectorKey<D = unknown, F extends FileObject = FileObject> {
  /** The object that register() was called with. */
  readonly fileobj: F;
  /** Its descriptor when it was registered. */
  readonly fd: number;
  /** The events that it is watched for. */
  readonly events: EventMask;
  /** What register() or modify() was called with; undefined without. */
  readonly data: D;
}

/** One ready file object: its key, and those of the key's events that are ready. */
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
