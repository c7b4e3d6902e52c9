/** From the selectors' events to those of poll(2). */
import { native } from '../native.js';
import { POLLIN, POLLOUT } from '../syscalls/poll.js';
import { EVENT_READ, EVENT_WRITE, type EventMask } from './key.js';
import type { Registration } from './registrations.js';

/** Winsock's POLLIN includes out-of-band data (POLLRDNORM | POLLRDBAND); EVENT_READ does not (S66). */
const READABLE = process.platform === 'win32' ? native.POLLRDNORM : POLLIN;

export function pollEvents(events: EventMask): number {
  return ((events & EVENT_READ) !== 0 ? READABLE : 0) | ((events & EVENT_WRITE) !== 0 ? POLLOUT : 0);
}

/** Pairs [descriptor, POLLIN | POLLOUT] of the registered descriptors and a wake channel. */
export function pollPairs(registrations: ReadonlyMap<number, Registration<unknown>>, wakeFd: number): Int32Array {
  const pairs = new Int32Array(2 * (registrations.size + 1));
  pairs.set([wakeFd, POLLIN]);
  let position = 2;
  for (const { key } of registrations.values()) {
    pairs[position++] = key.fd;
    pairs[position++] = pollEvents(key.events);
  }
  return pairs;
}

/** The same, without the closed descriptors. For a kernel's set that poll(2) cannot watch: poll would report them again and again. */
export function openPairs(registrations: ReadonlyMap<number, Registration<unknown>>, wakeFd: number): Int32Array {
  return pollPairs(new Map([...registrations].filter(([fd]) => native.isOpen(fd) >= 0)), wakeFd);
}
