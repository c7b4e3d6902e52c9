/** The package as a user gets it: packed, installed, imported, required, type-checked. */
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import * as index from '../src/index.js';
import * as syscalls from '../src/syscalls.js';
import { Bench } from './support/bench.js';
import { noPackage, unpack } from './support/packed.js';
import { root } from './support/program.js';

describe.skipIf(noPackage)(`the package${noPackage}`, () => {
  const bench = new Bench();
  let folder = '';
  let installed = '';

  beforeAll(() => {
    folder = bench.folder();
    installed = unpack(folder);
    // Uses the addon that is already built: test/long/package.test.ts builds it from the package.
    cpSync(join(root, 'build/Release/selectors_native.node'), join(installed, 'build/Release/selectors_native.node'));
    return () => bench[Symbol.dispose]();
  });

  const run = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return execFileSync(process.execPath, [name], { cwd: folder, encoding: 'utf8', maxBuffer: 2 ** 24 });
  };

  it('can be imported and required, with the same classes both ways', () => {
    const answer = run(
      'both.mjs',
      `import { createRequire } from 'node:module';
       import { DefaultSelector, BaseSelector } from 'selectors-native';
       import * as all from 'selectors-native';
       import * as syscalls from 'selectors-native/syscalls';
       const require = createRequire(import.meta.url);
       const required = require('selectors-native');
       console.log(JSON.stringify({
         same: required.BaseSelector === BaseSelector && required.DefaultSelector === DefaultSelector,
         made: new DefaultSelector() instanceof required.BaseSelector,
         index: Object.keys(all).sort(),
         syscalls: Object.keys(syscalls).sort(),
         required: Object.keys(require('selectors-native/syscalls')).sort(),
       }));`,
    );
    const names = (module: object) => Object.keys(module).sort();
    expect(JSON.parse(answer)).toEqual({
      same: true,
      made: true,
      index: names(index),
      syscalls: names(syscalls),
      required: names(syscalls),
    });
  });

  it('has types for both', () => {
    const program = (how: string) => `${how}
      const selector: BaseSelector<string> = new DefaultSelector<string>();
      selector.register(new Socket(), EVENT_READ, 'text');
      for (const [key, events] of selector.select(0)) console.log(key.data.toUpperCase(), events + 1);
      const flag: number = EPOLLIN;
      // @ts-expect-error: a key's data has the selector's type
      selector.register(1, EVENT_READ, 5);
      console.log(flag);`;
    const imports = `import { type BaseSelector, DefaultSelector, EVENT_READ, Socket } from 'selectors-native';
      import { EPOLLIN } from 'selectors-native/syscalls';`;
    writeFileSync(join(folder, 'esm.mts'), program(imports));
    writeFileSync(join(folder, 'cjs.cts'), program(imports));
    const tsc = createRequire(join(root, 'package.json')).resolve('typescript/bin/tsc');
    const options = [
      '--noEmit',
      '--strict',
      '--target',
      'es2022',
      '--lib',
      'es2023,esnext.disposable',
      '--types',
      'node',
    ];
    execFileSync(process.execPath, [tsc, ...options, '--module', 'nodenext', 'esm.mts', 'cjs.cts'], {
      cwd: folder,
      stdio: 'pipe',
    });
  });

  it('has a program that runs', () => {
    const { bin } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
      bin: Record<string, string>;
    };
    const stdout = execFileSync(join(installed, bin['selectors-native'] as string), ['info', '--json'], {
      encoding: 'utf8',
    });
    expect(stdout).toContain('poll');
  });

  it('makes the page of a report, with everything inlined', () => {
    const page = run(
      'report.cjs',
      `const { renderPage } = require('./node_modules/selectors-native/dist/instruments/report/page.js');
       const charts = [{ kind: 'bar', title: 'c', value: { label: 'v' }, categories: ['a'], series: [{ name: 's', values: [1] }] }];
       console.log(renderPage({ title: 'packed', sections: [{ id: 'one', title: 't', facts: [], tables: [], charts }] }));`,
    );
    expect(page).toMatch(/<title>packed[^]*@media print[^]*<rect[^]*<\/html>/);
  });

  it('can be loaded from a bundler’s copy: the addon is found from dist/', () => {
    cpSync(installed, join(folder, 'copy'), { recursive: true });
    expect(run('copied.cjs', "console.log(new (require('./copy/dist/index.js').PollSelector)().mechanism)")).toBe(
      'poll\n',
    );
  });
});
