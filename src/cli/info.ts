/** `info`: what this machine has. */
import { release, type } from 'node:os';
import Table from 'cli-table3';
import type { Command } from 'commander';
import { DefaultSelector, availableMechanisms } from '../index.js';
import { FD_SETSIZE } from '../syscalls.js';
import { pc } from './colors.js';

/** The mechanisms as a table, the chosen one marked. */
export function mechanismTable(): string {
  const chosen = chosenMechanism();
  const table = new Table({ head: ['mechanism', 'here', 'what the kernel said'], style: { head: [], border: [] } });
  for (const { mechanism, available, why } of availableMechanisms()) {
    const name = mechanism === chosen ? pc.bold(`${mechanism} *`) : mechanism;
    table.push([name, available ? pc.green('yes') : pc.yellow('no'), why]);
  }
  return `${table.toString()}\n* DefaultSelector: the first of epoll | kqueue > poll > select that works here`;
}

export function chosenMechanism(): string {
  using selector = new DefaultSelector();
  return selector.mechanism;
}

export function systemLine(): string {
  return `${type()} ${release()} ${process.arch}, Node ${process.versions.node}, Node-API ${process.versions.napi ?? '?'}, FD_SETSIZE ${FD_SETSIZE}`;
}

export function addInfo(program: Command): void {
  program
    .command('info')
    .description('which mechanisms this machine has, found by asking its kernel')
    .option('--json', 'for machines')
    .action(({ json }: { json?: true }) => {
      const text = json
        ? JSON.stringify(
            { system: systemLine(), default: chosenMechanism(), mechanisms: availableMechanisms() },
            null,
            2,
          )
        : `${systemLine()}\n${mechanismTable()}`;
      process.stdout.write(`${text}\n`);
    });
}
