/** Programs of any language that the benchmark runs: a server until it is disposed, or a measurement until it exits. */
import { type ChildProcess, spawn } from 'node:child_process';
import { childrenOf } from '../measuring/usage.js';

/** Milliseconds within which a server must print where it listens. */
const START_TIMEOUT = 30_000;
/** Characters that are kept of the end of each output. */
const MAX_OUTPUT = 4000;

/** Starts a program without standard input. The signal kills it. */
function started([command = '', ...args]: readonly string[], signal: AbortSignal | undefined): Started {
  signal?.throwIfAborted();
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (bytes: Buffer) => (output.stdout = (output.stdout + bytes.toString()).slice(-MAX_OUTPUT)));
  child.stderr.on('data', (bytes: Buffer) => (output.stderr = (output.stderr + bytes.toString()).slice(-MAX_OUTPUT)));
  const kill = (): void => void child.kill('SIGKILL');
  const ignoreSignal = (): void => signal?.removeEventListener('abort', kill);
  signal?.addEventListener('abort', kill, { once: true });
  const ended = new Promise<string | number>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, by) => resolve(by ?? code ?? 0));
  }).finally(ignoreSignal);
  return { child, output, ended, ignoreSignal };
}

interface Started {
  readonly child: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  /** The exit code, the name of the signal that ended it, or the reason why it did not start. */
  readonly ended: Promise<string | number>;
  /** From now on the AbortSignal does not kill it. */
  readonly ignoreSignal: () => void;
}

/** The error of a program that exits with TOO_FEW_DESCRIPTORS (bench/c/with-eventfds.c). */
export class TooFewDescriptors extends Error {}
const TOO_FEW_DESCRIPTORS = 3;

/** Runs a measurement. @returns the JSON that it printed. @throws Error with its standard error */
export async function measured<T>(command: readonly string[], signal?: AbortSignal): Promise<T> {
  const { output, ended } = started(command, signal);
  const code = await ended;
  signal?.throwIfAborted();
  if (code === TOO_FEW_DESCRIPTORS) throw new TooFewDescriptors(output.stderr.trim());
  if (code !== 0) throw new Error(output.stderr.trim() || `${command.join(' ')} ended with ${code}`);
  return JSON.parse(output.stdout) as T;
}

/** A server of any language, which prints `listening on 127.0.0.1:PORT`. */
export class ServerProcess implements AsyncDisposable {
  readonly #started: Started;
  readonly #startedPid: number;
  readonly port: number;
  /** Id of the process that serves. */
  readonly pid: number;

  private constructor(begun: Started, pid: number, port: number) {
    this.#started = begun;
    this.port = port;
    this.#startedPid = pid;
    this.pid = innermost(pid);
  }

  /** Resolves once it listens. @throws Error with its standard error if it does not */
  static async start(command: readonly string[], signal?: AbortSignal): Promise<ServerProcess> {
    const begun = started(command, signal);
    const { output, child, ended } = begun;
    let timer: NodeJS.Timeout | undefined;
    const failed = Promise.race([
      ended.then((code) => `it ended with ${code}: ${output.stderr.trim()}`),
      new Promise<string>((resolve) => (timer = setTimeout(() => resolve('it does not listen'), START_TIMEOUT))),
    ]);
    const listening = new Promise<number>((resolve) => {
      child.stdout?.on('data', () => {
        const port = /127\.0\.0\.1:(\d+)/.exec(output.stdout)?.[1];
        if (port !== undefined) resolve(Number(port));
      });
    });
    const first = await Promise.race([listening, failed]);
    clearTimeout(timer);
    begun.ignoreSignal(); // from now on the owner ends it
    if (typeof first === 'number' && child.pid !== undefined) return new ServerProcess(begun, child.pid, first);
    child.kill('SIGKILL');
    await ended;
    signal?.throwIfAborted();
    throw new Error(String(first));
  }

  /** Ids of all its processes: a server may have several. */
  get pids(): readonly number[] {
    return withDescendants(this.#startedPid);
  }

  /** @throws if it has exited */
  assertServes(): void {
    const { child, output } = this.#started;
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`it ended with ${child.signalCode ?? child.exitCode}: ${output.stderr.trim()}`);
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

/** The process at the end of a chain of only children: a program that npm installs may start the real one. */
function innermost(pid: number): number {
  const [only, ...others] = childrenIfAny(pid);
  return only === undefined || others.length > 0 ? pid : innermost(only);
}

const withDescendants = (pid: number): number[] => [pid, ...childrenIfAny(pid).flatMap(withDescendants)];

function killWithChildren(pid: number): void {
  for (const child of childrenIfAny(pid)) killWithChildren(child);
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has already exited.
  }
}
