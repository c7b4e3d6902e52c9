/** A child process that is asked, and answers, by lines of JSON: over pipes, which every system has, also behind strace. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** One whose input has ended ends within so many milliseconds, or is killed. */
const GRACE = 15_000;

export interface LineChildOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** What it runs under: ['strace', '-f'] */
  readonly wrapper?: readonly string[];
  /** Aborted: no answer is waited for any more. Who has started the child ends it. */
  readonly signal?: AbortSignal | undefined;
}

export class LineChild implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #answers: ((line: string) => void)[] = [];
  readonly #failures: ((reason: unknown) => void)[] = [];
  #stderr = '';
  #error: { readonly reason: unknown } | null = null;

  /**
   * @param program the file of a program of this package
   * @param start what it is started with: its first argument, as JSON
   * @throws the signal's reason where it is aborted already: nothing is started
   */
  constructor(program: string, start: unknown, { env = {}, wrapper = [], signal }: LineChildOptions = {}) {
    signal?.throwIfAborted();
    const [command, ...args] = [...wrapper, process.execPath, program, JSON.stringify(start)];
    this.#process = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
      windowsHide: true,
    });
    this.#process.stdin?.on('error', () => undefined); // it has died; its end is told
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
        const how = by ?? `exit code ${code}`;
        this.#fail(new Error(`a process of the measurement has ended with ${how}: ${this.#stderr.trim()}`));
        resolve();
      });
    }).finally(() => signal?.removeEventListener('abort', onAbort));
  }

  get pid(): number {
    return this.#process.pid ?? -1;
  }

  /** Its next line. @throws where it has ended, with what it said on its standard error */
  answer(): Promise<unknown> {
    return new Promise<string>((resolve, reject) => {
      this.#answers.push(resolve);
      this.#failures.push(reject);
      if (this.#error !== null) this.#fail(this.#error.reason);
    }).then((line) => JSON.parse(line) as unknown);
  }

  /** Asks, and waits for the answer. Answers come in the order of what was asked. */
  ask(request: unknown): Promise<unknown> {
    const answered = this.answer();
    this.#process.stdin?.write(`${JSON.stringify(request)}\n`);
    return answered;
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }

  /** Ends its input, which is how it is told to end, and waits until it has. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin?.end();
    const timer = setTimeout(() => this.kill(), GRACE);
    await this.#ended;
    clearTimeout(timer);
  }

  #fail(reason: unknown): void {
    this.#error ??= { reason };
    this.#answers.length = 0;
    for (const fail of this.#failures.splice(0)) fail(this.#error.reason);
  }
}

/** The child's side: answers each line, until there are no more. */
export async function answerLines(answer: (request: unknown) => unknown): Promise<void> {
  for await (const line of createInterface(process.stdin)) say(await answer(JSON.parse(line)));
}

export function say(message: unknown): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
