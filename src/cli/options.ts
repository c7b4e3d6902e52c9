/** Options that several commands have. */
import { InvalidArgumentError, Option } from 'commander';
import { COMPLETION_MECHANISMS, EMULATED_MECHANISMS, READINESS_MECHANISMS } from '../syscalls/probe.js';

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65535) throw new InvalidArgumentError('A port is a number from 0 to 65535.');
  return port;
}

export const hostOption = (): Option => new Option('--host <address>', 'IP address or name').default('127.0.0.1');
export const portOption = (): Option =>
  new Option('--port <number>', 'TCP port; 0: any free one').default(1234).argParser(parsePort);
export const mechanismOption = (): Option =>
  new Option('--mechanism <name>', 'which multiplexer (default: the best that works here)').choices([
    ...READINESS_MECHANISMS,
    ...COMPLETION_MECHANISMS,
    ...EMULATED_MECHANISMS,
  ]);
