/** A subject that serves in a process of its own, and what it costs there: CPU, memory, system calls. */
import { distPath } from '../../package-folder.js';
import { type ApplicationName, SERVER_MODELS, type ServerStats, type WorkerStats } from '../../servers.js';
import { ProcessesTrace } from '../../trace/processes-trace.js';
import { CommandChild, LineChild, type LineChildOptions } from './line-child.js';
import type { ServerStart } from './server-program.js';
import type { Subject } from './subjects.js';
import { textbookCommand } from './textbook.js';
import { type Usage, childCpuOf, usageOf } from './usage.js';

/** Options of MeasuredServer.start(). `application` to `maxQueued` are those of createServer(). */
export interface MeasuredServerOptions {
  readonly application?: ApplicationName;
  readonly workers?: number;
  readonly maxConnections?: number;
  readonly maxQueued?: number;
  /** Records its system calls: see `trace`. Default: false. A textbook server makes none that a trace records. */
  readonly isTraced?: boolean;
  /** Records that the trace holds before they are taken: a power of two. Default: 2^18. */
  readonly traceCapacity?: number;
  /** Command in front of the program: ['strace', '-f', '-c', '-o', FILE]. Default: none. */
  readonly wrapper?: readonly string[];
  /** Aborted: pending requests reject with its reason. The server keeps running until it is disposed. */
  readonly signal?: AbortSignal | undefined;
}

/** A running server. */
export class MeasuredServer implements AsyncDisposable {
  /** TCP port on 127.0.0.1. */
  readonly port: number;
  /** System calls of the server and its workers. null: not recorded. */
  readonly trace: ProcessesTrace | null;
  readonly #subject: Subject;
  readonly #child: CommandChild;

  private constructor(subject: Subject, child: CommandChild, trace: ProcessesTrace | null, port: number) {
    this.#subject = subject;
    this.#child = child;
    this.trace = trace;
    this.port = port;
  }

  /** Resolves once the server listens. @throws Error with the server's standard error if it does not start; the signal's reason */
  static async start(
    subject: Subject,
    { isTraced = false, traceCapacity = 2 ** 18, wrapper = [], signal, ...options }: MeasuredServerOptions = {},
  ): Promise<MeasuredServer> {
    signal?.throwIfAborted();
    const trace = isTraced ? new ProcessesTrace(traceCapacity) : null;
    const child = startChild(subject, options, { env: { ...trace?.env }, wrapper, signal });
    try {
      return new MeasuredServer(subject, child, trace, await portOf(child));
    } catch (error) {
      await child[Symbol.asyncDispose]();
      trace?.[Symbol.dispose]();
      throw error;
    }
  }

  /** The id of its process. */
  get pid(): number {
    return this.#child.pid;
  }

  /**
   * CPU time of its process with all threads, in microseconds. A textbook server: with its child processes; in steps of 10,000 µs, as cpu();
   * NaN on systems other than Linux.
   */
  async ownCpu(): Promise<number> {
    return this.#child instanceof LineChild
      ? ((await this.#child.ask('cpu')) as number)
      : (usageOf(this.#child.pid)?.cpu ?? NaN);
  }

  /**
   * As ownCpu(), with its child processes, which only Linux reports, in steps of 10,000 µs. NaN: it has child processes on another system.
   */
  async cpu(): Promise<number> {
    const own = await this.ownCpu();
    if (this.#subject.textbook !== undefined) return own;
    const row = SERVER_MODELS.find(({ name }) => name === this.#subject.model);
    return own + (childCpuOf(this.#child.pid) ?? (row?.workers === 'processes' ? NaN : 0));
  }

  /** Usage of it and all its child processes. null: not Linux, or it has exited. */
  usage(): Usage | null {
    return usageOf(this.#child.pid);
  }

  /** The server's counters. null: node:net and the textbook servers, which have none. */
  async stats(): Promise<ServerStats | null> {
    return this.#child instanceof LineChild ? ((await this.#child.ask('stats')) as ServerStats | null) : null;
  }

  /** The counters of each worker. Empty for node:net and the textbook servers. */
  async workers(): Promise<readonly WorkerStats[]> {
    const workers = this.#child instanceof LineChild ? await this.#child.ask('workers') : null;
    return (workers as readonly WorkerStats[] | null) ?? [];
  }

  /** Ends the server and waits until it has exited. The trace stays. Calling it again has no effect. */
  async end(): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    this.trace?.[Symbol.dispose]();
  }
}

/** Starts the process of a subject. It prints its address. */
function startChild(subject: Subject, options: ServerStart['options'], child: LineChildOptions): CommandChild {
  const { textbook } = subject;
  // Ctrl-C would end it at once: as server-program.ts, it is to exit when its input ends.
  if (textbook !== undefined)
    return new CommandChild(textbookCommand(textbook, options.workers), { ...child, isDetached: true });
  const start: ServerStart = { subject, options };
  return new LineChild(distPath('instruments/measuring/server-program.js'), start, child);
}

/** The port of the address that the process prints. */
async function portOf(child: CommandChild): Promise<number> {
  if (child instanceof LineChild) return ((await child.answer()) as { port: number }).port;
  return Number(/:(\d+)$/.exec(await child.line())?.[1]);
}
