// npm run test:windows [-- vitest's arguments]: runs the tests of `npm test` with the node.exe of Windows under Wine. The exit code is vitest's.
//
// The Windows code of this package runs, but on an emulation of Windows. A pass is strong evidence for the package's logic. It is no evidence
// for the timing, buffer sizes and error codes of Windows, in which Wine differs (docs/semantics.md).
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cross, fetchPackage, installedVersion, runLimited } from './cross.mjs';
import { buildTarget } from './targets.mjs';
import { prepareWine, windowsPath, wineEnv } from './wine.mjs';

const LIMIT_SECONDS = 2400;
const args = process.argv.slice(2);
/** It reads the sources, which are the same on each system. */
const EXCLUDED = 'test/architecture.test.ts';
if (!args.some((arg) => !arg.startsWith('-'))) {
  process.stdout.write(`excluded, because it reads the sources: ${EXCLUDED}\n`);
  args.push(`--exclude=${EXCLUDED}`);
}

const nodeExe = prepareWine('The Windows run');
// The native parts of vitest for Windows. They are not in node_modules; NODE_PATH points to them.
const bindings = ['rolldown', 'lightningcss'].map((name) => {
  const binding = name === 'rolldown' ? '@rolldown/binding-win32-x64-msvc' : `${name}-win32-x64-msvc`;
  const folder = fetchPackage(`${binding}@${installedVersion(name)}`);
  return folder.slice(0, -binding.length - 1);
});
const addon = buildTarget('win32-x64');

// Under Wine, the output of node.exe must be files, not pipes or terminals.
const output = join(cross, 'windows-output.txt');
const errors = join(cross, 'windows-errors.txt');
/** Wine 8's own server sometimes ends with a failed assertion on a busy machine (set_fd_events, server/fd.c). Then all programs hang. */
const hasWineCrashed = () => /^wineserver\S*: .*Assertion/m.test(readFileSync(errors, 'utf8'));

/** @returns vitest's exit code */
async function runTests() {
  const files = [openSync(output, 'w'), openSync(errors, 'w')];
  process.stderr.write('running the tests under Wine …\n');
  const command = [nodeExe, 'node_modules/vitest/vitest.mjs', 'run', '--project=!long', ...args];
  const code = await runLimited('wine', command, {
    seconds: LIMIT_SECONDS,
    isLost: hasWineCrashed,
    stdio: ['ignore', ...files],
    env: {
      ...wineEnv,
      NODE_PATH: bindings.map(windowsPath).join(';'),
      SELECTORS_NATIVE_PREBUILD: windowsPath(addon),
      NO_COLOR: '1',
      // vitest ignores --maxWorkers for the projects of vitest.config.mts.
      VITEST_MAX_WORKERS: '2',
    },
  });
  for (const file of files) closeSync(file);
  return code;
}

let code = await runTests();
if (hasWineCrashed()) {
  process.stdout.write('Wine itself crashed (wineserver: failed assertion): all tests run again\n');
  spawnSync('wineserver', ['-k'], { env: { ...process.env, ...wineEnv } });
  code = await runTests();
}
process.stdout.write(readFileSync(output));
// Debian's wrapper always advises to install wine32, which 64-bit programs do not need.
const advice = /wine32 is missing|multiarch needs to be enabled|dpkg --add-architecture|apt-get install wine32/;
for (const line of readFileSync(errors, 'utf8').split('\n')) {
  if (line !== '' && !advice.test(line)) process.stderr.write(`${line}\n`);
}
process.stdout.write('This was Wine, not Windows: docs/semantics.md lists the differences.\n');
process.exit(code);
