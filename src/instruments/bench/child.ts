/** Programs of any language that the benchmark runs: a server until it is told to end, or a measurement until it has answered. */
import { type ChildProcess, spawn } from 'node:child_process';
import { childrenOf } from '../measuring/usage.js';

/** A server that has not said where it listens after so many milliseconds will not. */
const LONGEST_START = 30_000;
const MOST_KEPT = 4000;

/** Started with nothing on its standard input, and killed where the signal fires. */
function started([command = '', ...args]: readonly string[], signal: AbortSignal | undefined): Started {
  signal?.throwIfAborted();
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (bytes: Buffer) => (said.stdout = (said.stdout + bytes.toString()).slice(-MOST_KEPT)));
  child.stderr.on('data', (bytes: Buffer) => (said.stderr = (said.stderr + bytes.toString()).slice(-MOST_KEPT)));
  const kill = (): void => void child.kill('SIGKILL');
  const letGo = (): void => signal?.removeEventListener('abort', kill);
  signal?.addEventListener('abort', kill, { once: true });
  const ended = new Promise<string | number>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, by) => resolve(by ?? code ?? 0));
  }).finally(letGo);
  return { child, said, ended, letGo };
}

interface Started {
  readonly child: ChildProcess;
  readonly said: { stdout: string; stderr: string };
  /** Its exit code; or the signal's name, or why it did not start. */
  readonly ended: Promise<string | number>;
  /** The signal is not its business any more. */
  readonly letGo: () => void;
}

/** What a program says that exits with this code of there being too few descriptors (bench/c/with-eventfds.c). */
export class TooFewDescriptors extends Error {}
const TOO_FEW_DESCRIPTORS = 3;

/** Runs a measurement. @returns what it printed as JSON. @throws what it said on its standard error */
export async function measured<T>(command: readonly string[], signal?: AbortSignal): Promise<T> {
  const { said, ended } = started(command, signal);
  const code = await ended;
  signal?.throwIfAborted();
  if (code === TOO_FEW_DESCRIPTORS) throw new TooFewDescriptors(said.stderr.trim());
  if (code !== 0) throw new Error(said.stderr.trim() || `${command.join(' ')} ended with ${code}`);
  return JSON.parse(said.stdout) as T;
}

/** A server of any language, which says `listening on 127.0.0.1:PORT`. */
export class ServerProcess implements AsyncDisposable {
  readonly #started: Started;
  readonly #startedPid: number;
  readonly port: number;
  /** Of the process that serves. */
  readonly pid: number;

  private constructor(begun: Started, pid: number, port: number) {
    this.#started = begun;
    this.port = port;
    this.#startedPid = pid;
    this.pid = innermost(pid);
  }

  /** @throws what it said instead */
  static async start(command: readonly string[], signal?: AbortSignal): Promise<ServerProcess> {
    const begun = started(command, signal);
    const { said, child, ended } = begun;
    let timer: NodeJS.Timeout | undefined;
    const failed = Promise.race([
      ended.then((code) => `it ended with ${code}: ${said.stderr.trim()}`),
      new Promise<string>((resolve) => (timer = setTimeout(() => resolve('it does not listen'), LONGEST_START))),
    ]);
    const listening = new Promise<number>((resolve) => {
      child.stdout?.on('data', () => {
        const port = /127\.0\.0\.1:(\d+)/.exec(said.stdout)?.[1];
        if (port !== undefined) resolve(Number(port));
      });
    });
    const first = await Promise.race([listening, failed]);
    clearTimeout(timer);
    begun.letGo(); // who has it ends it
    if (typeof first === 'number' && child.pid !== undefined) return new ServerProcess(begun, child.pid, first);
    child.kill('SIGKILL');
    await ended;
    signal?.throwIfAborted();
    throw new Error(String(first));
  }

  /** @throws where it has ended by itself */
  assertServes(): void {
    const { child, said } = this.#started;
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`it ended with ${child.signalCode ?? child.exitCode}: ${said.stderr.trim()}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    killWithChildren(this.#startedPid);
    await this.#started.ended;
  }
}

function childrenIfAny(pid: number): number[] {
  try {
    return childrenOf(pid);
  } catch {
    return []; // it has ended
  }
}

/** What npm installs as a program may start the real one: the child's child, and so on. */
function innermost(pid: number): number {
  const [only, ...others] = childrenIfAny(pid);
  return only === undefined || others.length > 0 ? pid : innermost(only);
}

function killWithChildren(pid: number): void {
  for (const child of childrenIfAny(pid)) killWithChildren(child);
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
