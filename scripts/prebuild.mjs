// npm run prebuilds [-- TARGET…]: compiles the addon and the program textbook (native/textbook/) for the systems in targets.mjs, into prebuilds/,
// which is in the package. Then checks each binary: what it exports, what it needs from the system and from Node.js, and that it holds no path
// of this machine.
//
// A macOS addon is linked with -undefined dynamic_lookup, and a Linux one may have undefined symbols too, because node has the Node-API
// functions. So the linker reports no missing function of this package; the check of the symbols does.
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { build, fail, requirePrograms } from './cross.mjs';
import { root } from './stamp.mjs';
import { TARGETS, buildTarget, textbookFile } from './targets.mjs';

const names = Object.keys(TARGETS);
const USAGE = `Usage: npm run prebuilds [-- TARGET...]

Compiles the addon and the program textbook for other systems, into prebuilds/, and checks the binaries. Default: all targets.

TARGET   ${names.join(', ')}
--help   this text
`;

const args = process.argv.slice(2);
if (args.some((arg) => arg === '--help' || arg === '-h')) {
  process.stdout.write(USAGE);
  process.exit();
}
if (process.platform !== 'linux' || process.arch !== 'x64') {
  process.stdout.write('prebuild: skipped: its compilers run on Linux on x64\n');
  process.exit(args.length > 0 ? 1 : 0);
}
const unknown = args.find((arg) => !Object.hasOwn(TARGETS, arg));
if (unknown !== undefined) fail(`prebuild has no target '${unknown}'; it has ${names.join(', ')}`);

/** The newest version of glibc whose symbols a binary may need. */
const MAX_GLIBC = [2, 17];
/** The libraries that every system of the format has. */
const LIBRARIES = {
  elf: /^(libc|libm|libdl|librt|libpthread)\.so(\.\d+)?$|^ld-linux.*\.so\.\d$/,
  'mach-o': /^(\/usr\/lib\/libSystem\.B\.dylib|@rpath\/selectors_native\.node)$/, // the second one: its own name
  pe: /^(kernel32|ntdll|msvcrt|ws2_32|iphlpapi|api-ms-win-crt-.*|node)\.(dll|exe)$/i,
};
const ENTRIES = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];

const lines = (text) => text.split('\n').filter((line) => line !== '');
const isNodeApi = (name) => /^_?(napi|node_api)_/.test(name);

/** What a binary needs: { libraries, symbols: [{ name, from }] }. `from`: a library; '' if it is looked up in the whole process. */
function importsOf(path, format) {
  if (format === 'pe') {
    const blocks = build('llvm-readobj', ['--coff-imports', path])
      .split(/^(?:Delay)?Import \{$/m)
      .slice(1);
    const symbols = blocks.flatMap((block) => {
      const [, from] = /Name: (\S+)/.exec(block);
      return Array.from(block.matchAll(/Symbol: (\S+)/g), ([, name]) => ({ name, from }));
    });
    return { libraries: [...new Set(symbols.map(({ from }) => from))], symbols };
  }
  const [, needed = ''] = /NeededLibraries \[([^\]]*)\]/.exec(build('llvm-readobj', ['--needed-libs', path])) ?? [];
  const libraries = lines(needed).map((line) => line.trim());
  if (format === 'mach-o') {
    const symbols = lines(build('llvm-nm', ['-m', '--undefined-only', path])).map((line) => {
      const [, name, from] = /external (\S+)(?: \(from (\S+)\))?/.exec(line) ?? [];
      return { name: name ?? line, from: from ?? '' };
    });
    return { libraries, symbols };
  }
  const symbols = lines(build('llvm-nm', ['-D', '--undefined-only', path])).map((line) => {
    const [type, name] = line.trim().split(/\s+/);
    return { name, from: '', isWeak: type === 'w' };
  });
  return { libraries, symbols };
}

function exportsOf(path, format) {
  if (format === 'pe')
    return Array.from(build('llvm-readobj', ['--coff-exports', path]).matchAll(/Name: (\S+)/g), ([, name]) => name);
  const options = format === 'elf' ? ['-D', '--defined-only'] : ['--extern-only', '--defined-only'];
  return lines(build('llvm-nm', [...options, path])).map((line) =>
    line
      .split(' ')
      .at(-1)
      .replace(/^_(?=n)/, ''),
  );
}

/** The problems of an addon's exports. */
function exportProblems(path, format) {
  const exported = exportsOf(path, format);
  const missing = ENTRIES.filter((entry) => !exported.includes(entry));
  const superfluous = format === 'elf' ? exported.filter((symbol) => !ENTRIES.includes(symbol)) : [];
  return [
    ...missing.map((entry) => `it does not export ${entry}`),
    ...superfluous.map((symbol) => `it exports ${symbol}`),
  ];
}

/** The problems of a binary, and a summary. A program, unlike an addon, must not need Node-API. */
function check(name, path, format, isProgram = false) {
  const problems = isProgram ? [] : exportProblems(path, format);
  const { libraries, symbols } = importsOf(path, format);
  for (const library of libraries)
    if (!LIBRARIES[format].test(library)) problems.push(`it needs the library ${library}`);

  let newest = [0, 0];
  for (const { name: symbol, from, isWeak } of symbols) {
    if (isNodeApi(symbol)) {
      if (isProgram) problems.push(`it needs ${symbol}`);
      continue;
    }
    const [, major, minor] = /@GLIBC_(\d+)\.(\d+)/.exec(symbol) ?? [];
    if (major !== undefined) {
      const version = [Number(major), Number(minor)];
      if (version[1] > newest[1]) newest = version;
      if (version[1] > MAX_GLIBC[1]) problems.push(`${symbol} is newer than glibc ${MAX_GLIBC.join('.')}`);
    } else if (isWeak) {
      continue; // it may be absent: __gmon_start__
    } else if (name.endsWith('glibc') || (format === 'elf' ? /selectors|^_Z|^uv_/.test(symbol) : from === '')) {
      problems.push(`nothing provides ${symbol}`);
    }
    if (/node\.exe/i.test(from)) problems.push(`node.exe does not promise ${symbol}`);
  }

  const bytes = readFileSync(path);
  for (const place of new Set([root, homedir(), tmpdir()])) {
    if (isProgram && place === '/tmp') continue; // the path of musl's tmpfile(), which is linked in
    if (bytes.includes(`${place}/`)) problems.push(`it holds the path ${place}`);
  }
  const ofNode = symbols.filter(({ name: symbol }) => isNodeApi(symbol)).length;
  const glibc = newest[1] > 0 ? `, GLIBC_${newest.join('.')} at the newest` : '';
  const nodeApi = isProgram ? '' : `${ofNode} functions of Node-API and `;
  const summary = `${Math.round(bytes.length / 1024)} KiB; needs ${nodeApi}${symbols.length - ofNode} symbols of ${libraries.filter((library) => !/node\.exe/i.test(library)).join(', ')}${glibc}`;
  return { problems, summary };
}

requirePrograms('prebuild', [
  ['cmake', 'cmake'],
  ['ninja', 'ninja-build'],
  ['x86_64-w64-mingw32-g++-posix', 'g++-mingw-w64-x86-64-posix'],
  ['llvm-nm', 'llvm'],
  ['llvm-readobj', 'llvm'],
]);
if (args.length === 0) rmSync(join(root, 'prebuilds'), { recursive: true, force: true });
let hasFailed = false;
for (const name of args.length > 0 ? args : names) {
  const { file, format } = TARGETS[name];
  process.stderr.write(`compiling ${name} …\n`);
  const release = join(buildTarget(name), 'build/Release');
  const program = textbookFile(TARGETS[name]);
  const outputs = [
    { source: 'selectors_native.node', target: file, isProgram: false },
    ...(program === null ? [] : [{ source: 'textbook', target: program, isProgram: true }]),
  ];
  for (const { source, target, isProgram } of outputs) {
    const built = join(release, source);
    if (!existsSync(built)) fail(`${name}: no ${built}`);
    const path = join(root, 'prebuilds', target);
    mkdirSync(dirname(path), { recursive: true });
    copyFileSync(built, path);
    if (isProgram) chmodSync(path, 0o755);
    const { problems, summary } = check(name, path, format, isProgram);
    const label = isProgram ? `${name}, textbook` : name;
    process.stdout.write(problems.length === 0 ? `✓ ${label}: ${summary}\n` : `✗ ${label}: ${problems.join('; ')}\n`);
    hasFailed ||= problems.length > 0;
  }
}
process.exit(hasFailed ? 1 : 0);
