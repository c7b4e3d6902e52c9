/** Child processes: small programs over the built package, and the command line itself. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');
export const cli = join(root, 'dist/cli/main.js');

/** A program that has `selectors` (the built package) and `syscalls` at hand. */
export function programText(body: string): string {
  const load = (entry: string) => `require(${JSON.stringify(join(root, 'dist', entry))})`;
  return `'use strict';\nconst selectors = ${load('index.js')};\nconst syscalls = ${load('syscalls.js')};\n${body}`;
}

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running program: what it has printed so far, and its end. */
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

  /** For Bench.own. */
  close(): void {
    this.process.kill('SIGKILL');
  }

  /** Waits until it has printed what matches, and returns the match. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.stdout);
      if (match !== null) return match;
      const what = await Promise.race([once(this.process.stdout as NodeJS.ReadableStream, 'data'), this.ended]);
      if (!Array.isArray(what)) throw new Error(`it ended without printing ${pattern}: ${this.stdout}${this.stderr}`);
    }
  }
}

/** `node -e` with the package at hand. */
export function startProgram(body: string, nodeOptions: readonly string[] = []): Program {
  return new Program(process.execPath, [...nodeOptions, '-e', programText(body)]);
}

export function runProgram(body: string, nodeOptions: readonly string[] = []): Promise<Outcome> {
  return startProgram(body, nodeOptions).ended;
}

/** `selectors-native …` */
export function startCli(args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  return new Program(process.execPath, [cli, ...args], env);
}
