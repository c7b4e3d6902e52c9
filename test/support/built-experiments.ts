/** The experiments as they are built: servers and threads load files of their own, which Node cannot as TypeScript. */
import { createRequire } from 'node:module';
import type { Experiment } from '../../src/instruments/experiments/experiment.js';

const built = createRequire(import.meta.url)('../../dist/instruments/experiments/index.js') as {
  readonly experiments: readonly Experiment<unknown>[];
};

export function experiment<F>(name: string): Experiment<F> {
  const found = built.experiments.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no experiment '${name}'`);
  return found as Experiment<F>;
}
