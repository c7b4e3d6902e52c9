/**
 * New threads and processes join the traces of those that started them, from their first moment on. Threads get the trace's memory by
 * environment data (worker_threads); processes get the path of a file, which all map, by an environment variable.
 */
import { statSync } from 'node:fs';
import { toNamespacedPath } from 'node:path';
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import type { Addon, NativeRecording } from './addon.js';

const KEY = 'selectors-native.traces';
/** Environment variable: the path of a trace's file. */
export const TRACE_VARIABLE = 'SELECTORS_NATIVE_TRACE';

/** Recordings for traces of other threads. They last until this thread ends. */
const joined: NativeRecording[] = [];

const tracesOfThreads = (): readonly SharedArrayBuffer[] =>
  (getEnvironmentData(KEY) as readonly SharedArrayBuffer[] | undefined) ?? [];

/** Threads that start from now on record into `memory`. @returns a function that ends that */
export function recordInNewThreads(memory: SharedArrayBuffer): () => void {
  setEnvironmentData(KEY, [...tracesOfThreads(), memory]);
  return () =>
    setEnvironmentData(
      KEY,
      tracesOfThreads().filter((one) => one !== memory),
    );
}

/** Records into the traces under way, until this thread ends. Called when the addon is loaded. */
export function joinTraces(native: Addon): void {
  for (const memory of tracesOfThreads()) {
    const recording = new native.Recording();
    joined.push(recording);
    attempt('the trace of another thread', () => recording.start(new Uint8Array(memory)));
  }
  const path = process.env[TRACE_VARIABLE];
  if (path === undefined || path === '') return;
  // statSync() fails if the file does not exist: none is made.
  attempt(`${TRACE_VARIABLE}=${path}`, () => native.recordInFile(toNamespacedPath(path), statSync(path).size));
}

/** A trace that cannot be joined is a warning: the program goes on. */
function attempt(what: string, start: () => number): void {
  try {
    if (start() < 0) throw new Error('this is not the memory of a trace');
  } catch (error) {
    process.emitWarning(`${what}: ${(error as Error).message}; nothing is recorded there`);
  }
}
