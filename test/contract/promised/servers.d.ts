/** What callers of `selectors-native/servers` may rely on, by name and by meaning. The package may offer more. */
import type { SocketAddress, Mechanism } from './index';

export type ServerModelName =
  | 'iterative'                   // one connection after the other: accept, recv, send, close
  | 'busy-wait'                   // non-blocking sockets, tried in turn, no multiplexer: burns a core
  | 'thread-per-connection'       // blocking I/O, one OS thread a connection
  | 'thread-pool'                 // "pseudo-asynchronous": blocking I/O, N threads and a queue of connections
  | 'process-per-connection'      // one OS process a connection, which inherits the descriptor
  | 'process-pool'                // the parent accepts and hands connections to N processes (SCM_RIGHTS / WSADuplicateSocket)
  | 'prefork'                     // N processes accept on one listening socket; see PreforkOptions.accept
  | 'reactor'                     // one thread, one selector
  | 'reactor-thread-per-task'     // the reactor reads; a new thread for each task
  | 'reactor-thread-pool'         // the reactor reads and writes; N threads do the work
  | 'multi-reactor'               // one accepts and deals connections out to N sub-reactors (muduo, Netty)
  | 'multi-reactor-thread-pool'
  | 'multi-process-reactor'       // N processes, a reactor each (nginx)
  | 'proactor'                    // one thread, completions: IOCP, io_uring
  | 'multi-proactor';

export const SERVER_MODELS: ReadonlyArray<{
  readonly name: ServerModelName;
  /** One line of what it is, one of what it costs, where the blog posts and books describe it. */
  readonly summary: string;
  readonly strengths: string;
  readonly weaknesses: string;
  readonly isAvailable: boolean;
}>;

/** How the processes of `prefork` share one listening socket. */
export type AcceptStrategy = 'thundering-herd' | 'lock' | 'exclusive' | 'reuseport';

export interface ServerOptions {
  readonly host?: string;                 // default '127.0.0.1'
  readonly port?: number;                 // default 0
  readonly application?: ApplicationName; // default 'echo'
  readonly workers?: number;              // threads or processes, where the model has them; default availableParallelism()
  readonly mechanism?: Mechanism;         // which multiplexer, where the model has one; default the platform's best
  readonly accept?: AcceptStrategy;       // 'prefork' only
  readonly maxConnections?: number;
}

/** 'echo': bytes come back. 'rpc': 4-byte little-endian length + JSON {in, params} -> {out, result}. 'chat': see ChatServer. */
export type ApplicationName = 'echo' | 'rpc' | 'chat';

export interface ServerStats {
  readonly accepted: number; readonly open: number; readonly bytesIn: number; readonly bytesOut: number;
  readonly wakeups: number; readonly emptyWakeups: number;   // emptyWakeups: woken, and nothing to do (the thundering herd)
}

/** Blocking models run in threads or processes of their own: this object never blocks Node's event loop. */
export interface ModelServer extends AsyncDisposable {
  readonly model: ServerModelName;
  listen(): Promise<{ readonly host: string; readonly port: number }>;
  stats(): Promise<ServerStats>;
  /** Stops accepting, lets go of every thread, process and descriptor. */
  close(): Promise<void>;
}

export function createServer(model: ServerModelName, options?: ServerOptions): ModelServer;

/** The textbook's two lines, for a program of its own: `new EchoServer(HOST, PORT).run()` blocks and serves for ever. */
export class EchoServer {
  constructor(host: string, port: number, options?: { readonly model?: ServerModelName; readonly mechanism?: Mechanism });
  run(): void;
}
