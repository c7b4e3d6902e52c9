// What `npm start` and `npm test` run first: makes a fresh clone ready (dependencies, native build, TypeScript), and is done
// in a few milliseconds when it already is. Two that run at once take turns.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fingerprint, isFresh, root, writeStamp } from './stamp.mjs';

const lock = join(root, '.setup.lock');
const owner = join(lock, 'pid');

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM'; // alive, and somebody else's
  }
}

async function takeLock() {
  for (let said = false; ;) {
    try {
      mkdirSync(lock);
      writeFileSync(owner, String(process.pid));
      process.on('exit', () => rmSync(lock, { recursive: true, force: true }));
      for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const pid = existsSync(owner) ? Number(readFileSync(owner, 'utf8')) : NaN;
    if (pid > 0 && !isAlive(pid)) {
      rmSync(lock, { recursive: true, force: true }); // left behind by one that was killed
      continue;
    }
    if (!said) process.stderr.write('selectors-native: waiting for another set-up to finish …\n');
    said = true;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function run(command, args, what) {
  process.stderr.write(`selectors-native: ${what} …\n`);
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

await takeLock();
const dependencies = fingerprint(['package-lock.json']);
const stamp = 'node_modules/.selectors-native-stamp';
if (!isFresh(stamp, dependencies)) {
  // `npm ci` by hand leaves no stamp of ours, but npm's own record of what it installed.
  const installed = join(root, 'node_modules/.package-lock.json');
  const locked = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const have = existsSync(installed) ? JSON.parse(readFileSync(installed, 'utf8')).packages : {};
  const missing = Object.entries(locked).some(
    ([path, entry]) => path !== '' && !entry.optional && have[path]?.version !== entry.version,
  );
  if (missing) run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], 'installing the dependencies');
  writeStamp(stamp, dependencies);
}
await import('./build.mjs');
