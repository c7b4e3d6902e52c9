/** `serve`: runs a server in the foreground until Ctrl-C. */
import { type Command, Option } from 'commander';
import { ACCEPT_STRATEGIES, SERVER_MODELS, type ServerModelRow } from '../servers.js';
import { applications } from '../servers/applications/index.js';
import { models } from '../servers/models/index.js';
import { injectFaultsInProcesses } from '../trace/faults.js';
import { findModel, noSuchModel } from './models.js';
import {
  type ServeOptions,
  hostOption,
  isLoop,
  mechanismOption,
  optionsOf,
  parseFaults,
  portOption,
} from './options.js';
import { print } from './output.js';
import { serveLoop } from './serve-loop.js';
import { serveModel } from './serve-model.js';
import { parseCount } from '../terminal/arguments.js';
import { beside } from '../terminal/text.js';

/** @returns why these options do not fit the model; null: they do */
export function wrongOption(row: ServerModelRow, options: ServeOptions, command: Command): string | null {
  const { name, applications: served } = row;
  const own = optionsOf(row);
  for (const option of command.options) {
    const flag = option.long ?? '';
    const isGiven = command.getOptionValueSource(option.attributeName()) === 'cli';
    if (isGiven && !own.includes(flag)) return `${name} has no ${flag}; it has: ${own.join(', ')}`;
  }
  if (!served.includes(options.app)) return `${name} serves no ${options.app}; it serves: ${served.join(', ')}`;
  const { mechanisms } = models[name];
  if (options.mechanism !== undefined && !mechanisms.includes(options.mechanism))
    return `a ${name} has no mechanism '${options.mechanism}'; it has: ${mechanisms.join(', ')}`;
  if (options.stats && (options.verbose || options.insideNode))
    return '--stats runs the server in threads of its own: it excludes --verbose and --inside-node';
  return null;
}

/** Serves with a fault plan, and prints the count of each rule at the end. */
async function serveWithFaults(
  serve: (row: ServerModelRow, options: ServeOptions) => Promise<void>,
  row: ServerModelRow,
  options: ServeOptions,
  plan: string,
): Promise<void> {
  const faults = injectFaultsInProcesses(plan);
  await serve(row, options);
  const { workers } = models[row.name];
  for (const { rule, calls, injected } of faults.counts()) print(`fault ${rule}: ${calls} calls, ${injected} injected`);
  if (workers === 'processes') print('(counts of this process only: the processes of the server count for themselves)');
}

const EXTRA_HELP = (): string => `
Models (selectors-native models: strengths and weaknesses of each):
${SERVER_MODELS.map(({ name, summary }) => beside(`  ${name}`, summary, 29)).join('\n')}

Applications:
${Object.entries(applications)
  .map(([name, { summary }]) => `  ${name.padEnd(5)} ${summary}`)
  .join('\n')}

How the processes of prefork accept; multi-process-reactor, multi-reactor and
multi-proactor have reuseport too:
${ACCEPT_STRATEGIES.map(({ name, summary }) => beside(`  ${name}`, summary, 19)).join('\n')}

Try it:
  selectors-native serve thread-pool --workers 2 --stats
  selectors-native serve prefork --workers 4 --accept lock --app rpc
  selectors-native serve reactor --app chat --mechanism poll --verbose
  selectors-native trace serve reactor --faults 'recv:EINTR@3, send:short=1@every2'
  nc 127.0.0.1 1234, or: selectors-native client echo | rpc | chat

Ctrl-C ends the server and prints its totals; reactor and proactor first send what is
buffered. A second Ctrl-C ends it at once. See also: --help of models and client.`;

export function addServe(program: Command): void {
  program
    .command('serve')
    .description('run a server until Ctrl-C')
    .addHelpText('after', EXTRA_HELP)
    .argument('<model>', 'the server model: see below')
    .addOption(new Option('--app <name>', 'application to serve').choices(Object.keys(applications)).default('echo'))
    .addOption(hostOption())
    .addOption(portOption())
    .addOption(mechanismOption())
    .option('--workers <number>', 'threads or processes (default: one per core)', parseCount)
    .addOption(
      new Option('--accept <strategy>', 'how several workers accept on one port (default: one socket for all)').choices(
        ACCEPT_STRATEGIES.map(({ name }) => name),
      ),
    )
    .option(
      '--max-connections <number>',
      'open connections; further clients wait (default: see models NAME)',
      parseCount,
    )
    .option(
      '--max-queued <number>',
      'thread-pool: waiting connections; further ones are reset (default: 1024)',
      parseCount,
    )
    .option('--stats', 'print a line every second; reactor and proactor then run in a thread of their own')
    .option(
      '--faults <plan>',
      "make system calls fail, short or slow: 'recv:EINTR@3, accept:EMFILE@5..9, send:short=1@every2'",
      parseFaults,
    )
    .option(
      '--inside-node',
      "reactor, proactor: run inside Node's event loop (start) instead of blocking the thread (run)",
    )
    .option('--verbose', 'reactor, proactor: print connections and traffic')
    .action((name: string, options: ServeOptions, command: Command) => {
      const row = findModel(name);
      if (row === null) return command.error(noSuchModel(name));
      const wrong = wrongOption(row, options, command);
      if (wrong !== null) return command.error(`error: ${wrong}`);
      const serve = isLoop(row) && !options.stats ? serveLoop : serveModel;
      return options.faults === undefined ? serve(row, options) : serveWithFaults(serve, row, options, options.faults);
    });
}
