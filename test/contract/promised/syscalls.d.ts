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

/** io_uring(7): fill submission entries, enter, read completion entries. */
export interface Cqe { readonly userData: number; readonly res: number; readonly flags: number }
export class IoUring implements Disposable {
  constructor(entries?: number);
  readonly fd: number;
  /** IORING_FEAT_* of this kernel, and the opcodes that IORING_REGISTER_PROBE reports. */
  readonly features: number;
  supports(opcode: number): boolean;
  prepNop(userData: number): void;
  prepAccept(fd: number, flags: number, userData: number): void;
  prepConnect(fd: number, address: import('./index').SocketAddress, userData: number): void;
  prepRecv(fd: number, buffer: Uint8Array, flags: number, userData: number): void;
  prepSend(fd: number, buffer: Uint8Array, flags: number, userData: number): void;
  prepRead(fd: number, buffer: Uint8Array, position: number, userData: number): void;
  prepWrite(fd: number, buffer: Uint8Array, position: number, userData: number): void;
  prepPollAdd(fd: number, events: number, userData: number): void;
  prepTimeout(ms: number, userData: number): void;
  prepCancel(target: number, userData: number): void;
  /** io_uring_enter(2): submit what was prepared and wait for `minComplete` completions. Returns how many were submitted. */
  enter(minComplete?: number, timeout?: number | null): number;
  completions(max?: number): Cqe[];
  close(): void;
  [Symbol.dispose](): void;
}

export const constants: Readonly<Record<string, number>>;
