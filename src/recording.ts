/**
 * Where a thread or a process finds the traces that those have begun who started it: it records into them from the first moment on.
 *
 * Threads are told by their environment data (worker_threads): the memory itself. Processes, by an environment variable: the path of a
 * file that all map.
 */
import { statSync } from 'node:fs';
import { toNamespacedPath } from 'node:path';
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import type { Addon, NativeRecording } from './addon.js';

const KEY = 'selectors-native.traces';
/** The path of a trace's memory, for processes. */
export const TRACE_VARIABLE = 'SELECTORS_NATIVE_TRACE';

/** Those of other threads: until this one ends. */
const joined: NativeRecording[] = [];

const tracesOfThreads = (): readonly SharedArrayBuffer[] =>
  (getEnvironmentData(KEY) as readonly SharedArrayBuffer[] | undefined) ?? [];

/** @returns what ends it */
export function recordInNewThreads(memory: SharedArrayBuffer): () => void {
  setEnvironmentData(KEY, [...tracesOfThreads(), memory]);
  return () =>
    setEnvironmentData(
      KEY,
      tracesOfThreads().filter((one) => one !== memory),
    );
}

export function joinTraces(native: Addon): void {
  for (const memory of tracesOfThreads()) {
    const recording = new native.Recording();
    joined.push(recording);
    attempt('the trace of another thread', () => recording.start(new Uint8Array(memory)));
  }
  const path = process.env[TRACE_VARIABLE];
  if (path === undefined || path === '') return;
  // No file is made where there is none.
  attempt(`${TRACE_VARIABLE}=${path}`, () => native.recordInFile(toNamespacedPath(path), statSync(path).size));
}

/** A program does not fail because it cannot be looked at. */
function attempt(what: string, start: () => number): void {
  try {
    if (start() < 0) throw new Error('it is no memory of a trace');
  } catch (error) {
    process.emitWarning(`${what}: ${(error as Error).message}; nothing is recorded there`);
  }
}
