/** Other processes and threads: they run the built package (dist/), for Node cannot load TypeScript. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** The project's own folder. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

/** The built entry, which scripts/setup.mjs makes before the tests. */
export function built(entry: 'index' | 'syscalls' | 'native'): string {
  const path = join(root, 'dist', `${entry}.js`);
  if (!existsSync(path)) throw new Error(`${path} is not there: run node scripts/setup.mjs first`);
  return path;
}

/** The first lines of a script: `index`, `syscalls` and `native` as the built package has them. */
export const preamble = (): string => `'use strict';
const index = require(${JSON.stringify(built('index'))});
const syscalls = require(${JSON.stringify(built('syscalls'))});
const { native } = require(${JSON.stringify(built('native'))});
`;

export interface ScriptOptions {
  /** Files of test/support/ that it needs beside it, as './name.js'. */
  readonly support?: readonly string[];
  readonly execArgv?: readonly string[];
  readonly timeout?: number;
}

/** Runs a script (CommonJS) in a process of its own, and waits for its end. */
export function runScript(source: string, options: ScriptOptions = {}): SpawnSyncReturns<string> {
  const folder = mkdtempSync(join(tmpdir(), 'selectors-native-child-'));
  try {
    for (const name of options.support ?? []) {
      writeFileSync(join(folder, `${basename(name, '.ts')}.js`), transpiled(join(root, 'test/support', name)));
    }
    const path = join(folder, 'script.js');
    writeFileSync(path, preamble() + source);
    return spawnSync(process.execPath, [...(options.execArgv ?? []), path], {
      cwd: root,
      encoding: 'utf8',
      timeout: options.timeout ?? 50_000,
      killSignal: 'SIGKILL',
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function transpiled(path: string): string {
  const { outputText } = ts.transpileModule(readFileSync(path, 'utf8'), {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, esModuleInterop: true },
  });
  return outputText;
}

/** What a child printed last, as JSON; a child that crashed, hung or failed throws with all that it said. */
export function answerOf(child: SpawnSyncReturns<string>): unknown {
  if (child.status !== 0) {
    const end = child.signal === null ? `exit status ${child.status}` : `signal ${child.signal}`;
    throw new Error(`the child ended with ${end}\n${child.stdout.slice(-2000)}\n${child.stderr.slice(-4000)}`);
  }
  return JSON.parse(child.stdout.trim().split('\n').at(-1) ?? '');
}
