// npm run lint: eslint, prettier and tsc over JavaScript and TypeScript; clang-format and clang-tidy over C++. Exit code 1 if one complains.
//
// Formatters differ from version to version, so clang's are those of Debian 12. Where they are missing, their steps are skipped, and that
// is said; with CI set it is a failure.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { build, cross } from './cross.mjs';
import { root } from './stamp.mjs';

const CLANG = 14;
const bin = (name) => join(root, 'node_modules', name);
const failed = [];

/** Runs a step, and shows what it says if it fails. */
function step(name, command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (output += bytes));
    child.on('error', (error) => (output += error.message));
    child.on('close', (code) => {
      console.log(`${code === 0 ? '✓' : '✗'} ${name}`);
      if (code !== 0) {
        failed.push(name);
        console.log(output);
      }
      resolve();
    });
  });
}

function skip(name, reason) {
  console.log(`- ${name}: skipped: ${reason}`);
  if (process.env.CI) failed.push(name);
}

/** The program of the wanted version, under its plain or its numbered name. */
function clangTool(name) {
  return [`${name}-${CLANG}`, name].find((program) => {
    const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
    return stdout?.includes(`version ${CLANG}.`);
  });
}

const native = readdirSync(join(root, 'native'), { recursive: true })
  .filter((name) => /\.(cc|h)$/.test(name))
  .map((name) => join('native', name));

const c = readdirSync(join(root, 'bench/c')).map((name) => join('bench/c', name));

await step('eslint', process.execPath, [bin('eslint/bin/eslint.js'), '.']);
await step('prettier', process.execPath, [bin('prettier/bin/prettier.cjs'), '--check', '--log-level=warn', '.']);
await step('tsc', process.execPath, [bin('typescript/bin/tsc'), '-p', '.']);

const format = clangTool('clang-format');
if (format === undefined)
  skip('clang-format', `there is no clang-format ${CLANG} (Debian: apt-get install clang-format-${CLANG})`);
else await step('clang-format', format, ['--dry-run', '--Werror', ...native, ...c]);

const tidy = clangTool('clang-tidy');
if (tidy === undefined) {
  skip(
    'clang-tidy',
    `there is no clang-tidy ${CLANG} (Debian: apt-get install clang-tidy-${CLANG} clang cmake ninja-build)`,
  );
} else {
  const folder = join(cross, 'lint');
  mkdirSync(folder, { recursive: true });
  build('cmake', ['-B', folder, '-G', 'Ninja', '-DCMAKE_CXX_COMPILER=clang++', '.']);
  const compiled = JSON.parse(readFileSync(join(folder, 'compile_commands.json'), 'utf8')).map(({ file }) => file);
  const others = native.filter((name) => name.endsWith('.cc') && !compiled.includes(join(root, name)));
  if (others.length > 0)
    console.log(`- clang-tidy: not over ${others.join(', ')}: they are of other systems, whose compilers check them`);
  const queue = [...compiled];
  const work = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      await step(`clang-tidy ${file.slice(root.length + 1)}`, tidy, ['-p', folder, '--quiet', file]);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
}

if (failed.length > 0) {
  console.error(`lint: ${failed.join(', ')}`);
  process.exit(1);
}
