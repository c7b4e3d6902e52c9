// Builds build/Release/selectors_native.node with node-gyp, unless it is there and up to date: npm's `install` step.
//
// Node's headers are taken from beside the node that runs (<prefix>/include/node) where they are installed, as Debian's,
// nodesource's and Docker's are; otherwise node-gyp fetches them as it always does. --force builds in any case.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fingerprint, isFresh, root, writeStamp } from './stamp.mjs';

const require = createRequire(import.meta.url);
const addon = join(root, 'build/Release/selectors_native.node');
const stamp = 'build/.native-stamp';

function print() {
  const libkqueue = execFileSync(process.execPath, [join(root, 'scripts/libkqueue.cjs'), '--libs'], {
    encoding: 'utf8',
  });
  return fingerprint(['native', 'binding.gyp'], [process.platform, process.arch, process.versions.modules, libkqueue]);
}

/** node-gyp: the one npm carries (it says where in the environment of its scripts), else the project's own. */
function nodeGyp() {
  const npms = process.env.npm_config_node_gyp;
  return npms !== undefined && existsSync(npms) ? npms : require.resolve('node-gyp/bin/node-gyp.js');
}

function headers() {
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  return existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];
}

const wanted = print();
if (!process.argv.includes('--force') && existsSync(addon) && isFresh(stamp, wanted)) process.exit(0);

// node-gyp talks a lot; what it says is shown when it fails.
const result = spawnSync(process.execPath, [nodeGyp(), 'rebuild', '--silent', '-j', 'max', ...headers()], {
  cwd: root,
  encoding: 'utf8',
  env: { ...process.env, npm_config_loglevel: 'error' },
});
if (result.status !== 0) {
  process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  process.stderr.write(
    '\nselectors-native: the native part could not be built. It needs a C++20 compiler (g++ 10, clang 12, MSVC 2019),\n',
  );
  process.stderr.write('make and python3; on Debian: apt-get install g++ make python3\n');
  process.exit(result.status ?? 1);
}
writeStamp(stamp, wanted);
