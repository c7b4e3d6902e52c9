/** What callers of `selectors-native/syscalls` may rely on, by name and by meaning. The package may offer more. */

/** select(2). Lists in, lists out. A descriptor that fd_set cannot hold throws ERR_OUT_OF_RANGE, never writes past it. */
export function select(
  read: readonly number[], write: readonly number[], except: readonly number[], timeout?: number | null,
): { readonly read: number[]; readonly write: number[]; readonly except: number[] };

/** poll(2) (WSAPoll on Windows), keeping its array between calls as Python's select.poll() does. */
export class Poll implements Disposable {
  register(fd: number, events: number): void;
  modify(fd: number, events: number): void;
  unregister(fd: number): void;
  poll(timeout?: number | null): { readonly fd: number; readonly events: number }[];
  close(): void;
  [Symbol.dispose](): void;
}
export const POLLIN: number, POLLPRI: number, POLLOUT: number, POLLERR: number, POLLHUP: number, POLLNVAL: number, POLLRDHUP: number;

/** epoll(7). `data` is the kernel's 64-bit epoll_data and defaults to the descriptor. */
export class Epoll implements Disposable {
  constructor();
  static fromFd(fd: number): Epoll;
  readonly fd: number;
  add(fd: number, events: number, data?: number): void;
  modify(fd: number, events: number, data?: number): void;
  delete(fd: number): void;
  wait(maxEvents?: number, timeout?: number | null): { readonly data: number; readonly events: number }[];
  close(): void;
  [Symbol.dispose](): void;
}
export const EPOLLIN: number, EPOLLPRI: number, EPOLLOUT: number, EPOLLERR: number, EPOLLHUP: number, EPOLLRDHUP: number,
  EPOLLET: number, EPOLLONESHOT: number, EPOLLEXCLUSIVE: number, EPOLLWAKEUP: number;

/** kqueue(2) and kevent(2). `control` gives changes and takes events in one call. */
export interface Kevent {
  readonly ident: number; readonly filter: number; readonly flags: number;
  readonly fflags?: number; readonly data?: number; readonly udata?: number;
}
export class Kqueue implements Disposable {
  constructor();
  static fromFd(fd: number): Kqueue;
  readonly fd: number;
  control(changes: readonly Kevent[], maxEvents: number, timeout?: number | null): Required<Kevent>[];
  close(): void;
  [Symbol.dispose](): void;
}
export const EVFILT_READ: number, EVFILT_WRITE: number, EVFILT_TIMER: number, EVFILT_SIGNAL: number, EVFILT_VNODE: number,
  EVFILT_PROC: number, EVFILT_USER: number;
export const EV_ADD: number, EV_DELETE: number, EV_ENABLE: number, EV_DISABLE: number, EV_ONESHOT: number, EV_CLEAR: number,
  EV_DISPATCH: number, EV_RECEIPT: number, EV_EOF: number, EV_ERROR: number;

export const constants: Readonly<Record<string, number>>;
