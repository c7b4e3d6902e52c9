// Builds the addon from source, build/Release/selectors_native.node, with node-gyp, unless it is up to date; and beside it, except on Windows,
// the program build/Release/textbook (native/textbook/). --force: always builds. A checkout uses it, and so does the installed package where
// prebuilds/ has no binary. build/ is looked up before prebuilds/.
//
// Uses the headers of the running node (PREFIX/include/node) if they are installed; packages of Debian, nodesource and Docker have them.
// Otherwise node-gyp downloads them, as it does by default.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fingerprint, isFresh, root, writeStamp } from './stamp.mjs';

const outputs = ['selectors_native.node', ...(process.platform === 'win32' ? [] : ['textbook'])].map((name) =>
  join(root, 'build/Release', name),
);
const stamp = 'build/.native-stamp';

function inputFingerprint() {
  const libkqueue = execFileSync(process.execPath, [join(root, 'scripts/libkqueue.cjs'), '--libs'], {
    encoding: 'utf8',
  });
  return fingerprint(
    ['native', 'binding.gyp', 'scripts/unity.cjs'],
    [process.platform, process.arch, process.versions.modules, libkqueue],
  );
}

/** The path of node-gyp: the project's, else the one that npm has. */
function nodeGyp() {
  const npmNodeGyp = process.env.npm_config_node_gyp;
  if (npmNodeGyp !== undefined && existsSync(npmNodeGyp)) return npmNodeGyp;
  // npm is beside node (Windows) or in ../lib/node_modules, or `npm` in PATH is a link into it.
  const prefix = dirname(realpathSync(process.execPath));
  const programs = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'npm'));
  const places = [
    join(root, 'package.json'),
    join(prefix, 'node_modules/npm/package.json'),
    join(prefix, '../lib/node_modules/npm/package.json'),
    ...programs.filter((path) => existsSync(path)).map((path) => realpathSync(path)),
  ];
  for (const place of places) {
    try {
      return createRequire(place).resolve('node-gyp/bin/node-gyp.js');
    } catch {
      // not there
    }
  }
  process.stderr.write('selectors-native: node-gyp is not installed: npm install -g node-gyp\n');
  process.exit(1);
}

function headerOptions() {
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  return existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];
}

const print = inputFingerprint();
if (!process.argv.includes('--force') && outputs.every((path) => existsSync(path)) && isFresh(stamp, print))
  process.exit(0);

// node-gyp prints a lot; show its output only if it fails.
const result = spawnSync(process.execPath, [nodeGyp(), 'rebuild', '--silent', '-j', 'max', ...headerOptions()], {
  cwd: root,
  encoding: 'utf8',
  env: { ...process.env, npm_config_loglevel: 'error' },
});
if (result.status !== 0) {
  process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  process.stderr.write(
    '\nselectors-native: could not build the native addon. It needs a C++20 compiler (g++ 10, clang 12, MSVC 2019),\n',
  );
  process.stderr.write('make and python3; on Debian: apt-get install g++ make python3\n');
  process.exit(result.status ?? 1);
}
writeStamp(stamp, print);
