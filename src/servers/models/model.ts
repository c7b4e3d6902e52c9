/** What a server model is: a row of data, and the programs of its threads and processes. */
import type { Mechanism } from '../../index.js';
import type { ApplicationName } from '../applications/index.js';
import type { ServerModelName } from '../protocol/settings.js';
import type { Server } from '../worker/server.js';

/** What only some models can be told. */
export type ModelOption = 'workers' | 'accept' | 'maxConnections' | 'maxQueued';

export interface Model {
  readonly name: ServerModelName;
  /** One line of what it is, and which post tells of it. */
  readonly summary: string;
  readonly strengths: string;
  /** One line of what it costs. */
  readonly weaknesses: string;
  /** chat needs a place that has all connections. */
  readonly applications: readonly ApplicationName[];
  /** Which multiplexers it can be over; none where it has no multiplexer. */
  readonly mechanisms: readonly Mechanism[];
  /** What `workers` counts; null: it has one thread and no more. */
  readonly workers: 'threads' | 'processes' | null;
  /** Which options it has besides host, port, application, and mechanism where there are any. */
  readonly options: readonly ModelOption[];
  /** It starts one for each connection, and not a fixed number. */
  readonly startsForEach?: true;
  /** The limit of open connections where nothing is said. */
  readonly maxConnections: number;
  /** The server itself. BLOCKS its thread for as long as it serves, unless it says otherwise. */
  main(server: Server): void;
  /** What each of its threads or processes does. */
  work?(server: Server): void;
  /** What the threads of its pool of tasks do. */
  task?(server: Server): void;
}

export const EVERYTHING = ['echo', 'rpc', 'chat'] as const;
export const REQUESTS = ['echo', 'rpc'] as const;
