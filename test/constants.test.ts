/** `constants` compared with the system's headers, as the compiler reads them. Linux. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { constants } from '../src/syscalls.js';
import { root } from './support/program.js';

const PREFIXES = /^#define ((?:AF|SOCK|IPPROTO|MSG|SOL|SO|TCP|IP|IPV6)_\w+) .+$/gm;
const headers = '#include "platform/constants_headers.h"\n';

function reasonNotToRun(): string {
  if (process.platform !== 'linux') return ' — not here: the compiler is asked on Linux';
  return spawnSync('g++', ['--version']).status === 0 ? '' : ' — not here: there is no g++';
}
const reason = reasonNotToRun();

function compiler(options: readonly string[], source: string): string {
  const args = ['-std=c++20', '-xc++', ...options, `-I${join(root, 'native')}`, '-'];
  return spawnSync('g++', args, { input: source, encoding: 'utf8', maxBuffer: 1 << 26 }).stdout;
}

describe('constants', () => {
  if (reason !== '') {
    it.skip(`against the headers${reason}`, () => undefined);
    return;
  }
  const names = Array.from(compiler(['-dM', '-E'], headers).matchAll(PREFIXES), ([, name]) => name as string);

  // Newer headers may define more constants than the list; then run: node scripts/list-constants.mjs.
  const [, glibc] = /__GLIBC_MINOR__ (\d+)/.exec(compiler(['-dM', '-E'], headers)) ?? [];
  const newer = Number(glibc ?? Infinity) > 36 ? ' — not here: the list is of Debian 12, these headers are others' : '';
  it.skipIf(newer)(
    `has each AF_, SOCK_, IPPROTO_, MSG_, SOL_, SO_, TCP_, IP_ and IPV6_ name of the headers${newer}`,
    () => {
      expect(names.length).toBeGreaterThan(300);
      expect(
        names.filter((name) => !(name in constants)),
        'names that the list lacks',
      ).toEqual([]);
    },
  );

  it('has the options of J1939, which are enumerators', () => {
    const of = Array.from(compiler(['-E', '-P'], headers).matchAll(/\bSO_J1939_\w+/g), ([name]) => name);
    expect(of.filter((name) => !(name in constants))).toEqual([]);
    expect(constants.SO_J1939_PROMISC).toBe(of.length === 0 ? undefined : 2);
  });

  it('with its value', () => {
    const asked = Object.keys(constants);
    const assembly = compiler(
      ['-S', '-o-'],
      `${headers}extern "C" const long long values[] = {${asked.join(', ')}, 0x5e1ec7};`,
    );
    const values = Array.from(assembly.matchAll(/^\s+\.(?:quad|xword|dword)\s+(-?\d+)$/gm), ([, value]) =>
      Number(value),
    );
    expect(values.at(-1)).toBe(0x5e1ec7);
    expect(Object.fromEntries(asked.map((name, i) => [name, values[i]]))).toEqual({ ...constants });
  });
});
