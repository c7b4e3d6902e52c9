/** kqueue(2) and kevent(2): macOS, the BSDs, and Linux with libkqueue. On other systems the constructor throws ERR_UNAVAILABLE, and the flags are 0. */
import { check } from '../errors.js';
import { kqueueCalls } from '../native.js';
import { fieldsOf, listOf, rawTimeoutOf, wholeNumber } from '../validate.js';
import { MAX_FD } from './file-object.js';
import { KernelSet, openedSet } from './kernel-set.js';
import { mechanismUnavailable } from './probe.js';
import { inSlices } from './slices.js';

/** Filter: ready for reading. `data`: bytes, or connections in the backlog. */
export const EVFILT_READ = kqueueCalls?.EVFILT_READ ?? 0;
/** Filter: ready for writing. `data`: room in the send buffer, in bytes. */
export const EVFILT_WRITE = kqueueCalls?.EVFILT_WRITE ?? 0;
/** Filter: a timer. `data`: its interval, in milliseconds unless a NOTE_* flag says otherwise; in an event, how often it expired. */
export const EVFILT_TIMER = kqueueCalls?.EVFILT_TIMER ?? 0;
/** Filter: a signal of number `ident`. `data`: how often it was delivered. */
export const EVFILT_SIGNAL = kqueueCalls?.EVFILT_SIGNAL ?? 0;
/** Filter: changes of a file; which ones, by NOTE_* flags in `fflags`. */
export const EVFILT_VNODE = kqueueCalls?.EVFILT_VNODE ?? 0;
/** Filter: exit, fork and exec of the process `ident`; which ones, by NOTE_* flags in `fflags`. */
export const EVFILT_PROC = kqueueCalls?.EVFILT_PROC ?? 0;
/** Filter: an event of the program's own, triggered by NOTE_TRIGGER in `fflags`. 0 where the system has none. */
export const EVFILT_USER = kqueueCalls?.EVFILT_USER ?? 0;
/** Filter, macOS and OpenBSD, else 0: an exceptional condition, with NOTE_OOB in `fflags` out-of-band data. */
export const EVFILT_EXCEPT = kqueueCalls?.EVFILT_EXCEPT ?? 0;
/** In `fflags` of EVFILT_EXCEPT: out-of-band data. */
export const NOTE_OOB = kqueueCalls?.NOTE_OOB ?? 0;
/** Flag: adds the filter, or changes it. */
export const EV_ADD = kqueueCalls?.EV_ADD ?? 0;
/** Flag: removes the filter. */
export const EV_DELETE = kqueueCalls?.EV_DELETE ?? 0;
/** Flag: the filter reports events again. */
export const EV_ENABLE = kqueueCalls?.EV_ENABLE ?? 0;
/** Flag: the filter stays, and reports no events. */
export const EV_DISABLE = kqueueCalls?.EV_DISABLE ?? 0;
/** Flag: the filter is removed after its first event. */
export const EV_ONESHOT = kqueueCalls?.EV_ONESHOT ?? 0;
/** Flag: the state is reset when an event is taken (edge-triggered). */
export const EV_CLEAR = kqueueCalls?.EV_CLEAR ?? 0;
/** Flag: the filter is disabled after each event. */
export const EV_DISPATCH = kqueueCalls?.EV_DISPATCH ?? 0;
/** Flag: the call returns an event with EV_ERROR for each change, with 0 in `data` after success. */
export const EV_RECEIPT = kqueueCalls?.EV_RECEIPT ?? 0;
/** Flag of an event: the peer has finished sending (read), or does not receive any more (write). */
export const EV_EOF = kqueueCalls?.EV_EOF ?? 0;
/** Flag of an event: a change failed; the error number is in `data`. */
export const EV_ERROR = kqueueCalls?.EV_ERROR ?? 0;

/** struct kevent: a change to a filter, or an event of it. */
export interface Kevent {
  /** What is watched, mostly a descriptor: 0 to 2^53 - 1. */
  readonly ident: number;
  /** EVFILT_* */
  readonly filter: number;
  /** EV_* flags or-ed together. */
  readonly flags: number;
  /** The filter's own flags (NOTE_*), 32 bits. Default: 0 */
  readonly fflags?: number;
  /** The filter's own number, see EVFILT_*. Default: 0 */
  readonly data?: number;
  /** The program's own number, 0 to 2^53 - 1; each event has it. Default: 0 */
  readonly udata?: number;
}

/** Makes a struct kevent, with Python's defaults: `kevent(fd)` adds a filter for reading. */
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
const MAX_NUMBER = Number.MAX_SAFE_INTEGER;
/** Minimum and maximum of each field of struct kevent, in the order of FIELDS; 64-bit fields as far as a number is exact. */
const RANGES = [
  [0, MAX_NUMBER],
  [-0x8000, 0x7fff],
  [0, 0xffff],
  [0, 0xffff_ffff],
  [-MAX_NUMBER, MAX_NUMBER],
  [0, MAX_NUMBER],
] as const;

function numbersOf(change: unknown): number[] {
  const fields = fieldsOf('a change', change, FIELDS);
  return FIELDS.map((name, index) => {
    const optional = index >= 3 && fields[name] === undefined;
    const [min, max] = RANGES[index] ?? [0, 0];
    return optional ? 0 : wholeNumber(name, fields[name], min, max);
  });
}

function calls() {
  if (kqueueCalls === undefined) throw mechanismUnavailable('kqueue');
  return kqueueCalls;
}

/** kqueue(2): a set of filters in the kernel, which reports their events. fork(2) does not inherit it. */
export class Kqueue extends KernelSet {
  /** kqueue(2), close-on-exec. @throws ERR_UNAVAILABLE, EMFILE, ENFILE, ENOMEM */
  constructor();
  /** @internal */
  constructor(fd?: number);
  constructor(fd?: number) {
    super('kqueue object', fd ?? openedSet('kqueue', 'kqueue', calls().kqueue()));
  }

  /** Takes ownership of a kqueue descriptor: close(), or the garbage collector, closes it. @throws as Epoll.fromFd() */
  static fromFd(fd: number): Kqueue {
    calls();
    return new Kqueue(wholeNumber('fd', fd, 0, MAX_FD));
  }

  /**
   * kevent(2): makes changes, then waits for events, in one call. BLOCKS this thread.
   * @param changes any iterable, iterated once
   * @param maxEvents maximum number of events, 0 to 2^20; 0: makes the changes and does not wait
   * @param timeout milliseconds; null: no timeout; negative: ERR_OUT_OF_RANGE. Default: null
   * @returns the events; empty after the timeout. A failed change is an event too, with the flag EV_ERROR and the error number in
   *   `data`, while there is room for it; otherwise its error is thrown
   */
  control(changes: Iterable<Kevent>, maxEvents: number, timeout?: number | null): Required<Kevent>[] {
    this.assertOpen();
    const list = listOf('changes', changes).map(numbersOf);
    const room = wholeNumber('maxEvents', maxEvents, 0, 1 << 20);
    const limit = rawTimeoutOf(timeout, 'refused');
    const out = new Float64Array(NUMBERS * room);
    const kq = this.fileno(); // after listOf(): the caller's iterator and getters may have closed this object
    let pending = Float64Array.from(list.flat());
    const wait = (part: number): number => {
      const changes = pending;
      pending = NO_CHANGES; // made in the first slice only
      return calls().kevent(kq, changes, changes.length / NUMBERS, out, room, part);
    };
    // Without room for events kevent(2) makes the changes and returns.
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
