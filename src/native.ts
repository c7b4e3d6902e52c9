/** Loads the addon (its types: addon.ts). A thread or process that loads it joins the traces and fault plans under way. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import load from 'node-gyp-build';
import type {
  Addon,
  AfdCalls,
  DevpollCalls,
  EpollCalls,
  Everywhere,
  IoUringCalls,
  IocpCalls,
  KqueueCalls,
  PassFdsCalls,
  ShareSocketCalls,
} from './addon.js';
import { joinFaults } from './faults/joining.js';
import { packageFolder } from './package-folder.js';
import { joinTraces } from './recording.js';

function findAddon(): string {
  try {
    return load.resolve(packageFolder);
  } catch (error) {
    throw noBinary(
      `has no binary for this system (${(error as Error).message.split('\n')[0]?.replace(/^.* for /, '')})`,
    );
  }
}

function loadAddon(): Addon {
  try {
    return createRequire(__filename)(addonPath) as Addon;
  } catch (error) {
    throw noBinary(`cannot load its binary: ${(error as Error).message}`);
  }
}

/** One paragraph that says how to build the addon from source. */
function noBinary(problem: string): Error {
  const command = `node ${JSON.stringify(join(packageFolder, 'scripts/build-native.mjs'))}`;
  const error = new Error(
    `selectors-native ${problem}. To build it from source: ${command} (needs a C++20 compiler, make and python3). A bundler must leave this package outside of its bundle: see "Bundlers" in its docs/platforms.md.`,
  );
  return Object.assign(error, { code: 'ERR_DLOPEN_FAILED' });
}

/** The path of the addon's file. */
export const addonPath = findAddon();

/** The addon: what every system has. */
export const native = loadAddon();
joinTraces(native);
joinFaults(native);

// Groups of calls: a system has all calls of a group (then the addon), or none (then undefined).
export const epollCalls = 'epoll_wait' in native ? (native as Everywhere & EpollCalls) : undefined;
export const ioUringCalls = 'IoUring' in native ? (native as Everywhere & IoUringCalls) : undefined;
export const kqueueCalls = 'kevent' in native ? (native as Everywhere & KqueueCalls) : undefined;
export const devpollCalls = 'devpollPoll' in native ? (native as Everywhere & DevpollCalls) : undefined;
export const passFdsCalls = 'sendFds' in native ? (native as Everywhere & PassFdsCalls) : undefined;
export const afdCalls = 'AfdSet' in native ? (native as Everywhere & AfdCalls) : undefined;
export const iocpCalls = 'Iocp' in native ? (native as Everywhere & IocpCalls) : undefined;
export const shareSocketCalls = 'WSASocket' in native ? (native as Everywhere & ShareSocketCalls) : undefined;
