// Shared by the runs under sanitizers: builds the addon, preloads the sanitizers' runtimes into Node.js (which is not instrumented), and
// collects the reports of all processes. Each script filters the reports for those that concern this package.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build, buildAddon, cross, fail, requirePrograms, runLimited } from './cross.mjs';
import { root } from './stamp.mjs';

export const vitest = join(root, 'node_modules/vitest/vitest.mjs');

/**
 * Builds the addon with sanitizers ('address,undefined' or 'thread'), without optimization, which takes a third of the time and hides no mistake,
 * and returns its folder. `purpose` starts the error message.
 */
export function sanitizedBuild(name, purpose, sanitizers) {
  requirePrograms(purpose, [
    ['g++', 'g++'],
    ['cmake', 'cmake'],
    ['ninja', 'ninja-build'],
  ]);
  return buildAddon(name, '--config=Debug', `--CDSANITIZE=${sanitizers}`);
}

/** Makes a folder for the reports of one run, with a file of suppressions in it. */
export function createReports(suppressed) {
  const folder = mkdtempSync(join(cross, 'reports-'));
  const suppressions = join(folder, 'suppressions');
  writeFileSync(suppressions, `${suppressed.join('\n')}\n`);
  return { folder, suppressions };
}

/** The parts of a run's reports that `filter` keeps: for each report a text, '' if it is of no concern. */
const keptOf = (reports, filter) =>
  readdirSync(reports.folder)
    .filter((file) => file !== basename(reports.suppressions))
    .map((file) => filter(readFileSync(join(reports.folder, file), 'utf8')));

/** Runs `args` under `wrapper` (for example setarch(8); may be empty) with the sanitized addon. @returns the exit code */
export function runSanitized(wrapper, args, { addon, runtimes, seconds, options }) {
  const libraries = runtimes.map((name) => build('g++', [`-print-file-name=${name}`]).trim());
  // env(1) sets LD_PRELOAD, so that the wrapper itself runs without the runtimes.
  const variables = { SELECTORS_NATIVE_PREBUILD: addon, SELECTORS_NATIVE_SANITIZED: '1', ...options };
  const preload = `LD_PRELOAD=${libraries.join(' ')}`;
  const [program, ...rest] = [...wrapper, 'env', preload, ...args];
  return runLimited(program, rest, { seconds, env: variables });
}

/**
 * Runs the planted mistake, an addon that CMakeLists.txt builds from test/native/NAME.cc. Exits with an error unless the part of its reports
 * that `filter` keeps has the text `expected`: the run would find no other mistake of its kind either.
 * `run`: a function that starts Node.js with the sanitizer, of the reports and Node.js's arguments.
 */
export async function findPlanted(name, { suppressed, run, filter, addon, expected }) {
  const reports = createReports(suppressed);
  await run(reports, ['-e', `require(${JSON.stringify(join(addon, `${name.replace('-', '_')}.node`))})`]);
  const kept = keptOf(reports, filter);
  rmSync(reports.folder, { recursive: true });
  if (!kept.some((text) => text.includes(expected))) fail(`the mistake in test/native/${name}.cc is not found`);
  process.stdout.write(`test/native/${name}.cc, planted: found\n`);
}

/** Whether a frame is of Node.js, not of an addon, whose name ends with `.node`. */
const isOfNode = (frame) => /\(\S*node\+0x/.test(frame) && !/\.node\+0x/.test(frame);

/** The frames of a stack below the first one of Node.js: functions of this package, and of the libraries that it called. */
export function framesBelowNode(stack) {
  const frames = stack.split('\n').filter((line) => /^ +#\d+ /.test(line));
  const end = frames.findIndex(isOfNode);
  return end < 0 ? frames : frames.slice(0, end);
}

/** Adds function, file and line to the frames of addons that the runtime printed without symbols; `addon`: the folder of this package's. */
export function resolveFrames(report, addon) {
  return report.replace(/(?:<null> <null>| ) \((\S*\.node)\+(0x[0-9a-f]+)\)/g, (frame, name, offset) => {
    const file = name.startsWith('/') ? name : join(addon, 'build/Release', name);
    const { stdout, status } = spawnSync('addr2line', ['-Cfpie', file, offset], { encoding: 'utf8' });
    return status === 0
      ? ` ${stdout.trim().replace(/\s+/g, ' ').replaceAll(`${root}/`, '')} (${name}+${offset})`
      : frame;
  });
}

/**
 * Prints the reports that concern this package, and exits: with `code`, or with 1 if `code` is 0 and there are such reports.
 * `filter` returns the part of a report that concerns this package; '': nothing.
 */
export function exitWithReports(reports, { filter, addon, code, name }) {
  const found = keptOf(reports, filter)
    .filter((report) => report !== '')
    .map((report) => resolveFrames(report, addon));
  for (const report of found) process.stderr.write(`\n${report}\n`);
  rmSync(reports.folder, { recursive: true });
  const suffix = code === 0 ? '' : `; the tests exited with code ${code}`;
  process.stdout.write(`${name}: ${found.length === 0 ? 'no report' : `${found.length} reports, above`}${suffix}\n`);
  process.exit(code !== 0 ? code : found.length === 0 ? 0 : 1);
}
