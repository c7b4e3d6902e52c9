// npm's `install` step: builds build/Release/selectors_native.node with node-gyp unless it is up to date. --force: always builds.
//
// Uses the headers of the running node (PREFIX/include/node) if they are installed; packages of Debian, nodesource and Docker have them.
// Otherwise node-gyp downloads them, as it does by default.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fingerprint, isFresh, root, writeStamp } from './stamp.mjs';

const require = createRequire(import.meta.url);
const addon = join(root, 'build/Release/selectors_native.node');
const stamp = 'build/.native-stamp';

function inputFingerprint() {
  const libkqueue = execFileSync(process.execPath, [join(root, 'scripts/libkqueue.cjs'), '--libs'], {
    encoding: 'utf8',
  });
  return fingerprint(['native', 'binding.gyp'], [process.platform, process.arch, process.versions.modules, libkqueue]);
}

/** The path of node-gyp: npm's own, if npm runs this script (npm_config_node_gyp), else the project's. */
function nodeGyp() {
  const npmNodeGyp = process.env.npm_config_node_gyp;
  return npmNodeGyp !== undefined && existsSync(npmNodeGyp) ? npmNodeGyp : require.resolve('node-gyp/bin/node-gyp.js');
}

function headerOptions() {
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  return existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];
}

const print = inputFingerprint();
if (!process.argv.includes('--force') && existsSync(addon) && isFresh(stamp, print)) process.exit(0);

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
