/** `models`: describes the server models. */
import { join, relative } from 'node:path';
import Table from 'cli-table3';
import type { Command } from 'commander';
import { ACCEPT_STRATEGIES, SERVER_MODELS, type ServerModelRow } from '../servers.js';
import { models } from '../servers/models/index.js';
import { pc } from '../terminal/colors.js';
import { packageFolder } from '../package-folder.js';
import { optionsOf } from './options.js';
import { beside, terminalColumns, wrap } from '../terminal/text.js';

/** @returns null: no model has this name */
export const findModel = (name: string): ServerModelRow | null =>
  SERVER_MODELS.find((row) => row.name === name) ?? null;

export const noSuchModel = (name: string): string =>
  `error: there is no server model '${name}'; there is: ${SERVER_MODELS.map((row) => row.name).join(', ')}`;

function here({ isAvailable, why }: { readonly isAvailable: boolean; readonly why: string }): string {
  return `${isAvailable ? pc.green('yes') : pc.yellow('no')}: ${why}`;
}

/** Columns of the tables beside their texts: the longest names, and the frame. */
const NAME_COLUMNS = 32;
const STRATEGY_COLUMNS = 25;

/** Two columns, so that sentences fit into a terminal. */
function modelTable(): string {
  const table = new Table({
    head: ['model', 'what it is, + strengths, - weaknesses'],
    style: { head: [], border: [] },
  });
  for (const row of SERVER_MODELS) {
    const { name, summary, strengths, weaknesses, applications, mechanisms, workers } = row;
    const facts = [
      `app: ${applications.join(', ')}`,
      ...(workers === null ? [] : [`workers: ${workers}`]),
      ...(mechanisms.length === 0 ? [] : [`over: ${mechanisms.join(', ')}`]),
    ];
    table.push([
      [pc.bold(name), ...facts.flatMap((fact) => wrap(fact, NAME_COLUMNS - 7))].join('\n'),
      [summary, `+ ${strengths}`, `- ${weaknesses}`, `here: ${here(row)}`]
        .flatMap((text) => wrap(text, terminalColumns() - NAME_COLUMNS))
        .join('\n'),
    ]);
  }
  return table.toString();
}

function strategyTable(): string {
  const table = new Table({
    head: ['--accept', 'how several workers accept', 'here'],
    style: { head: [], border: [] },
  });
  const width = (terminalColumns() - STRATEGY_COLUMNS) / 2;
  const cell = (text: string): string => wrap(text, Math.floor(width)).join('\n');
  for (const row of ACCEPT_STRATEGIES) table.push([pc.bold(row.name), cell(row.summary), cell(here(row))]);
  return table.toString();
}

/** The model's source, which the package has too. */
const sourceOf = (name: string): string =>
  relative(process.cwd(), join(packageFolder, 'src/servers/models', `${name}.ts`));

/** All facts about one model. */
function modelText(row: ServerModelRow): string {
  const { name, strengths, weaknesses, applications, mechanisms, workers, options, summary } = row;
  const { maxConnections } = models[name];
  const others = models[name].mechanisms.filter((mechanism) => !mechanisms.includes(mechanism));
  const facts: Readonly<Record<string, string>> = {
    strengths,
    weaknesses,
    serves: applications.join(', '),
    workers: workers ?? 'one thread',
    over:
      models[name].mechanisms.length === 0
        ? 'no multiplexer'
        : `${mechanisms.join(', ')}${others.length === 0 ? '' : ` (not here: ${others.join(', ')})`}`,
    ...(options.includes('maxConnections') ? { connections: `at most ${maxConnections} by default` } : {}),
    here: here(row),
    options: optionsOf(row).join(' '),
    source: sourceOf(name),
    'serve it': `selectors-native serve ${name} --app echo --port 1234`,
  };
  const lines = Object.entries(facts).map(([label, text]) => beside(`  ${label}`, text, 15));
  return [beside('', `${name}: ${summary}`, 0).replace(name, pc.bold(name)), ...lines].join('\n');
}

const ALL = (): string => `${modelTable()}
${strategyTable()}
All about one model:  selectors-native models thread-pool
Serve one:            selectors-native serve thread-pool --app echo --port 1234`;

export function addModels(program: Command): void {
  program
    .command('models')
    .description('describe the server models: strengths, weaknesses, and whether this system has them')
    .argument('[name]', 'a model: all about it')
    .option('--json', 'print JSON')
    .action((name: string | undefined, { json }: { json?: true }, command: Command) => {
      const row = name === undefined ? undefined : findModel(name);
      if (row === null) return command.error(noSuchModel(name ?? ''));
      const data = row ?? { models: SERVER_MODELS, acceptStrategies: ACCEPT_STRATEGIES };
      const text = json ? JSON.stringify(data, null, 2) : row === undefined ? ALL() : modelText(row);
      process.stdout.write(`${text}\n`);
    });
}
