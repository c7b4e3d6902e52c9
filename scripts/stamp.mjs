// A build step is skipped when nothing that it reads has changed: its inputs are hashed and the hash is kept beside its output.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's own folder. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

function* filesBelow(path) {
  if (!existsSync(path)) return;
  if (statSync(path).isFile()) return void (yield path);
  for (const name of readdirSync(path).sort()) yield* filesBelow(join(path, name));
}

/** One hash over the names and contents of these files and folders (relative to the root), and over `words`. */
export function fingerprint(inputs, words = []) {
  const hash = createHash('sha256');
  for (const word of words) hash.update(`${word}\0`);
  for (const input of inputs) {
    for (const file of filesBelow(join(root, input)))
      hash.update(`${relative(root, file)}\0`).update(readFileSync(file));
  }
  return hash.digest('hex');
}

/** Was the step that wrote `stamp` (relative to the root) run with just these inputs? */
export function isFresh(stamp, print) {
  const path = join(root, stamp);
  return existsSync(path) && readFileSync(path, 'utf8') === print;
}

export function writeStamp(stamp, print) {
  const path = join(root, stamp);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, print);
}
