/** Parsers of command line arguments. Each throws InvalidArgumentError before anything is started. */
import { accessSync, constants, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';

/** 0 to 65535. */
export function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65535) throw new InvalidArgumentError('A port is a number from 0 to 65535.');
  return port;
}

/** 1 to 2^31 - 1. */
export function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > 0x7fff_ffff) throw new InvalidArgumentError('A number, 1 or more.');
  return count;
}

/** The path of a file that can be written; the file need not exist. */
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
