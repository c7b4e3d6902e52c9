/** Child processes: small programs over the built package, and the command line. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Bench } from './bench.js';

export const root = join(import.meta.dirname, '../..');
export const cli = join(root, 'dist/cli/main.js');

/** The source of a program with the built package (Node cannot load TypeScript) as `selectors`, `syscalls`, and the addon as `native`. */
export function programText(body: string): string {
  const load = (entry: string) => `require(${JSON.stringify(join(root, 'dist', `${entry}.js`))})`;
  return `'use strict';
const selectors = ${load('index')};
const syscalls = ${load('syscalls')};
const { native } = ${load('native')};
${body}`;
}

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running program: its output so far, and its exit. */
export class Program {
  readonly process: ChildProcess;
  readonly ended: Promise<Outcome>;
  stdout = '';
  stderr = '';

  constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.process = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.process.stdout?.on('data', (bytes: Buffer) => (this.stdout += bytes.toString('utf8')));
    this.process.stderr?.on('data', (bytes: Buffer) => (this.stderr += bytes.toString('utf8')));
    this.ended = once(this.process, 'close').then(([code, signal]) => ({
      stdout: this.stdout,
      stderr: this.stderr,
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
    }));
  }

  /**
   * Sends Ctrl-C until the program has ended. One alone may be too soon: a signal within 300 ms after the program has handled the first counts
   * as the same (src/terminal/interrupt.ts), and on a busy machine it handles that late.
   * @returns its exit code and signal
   */
  async interruptUntilEnded(): Promise<unknown[]> {
    const ended = once(this.process, 'exit');
    this.process.kill('SIGINT');
    const timer = setInterval(() => this.process.kill('SIGINT'), 400);
    try {
      return (await ended) as unknown[];
    } finally {
      clearInterval(timer);
    }
  }

  /** For Bench.own. */
  close(): void {
    this.process.kill('SIGKILL');
  }

  /** Waits until its output matches. @returns the match */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.stdout);
      if (match !== null) return match;
      const what = await Promise.race([once(this.process.stdout as NodeJS.ReadableStream, 'data'), this.ended]);
      if (!Array.isArray(what)) throw new Error(`it ended without printing ${pattern}: ${this.stdout}${this.stderr}`);
    }
  }
}

/** Starts `node -e` with the package loaded. */
export function startProgram(body: string, nodeOptions: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Program {
  return new Program(process.execPath, [...nodeOptions, '-e', programText(body)], env);
}

export function runProgram(body: string, nodeOptions: readonly string[] = []): Promise<Outcome> {
  return startProgram(body, nodeOptions).ended;
}

/** Starts `selectors-native …`. */
export function startCli(args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  return new Program(process.execPath, [cli, ...args], env);
}

/** The same, with files of test/support/ in the program's folder: './name.js'. */
export async function runScript(
  bench: Bench,
  support: readonly string[],
  body: string,
  nodeOptions: readonly string[] = [],
): Promise<Outcome> {
  const folder = bench.folder();
  for (const name of support)
    writeFileSync(join(folder, `${basename(name, '.ts')}.js`), await transpiled(join(root, 'test/support', name)));
  const path = join(folder, 'script.js');
  writeFileSync(path, programText(body));
  return bench.own(new Program(process.execPath, [...nodeOptions, path])).ended;
}

async function transpiled(path: string): Promise<string> {
  // Loaded here: it takes a quarter of a second, and most test files do not need it.
  const { default: ts } = await import('typescript');
  const { outputText } = ts.transpileModule(readFileSync(path, 'utf8'), {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, esModuleInterop: true },
  });
  return outputText;
}

/** The last line that a program printed, parsed as JSON. @throws its whole output if it crashed, hung or failed */
export async function answerOf(outcome: Promise<Outcome>): Promise<unknown> {
  const { stdout, stderr, code, signal } = await outcome;
  if (code !== 0)
    throw new Error(`it ended with ${signal ?? `exit code ${code}`}\n${stdout.slice(-2000)}\n${stderr.slice(-4000)}`);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}
