/** `experiment`: measures the claims of the posts on this machine. */
import type { Command } from 'commander';
import type { ExperimentCommandOptions } from './run-experiments.js';
import { parseOutputFile } from '../terminal/arguments.js';

const EXTRA_HELP = `
Try it:
  selectors-native experiment slow-peers
  selectors-native experiment ordering fork-cost --quick
  selectors-native experiment all --html report.html`;

export function addExperiment(program: Command): void {
  program
    .command('experiment')
    .description('measure whether the claims of the posts hold on this machine; without a name: list the experiments')
    .addHelpText('after', EXTRA_HELP)
    .argument('[names...]', 'experiments to run; all: those that this system can run')
    .option('--quick', 'take a few seconds only: the figures are less exact, and may not decide')
    .option('--json', 'print the figures and the verdicts as JSON')
    .option('--html <file>', 'also write an HTML page with charts', parseOutputFile)
    .action(async (names: readonly string[], options: ExperimentCommandOptions, command: Command) => {
      // Loaded when needed: experiments are a large part of the package, and other commands start without them.
      const { list, runExperiments, wrongChoice } = await import('./run-experiments.js');
      if (names.length === 0) return list(options);
      const wrong = wrongChoice(names);
      if (wrong !== null) return command.error(`error: ${wrong}`);
      await runExperiments(names, options);
    });
}
