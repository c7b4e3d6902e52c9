/** Programs of this machine: where they are, and what they say. */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';

/** Something is not installed. The message says what, and how to get it. */
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

/** Its path; null: it is not in PATH. */
export function findProgram(name: string): string | null {
  if (isAbsolute(name)) return isProgram(name) ? name : null;
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.map((folder) => join(folder, name)).find(isProgram) ?? null;
}

/** What it prints, without the newline; null: it failed. */
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

/** Who can be started here, and what is missing of the others. @param start throws Missing */
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
