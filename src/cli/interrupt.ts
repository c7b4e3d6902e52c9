/** Ctrl-C, and what asks a process to end. */
import { constants } from 'node:os';

export const ENDING =
  process.platform === 'win32' ? (['SIGINT', 'SIGBREAK'] as const) : (['SIGINT', 'SIGTERM'] as const);

/**
 * npx and timeout(1) pass on to their child what the terminal has sent to it already, so that one Ctrl-C comes twice: within so many
 * milliseconds it is the same.
 */
const SAME = 300;

/** @param first begins to end. @param again ends at once. @returns what to do on each signal */
export function interrupted(first: () => void, again: () => void): () => void {
  let begun: number | null = null;
  return () => {
    if (begun === null) {
      begun = performance.now();
      first();
    } else if (performance.now() - begun > SAME) {
      again();
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
  const handlers = ENDING.map((name) => {
    const code = 128 + constants.signals[name];
    const begin = (): void => {
      process.exitCode = code;
      aborting.abort();
    };
    return [name, interrupted(begin, () => process.exit(code))] as const;
  });
  for (const [name, handler] of handlers) process.on(name, handler);
  try {
    const result = await run(signal);
    return signal.aborted ? null : result;
  } catch (error) {
    if (!signal.aborted) throw error;
    return null;
  } finally {
    for (const [name, handler] of handlers) process.off(name, handler);
  }
}
