/** The modes in which one descriptor can be watched, each with the mechanism's own calls: for level-or-edge. */
import type { Socket } from '../../index.js';
import * as calls from '../../syscalls.js';

/**
 * level: told as long as there is something. edge: told when more has come. one-shot: told once, and then not before it is re-armed.
 * level is what every mechanism does where nothing is said.
 */
export type Trigger = 'level' | 'edge' | 'one-shot';

/** One descriptor, watched for reading. */
export interface Watch {
  /** What is told now, as the mechanism names it; null: nothing. Does not wait. */
  ask(): string | null;
  /** The same descriptor with the same events once more. */
  rearm(): void;
  close(): void;
}

export interface Mode {
  /** 'EPOLLET' */
  readonly name: string;
  readonly mechanism: 'select' | 'poll' | 'epoll' | 'kqueue';
  readonly trigger: Trigger;
  watch(socket: Socket): Watch;
}

const flagNames = (prefix: string, value: number): string =>
  Object.entries(calls as Readonly<Record<string, unknown>>)
    .filter(([name, flag]) => name.startsWith(prefix) && typeof flag === 'number' && (flag & value) !== 0)
    .map(([name]) => name)
    .join('|');

function watchBySelect(socket: Socket): Watch {
  return {
    ask: () => (calls.select([socket], [], [], 0).read.length > 0 ? 'readable' : null),
    rearm: () => undefined, // the set is told at each call
    close: () => undefined,
  };
}

function watchByPoll(socket: Socket): Watch {
  const poll = new calls.Poll();
  poll.register(socket, calls.POLLIN);
  return {
    ask() {
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
      ask() {
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
      ask() {
        const [event] = kqueue.control([], 1, 0);
        if (event === undefined) return null;
        return `EVFILT_READ, data=${event.data}${(event.flags & calls.EV_EOF) === 0 ? '' : ', EV_EOF'}`;
      },
      rearm: add,
      close: () => kqueue.close(),
    };
  };

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
