// npm run build: builds the addon (scripts/build-native.mjs), then compiles TypeScript into dist/. Skips each if its sources have not changed.
//
// dist/ has one implementation, in CommonJS, and per entry an ES module that re-exports the same names. So a program that both imports and
// requires the package has one BaseSelector, not two.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fingerprint, isFresh, root, writeStamp } from './stamp.mjs';

const require = createRequire(import.meta.url);
const stamp = 'dist/.stamp';

function run(file, args) {
  const result = spawnSync(process.execPath, [file, ...args], { cwd: root, stdio: 'inherit' });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** Writes dist/NAME.mjs and dist/NAME.d.mts, which re-export dist/NAME.js and dist/NAME.d.ts. */
function writeEsmEntry(name) {
  const names = Object.keys(require(join(root, 'dist', `${name}.js`)));
  writeFileSync(
    join(root, `dist/${name}.mjs`),
    `export {\n${names.map((n) => `  ${n},\n`).join('')}} from './${name}.js';\n`,
  );
  writeFileSync(join(root, `dist/${name}.d.mts`), `export * from './${name}.js';\n`);
}

run(join(root, 'scripts/build-native.mjs'), []);

const print = fingerprint(['src', 'tsconfig.json', 'tsconfig.build.json', 'package.json', 'scripts/build.mjs']);
if (!isFresh(stamp, print)) {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  run(require.resolve('typescript/bin/tsc'), ['-p', 'tsconfig.build.json']);
  cpSync(join(root, 'src/instruments/report/page'), join(root, 'dist/instruments/report/page'), { recursive: true }); // inlined into the report unchanged
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const entry of Object.values(exports)) {
    if (typeof entry === 'object') writeEsmEntry(entry.require.default.slice('./dist/'.length, -'.js'.length));
  }
  chmodSync(join(root, 'dist/cli/main.js'), 0o755);
  writeStamp(stamp, print);
}
