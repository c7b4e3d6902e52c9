// Skips build steps whose inputs have not changed: a hash of the inputs (a stamp) is kept beside the output.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root folder of the project. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

function* filesBelow(path) {
  if (!existsSync(path)) return;
  if (statSync(path).isFile()) return void (yield path);
  for (const name of readdirSync(path).sort()) yield* filesBelow(join(path, name));
}

/** A hash of the names and contents of files and folders (`inputs`, relative to the root), and of `words`. */
export function fingerprint(inputs, words = []) {
  const hash = createHash('sha256');
  for (const word of words) hash.update(`${word}\0`);
  for (const input of inputs) {
    for (const file of filesBelow(join(root, input)))
      hash.update(`${relative(root, file)}\0`).update(readFileSync(file));
  }
  return hash.digest('hex');
}

/** Whether the file `stamp` (relative to the root) holds the fingerprint `print`. */
export function isFresh(stamp, print) {
  const path = join(root, stamp);
  return existsSync(path) && readFileSync(path, 'utf8') === print;
}

/** Writes the fingerprint `print` to the file `stamp` (relative to the root). */
export function writeStamp(stamp, print) {
  const path = join(root, stamp);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, print);
}
