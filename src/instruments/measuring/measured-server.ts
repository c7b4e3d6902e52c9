/** A subject that serves in a process of its own, and what it costs there. */
import { join } from 'node:path';
import { type ApplicationName, SERVER_MODELS, type ServerStats, type WorkerStats } from '../../servers.js';
import { ProcessesTrace } from '../../trace/processes-trace.js';
import { LineChild } from './line-child.js';
import type { ServerStart } from './server-program.js';
import type { Subject } from './subjects.js';
import { type Usage, childCpuOf, usageOf } from './usage.js';

export interface MeasuredServerOptions {
  readonly application?: ApplicationName;
  readonly workers?: number;
  readonly maxConnections?: number;
  readonly maxQueued?: number;
  /** Its system calls are recorded: see `trace`. */
  readonly isTraced?: boolean;
  /** How many records the trace has room for before they are taken: a power of two. 2^18 where nothing is said. */
  readonly traceCapacity?: number;
  /** What it runs under: ['strace', '-f', '-c', '-o', FILE]. */
  readonly wrapper?: readonly string[];
  /** Aborted: it answers no more. Who has started it ends it. */
  readonly signal?: AbortSignal | undefined;
}

export class MeasuredServer implements AsyncDisposable {
  readonly port: number;
  /** Its system calls, and those of its workers. null: they are not recorded. */
  readonly trace: ProcessesTrace | null;
  readonly #subject: Subject;
  readonly #child: LineChild;

  private constructor(subject: Subject, child: LineChild, trace: ProcessesTrace | null, port: number) {
    this.#subject = subject;
    this.#child = child;
    this.trace = trace;
    this.port = port;
  }

  /** @throws what the server has said, where it does not start; the signal's reason */
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

  /** CPU time of its process, with all threads, in microseconds. */
  async ownCpu(): Promise<number> {
    return (await this.#child.ask('cpu')) as number;
  }

  /**
   * The same with its child processes, which only Linux tells, in steps of 10,000. NaN: it has child processes, and nobody tells of them.
   */
  async cpu(): Promise<number> {
    const own = await this.ownCpu();
    const row = SERVER_MODELS.find(({ name }) => name === this.#subject.model);
    return own + (childCpuOf(this.#child.pid) ?? (row?.workers === 'processes' ? NaN : 0));
  }

  /** Of it and all its child processes. null: this system does not tell (it is asked on Linux). */
  usage(): Usage | null {
    return usageOf(this.#child.pid);
  }

  /** null: of node:net, which counts nothing. */
  async stats(): Promise<ServerStats | null> {
    return (await this.#child.ask('stats')) as ServerStats | null;
  }

  async workers(): Promise<readonly WorkerStats[]> {
    return ((await this.#child.ask('workers')) as readonly WorkerStats[] | null) ?? [];
  }

  /** Waits until it has ended. The trace stays. The second time nothing happens. */
  async end(): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    this.trace?.[Symbol.dispose]();
  }
}
