/** Loads the addon (its types: addon.ts). A thread or process that loads it joins the traces and fault plans under way. */
import { join } from 'node:path';
import load from 'node-gyp-build';
import type {
  Addon,
  EpollCalls,
  Everywhere,
  IoUringCalls,
  IocpCalls,
  KqueueCalls,
  PassFdsCalls,
  ShareSocketCalls,
} from './addon.js';
import { joinFaults } from './faults/joining.js';
import { joinTraces } from './recording.js';

/** The addon: what every system has. */
export const native = load(join(__dirname, '..')) as Addon;
joinTraces(native);
joinFaults(native);

// Groups of calls: a system has all calls of a group (then the addon), or none (then undefined).
export const epollCalls = 'epoll_wait' in native ? (native as Everywhere & EpollCalls) : undefined;
export const ioUringCalls = 'IoUring' in native ? (native as Everywhere & IoUringCalls) : undefined;
export const kqueueCalls = 'kevent' in native ? (native as Everywhere & KqueueCalls) : undefined;
export const passFdsCalls = 'sendFds' in native ? (native as Everywhere & PassFdsCalls) : undefined;
export const iocpCalls = 'Iocp' in native ? (native as Everywhere & IocpCalls) : undefined;
export const shareSocketCalls = 'WSASocket' in native ? (native as Everywhere & ShareSocketCalls) : undefined;
