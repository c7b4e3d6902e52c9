// npm run bench:waits: runs bench/waits.mjs with this Node.js, or with --windows with the Windows node.exe under Wine.
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cross, runLimited } from './cross.mjs';
import { buildTarget } from './targets.mjs';
import { prepareWine, windowsPath, wineEnv } from './wine.mjs';

const args = process.argv.slice(2).filter((arg) => arg !== '--windows');
if (args.length === process.argv.length - 2) {
  process.exit(await runLimited(process.execPath, ['bench/waits.mjs', ...args], { seconds: 600 }));
}
const nodeExe = prepareWine('The Windows run');
const addon = buildTarget('win32-x64');
// Under Wine, the output of node.exe must be files, not pipes or terminals.
const paths = ['output', 'errors'].map((name) => join(cross, `waits-${name}.txt`));
const files = paths.map((path) => openSync(path, 'w'));
const code = await runLimited('wine', [nodeExe, 'bench/waits.mjs', ...args], {
  seconds: 1200,
  stdio: ['ignore', ...files],
  env: { ...wineEnv, SELECTORS_NATIVE_PREBUILD: windowsPath(addon) },
});
for (const file of files) closeSync(file);
for (const path of paths) process.stdout.write(readFileSync(path));
process.stdout.write('This was Wine, not Windows: Wine 8 makes each call a request to a server of its own.\n');
process.exit(code);
