/** Finds the programs of this machine and runs them. */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';

/** A program is not installed. The message names it and how to install it. */
export class Missing extends Error {
  override readonly name = 'Missing';
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Path of a program. null: it is not in PATH. */
export function findProgram(name: string): string | null {
  if (isAbsolute(name)) return isProgram(name) ? name : null;
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.map((folder) => join(folder, name)).find(isProgram) ?? null;
}

/** Runs a program and returns its output without the last newline. null: it failed. */
export function outputOf([command = '', ...args]: readonly string[]): string | null {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 60_000,
    }).trim();
  } catch {
    return null;
  }
}

/** Splits rows into those that can be started here and those that miss something. @param start throws Missing */
export function present<T extends { readonly name: string }>(
  all: readonly T[],
  start: (one: T) => unknown,
): { readonly here: readonly T[]; readonly missing: readonly (readonly [name: string, why: string])[] } {
  const missing: (readonly [string, string])[] = [];
  const here = all.filter((one) => {
    try {
      start(one);
      return true;
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      missing.push([one.name, error.message]);
      return false;
    }
  });
  return { here, missing };
}
