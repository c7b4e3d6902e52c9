/** A subject that serves in a process of its own, and what it costs there: CPU, memory, system calls. */
import { join } from 'node:path';
import { type ApplicationName, SERVER_MODELS, type ServerStats, type WorkerStats } from '../../servers.js';
import { ProcessesTrace } from '../../trace/processes-trace.js';
import { LineChild } from './line-child.js';
import type { ServerStart } from './server-program.js';
import type { Subject } from './subjects.js';
import { type Usage, childCpuOf, usageOf } from './usage.js';

/** Options of MeasuredServer.start(). `application` to `maxQueued` are those of createServer(). */
export interface MeasuredServerOptions {
  readonly application?: ApplicationName;
  readonly workers?: number;
  readonly maxConnections?: number;
  readonly maxQueued?: number;
  /** Records its system calls: see `trace`. Default: false. */
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
  readonly #child: LineChild;

  private constructor(subject: Subject, child: LineChild, trace: ProcessesTrace | null, port: number) {
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
    const start: ServerStart = { subject, options };
    const program = join(__dirname, 'server-program.js');
    const child = new LineChild(program, start, { env: { ...trace?.env }, wrapper, signal });
    try {
      const { port } = (await child.answer()) as { port: number };
      return new MeasuredServer(subject, child, trace, port);
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

  /** CPU time of its process with all threads, in microseconds. */
  async ownCpu(): Promise<number> {
    return (await this.#child.ask('cpu')) as number;
  }

  /**
   * As ownCpu(), with its child processes, which only Linux reports, in steps of 10,000 µs. NaN: it has child processes on another system.
   */
  async cpu(): Promise<number> {
    const own = await this.ownCpu();
    const row = SERVER_MODELS.find(({ name }) => name === this.#subject.model);
    return own + (childCpuOf(this.#child.pid) ?? (row?.workers === 'processes' ? NaN : 0));
  }

  /** Usage of it and all its child processes. null: not Linux, or it has exited. */
  usage(): Usage | null {
    return usageOf(this.#child.pid);
  }

  /** The server's counters. null: node:net, which has none. */
  async stats(): Promise<ServerStats | null> {
    return (await this.#child.ask('stats')) as ServerStats | null;
  }

  /** The counters of each worker. Empty for node:net. */
  async workers(): Promise<readonly WorkerStats[]> {
    return ((await this.#child.ask('workers')) as readonly WorkerStats[] | null) ?? [];
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
