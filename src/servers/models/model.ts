/**
 * A server model: a row of data, and one program for each role of its threads and processes.
 *
 * `main` runs in the server's first thread. Threads and processes that it starts (`server.workers`) run `work`, or `task` for the threads of
 * a task pool. How a start goes:
 *
 *   server.workers.startThread()   worker/workers.ts             posts a StartRequest to the supervisor's thread
 *   Supervisor#start()             supervision/supervisor.ts     assigns a row of the scoreboard
 *   new RunningThread()            supervision/running-workers.ts   new Worker('thread.js')
 *   runProgram()                   supervision/program.ts        models[model].work(server), in the new thread (or `main`, `task`)
 */
import type { Mechanism } from '../../index.js';
import type { ApplicationName } from '../applications/index.js';
import type { AcceptStrategy, ServerModelName } from '../protocol/settings.js';
import type { Server } from '../worker/server.js';

/** The name of an option that only some models have (see ServerOptions); `createServer` ignores it for the others. */
export type ModelOption = 'workers' | 'accept' | 'maxConnections' | 'maxQueued';

export interface Model {
  /** The name that createServer() and `selectors-native serve` take. */
  readonly name: ServerModelName;
  /** What it is, and which posts describe it. One line. */
  readonly summary: string;
  /** What it is good for. One line. */
  readonly strengths: string;
  /** What it costs. One line. */
  readonly weaknesses: string;
  /** The applications that it serves. Only models that serve all connections in one thread have `chat`. */
  readonly applications: readonly ApplicationName[];
  /** The multiplexers that it can run on; empty for a model without one. */
  readonly mechanisms: readonly Mechanism[];
  /** What `workers` counts; null: the model has one thread. */
  readonly workers: 'threads' | 'processes' | null;
  /** Its options, except host, port, application and mechanism. */
  readonly options: readonly ModelOption[];
  /** The strategies that the option `accept` takes; the first is the default. Default: the model does not have the option. */
  readonly acceptStrategies?: readonly AcceptStrategy[];
  /** It starts one thread or process per connection. Default: a fixed number. */
  readonly startsPerConnection?: true;
  /** The default of ServerOptions.maxConnections. */
  readonly maxConnections: number;
  /** The program of the server's first thread. BLOCKS until the server is closed. */
  main(server: Server): void;
  /** The program of each thread or process that serves connections. */
  work?(server: Server): void;
  /** The program of each thread that works on requests for a reactor. */
  task?(server: Server): void;
}

/** For models that serve all connections in one thread: the room of `chat` has to know them all. */
export const ALL_APPLICATIONS = ['echo', 'rpc', 'chat'] as const;
/** For all other models: each request is answered to its own client. */
export const REQUEST_APPLICATIONS = ['echo', 'rpc'] as const;
