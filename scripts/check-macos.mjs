// npm run check:macos: compiles and links the addon, kqueue included, for macOS on arm64 and x64, with zig's cross-compiler. Nothing is run.
//
// On macOS an addon is linked with -undefined dynamic_lookup, because node has the Node-API functions. So the linker does not report a
// function of this package that is missing; a call of it would fail. This script checks the undefined symbols instead.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildAddon, fail, requirePrograms, zigCompiler } from './cross.mjs';

const TARGETS = [
  ['aarch64-macos', 0x0100000c],
  ['x86_64-macos', 0x01000007],
];

const MH_MAGIC_64 = 0xfeedfacf;
const LC_SYMTAB = 2;
const [N_STAB, N_TYPE, N_UNDF, N_EXT] = [0xe0, 0x0e, 0, 1];

/** The CPU type, and the exported and the undefined symbols (mach-o/loader.h, mach-o/nlist.h). */
function readMachO(path) {
  const file = readFileSync(path);
  if (file.readUInt32LE(0) !== MH_MAGIC_64) fail(`${path} is not a 64-bit Mach-O file`);
  const symbols = { cpu: file.readUInt32LE(4), defined: new Set(), undefined: new Set() };
  for (let i = 0, at = 32; i < file.readUInt32LE(16); i++, at += file.readUInt32LE(at + 4)) {
    if (file.readUInt32LE(at) !== LC_SYMTAB) continue;
    const [table, count, strings] = [8, 12, 16].map((offset) => file.readUInt32LE(at + offset));
    for (let n = 0; n < count; n++) {
      const entry = table + 16 * n;
      const type = file[entry + 4];
      if ((type & N_STAB) !== 0 || (type & N_EXT) === 0) continue;
      const start = strings + file.readUInt32LE(entry);
      const name = file.toString('latin1', start, file.indexOf(0, start));
      ((type & N_TYPE) === N_UNDF ? symbols.undefined : symbols.defined).add(name);
    }
  }
  return symbols;
}

requirePrograms('The macOS check', [
  ['cmake', 'cmake'],
  ['ninja', 'ninja-build'],
]);
const zig = zigCompiler();
for (const [target, cpu] of TARGETS) {
  const folder = buildAddon(
    target,
    '--CDCMAKE_TOOLCHAIN_FILE=cmake/zig.cmake',
    `--CDZIG=${zig}`,
    `--CDZIG_TARGET=${target}`,
  );
  const found = readMachO(join(folder, 'build/Release/selectors_native.node'));
  const problems = [];
  if (found.cpu !== cpu) problems.push(`its CPU type is 0x${found.cpu.toString(16)}`);
  if (![...found.defined].some((name) => name.startsWith('_napi_register_module')))
    problems.push('it does not register a module');
  for (const stem of ['_kqueue', '_kevent', '_poll', '_select']) {
    if (![...found.undefined].some((symbol) => symbol.split('$')[0] === stem))
      problems.push(`it does not call ${stem}`);
  }
  const missing = [...found.undefined].filter((name) => name.includes('selectors'));
  if (missing.length > 0) problems.push(`it lacks ${missing.join(', ')}`);
  const libuv = [...found.undefined].filter((name) => name.startsWith('_uv_'));
  if (libuv.length > 0) problems.push(`it imports ${libuv.join(', ')}`);
  if (problems.length > 0) fail(`${target}: ${problems.join('; ')}`);
  console.log(
    `✓ ${target}: compiled and linked, kqueue included; ${found.undefined.size} symbols are imported from the system and node`,
  );
}
console.log('- not run: that needs a Mac.');
