/** Options that several commands share, and the options of each server model. */
import { InvalidArgumentError, Option } from 'commander';
import type { Mechanism } from '../index.js';
import type { AcceptStrategy, ApplicationName, ServerModelRow } from '../servers.js';
import { models } from '../servers/models/index.js';
import { parseFaultPlan } from '../trace/faults.js';
import { parsePort } from '../terminal/arguments.js';
import { COMPLETION_MECHANISMS, EMULATED_MECHANISMS, READINESS_MECHANISMS } from '../syscalls/probe.js';

/** Checks a fault plan before anything is started. */
export function parseFaults(text: string): string {
  try {
    parseFaultPlan(text);
    return text;
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

export const hostOption = (): Option => new Option('--host <address>', 'IP address or name').default('127.0.0.1');
export const portOption = (): Option =>
  new Option('--port <number>', 'TCP port; 0: a free one').default(1234).argParser(parsePort);
export const mechanismOption = (): Option =>
  new Option('--mechanism <name>', 'the multiplexer (default: the best that this machine has)').choices([
    ...READINESS_MECHANISMS,
    ...COMPLETION_MECHANISMS,
    ...EMULATED_MECHANISMS,
  ]);

/** Models whose loop can also run on the main thread of this process. */
const LOOPS: readonly string[] = ['reactor', 'proactor'];

export const isLoop = ({ name }: ServerModelRow): boolean => LOOPS.includes(name);

/** The options of `serve` for this model. */
export function optionsOf(row: ServerModelRow): string[] {
  return [
    ...['--app', '--host', '--port'],
    ...(models[row.name].mechanisms.length === 0 ? [] : ['--mechanism']),
    ...row.options.map((name) => `--${name.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`)}`),
    ...['--stats', '--faults'],
    ...(isLoop(row) ? ['--verbose', '--inside-node'] : []),
  ];
}

/** The options of `serve` after parsing. */
export interface ServeOptions {
  readonly app: ApplicationName;
  readonly host: string;
  readonly port: number;
  readonly mechanism?: Mechanism;
  readonly workers?: number;
  readonly accept?: AcceptStrategy;
  readonly maxConnections?: number;
  readonly maxQueued?: number;
  readonly stats?: true;
  readonly faults?: string;
  readonly insideNode?: true;
  readonly verbose?: true;
}
