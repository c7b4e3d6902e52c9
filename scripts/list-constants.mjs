// node scripts/list-constants.mjs: writes native/platform/constants.inc anew, the list behind `constants`.
//
// C++ cannot ask a header what it defines. So this asks three compilers (Linux' own, mingw-w64's for Windows, zig's for macOS): every
// AF_*, SOCK_*, IPPROTO_*, MSG_*, SOL_*, SO_*, TCP_*, IP_* and IPV6_* of the headers that native/platform/constants_headers.h includes.
// A name that only some have, or only newer ones, is guarded. To be run when the headers of a system have become richer.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fail, needPrograms, zigCompiler } from './cross.mjs';
import { root } from './stamp.mjs';

const PREFIXES = '(?:AF|SOCK|IPPROTO|MSG|SOL|SO|TCP|IP|IPV6)_';

// Microsoft's own ws2def.h has these as enumerators where mingw-w64's has macros; that compiler cannot be asked here.
const MICROSOFT =
  'AH DSTOPTS ESP FRAGMENT GGP HOPOPTS ICLFXBM ICMP ICMPV6 IDP IGMP IPV4 IPV6 L2TP MAX ND NONE PGM PIM PUP RAW RDP';
const microsoft = `${MICROSOFT} ROUTING SCTP TCP UDP`.split(' ').map((name) => `IPPROTO_${name}`);

needPrograms('The list of constants', [
  ['g++', 'g++'],
  ['x86_64-w64-mingw32-g++-posix', 'g++-mingw-w64-x86-64-posix'],
]);
const systems = [
  { name: 'Linux', guard: 'defined(__linux__)', compiler: ['g++'] },
  {
    name: 'Windows',
    guard: 'defined(__MINGW32__)',
    compiler: ['x86_64-w64-mingw32-g++-posix', '-D_WIN32_WINNT=0x0A00'],
  },
  {
    name: 'macOS',
    guard: 'defined(__APPLE__)',
    compiler: [zigCompiler(), 'c++', '-target', 'aarch64-macos', '-ferror-limit=0'],
  },
];

function compile({ compiler: [program, ...target] }, options, source) {
  const args = [...target, '-std=c++20', '-xc++', ...options, `-I${join(root, 'native')}`, '-'];
  const result = spawnSync(program, args, { input: source, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (result.error !== undefined) fail(`${program}: ${result.error.message}`);
  return result;
}

const headers = '#include "platform/constants_headers.h"\n';

/** The names of its macros and of its enumerators, as far as they are numbers. */
function namesOf(system) {
  const macros = compile(system, ['-dM', '-E'], headers).stdout.matchAll(
    new RegExp(`^#define (${PREFIXES}\\w+) .+$`, 'gm'),
  );
  const isMacro = new Set(Array.from(macros, ([, name]) => name));
  const text = compile(system, ['-E', '-P'], headers).stdout;
  const enumerators = text.matchAll(/\benum\b[^{};]*\{([^}]*)\}/g);
  const words = Array.from(
    enumerators,
    ([, body]) => body.match(new RegExp(`\\b${PREFIXES}\\w+(?=\\s*(?:=|,|$))`, 'g')) ?? [],
  ).flat();
  const isEnumerator = new Set(words.filter((name) => !isMacro.has(name)));
  // One line a name: the compiler says which are none.
  const names = [...isMacro, ...isEnumerator];
  const uses = names.map(
    (name, i) => `#line ${i + 1} "names"\nconst double value_${i} = static_cast<double>(${name});\n`,
  );
  const { stderr } = compile(system, ['-fsyntax-only'], headers + uses.join(''));
  const failed = new Set(Array.from(stderr.matchAll(/^names:(\d+):\d+: error/gm), ([, line]) => names[line - 1]));
  const isNumber = (name) => !failed.has(name);
  return { macros: [...isMacro].filter(isNumber), enumerators: [...isEnumerator].filter(isNumber) };
}

const found = systems.map((system) => ({ ...system, ...namesOf(system) }));
found.push({
  name: 'Windows, with Microsoft’s headers',
  guard: 'defined(_MSC_VER)',
  macros: [],
  enumerators: microsoft,
});
const line = (name) => `constant("${name}", static_cast<double>(${name}));`;
const all = [...new Set(found.flatMap((system) => system.macros))].sort();
const lines = ['// Made by scripts/list-constants.mjs.', ...all.map((name) => `#ifdef ${name}\n${line(name)}\n#endif`)];
for (const { name, guard, macros, enumerators } of found) {
  if (enumerators.length > 0)
    lines.push(`// ${name}: enumerators.`, `#if ${guard}`, ...enumerators.sort().map(line), '#endif');
  console.log(`${name}: ${macros.length} macros, ${enumerators.length} enumerators`);
}
writeFileSync(join(root, 'native/platform/constants.inc'), `${lines.join('\n')}\n`);
