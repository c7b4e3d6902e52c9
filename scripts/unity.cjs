// node scripts/unity.cjs SOURCE...: writes build/unity-1.cc, build/unity-2.cc … which include ten sources each, and prints their names, for
// binding.gyp. The headers of Node-API and of the C++ library cost a compiler more than the sources; so it reads them less often, as in
// CMake's unity build (scripts/cross.mjs).
'use strict';
const { mkdirSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

const BATCH = 10;
const root = join(__dirname, '..');
const sources = process.argv.slice(2);
mkdirSync(join(root, 'build'), { recursive: true });
for (let first = 0; first < sources.length; first += BATCH) {
  const name = `build/unity-${first / BATCH + 1}.cc`;
  const includes = sources.slice(first, first + BATCH).map((source) => `#include "../${source}"\n`);
  writeFileSync(join(root, name), includes.join(''));
  process.stdout.write(`${name}\n`);
}
