/** Checks the public contract: tsc rejects this file if a name, a parameter or a type differs from the promised one. */
import type * as index from '../../../src/index.js';
import type * as servers from '../../../src/servers.js';
import type * as syscalls from '../../../src/syscalls.js';
import type * as trace from '../../../src/trace.js';
import type * as promisedIndex from './index.js';
import type * as promisedServers from './servers.js';
import type * as promisedSyscalls from './syscalls.js';
import type * as promisedTrace from './trace.js';

/** Every promised value exists, with a type assignable to the promised one. */
type Keeps<Promised, Real extends Promised> = [Promised, Real];

export type IndexValues = Keeps<Omit<typeof promisedIndex, Classes>, Omit<typeof index, Classes>>;
export type SyscallsValues = Keeps<
  Omit<typeof promisedSyscalls, 'Epoll' | 'Kqueue' | 'Poll' | 'IoUring'>,
  typeof syscalls
>;

// Classes are compared by their instances and static sides: a class with private members is never assignable to another class.
type Classes =
  | 'BaseSelector'
  | 'SelectSelector'
  | 'PollSelector'
  | 'EpollSelector'
  | 'KqueueSelector'
  | 'AfdSelector'
  | 'DevpollSelector'
  | 'DefaultSelector'
  | 'Socket'
  | 'BaseProactor'
  | 'EmulatedProactor'
  | 'IoUringProactor'
  | 'DefaultProactor'
  | 'ProactorLoop'
  | 'Reactor';
type Selector = promisedIndex.BaseSelector<string>;
export type Selectors = [
  Keeps<Selector, index.BaseSelector<string>>,
  Keeps<Selector, index.SelectSelector<string>>,
  Keeps<Selector, index.PollSelector<string>>,
  Keeps<Selector, index.EpollSelector<string>>,
  Keeps<Selector, index.KqueueSelector<string>>,
  Keeps<Selector, index.AfdSelector<string>>,
  Keeps<Selector, index.DevpollSelector<string>>,
  Keeps<Selector, index.DefaultSelector<string>>,
  Keeps<promisedIndex.BaseSelector<string, number>, index.DefaultSelector<string, number>>,
];
type Creatable = (new () => Selector) & { readonly isAvailable: boolean };
export type SelectorClasses = [
  Keeps<Creatable, typeof index.SelectSelector<string>>,
  Keeps<Creatable, typeof index.PollSelector<string>>,
  Keeps<Creatable, typeof index.EpollSelector<string>>,
  Keeps<Creatable, typeof index.KqueueSelector<string>>,
  Keeps<Creatable, typeof index.DevpollSelector<string>>,
  Keeps<(new () => Selector) & { readonly isAvailable: true }, typeof index.DefaultSelector<string>>,
  Keeps<new () => promisedIndex.BaseSelector<string, number>, typeof index.DefaultSelector<string, number>>,
];
export type Sockets = [
  Keeps<promisedIndex.Socket, index.Socket>,
  Keeps<Omit<typeof promisedIndex.Socket, 'prototype'>, typeof index.Socket>,
  Keeps<new (options?: promisedIndex.SocketOptions) => promisedIndex.Socket, typeof index.Socket>,
];
/** Without members that accept or return a Socket: that class is compared above. */
type OfSockets = 'accept' | 'connect' | 'recv' | 'recvInto' | 'recvFrom' | 'send' | 'sendTo';
type Proactor = Omit<promisedIndex.BaseProactor, OfSockets>;
export type Proactors = [
  Keeps<Proactor, index.BaseProactor>,
  Keeps<Proactor, index.EmulatedProactor>,
  Keeps<new () => Proactor, typeof index.EmulatedProactor>,
  Keeps<boolean, typeof index.EmulatedProactor.isAvailable>,
  Keeps<Proactor, index.IoUringProactor>,
  Keeps<new (options?: { readonly entries?: number }) => Proactor, typeof index.IoUringProactor>,
  Keeps<boolean, typeof index.IoUringProactor.isAvailable>,
  Keeps<Proactor, index.DefaultProactor>,
  Keeps<{ new (): Proactor; readonly isAvailable: true }, typeof index.DefaultProactor>,
  Keeps<promisedIndex.Operation<string, number>, index.Operation<string, number>>,
];
type Begins<K extends OfSockets> = ReturnType<promisedIndex.BaseProactor[K]>;
type Began<K extends OfSockets> = ReturnType<index.BaseProactor[K]>;
export type Operations = [
  Keeps<Begins<'accept'>, Began<'accept'>>,
  Keeps<Begins<'connect'>, Began<'connect'>>,
  Keeps<Begins<'recv'>, Began<'recv'>>,
  Keeps<Begins<'recvInto'>, Began<'recvInto'>>,
  Keeps<Begins<'recvFrom'>, Began<'recvFrom'>>,
  Keeps<Begins<'send'>, Began<'send'>>,
  Keeps<Begins<'sendTo'>, Began<'sendTo'>>,
];
export type Loops = [
  // The class's own `selector` is compared above.
  Keeps<Omit<promisedIndex.Reactor, 'selector'>, Omit<index.Reactor, 'selector'>>,
  Keeps<promisedIndex.EventLoop, index.Reactor>,
  Keeps<Omit<promisedIndex.ProactorLoop, 'proactor'>, Omit<index.ProactorLoop, 'proactor'>>,
  Keeps<Proactor, index.ProactorLoop['proactor']>,
  Keeps<promisedIndex.EventLoop, index.ProactorLoop>,
  Keeps<promisedIndex.EventLoop, index.EventLoop>,
  Keeps<promisedIndex.Connection<string>, index.Connection<string>>,
  Keeps<promisedIndex.Listener, index.Listener>,
  Keeps<promisedIndex.Timer, index.Timer>,
  // What callers pass: the promised types must be accepted.
  Keeps<index.ConnectionHandler<string>, promisedIndex.ConnectionHandler<string>>,
  Keeps<index.ListenOptions, promisedIndex.ListenOptions>,
  Keeps<index.ConnectionOptions, promisedIndex.ConnectionOptions>,
];
export type LoopClasses = [
  Keeps<new () => Omit<promisedIndex.Reactor, 'selector'>, typeof index.Reactor>,
  Keeps<new () => Omit<promisedIndex.ProactorLoop, 'proactor'>, typeof index.ProactorLoop>,
  Keeps<
    new (options: {
      readonly proactor: index.BaseProactor;
      readonly onError: (error: unknown) => void;
    }) => Omit<promisedIndex.ProactorLoop, 'proactor'>,
    typeof index.ProactorLoop
  >,
];
export type Sets = [
  Keeps<promisedSyscalls.Poll, syscalls.Poll>,
  Keeps<promisedSyscalls.Epoll, syscalls.Epoll>,
  Keeps<promisedSyscalls.Kqueue, syscalls.Kqueue>,
  Keeps<promisedSyscalls.Kevent, syscalls.Kevent>,
  Keeps<promisedSyscalls.IoUring, syscalls.IoUring>,
  Keeps<promisedSyscalls.Cqe, syscalls.Cqe>,
  Keeps<new (entries?: number) => promisedSyscalls.IoUring, typeof syscalls.IoUring>,
  Keeps<{ new (): promisedSyscalls.Epoll; fromFd(fd: number): promisedSyscalls.Epoll }, typeof syscalls.Epoll>,
  Keeps<{ new (): promisedSyscalls.Kqueue; fromFd(fd: number): promisedSyscalls.Kqueue }, typeof syscalls.Kqueue>,
];
export type Types = [
  Keeps<promisedIndex.FileObject, index.FileObject>,
  Keeps<index.FileObject, promisedIndex.FileObject>,
  Keeps<promisedIndex.SocketAddress, index.SocketAddress>,
  Keeps<index.SocketAddress, promisedIndex.SocketAddress>,
  Keeps<index.SocketAddressInput, promisedIndex.SocketAddressInput>,
  Keeps<index.SocketOptions, promisedIndex.SocketOptions>,
  Keeps<index.SocketOptionName, promisedIndex.SocketOptionName>,
  Keeps<index.SocketFamily, promisedIndex.SocketFamily>,
  Keeps<index.SocketType, promisedIndex.SocketType>,
  Keeps<index.WaitOptions, promisedIndex.WaitOptions>,
  Keeps<promisedIndex.Mechanism, index.Mechanism>,
  Keeps<promisedIndex.ReadyEvent<string>, index.ReadyEvent<string>>,
  Keeps<promisedIndex.SelectorKey<string>, index.SelectorKey<string>>,
  Keeps<promisedIndex.SelectorKey<string, number>, index.SelectorKey<string, number>>,
  Keeps<promisedIndex.ReadyEvent<string, number>, index.ReadyEvent<string, number>>,
];
export type Servers = [
  Keeps<Omit<typeof promisedServers, 'EchoServer'>, typeof servers>,
  Keeps<promisedServers.EchoServer, servers.EchoServer>,
  Keeps<ConstructorParameters<typeof servers.EchoServer>, ConstructorParameters<typeof promisedServers.EchoServer>>,
  Keeps<promisedServers.ModelServer, servers.ModelServer>,
  Keeps<promisedServers.ServerStats, servers.ServerStats>,
  // What callers pass: the promised types must be accepted.
  Keeps<servers.ServerOptions, promisedServers.ServerOptions>,
  Keeps<servers.ServerModelName, promisedServers.ServerModelName>,
  Keeps<servers.AcceptStrategy, promisedServers.AcceptStrategy>,
  Keeps<servers.ApplicationName, promisedServers.ApplicationName>,
];
export type Traces = [
  Keeps<typeof promisedTrace.startTrace, typeof trace.startTrace>,
  Keeps<typeof promisedTrace.compare, typeof trace.compare>,
  Keeps<typeof promisedTrace.renderReport, typeof trace.renderReport>,
  Keeps<promisedTrace.ComparisonRow, trace.ComparisonRow>,
  Keeps<promisedTrace.Trace, trace.Trace>,
  Keeps<promisedTrace.SyscallRecord, trace.SyscallRecord>,
  Keeps<promisedTrace.SyscallSummary, trace.SyscallSummary>,
  // What callers pass: the promised types must be accepted.
  Keeps<trace.ComparisonOptions, promisedTrace.ComparisonOptions>,
  Keeps<
    NonNullable<Parameters<typeof trace.startTrace>[0]>,
    NonNullable<Parameters<typeof promisedTrace.startTrace>[0]>
  >,
];
