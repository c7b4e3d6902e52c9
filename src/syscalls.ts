/**
 * The entry `selectors-native/syscalls`: the operating systems' calls, one to one, under their own names.
 *
 * @module selectors-native/syscalls
 */
import { native } from './native.js';

export { FD_SETSIZE, select } from './syscalls/select.js';
export { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDHUP, Poll } from './syscalls/poll.js';
export {
  EPOLLERR,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  EPOLLPRI,
  EPOLLRDHUP,
  EPOLLWAKEUP,
  Epoll,
} from './syscalls/epoll.js';
export {
  EVFILT_EXCEPT,
  EVFILT_PROC,
  EVFILT_READ,
  EVFILT_SIGNAL,
  EVFILT_TIMER,
  EVFILT_USER,
  EVFILT_VNODE,
  EVFILT_WRITE,
  EV_ADD,
  EV_CLEAR,
  EV_DELETE,
  EV_DISABLE,
  EV_DISPATCH,
  EV_ENABLE,
  EV_EOF,
  EV_ERROR,
  EV_ONESHOT,
  EV_RECEIPT,
  type Kevent,
  Kqueue,
  NOTE_OOB,
  kevent,
} from './syscalls/kqueue.js';

export {
  AFD_POLL_ABORT,
  AFD_POLL_ACCEPT,
  AFD_POLL_CONNECT,
  AFD_POLL_CONNECT_FAIL,
  AFD_POLL_DISCONNECT,
  AFD_POLL_LOCAL_CLOSE,
  AFD_POLL_RECEIVE,
  AFD_POLL_RECEIVE_EXPEDITED,
  AFD_POLL_SEND,
  Afd,
  type AfdCompletion,
} from './syscalls/afd.js';
export { Devpoll, type DevpollEntry, POLLREMOVE } from './syscalls/devpoll.js';
export { type CompletionPacket, Iocp } from './syscalls/iocp.js';
export { type Cqe, IoUring } from './syscalls/io-uring.js';
export { SharedFile } from './syscalls/shared-file.js';

/** The AF_*, SOCK_*, IPPROTO_*, MSG_*, SOL_*, SO_*, TCP_*, IP_* and IPV6_* numbers that this system's headers define, by name. */
export const constants: Readonly<Record<string, number>> = Object.freeze({ ...native.constants });
