/** How far a command is that takes long: a bar on the standard error, for whoever sits before a terminal. */
import { Presets, SingleBar } from 'cli-progress';

export interface Progress {
  /** @param what is done now */
  readonly update: (done: number, total: number, what: string) => void;
  /** The bar goes. */
  readonly end: () => void;
}

/** So much of a line belongs to what is done now: the bar never takes a second line. */
const LONGEST = 40;

/** Prints nothing where the standard error is no terminal. */
export function progressBar(): Progress {
  const bar = new SingleBar(
    {
      format: '{bar} {percentage} % {what}',
      barsize: 30,
      stream: process.stderr,
      noTTYOutput: false,
      clearOnComplete: true,
      hideCursor: true,
      gracefulExit: false, // commands have their own way to end
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
      const payload = { what: what.slice(0, LONGEST) };
      if (!isStarted) {
        bar.start(total, done, payload);
        isStarted = true;
        process.on('exit', end); // the terminal has its cursor back however this ends
      }
      bar.setTotal(total);
      bar.update(done, payload);
    },
    end,
  };
}
