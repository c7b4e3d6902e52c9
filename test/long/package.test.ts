/** The packed package builds its addon from source. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Bench } from '../support/bench.js';
import { noPackage, unpack } from '../support/packed.js';
import { root } from '../support/program.js';

it.skipIf(noPackage)(
  `the package compiles its addon where it is installed, and its program runs${noPackage}`,
  () => {
    using bench = new Bench();
    const installed = unpack(bench.folder());
    const nodeGyp = createRequire(join(root, 'package.json')).resolve('node-gyp/bin/node-gyp.js'); // as npm provides it
    execFileSync(process.execPath, ['scripts/build-native.mjs'], {
      cwd: installed,
      env: { ...process.env, npm_config_node_gyp: nodeGyp, CXXFLAGS: '-O0' }, // half the time; what is asked is whether it compiles
    });
    const { bin } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
      bin: Record<string, string>;
    };
    const args = ['info', '--json'];
    const stdout = execFileSync(join(installed, bin['selectors-native'] as string), args, { encoding: 'utf8' });
    expect(stdout).toContain('poll');
  },
  900_000, // it compiles
);
