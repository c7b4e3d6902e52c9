/** kqueue(2) and kevent(2): macOS, and Linux with libkqueue. Elsewhere the constructor throws ERR_UNAVAILABLE and the flags are 0. */
import { check } from '../errors.js';
import { kqueueCalls } from '../native.js';
import { fieldsOf, listOf, rawTimeoutOf, wholeNumber } from '../validate.js';
import { HIGHEST_FD } from './file-object.js';
import { KernelSet, openedSet } from './kernel-set.js';
import { mechanismUnavailable } from './probe.js';
import { inSlices } from './slices.js';

export const EVFILT_READ = kqueueCalls?.EVFILT_READ ?? 0;
export const EVFILT_WRITE = kqueueCalls?.EVFILT_WRITE ?? 0;
export const EVFILT_TIMER = kqueueCalls?.EVFILT_TIMER ?? 0;
export const EVFILT_SIGNAL = kqueueCalls?.EVFILT_SIGNAL ?? 0;
export const EVFILT_VNODE = kqueueCalls?.EVFILT_VNODE ?? 0;
export const EVFILT_PROC = kqueueCalls?.EVFILT_PROC ?? 0;
export const EVFILT_USER = kqueueCalls?.EVFILT_USER ?? 0;
export const EV_ADD = kqueueCalls?.EV_ADD ?? 0;
export const EV_DELETE = kqueueCalls?.EV_DELETE ?? 0;
export const EV_ENABLE = kqueueCalls?.EV_ENABLE ?? 0;
export const EV_DISABLE = kqueueCalls?.EV_DISABLE ?? 0;
export const EV_ONESHOT = kqueueCalls?.EV_ONESHOT ?? 0;
export const EV_CLEAR = kqueueCalls?.EV_CLEAR ?? 0;
export const EV_DISPATCH = kqueueCalls?.EV_DISPATCH ?? 0;
export const EV_RECEIPT = kqueueCalls?.EV_RECEIPT ?? 0;
export const EV_EOF = kqueueCalls?.EV_EOF ?? 0;
export const EV_ERROR = kqueueCalls?.EV_ERROR ?? 0;

/** struct kevent. `udata` comes back as it was given: 0 to 2^53 - 1. */
export interface Kevent {
  readonly ident: number;
  readonly filter: number;
  readonly flags: number;
  readonly fflags?: number;
  readonly data?: number;
  readonly udata?: number;
}

/** A struct kevent, with Python's defaults: `kevent(fd)` adds a filter for reading. */
export function kevent(
  ident: number,
  filter: number = EVFILT_READ,
  flags: number = EV_ADD,
  fflags = 0,
  data = 0,
  udata = 0,
): Required<Kevent> {
  return { ident, filter, flags, fflags, data, udata };
}

const FIELDS = ['ident', 'filter', 'flags', 'fflags', 'data', 'udata'] as const;
const NUMBERS = FIELDS.length;
const NO_CHANGES = new Float64Array(0);
const MOST = Number.MAX_SAFE_INTEGER;
/** Least and most of each field of struct kevent, in the order of FIELDS, as far as a number can say it. */
const RANGES = [
  [0, MOST],
  [-0x8000, 0x7fff],
  [0, 0xffff],
  [0, 0xffff_ffff],
  [-MOST, MOST],
  [0, MOST],
] as const;

function numbersOf(change: unknown): number[] {
  const fields = fieldsOf('a change', change, FIELDS);
  return FIELDS.map((name, index) => {
    const optional = index >= 3 && fields[name] === undefined;
    const [least, most] = RANGES[index] ?? [0, 0];
    return optional ? 0 : wholeNumber(name, fields[name], least, most);
  });
}

function calls() {
  if (kqueueCalls === undefined) throw mechanismUnavailable('kqueue');
  return kqueueCalls;
}

/** kqueue(2): a set of filters that the kernel keeps. It is not inherited by fork(2). */
export class Kqueue extends KernelSet {
  /** kqueue(2), close-on-exec. @throws ERR_UNAVAILABLE, EMFILE, ENFILE, ENOMEM */
  constructor();
  /** @internal */
  constructor(fd?: number);
  constructor(fd?: number) {
    super('kqueue object', fd ?? openedSet('kqueue', 'kqueue', calls().kqueue()));
  }

  /** Takes over a kqueue descriptor that came from elsewhere: close(), or the garbage collector, closes it. */
  static fromFd(fd: number): Kqueue {
    calls();
    return new Kqueue(wholeNumber('fd', fd, 0, HIGHEST_FD));
  }

  /**
   * kevent(2): gives changes and takes events in one call. BLOCKS this thread.
   * @param changes any iterable, gone through once
   * @param maxEvents how many events at the most; 0 makes the changes and returns at once
   * @param timeout milliseconds; null: for ever; negative: ERR_OUT_OF_RANGE
   * @returns events; a change that failed is one too, flags EV_ERROR and the error in data, while there is room for it, else
   *   the call throws it
   */
  control(changes: Iterable<Kevent>, maxEvents: number, timeout?: number | null): Required<Kevent>[] {
    this.assertOpen();
    const list = listOf('changes', changes).map(numbersOf);
    const room = wholeNumber('maxEvents', maxEvents, 0, 1 << 20);
    const limit = rawTimeoutOf(timeout, 'refused');
    const out = new Float64Array(NUMBERS * room);
    const kq = this.fileno(); // not before: the caller's iterator and getters may have closed this object
    let given = Float64Array.from(list.flat());
    const wait = (part: number): number => {
      const changes = given;
      given = NO_CHANGES; // once is enough
      return calls().kevent(kq, changes, changes.length / NUMBERS, out, room, part);
    };
    // Without room for events it makes its changes and returns at once.
    const count = check(room === 0 ? wait(0) : inSlices(limit, wait), 'kevent');
    return Array.from({ length: count }, (_, i) => {
      const numbers = [...out.subarray(NUMBERS * i, NUMBERS * (i + 1))] as [
        number,
        number,
        number,
        number,
        number,
        number,
      ];
      return kevent(...numbers);
    });
  }
}
