/** What a server was asked for, after its options are checked. Each of its threads and processes has a copy. */
import type { Mechanism } from '../../index.js';
import type { ApplicationName } from '../applications/index.js';

export type ServerModelName =
  | 'iterative'
  | 'busy-wait'
  | 'thread-per-connection'
  | 'thread-pool'
  | 'process-per-connection'
  | 'process-pool'
  | 'prefork'
  | 'reactor'
  | 'reactor-thread-per-task'
  | 'reactor-thread-pool'
  | 'multi-reactor'
  | 'multi-reactor-thread-pool'
  | 'multi-process-reactor'
  | 'proactor'
  | 'multi-proactor';

/** How the processes of `prefork` share one listening socket. */
export type AcceptStrategy = 'thundering-herd' | 'lock' | 'exclusive' | 'reuseport';

export interface ServerSettings {
  readonly host: string;
  readonly port: number;
  readonly application: ApplicationName;
  readonly workers: number;
  readonly mechanism: string | undefined;
  /** The model's best mechanism that this system had when the server was made. */
  readonly best: Mechanism | undefined;
  readonly accept: AcceptStrategy;
  readonly maxConnections: number;
  /** Of thread-pool: so many connections wait for a thread at the most. */
  readonly maxQueued: number;
}
