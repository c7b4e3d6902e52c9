#!/usr/bin/env node
/** npx selectors-native … */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { addClient } from './client.js';
import { addCompare } from './compare.js';
import { addDemo } from './demo.js';
import { addExperiment } from './experiment.js';
import { addInfo } from './info.js';
import { addModels } from './models.js';
import { addServe } from './serve.js';
import { addTrace } from './trace.js';

const { version } = JSON.parse(readFileSync(join(__dirname, '../../package.json'), 'utf8')) as { version: string };

const program = new Command('selectors-native')
  .description("The operating system's own event multiplexers, and the server models on top of them.")
  .version(version)
  .enablePositionalOptions()
  .showHelpAfterError('(--help says more)')
  .showSuggestionAfterError();
const commands = [addDemo, addInfo, addModels, addServe, addClient, addTrace, addCompare, addExperiment];
for (const add of commands) add(program);

// `selectors-native demo | head -1`: the reader has exited. EIO: the terminal is closed.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EIO') return;
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`selectors-native: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
