/** What a count depends on besides the code. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageFolder } from '../../../package-folder.js';
import type { Toolchain } from './baseline.js';

const ADDON = join(packageFolder, 'build/Release/selectors_native.node');
const UNKNOWN = 'unknown';

/** '3.19.0'. null: valgrind is not installed. */
export function valgrindVersion(): string | null {
  const { stdout, status } = spawnSync('valgrind', ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim().replace('valgrind-', '') : null;
}

export const toolchainWith = (valgrind: string): Toolchain => ({
  node: process.versions.node,
  architecture: process.arch,
  compiler: compilerOf(ADDON),
  valgrind,
});

/** The compiler's entry in the addon (elf(5), .comment): 'GCC: (Debian 12.2.0-14) 12.2.0' */
function compilerOf(addon: string): string {
  try {
    return /(GCC: \([^)]*\)|clang version) [\w.+-]+/.exec(readFileSync(addon, 'latin1'))?.[0] ?? UNKNOWN;
  } catch {
    return UNKNOWN;
  }
}
