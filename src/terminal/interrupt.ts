/** Ctrl-C, and what asks a process to end. */
import { constants } from 'node:os';
import { removeTemporaryFolders } from '../syscalls/temporary-folders.js';

/** The terminal's closing (SIGHUP) is one of them: what was started for a time is not left behind. */
export const ENDING: readonly NodeJS.Signals[] =
  process.platform === 'win32' ? ['SIGINT', 'SIGBREAK', 'SIGHUP'] : ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** The exit code of a process that a signal has ended, as shells count: Ctrl-C is 130. */
export const exitCodeOf = (signal: NodeJS.Signals): number => 128 + constants.signals[signal];

/**
 * npx and timeout(1) pass on to their child what the terminal has sent to it already, so that one Ctrl-C comes twice: within so many
 * milliseconds the same signal is the same Ctrl-C.
 */
export const SAME = 300;

/**
 * Removes the temporary folders and ends this process at once, by the signal's default action (signal(7)); on Windows by process.exit(), with
 * the exit code of the signal. process.exit() waits for all threads to end, and hundreds of threads take seconds. Remove all listeners of the
 * signal before.
 */
export function endAtOnce(signal: NodeJS.Signals): never {
  if (process.platform !== 'win32') {
    removeTemporaryFolders();
    process.kill(process.pid, signal);
  }
  process.exit(exitCodeOf(signal));
}

/** @param first begins to end. @param again ends at once. @returns what to do on each signal */
export function interrupted(
  first: (signal: NodeJS.Signals) => void,
  again: (signal: NodeJS.Signals) => void,
): (signal: NodeJS.Signals) => void {
  let begun: { readonly signal: NodeJS.Signals; readonly at: number } | null = null;
  return (signal) => {
    if (begun === null) {
      begun = { signal, at: performance.now() };
      first(signal);
    } else if (signal !== begun.signal || performance.now() - begun.at > SAME) {
      again(signal);
    }
  };
}

/**
 * Runs what takes long. The first signal aborts it, and is told by the exit code, as shells count (Ctrl-C: 130); a second one ends this process
 * at once: whatever it has started sees that its input has ended, and ends.
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
  for (const name of ENDING) process.on(name, handler);
  try {
    const result = await run(signal);
    return signal.aborted ? null : result;
  } catch (error) {
    if (!signal.aborted) throw error;
    return null;
  } finally {
    for (const name of ENDING) process.off(name, handler);
  }
}
