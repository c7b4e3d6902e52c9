// npm run test:devpoll [-- vitest's arguments]: builds the addon with the mechanism of Solaris and illumos, and runs the tests of selectors and
// loops over a stand-in for its device, /dev/poll: a library that only this script preloads (test/native/as-devpoll.c). The names of the tests
// say so. What it does not prove: docs/platforms.md.
//
// First, the tests of the selectors must fail with a stand-in that ignores POLLREMOVE, as if this package had forgotten to write it. Without
// arguments, the selectors then run twice: the kernel may report a closed descriptor, and may not. The exit code is vitest's; 1 if nothing was
// found. Systems other than Linux skip the run.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build, buildAddon, cross, requirePrograms, runLimited } from './cross.mjs';
import { root } from './stamp.mjs';

const LIMIT_SECONDS = 900;
/** Of these, the tests whose names have the mechanism. */
const SUITES = [
  ...['selectors', 'raw', 'devpoll', 'reactor', 'loops', 'torture', 'emulated', 'proactors', 'proactor-loop', 'faults'],
  ...['bad-input', 'trace', 'workers', 'signals'],
];
/** Whole: it calls the addon directly. */
const WHOLE = 'native-bad-input';

if (process.platform !== 'linux') {
  process.stdout.write('skipped: the stand-in for /dev/poll needs Linux\n');
  process.exit();
}
requirePrograms('The run over a stand-in for /dev/poll', [
  ['gcc', 'gcc'],
  ['g++', 'g++'],
  ['cmake', 'cmake'],
  ['ninja', 'ninja-build'],
]);
mkdirSync(cross, { recursive: true });
const library = join(cross, 'as-devpoll.so');
const options = ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', '-I', 'native'];
build('gcc', [...options, '-o', library, 'test/native/as-devpoll.c', '-ldl']);
const addon = buildAddon('devpoll', '--config=Debug', '--CDDEVPOLL=ON');
if (process.argv.includes('--prepare')) process.exit();

const vitest = (args, mode, stdio = 'inherit') =>
  runLimited(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--project=!long', ...args], {
    seconds: LIMIT_SECONDS,
    stdio,
    env: { LD_PRELOAD: library, SELECTORS_NATIVE_PREBUILD: addon, AS_DEVPOLL: mode },
  });

/** The cases of the selectors' contract that fail if POLLREMOVE is ignored. */
async function planted() {
  const folder = mkdtempSync(join(cross, 'planted-'));
  const report = join(folder, 'report.json');
  await vitest(
    ['test/selectors.test.ts', '-t', 'devpoll', '--testTimeout=5000', '--reporter=json', `--outputFile=${report}`],
    'forgets',
    'ignore',
  );
  const all = JSON.parse(readFileSync(report, 'utf8')).testResults.flatMap(({ assertionResults }) => assertionResults);
  rmSync(folder, { recursive: true });
  return all.filter(({ status }) => status === 'failed').map(({ title }) => title);
}

const file = (name) => `test/${name}.test.ts`;
const args = process.argv.slice(2);
const isWhole = !args.some((arg) => !arg.startsWith('-'));
const found = await planted();
process.stdout.write(`planted, a POLLREMOVE that is forgotten: ${found.length} cases of the selectors find it\n`);
for (const title of found) process.stdout.write(`   ${title}\n`);
if (found.length === 0) process.exit(1);
const ofDevpoll = ['-t', 'devpoll'];
const later = isWhole
  ? [
      await vitest([file(WHOLE)], 'reports'),
      await vitest([...ofDevpoll, ...['selectors', 'raw', 'devpoll'].map(file)], 'silent'),
    ]
  : [];
// Last, because its report is the one that --outputFile asks for.
const code = await vitest(isWhole ? [...args, ...ofDevpoll, ...SUITES.map(file)] : args, 'reports');
process.exit([...later, code].find((one) => one !== 0) ?? 0);
