/** The built experiments: servers and threads load further files, and Node cannot load TypeScript. */
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
