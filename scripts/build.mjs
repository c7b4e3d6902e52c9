// npm run build: builds the addon (scripts/build-native.mjs), then compiles TypeScript into dist/. Skips each if its sources have not changed.
//
// dist/ has one implementation, in CommonJS, and per entry an ES module that re-exports the same names. So a program that both imports and
// requires the package has one BaseSelector, not two.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { buildSync } from 'esbuild';
import { fingerprint, isFresh, root, writeStamp } from './stamp.mjs';

const require = createRequire(import.meta.url);
const stamp = 'dist/.stamp';

function run(file, args) {
  const result = spawnSync(process.execPath, [file, ...args], { cwd: root, stdio: 'inherit' });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** These folders of dist/ are tools of the command line; all else is the library. */
const TOOLS = /^(bundled|cli|demos|terminal|instruments\/(bench|experiments))\//;

/** The JavaScript files of dist/, relative to it. */
const compiledFiles = () =>
  readdirSync(join(root, 'dist'), { recursive: true })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.js'));

/**
 * Moves all modules of the library into dist/library.js, which is a function from a module's path to its exports; and leaves at each path a
 * line that takes the module from there. So a program, and each thread and process of a server, opens one file and not a hundred.
 */
function bundleLibrary() {
  const paths = compiledFiles().filter((path) => !TOOLS.test(path));
  const rows = paths.map((path) => `  '${path}': () => require('./${path}'),\n`);
  const outfile = join(root, 'dist/library.js');
  buildSync({
    absWorkingDir: root,
    stdin: {
      contents: `const modules = {\n${rows.join('')}};\nmodule.exports = (path) => modules[path]();\n`,
      resolveDir: join(root, 'dist'),
    },
    outfile,
    bundle: true,
    platform: 'node',
    target: 'esnext', // tsc has chosen the syntax
    packages: 'external',
    banner: { js: "'use strict';" },
  });
  // esbuild keeps comments, whose letters beyond Latin-1 make V8 hold all of the file with two bytes per character.
  const text = readFileSync(outfile, 'utf8').replace(/^ *\/\*\*[^]*?\*\/\n/gm, '');
  // It writes "var Socket = class _Socket", and programs would see that name. Its keepNames would cost a call per closure.
  const renamed = new Set([...text.matchAll(/= class (_[A-Z]\w*)/g)].map(([, name]) => name));
  writeFileSync(
    outfile,
    text.replace(/\b_[A-Z]\w*/g, (name) => (renamed.has(name) ? name.slice(1) : name)),
  );
  for (const path of paths) {
    const library = join(relative(dirname(path), '.'), 'library.js').replaceAll('\\', '/');
    writeFileSync(
      join(root, 'dist', path),
      `module.exports = require('${library.startsWith('.') ? library : `./${library}`}')('${path}');\n`,
    );
  }
}

/** Writes dist/NAME.mjs and dist/NAME.d.mts, which re-export dist/NAME.js and dist/NAME.d.ts. */
function writeEsmEntry(name) {
  const names = Object.keys(require(join(root, 'dist', `${name}.js`)));
  writeFileSync(
    join(root, `dist/${name}.mjs`),
    `import entry from './${name}.js';\n\nexport const {\n${names.map((n) => `  ${n},\n`).join('')}} = entry;\n`,
  );
  writeFileSync(join(root, `dist/${name}.d.mts`), `export * from './${name}.js';\n`);
}

/** Libraries of the command line. They are development dependencies: dist/ has them, so that an installation has few packages. */
const BUNDLED = ['cli-progress', 'cli-table3', 'commander', 'picocolors'];

/** Bundles each library into dist/bundled/, with the licenses, and makes dist/ require it there. */
function bundleLibraries() {
  const folder = join(root, 'dist/bundled');
  const results = BUNDLED.map((name) =>
    buildSync({
      absWorkingDir: root,
      stdin: { contents: `module.exports = require('${name}');`, resolveDir: root },
      outfile: join(folder, `${name}.js`),
      bundle: true,
      platform: 'node',
      target: 'node20',
      metafile: true,
    }),
  );
  const packages = new Set(
    results.flatMap(({ metafile }) =>
      Object.keys(metafile.inputs).flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []),
    ),
  );
  const licenses = [...packages].sort().map((name) => {
    const from = join(root, 'node_modules', name);
    const license = readdirSync(from).find((file) => /^licen[sc]e/i.test(file));
    return `${name}\n\n${readFileSync(join(from, license), 'utf8').trim()}\n`;
  });
  writeFileSync(join(folder, 'LICENSES.txt'), licenses.join(`\n${'-'.repeat(80)}\n\n`));

  const bundled = new RegExp(`require\\("(${BUNDLED.join('|')})"\\)`, 'g');
  for (const entry of compiledFiles()) {
    const path = join(root, 'dist', entry);
    if (dirname(path) === folder) continue;
    const text = readFileSync(path, 'utf8');
    const way = relative(dirname(path), folder).replaceAll('\\', '/');
    const rewritten = text.replace(bundled, `require("${way.startsWith('.') ? way : `./${way}`}/$1.js")`);
    if (rewritten !== text) writeFileSync(path, rewritten);
  }
}

run(join(root, 'scripts/build-native.mjs'), []);

const print = fingerprint([
  'src',
  'tsconfig.json',
  'tsconfig.build.json',
  'package.json',
  'package-lock.json',
  'scripts/build.mjs',
]);
if (!isFresh(stamp, print)) {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  run(require.resolve('typescript/bin/tsc'), ['-p', 'tsconfig.build.json']);
  cpSync(join(root, 'src/instruments/report/page'), join(root, 'dist/instruments/report/page'), { recursive: true }); // inlined into the report unchanged
  bundleLibrary();
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const entry of Object.values(exports)) {
    if (typeof entry === 'object') writeEsmEntry(entry.require.default.slice('./dist/'.length, -'.js'.length));
  }
  bundleLibraries();
  chmodSync(join(root, 'dist/cli/main.js'), 0o755);
  writeStamp(stamp, print);
}
