/** `info`: the mechanisms of this machine. */
import { release, type } from 'node:os';
import Table from 'cli-table3';
import type { Command } from 'commander';
import { DefaultProactor, DefaultSelector, availableMechanisms } from '../index.js';
import { FD_SETSIZE } from '../syscalls.js';
import { pc } from '../terminal/colors.js';
import { beside, terminalColumns, wrap } from '../terminal/text.js';

/** Columns of the table beside the probe: the longest names, and the frame. */
const OTHER_COLUMNS = 41;

/** Where the tests run the mechanisms: docs/guide.md, Systems. */
const TESTED = [
  ['epoll, poll, select, io_uring', 'run on Linux'],
  ['afd, iocp, poll and select of Winsock', 'run under Wine, not on Windows'],
  ['kqueue', 'run on Linux over libkqueue; compiled for macOS; read for the BSDs'],
  ['devpoll', 'run on Linux over a stand-in for /dev/poll; read for Solaris and illumos'],
] as const;

/** The mechanisms as a table; a star marks the defaults. */
export function mechanismTable(): string {
  const chosen = [chosenMechanism(), chosenProactor()];
  const table = new Table({
    head: ['mechanism', 'for', 'here', 'probe'],
    style: { head: [], border: [] },
  });
  for (const { mechanism, kind, available, why } of availableMechanisms()) {
    const name = chosen.includes(mechanism) ? pc.bold(`${mechanism} *`) : mechanism;
    const user = kind === 'readiness' ? 'selectors' : 'proactors';
    const here = available ? pc.green('yes') : pc.yellow('no');
    table.push([name, user, here, wrap(why, terminalColumns() - OTHER_COLUMNS).join('\n')]);
  }
  return [
    table.toString(),
    beside('*', 'DefaultSelector: the first available of epoll | kqueue | afd | devpoll > poll > select', 2),
    beside('', 'DefaultProactor: the first available of iocp | io_uring > emulation over DefaultSelector', 2),
    'Tested:',
    ...TESTED.map(([mechanisms, state]) => beside('', `${mechanisms}: ${state}`, 2)),
  ].join('\n');
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
    .description('list the mechanisms, and whether this machine has them (probed)')
    .option('--json', 'print JSON')
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
        : `${wrap(systemLine(), terminalColumns()).join('\n')}\n${mechanismTable()}`;
      process.stdout.write(`${text}\n`);
    });
}
