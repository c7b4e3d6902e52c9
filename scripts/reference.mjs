// npm run docs: the reference of the four entries, as pages in docs/reference/ (typedoc.json), from the docstrings in src/.
//
// Exit code 1, with a list by file, for each of these: an exported name or a public member without a description; a @param of a parameter
// that does not exist; a link that leads nowhere; a type that a signature shows and no entry exports; an @internal declaration in the
// published types (dist/**/*.d.ts, where tsc's stripInternal leaves none).
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './stamp.mjs';

const typedoc = spawnSync(process.execPath, [join(root, 'node_modules/typedoc/bin/typedoc')], {
  cwd: root,
  encoding: 'utf8',
  env: { ...process.env, NO_COLOR: '1' },
});
const lines = `${typedoc.stdout}${typedoc.stderr}`.split('\n');
const problems = lines.filter((line) => /^\[(warning|error)\] (?!Found \d+ error)/.test(line));
const links = problems.filter((line) => /\blink\b/.test(line));

/** File → what lacks a description there. A member that several classes inherit is one line for each. */
const undocumented = new Map();
for (const line of problems) {
  const [, name, file] =
    /^\[warning\] (\S+ \(\w+\)), defined in (?:.*\/)?(src\/\S+), does not have any documentation/.exec(line) ?? [];
  if (name !== undefined) undocumented.set(file, [...(undocumented.get(file) ?? []), name]);
}
const count = [...undocumented.values()].flat().length;
const others = problems.filter((line) => !line.includes('does not have any documentation'));

for (const path of readdirSync(join(root, 'dist'), { recursive: true })) {
  if (path.endsWith('.d.ts') && readFileSync(join(root, 'dist', path), 'utf8').includes('@internal'))
    others.push(`@internal in the published types: dist/${path}`);
}

for (const [file, names] of [...undocumented].sort())
  console.log(`${file}: without a description\n${names.map((name) => `  ${name}\n`).join('')}`);
for (const line of others) console.log(line);
console.log(
  `docs/reference/: ${count} names without a description, ${links.length} broken links, ` +
    `${others.length - links.length} other problems`,
);
if (typedoc.status !== 0 && problems.length === 0) console.log(typedoc.stdout + typedoc.stderr);
process.exitCode = typedoc.status !== 0 || count + others.length > 0 ? 1 : 0;
