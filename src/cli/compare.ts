/** `compare`: measures the same work on each subject in turn. */
import type { Command } from 'commander';
import type { CompareCommandOptions } from './run-comparison.js';
import { DEFAULT_ROUNDS, DEFAULT_WORK } from '../instruments/compare/options.js';
import { parseCount, parseOutputFile } from '../terminal/arguments.js';

const EXTRA_HELP = `
A subject is a server model on a mechanism (default: its best): reactor:select,
proactor:io_uring, thread-pool, prefork:lock, node:net. --list prints all of them.

Each subject serves in a process of its own, to clients in another process: in several
rounds to measure time, and once more, slower, to count system calls.

The clients keep their connections. A worker of thread-pool, process-pool or prefork
serves one connection until it ends: these models get one worker per connection.

Try it:
  selectors-native compare reactor:select reactor:poll reactor:epoll
  selectors-native compare --connections 500 reactor:poll reactor:epoll
  selectors-native compare --html report.html`;

export function addCompare(program: Command): void {
  const { connections, messages, size } = DEFAULT_WORK;
  program
    .command('compare')
    .description('compare server models: messages/s, system calls, CPU, latency')
    .addHelpText('after', EXTRA_HELP)
    .argument('[subject...]', 'what to compare (default: those with a star in --list, which take two minutes)')
    .option('--connections <number>', 'clients at the same time', parseCount, connections)
    .option('--messages <number>', 'messages per subject', parseCount, messages)
    .option('--size <bytes>', 'size of a message', parseCount, size)
    .option('--rounds <number>', 'timed runs of each subject, in turn with the others', parseCount, DEFAULT_ROUNDS)
    .option('--workers <number>', 'threads or processes, for models with a fixed number of them', parseCount)
    .option('--json', 'print JSON')
    .option('--html <file>', 'also write an HTML page with tables and charts', parseOutputFile)
    .option('--list', 'print all subjects')
    .action(async (subjects: readonly string[], options: CompareCommandOptions) => {
      // Loaded when needed: other commands start without it.
      const { compareCommand, subjectsText } = await import('./run-comparison.js');
      if (options.list) process.stdout.write(`${subjectsText()}\n`);
      else await compareCommand(subjects, options);
    });
}
