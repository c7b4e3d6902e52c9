/** The trigger modes of watching one descriptor, each with the mechanism's own calls: used by level-or-edge. */
import type { Socket } from '../../index.js';
import * as calls from '../../syscalls.js';

/**
 * level: reported as long as there is something to read. edge: reported when more arrives. one-shot: reported once, and then not until it
 * is re-armed. Every mechanism's default is level.
 */
export type Trigger = 'level' | 'edge' | 'one-shot';

/** One descriptor, watched for reading. */
export interface Watch {
  /** The event that is reported now, as the mechanism names it; null: none. Does not wait. */
  poll(): string | null;
  /** Registers the same descriptor and events again. */
  rearm(): void;
  /** Closes the mechanism's descriptor, if it has one. */
  close(): void;
}

/** One mode of one mechanism. */
export interface Mode {
  /** 'EPOLLET' */
  readonly name: string;
  readonly mechanism: 'select' | 'poll' | 'epoll' | 'kqueue';
  readonly trigger: Trigger;
  /** Watches a socket for reading. */
  watch(socket: Socket): Watch;
}

const flagNames = (prefix: string, value: number): string =>
  Object.entries(calls as Readonly<Record<string, unknown>>)
    .filter(([name, flag]) => name.startsWith(prefix) && typeof flag === 'number' && (flag & value) !== 0)
    .map(([name]) => name)
    .join('|');

function watchBySelect(socket: Socket): Watch {
  return {
    poll: () => (calls.select([socket], [], [], 0).read.length > 0 ? 'readable' : null),
    rearm: () => undefined, // select gets the set at each call
    close: () => undefined,
  };
}

function watchByPoll(socket: Socket): Watch {
  const poll = new calls.Poll();
  poll.register(socket, calls.POLLIN);
  return {
    poll() {
      const [event] = poll.poll(0);
      return event === undefined ? null : flagNames('POLL', event.events);
    },
    rearm: () => poll.modify(socket, calls.POLLIN),
    close: () => poll.close(),
  };
}

/** @param flags EPOLLET, EPOLLONESHOT */
const watchByEpoll =
  (flags: number) =>
  (socket: Socket): Watch => {
    const epoll = new calls.Epoll();
    epoll.add(socket, calls.EPOLLIN | flags);
    return {
      poll() {
        const [event] = epoll.wait(1, 0);
        return event === undefined ? null : flagNames('EPOLL', event.events);
      },
      rearm: () => epoll.modify(socket, calls.EPOLLIN | flags),
      close: () => epoll.close(),
    };
  };

/** @param flags EV_CLEAR, EV_ONESHOT */
const watchByKqueue =
  (flags: number) =>
  (socket: Socket): Watch => {
    const kqueue = new calls.Kqueue();
    const add = (): void => void kqueue.control([calls.kevent(socket.fd, calls.EVFILT_READ, calls.EV_ADD | flags)], 0);
    add();
    return {
      poll() {
        const [event] = kqueue.control([], 1, 0);
        if (event === undefined) return null;
        return `EVFILT_READ, data=${event.data}${(event.flags & calls.EV_EOF) === 0 ? '' : ', EV_EOF'}`;
      },
      rearm: add,
      close: () => kqueue.close(),
    };
  };

/** All modes of all mechanisms. */
export const modes: readonly Mode[] = [
  { name: 'select', mechanism: 'select', trigger: 'level', watch: watchBySelect },
  { name: 'poll', mechanism: 'poll', trigger: 'level', watch: watchByPoll },
  { name: 'epoll', mechanism: 'epoll', trigger: 'level', watch: watchByEpoll(0) },
  { name: 'EPOLLET', mechanism: 'epoll', trigger: 'edge', watch: watchByEpoll(calls.EPOLLET) },
  { name: 'EPOLLONESHOT', mechanism: 'epoll', trigger: 'one-shot', watch: watchByEpoll(calls.EPOLLONESHOT) },
  { name: 'kqueue', mechanism: 'kqueue', trigger: 'level', watch: watchByKqueue(0) },
  { name: 'EV_CLEAR', mechanism: 'kqueue', trigger: 'edge', watch: watchByKqueue(calls.EV_CLEAR) },
  { name: 'EV_ONESHOT', mechanism: 'kqueue', trigger: 'one-shot', watch: watchByKqueue(calls.EV_ONESHOT) },
];
