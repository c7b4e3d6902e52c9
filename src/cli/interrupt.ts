/** Ctrl-C, and what asks a process to end. */

export const ENDING =
  process.platform === 'win32' ? (['SIGINT', 'SIGBREAK'] as const) : (['SIGINT', 'SIGTERM'] as const);

/** The exit code of a process that Ctrl-C has ended, as shells count. */
export const INTERRUPTED = 130;

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
