/** The progress of a long command: a bar on the standard error, if that is a terminal. */
import { Presets, SingleBar } from 'cli-progress';

export interface Progress {
  /** @param what the current step */
  readonly update: (done: number, total: number, what: string) => void;
  /** Removes the bar. A second call does nothing. */
  readonly end: () => void;
}

/** The name of the current step is cut to this length, so that the bar fits into one line. */
const MAX_STEP = 40;

/** Prints nothing if the standard error is not a terminal. */
export function progressBar(): Progress {
  const bar = new SingleBar(
    {
      format: '{bar} {percentage} % {what}',
      barsize: 30,
      stream: process.stderr,
      noTTYOutput: false,
      clearOnComplete: true,
      hideCursor: true,
      gracefulExit: false, // commands handle signals themselves
      stopOnComplete: false,
    },
    Presets.shades_classic,
  );
  let isStarted = false;
  const end = (): void => {
    if (isStarted) bar.stop();
    isStarted = false;
    process.off('exit', end);
  };
  return {
    update: (done, total, what) => {
      const payload = { what: what.slice(0, MAX_STEP) };
      if (!isStarted) {
        bar.start(total, done, payload);
        isStarted = true;
        process.on('exit', end); // shows the cursor again however this process ends
      }
      bar.setTotal(total);
      bar.update(done, payload);
    },
    end,
  };
}
