/**
 * Child processes that print lines over pipes, which work on every system, and under strace. A LineChild answers requests: each line is JSON.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Milliseconds that a child may take to exit after its input has ended; then it is killed. */
const EXIT_TIMEOUT = 15_000;

export interface LineChildOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Command in front of the program: ['strace', '-f'] */
  readonly wrapper?: readonly string[];
  /** In a session of its own: Ctrl-C in a terminal does not reach it. Default: false. */
  readonly isDetached?: boolean;
  /** Aborted: pending answers reject with the signal's reason. The child keeps running until it is disposed. */
  readonly signal?: AbortSignal | undefined;
}

/** A program that prints lines, and exits when its input ends. */
export class CommandChild implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #answers: ((line: string) => void)[] = [];
  readonly #failures: ((reason: unknown) => void)[] = [];
  #stderr = '';
  #error: { readonly reason: unknown } | null = null;

  /**
   * @param command the program and its arguments
   * @throws the signal's reason if it is already aborted: nothing is started
   */
  constructor(
    command: readonly string[],
    { env = {}, wrapper = [], isDetached = false, signal }: LineChildOptions = {},
  ) {
    signal?.throwIfAborted();
    const [program = '', ...args] = [...wrapper, ...command];
    this.#process = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
      windowsHide: true,
      detached: isDetached,
    });
    this.#process.stdin?.on('error', () => undefined); // the child has exited: 'close' reports it
    this.#process.stderr?.on(
      'data',
      (bytes: Buffer) => (this.#stderr = (this.#stderr + bytes.toString()).slice(-4000)),
    );
    if (this.#process.stdout !== null)
      createInterface(this.#process.stdout).on('line', (line) => {
        this.#failures.shift();
        this.#answers.shift()?.(line);
      });
    const onAbort = (): void => this.#fail(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#ended = new Promise<void>((resolve) => {
      this.#process.on('error', (error) => {
        this.#fail(error);
        resolve();
      });
      this.#process.on('close', (code, by) => {
        const status = by ?? `exit code ${code}`;
        this.#fail(new Error(`a process of the measurement ended with ${status}: ${this.#stderr.trim()}`));
        resolve();
      });
    }).finally(() => signal?.removeEventListener('abort', onAbort));
  }

  /** Process id; -1 if it could not be started. */
  get pid(): number {
    return this.#process.pid ?? -1;
  }

  /** Waits for the child's next line. @throws if the child has exited, with its standard error */
  line(): Promise<string> {
    return new Promise<string>((resolve, reject) => {
      this.#answers.push(resolve);
      this.#failures.push(reject);
      if (this.#error !== null) this.#fail(this.#error.reason);
    });
  }

  /** Writes a line to the child's input. */
  protected send(line: string): void {
    this.#process.stdin?.write(`${line}\n`);
  }

  /** Sends SIGKILL. */
  kill(): void {
    this.#process.kill('SIGKILL');
  }

  /** Ends the child's input, which makes it exit, and waits until it has exited. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin?.end();
    const timer = setTimeout(() => this.kill(), EXIT_TIMEOUT);
    await this.#ended;
    clearTimeout(timer);
  }

  #fail(reason: unknown): void {
    this.#error ??= { reason };
    this.#answers.length = 0;
    for (const fail of this.#failures.splice(0)) fail(this.#error.reason);
  }
}

/** A JavaScript program that answers requests: the parent's side. */
export class LineChild extends CommandChild {
  /**
   * @param program path of a JavaScript file
   * @param start the child's first argument, passed as JSON
   * @param options wrapper, environment, signal
   * @throws the signal's reason if it is already aborted: nothing is started
   */
  constructor(program: string, start: unknown, options: LineChildOptions = {}) {
    super([process.execPath, program, JSON.stringify(start)], options);
  }

  /** Waits for the child's next answer. @throws if the child has exited, with its standard error */
  async answer(): Promise<unknown> {
    return JSON.parse(await this.line()) as unknown;
  }

  /** Sends a request and waits for its answer. Answers come in the order of the requests. */
  ask(request: unknown): Promise<unknown> {
    const answered = this.answer();
    this.send(JSON.stringify(request));
    return answered;
  }
}

/** The child's side: answers each request until its input ends. */
export async function answerLines(answer: (request: unknown) => unknown): Promise<void> {
  for await (const line of createInterface(process.stdin)) sendLine(await answer(JSON.parse(line)));
}

/** The child's side: sends one line. */
export function sendLine(message: unknown): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
