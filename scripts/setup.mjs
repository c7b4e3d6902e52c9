// Runs first in `npm start`, `npm test` and the like: installs the dependencies, builds the addon, compiles TypeScript. Takes a few
// milliseconds if all is up to date. A lock lets one process at a time run it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fingerprint, isFresh, root, writeStamp } from './stamp.mjs';

const lock = join(root, '.setup.lock');
const pidFile = join(lock, 'pid');

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM'; // alive, but of another user
  }
}

async function acquireLock() {
  for (let hasWarned = false; ;) {
    try {
      mkdirSync(lock);
      writeFileSync(pidFile, String(process.pid));
      process.on('exit', () => rmSync(lock, { recursive: true, force: true }));
      for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const pid = existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : NaN;
    if (pid > 0 && !isAlive(pid)) {
      rmSync(lock, { recursive: true, force: true }); // its owner was killed
      continue;
    }
    if (!hasWarned) process.stderr.write('selectors-native: waiting for another process to finish the set-up …\n');
    hasWarned = true;
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

await acquireLock();
const dependencies = fingerprint(['package-lock.json']);
const stamp = 'node_modules/.selectors-native-stamp';
if (!isFresh(stamp, dependencies)) {
  // A user's own `npm ci` writes no stamp, but npm records what it installed.
  const installed = join(root, 'node_modules/.package-lock.json');
  const locked = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const present = existsSync(installed) ? JSON.parse(readFileSync(installed, 'utf8')).packages : {};
  const missing = Object.entries(locked).some(
    ([path, entry]) => path !== '' && !entry.optional && present[path]?.version !== entry.version,
  );
  if (missing) run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], 'installing the dependencies');
  writeStamp(stamp, dependencies);
}
await import('./build.mjs');
