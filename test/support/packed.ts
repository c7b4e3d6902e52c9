/** The package as npm installs it: packed, and unpacked beside its dependencies. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './program.js';

function reasonNotToPack(): string {
  if (process.platform === 'win32') return ' — not here: under Wine there is no npm and no compiler';
  if (process.env.SELECTORS_NATIVE_SANITIZED)
    return ' — not here: npm and the compiler would be checked instead of the addon';
  return '';
}
/** Why the package cannot be packed here; empty if it can. */
export const noPackage = reasonNotToPack();

/** What the package's types need. */
const TYPE_DEPENDENCIES = ['@types', 'undici-types'];

/** Unpacks it into `folder`, without an addon, and returns its path. Nothing is downloaded: the dependencies are the project's. */
export function unpack(folder: string): string {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  const [packed] = JSON.parse(execFileSync('npm', args, { cwd: root, encoding: 'utf8' })) as [{ filename: string }];
  const installed = join(folder, 'node_modules/selectors-native');
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', join(folder, packed.filename), '-C', installed, '--strip-components=1']);
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object };
  for (const name of [...Object.keys(dependencies), ...TYPE_DEPENDENCIES])
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name), 'dir');
  return installed;
}
