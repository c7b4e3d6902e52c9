/** Ctrl-C and other signals that ask a process to end. */
import { constants } from 'node:os';
import { removeTemporaryFolders } from '../syscalls/temporary-folders.js';

/** The signals that ask a process to end. SIGHUP, the terminal has closed, is one of them: no process is left behind then. */
export const TERMINATION_SIGNALS: readonly NodeJS.Signals[] =
  process.platform === 'win32' ? ['SIGINT', 'SIGBREAK', 'SIGHUP'] : ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** The exit code that shells report for a process that a signal has ended: Ctrl-C is 130. */
export const exitCodeOf = (signal: NodeJS.Signals): number => 128 + constants.signals[signal];

/**
 * npx and timeout(1) pass signals on to their child, to which the terminal has sent them already, so one Ctrl-C arrives twice. The same signal
 * within this time counts as one.
 */
export const REPEAT_WINDOW_MS = 300;

/**
 * Removes the temporary folders and ends this process at once, by the signal's default action (signal(7)); on Windows by process.exit(), with
 * the exit code of the signal. (process.exit() waits for all threads, and hundreds of threads take seconds.) The caller must have removed all
 * listeners of the signal.
 */
export function endAtOnce(signal: NodeJS.Signals): never {
  if (process.platform !== 'win32') {
    removeTemporaryFolders();
    process.kill(process.pid, signal);
  }
  process.exit(exitCodeOf(signal));
}

/**
 * @param first called with the first signal: begins a graceful end
 * @param again called with each further one: ends at once
 * @returns the handler for all signals
 */
export function interrupted(
  first: (signal: NodeJS.Signals) => void,
  again: (signal: NodeJS.Signals) => void,
): (signal: NodeJS.Signals) => void {
  let firstSignal: { readonly signal: NodeJS.Signals; readonly at: number } | null = null;
  return (signal) => {
    if (firstSignal === null) {
      firstSignal = { signal, at: performance.now() };
      first(signal);
    } else if (signal !== firstSignal.signal || performance.now() - firstSignal.at > REPEAT_WINDOW_MS) {
      again(signal);
    }
  };
}

/**
 * Runs a long task that signals can interrupt. The first signal aborts it and sets the exit code (Ctrl-C: 130); a second one ends this process
 * at once. Child processes see the end of their input, and exit.
 * @returns null: it was aborted
 */
export async function untilInterrupted<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T | null> {
  const aborting = new AbortController();
  const { signal } = aborting;
  const begin = (name: NodeJS.Signals): void => {
    process.exitCode = exitCodeOf(name);
    aborting.abort();
  };
  const handler = interrupted(begin, (name) => process.exit(exitCodeOf(name)));
  for (const name of TERMINATION_SIGNALS) process.on(name, handler);
  try {
    const result = await run(signal);
    return signal.aborted ? null : result;
  } catch (error) {
    if (!signal.aborted) throw error;
    return null;
  } finally {
    for (const name of TERMINATION_SIGNALS) process.off(name, handler);
  }
}
