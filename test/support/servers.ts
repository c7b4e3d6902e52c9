/**
 * The built entry of the servers: their threads and processes load further files, and Node cannot load TypeScript. And shared helpers of
 * their tests to wait for conditions.
 */
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import type * as entry from '../../src/servers.js';
import type { ApplicationName, ServerModelName } from '../../src/servers.js';

const built = createRequire(import.meta.url)('../../dist/servers.js') as typeof entry;
export const { ACCEPT_STRATEGIES, EchoServer, SERVER_MODELS, createServer } = built;

export type {
  ApplicationName,
  ModelServer,
  ServerModelName,
  ServerModelRow,
  ServerOptions,
  ServerStats,
  WorkerExit,
  WorkerInfo,
} from '../../src/servers.js';

/** On Wine and under the sanitizers, threads and processes start several times slower. */
export const isSlowHere = process.platform === 'win32' || process.env.SELECTORS_NATIVE_SANITIZED !== undefined;

/** Models that pass connections on in different ways. */
export const DIFFERENT: readonly string[] = [
  'thread-pool',
  'process-pool',
  'prefork',
  'reactor-thread-pool',
  'multi-proactor',
];

/** One model of each kind for echo, and the models for rpc. */
const ECHO_IN_SHORT: readonly string[] = ['iterative', 'thread-pool', 'reactor', 'proactor'];
const RPC_IN_SHORT: readonly string[] = [
  ...DIFFERENT,
  ...['iterative', 'busy-wait', 'reactor', 'proactor', 'reactor-thread-per-task'],
];

/** Whether `npm test` runs the server contract over it. */
export function isInShort(model: ServerModelName, application: ApplicationName): boolean {
  if (application === 'chat') return true;
  return (application === 'rpc' ? RPC_IN_SHORT : ECHO_IN_SHORT).includes(model);
}

/**
 * The models for cases that start many servers: one with threads, one with processes, and where the system or threads' memory may differ
 * (Wine, the sanitizers) one with a proactor in each thread. On Linux, test/long/ has the others.
 */
export const FEW: readonly string[] = ['thread-pool', 'process-pool', ...(isSlowHere ? ['multi-proactor'] : [])];

const PATIENCE = 60_000;

/** Polls until the condition holds. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await sleep(5);
  }
}

/** The same for a promise. */
export async function inTime<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain: ${what}`)), PATIENCE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
