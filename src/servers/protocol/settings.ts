/** A server's options after they are checked. Each of its threads and processes has a copy. */
import type { Mechanism } from '../../index.js';
import type { ApplicationName } from '../applications/index.js';

/** The names of the server models; SERVER_MODELS describes each. */
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

/** How several workers accept on one port; ACCEPT_STRATEGIES describes each. */
export type AcceptStrategy = 'thundering-herd' | 'blocking' | 'lock' | 'exclusive' | 'reuseport';

/** The names are those of ServerOptions, with defaults filled in. */
export interface ServerSettings {
  readonly host: string;
  readonly port: number;
  readonly application: ApplicationName;
  /** At most maxConnections. */
  readonly workers: number;
  /** undefined: the best that this system has. */
  readonly mechanism: string | undefined;
  /** The model's best mechanism on this system when createServer() was called; undefined: the model has no multiplexer. */
  readonly best: Mechanism | undefined;
  /** null: the model has no such option, or its first thread accepts for all others. */
  readonly accept: AcceptStrategy | null;
  readonly maxConnections: number;
  readonly maxQueued: number;
  /**
   * The blocking calls of the server's threads wait for as long as it takes, and the supervisor interrupts them (syscalls/slices.ts). false:
   * the server belongs to a worker, which other code may terminate; its threads wait in slices.
   */
  readonly interruptible: boolean;
}
