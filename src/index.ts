/**
 * The entry `selectors-native`: selectors, proactors, event loops and sockets. System calls under their own names: `selectors-native/syscalls`.
 *
 * @module selectors-native
 */
export { type FileObject, fileno } from './syscalls/file-object.js';
export { type Availability, type Mechanism, availableMechanisms } from './syscalls/probe.js';
export { BaseSelector } from './selectors/base.js';
export { EVENT_READ, EVENT_WRITE, type EventMask, type ReadyEvent, type SelectorKey } from './selectors/key.js';
export { SelectSelector } from './selectors/select.js';
export { PollSelector } from './selectors/poll.js';
export { EpollSelector } from './selectors/epoll.js';
export { KqueueSelector } from './selectors/kqueue.js';
export { AfdSelector } from './selectors/afd.js';
export { DevpollSelector } from './selectors/devpoll.js';
export { DefaultSelector, createSelector } from './selectors/default.js';
export type { WaitOptions } from './wait/async-wait.js';
export { wakeup } from './wait/wake-channel.js';
export type { SocketAddress, SocketAddressInput, SocketFamily } from './syscalls/address.js';
export type { SocketOptionName } from './net/sockopt.js';
export type {
  AdoptOptions,
  ConnectOptions,
  ConnectionOptions,
  Connection,
  ConnectionHandler,
  EventLoop,
  ListenOptions,
  Listener,
} from './loops/event-loop.js';
export type { Timer } from './wait/timers.js';
export { Reactor, type ReactorOptions } from './loops/reactor.js';
export { IocpProactor, type IocpProactorOptions } from './proactors/iocp.js';
export { ProactorLoop, type ProactorLoopOptions } from './loops/proactor-loop.js';
export { IoUringProactor, type IoUringProactorOptions } from './proactors/io-uring.js';
export { BaseProactor } from './proactors/base.js';
export { type Operation, type OperationKind } from './proactors/operation.js';
export { EmulatedProactor, type EmulatedProactorOptions } from './proactors/emulated.js';
export { DefaultProactor, createProactor } from './proactors/default.js';
export { Socket } from './net/socket.js';
export type { SocketOptions, SocketType } from './net/socket-options.js';
