/** The machine on which figures were measured: figures of different machines are not comparable. */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { packageFolder } from '../../package-folder.js';

/** A labelled text. */
export type Fact = readonly [label: string, text: string];

const manifest = (): { readonly version: string; readonly homepage: string } =>
  JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as ReturnType<typeof manifest>;

/** Address of a file of the repository, from package.json. @param path 'docs/posts.md' */
export const documentUrl = (path: string): string => `${manifest().homepage.replace(/#.*/, '')}/blob/main/${path}`;

/** System, processor, versions and date. */
export function machineFacts(now = new Date()): readonly Fact[] {
  const { version } = manifest();
  return [
    ['system', `${distribution()}, ${type()} ${release()}, ${process.arch}`],
    [
      'processor',
      `${availableParallelism()} × ${cpus()[0]?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GB`,
    ],
    ['Node.js', process.versions.node],
    ['selectors-native', version],
    ['date', `${now.toISOString().slice(0, 16).replace('T', ' ')} UTC`],
  ];
}

/** 'Debian GNU/Linux 12 (bookworm)', from os-release(5). */
function distribution(): string {
  try {
    const name = /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
    if (name !== undefined) return name;
  } catch {
    // Not Linux, or a distribution without the file.
  }
  return process.platform;
}
