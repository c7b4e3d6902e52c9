/** What commands accept as an argument: checked before anything is started, with an error of the command line. */
import { accessSync, constants, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';

export function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65535) throw new InvalidArgumentError('A port is a number from 0 to 65535.');
  return port;
}

export function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > 0x7fff_ffff) throw new InvalidArgumentError('A number, 1 or more.');
  return count;
}

/** A file that will be written: what is wrong with it is told before anything is started. */
export function parseOutputFile(path: string): string {
  try {
    const file = statSync(path, { throwIfNoEntry: false });
    if (file?.isDirectory()) throw new Error('It is a folder.');
    accessSync(file === undefined ? dirname(resolve(path)) : path, constants.W_OK);
    return path;
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}
