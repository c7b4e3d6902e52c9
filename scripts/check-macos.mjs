// npm run check:macos: compiles and links the whole addon, kqueue included, for both kinds of Mac, with zig's cross-compiler.
//
// A Mac's addon is linked with -undefined dynamic_lookup, for node has the Node-API functions: a function that we forgot to compile would
// not be missed before it is called. So the symbols that the result leaves open are looked at.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cmakeBuild, fail, needPrograms, zigCompiler } from './cross.mjs';

const TARGETS = [
  ['aarch64-macos', 0x0100000c],
  ['x86_64-macos', 0x01000007],
];

const MH_MAGIC_64 = 0xfeedfacf;
const LC_SYMTAB = 2;
const [N_STAB, N_TYPE, N_UNDF, N_EXT] = [0xe0, 0x0e, 0, 1];

/** CPU type, and the symbols defined for others and undefined (mach-o/loader.h, mach-o/nlist.h). */
function readMachO(path) {
  const file = readFileSync(path);
  if (file.readUInt32LE(0) !== MH_MAGIC_64) fail(`${path} is no 64-bit Mach-O file`);
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

needPrograms('The macOS check', [
  ['cmake', 'cmake'],
  ['ninja', 'ninja-build'],
]);
const zig = zigCompiler();
for (const [target, cpu] of TARGETS) {
  const folder = cmakeBuild(target, '-DCMAKE_TOOLCHAIN_FILE=cmake/zig.cmake', `-DZIG=${zig}`, `-DZIG_TARGET=${target}`);
  const found = readMachO(join(folder, 'build/Release/selectors_native.node'));
  const problems = [];
  if (found.cpu !== cpu) problems.push(`it is for CPU 0x${found.cpu.toString(16)}`);
  if (![...found.defined].some((name) => name.startsWith('_napi_register_module')))
    problems.push('it registers no module');
  for (const stem of ['_kqueue', '_kevent', '_poll', '_select']) {
    if (![...found.undefined].some((symbol) => symbol.split('$')[0] === stem))
      problems.push(`it does not call ${stem}`);
  }
  const ours = [...found.undefined].filter((name) => name.includes('selectors'));
  if (ours.length > 0) problems.push(`it lacks ${ours.join(', ')}`);
  const uv = [...found.undefined].filter((name) => name.startsWith('_uv_'));
  if (uv.length > 0) problems.push(`it imports ${uv.join(', ')}`);
  if (problems.length > 0) fail(`${target}: ${problems.join('; ')}`);
  console.log(
    `✓ ${target}: compiled and linked, kqueue included; ${found.undefined.size} symbols for the system and node to give`,
  );
}
console.log('- not run: that takes a Mac.');
