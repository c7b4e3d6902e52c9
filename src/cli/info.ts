/** `info`: what this machine has. */
import { release, type } from 'node:os';
import Table from 'cli-table3';
import type { Command } from 'commander';
import { DefaultProactor, DefaultSelector, availableMechanisms } from '../index.js';
import { FD_SETSIZE } from '../syscalls.js';
import { pc } from '../terminal/colors.js';

/** The mechanisms as a table, the chosen ones marked. */
export function mechanismTable(): string {
  const chosen = [chosenMechanism(), chosenProactor()];
  const table = new Table({
    head: ['mechanism', 'for', 'here', 'what the kernel said'],
    style: { head: [], border: [] },
  });
  for (const { mechanism, kind, available, why } of availableMechanisms()) {
    const name = chosen.includes(mechanism) ? pc.bold(`${mechanism} *`) : mechanism;
    const user = kind === 'readiness' ? 'selectors' : 'proactors';
    table.push([name, user, available ? pc.green('yes') : pc.yellow('no'), why]);
  }
  return `${table.toString()}
* DefaultSelector: the first of epoll | kqueue > poll > select that works here
  DefaultProactor: the first of iocp | io_uring > the emulation over DefaultSelector`;
}

export function chosenMechanism(): string {
  using selector = new DefaultSelector();
  return selector.mechanism;
}

function chosenProactor(): string {
  using proactor = new DefaultProactor();
  return proactor.mechanism;
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
            {
              system: systemLine(),
              default: chosenMechanism(),
              defaultProactor: chosenProactor(),
              mechanisms: availableMechanisms(),
            },
            null,
            2,
          )
        : `${systemLine()}\n${mechanismTable()}`;
      process.stdout.write(`${text}\n`);
    });
}
