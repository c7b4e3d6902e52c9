// What the runs under sanitizers share: a build of the addon, the runtimes that are loaded before Node, which is not instrumented itself, and
// the reports of all processes, of which each script judges what concerns this package.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, cmakeBuild, cross, needPrograms, runLimited } from './cross.mjs';
import { root } from './stamp.mjs';

export const vitest = join(root, 'node_modules/vitest/vitest.mjs');

/** The folder of an addon under these sanitizers: 'address,undefined' or 'thread'. */
export function sanitizedBuild(name, purpose, sanitizers) {
  needPrograms(purpose, [
    ['g++', 'g++'],
    ['cmake', 'cmake'],
    ['ninja', 'ninja-build'],
  ]);
  return cmakeBuild(name, '-DCMAKE_BUILD_TYPE=RelWithDebInfo', `-DSANITIZE=${sanitizers}`);
}

/** A folder for the reports of one run, and a file of suppressions in it. */
export function newReports(suppressed) {
  const folder = mkdtempSync(join(cross, 'reports-'));
  const suppressions = join(folder, 'suppressions');
  writeFileSync(suppressions, `${suppressed.join('\n')}\n`);
  return { folder, suppressions };
}

/** Runs a command over the sanitized addon. @returns its exit code */
export function runSanitized(command, args, { addon, runtimes, seconds, options }) {
  const libraries = runtimes.map((name) => build('g++', [`-print-file-name=${name}`]).trim());
  // The runtimes are loaded before Node. env(1) sets the variable, so that setarch(8) and the like run without them.
  const variables = { SELECTORS_NATIVE_PREBUILD: addon, SELECTORS_NATIVE_SANITIZED: '1', ...options };
  const preload = `LD_PRELOAD=${libraries.join(' ')}`;
  const [program, ...rest] = [...command, 'env', preload, ...args];
  return runLimited(program, rest, { seconds, env: variables });
}

/** Adds function, file and line to frames of this package that the runtime has printed without. */
function resolveFrames(report, addon) {
  return report.replace(/<null> <null> \((\S*\.node)\+(0x[0-9a-f]+)\)/g, (frame, name, offset) => {
    const file = name.startsWith('/') ? name : join(addon, 'build/Release', name);
    const { stdout, status } = spawnSync('addr2line', ['-Cfe', file, offset], { encoding: 'utf8' });
    return status === 0
      ? `${stdout.trim().split('\n').join(' ').replaceAll(`${root}/`, '')} (${name}+${offset})`
      : frame;
  });
}

/** Prints what a script has judged to concern this package, and ends with the exit code of the whole run. */
export function endWithReports(reports, { judge, addon, code, name }) {
  const found = readdirSync(reports.folder)
    .filter((file) => file !== 'suppressions')
    .map((file) => judge(resolveFrames(readFileSync(join(reports.folder, file), 'utf8'), addon)))
    .filter((report) => report !== '');
  for (const report of found) process.stderr.write(`\n${report}\n`);
  rmSync(reports.folder, { recursive: true });
  const ending = code === 0 ? '' : `; the tests ended with exit code ${code}`;
  process.stdout.write(`${name}: ${found.length === 0 ? 'no report' : `${found.length} reports, above`}${ending}\n`);
  process.exit(code !== 0 ? code : found.length === 0 ? 0 : 1);
}
