/** The commands of `npx selectors-native`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { packageFolder } from '../package-folder.js';
import { addClient } from './client.js';
import { addCompare } from './compare.js';
import { addDemo } from './demo.js';
import { addExperiment } from './experiment.js';
import { addInfo } from './info.js';
import { addModels } from './models.js';
import { addServe } from './serve.js';
import { addTrace } from './trace.js';

export function newProgram(): Command {
  const path = join(packageFolder, 'package.json');
  const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string };
  const program = new Command('selectors-native')
    .description("The operating system's event multiplexers, and the server models on top of them.")
    .version(version)
    .enablePositionalOptions()
    .showHelpAfterError('(see --help)')
    .showSuggestionAfterError();
  const commands = [addDemo, addInfo, addModels, addServe, addClient, addTrace, addCompare, addExperiment];
  for (const add of commands) add(program);
  return program;
}
