/**
 * A server as the program of a model sees it: what the models have in common. One object per thread and process of a server.
 *
 * The programs block, so they run in threads of their own and not in the caller's. A thread that blocks does not see a child exit, so another
 * thread, the supervisor (supervision/supervisor.ts), starts and watches threads and processes; `workers` sends it requests.
 */
import { writeSync } from 'node:fs';
import type { ProactorLoop } from '../../index.js';
import {
  type BaseSelector,
  type ConnectionHandler,
  EVENT_READ,
  type Listener,
  type Mechanism,
  Reactor,
  type ReadyEvent,
  Socket,
  type SocketAddress,
  availableMechanisms,
  createSelector,
} from '../../index.js';
import { isTransientAcceptError } from '../../net/accept-errors.js';
import { asSlice, interruptWhenReadable, waitsInKernel } from '../../syscalls/slices.js';
import { sharePort } from '../../net/sockopt.js';
import { Backoff, isTransient, isTransientOfWait } from '../../net/transient.js';
import type { Application } from '../applications/application.js';
import { applicationRow } from '../applications/index.js';
import { closeQuietly, serveBlocking } from './blocking.js';
import { createProactorLoop } from './proactor-loop.js';
import { ConnectionQueue } from './connection-queue.js';
import type { CriticalSection } from './critical-section.js';
import type { TaskPort } from '../protocol/messages.js';
import { type ConnectionObserver, observedHandler } from './observed.js';
import { type Row, SERVING, type Scoreboard } from '../protocol/scoreboard.js';
import type { ServerSettings } from '../protocol/settings.js';
import type { Workers } from './workers.js';

/** What a thread or process of a server is started with. */
export interface WorkerContext {
  readonly settings: ServerSettings;
  readonly scoreboard: Scoreboard;
  /** This worker's own row of the scoreboard. */
  readonly count: Row;
  /** One cell, CLOSING, shared by all threads of this process. */
  readonly control: Int32Array;
  /** Starts threads and processes; null in a process, which starts none. */
  readonly workers: Workers | null;
  /** The sockets of StartRequest.fds; in a process, followed by the lifeline: a socket that becomes readable when the parent exits. */
  readonly inherited: readonly Socket[];
  readonly queue: ConnectionQueue | null;
  /** null in a process. */
  readonly section: CriticalSection | null;
  /** For a thread of a task pool. */
  readonly taskPort: TaskPort | null;
  /** For a thread that works on one task: its request. */
  readonly task: Uint8Array | null;
  /** Reports the address that the server listens on. */
  announce(address: SocketAddress): void;
  /** For a thread that works on one task. */
  replyToTask(reply: Uint8Array): void;
}

/** Cell of `control`: not 0 when the server is being closed; Atomics.notify() follows. */
export const CLOSING = 0;

/** How often a thread that waits in slices checks CLOSING. */
const POLL_INTERVAL_MS = 100;
/** How often a thread at the limit of connections checks their number. */
export const LIMIT_POLL_INTERVAL_MS = 5;

/** Thrown to unwind a program when the server is closed: what it has open is closed on the way out. */
export class ServerClosing extends Error {
  override readonly name = 'ServerClosing';
}

export class Server {
  readonly settings: ServerSettings;
  /** This worker's own row of the scoreboard. */
  readonly count: Row;
  readonly #context: WorkerContext;
  #application: Application | undefined;
  readonly #acceptBackoff = new Backoff();

  constructor(context: WorkerContext) {
    this.#context = context;
    this.settings = context.settings;
    this.count = context.count;
  }

  /** This worker's own instance. */
  get application(): Application {
    return (this.#application ??= applicationRow(this.settings.application).create());
  }

  get isClosing(): boolean {
    return Atomics.load(this.#context.control, CLOSING) !== 0;
  }

  // ------------------------------------------------------------------------------------------------- listening, accepting

  /** socket, bind, listen; reports the address to the server's owner. Clients can connect from then on. */
  listen(): Socket {
    const listener = this.bind().listen();
    this.announce(listener);
    return listener;
  }

  /** socket, bind. @param options.port default: settings.port */
  bind(options: { readonly reusePort?: boolean; readonly port?: number } = {}): Socket {
    const { host } = this.settings;
    const socket = new Socket({ family: host.includes(':') ? 'ipv6' : 'ipv4' });
    try {
      // The port can be bound again right after a server was closed. (Windows allows that anyway; there the option means something else.)
      if (process.platform !== 'win32') socket.setOption('SO_REUSEADDR', true);
      if (options.reusePort) sharePort(socket);
      return socket.bind({ host, port: options.port ?? this.settings.port });
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** The port that all threads of this server listen on (shared-port.ts). */
  get reservedPort(): number {
    return this.#context.scoreboard.row(0).reservedPort;
  }

  set reservedPort(port: number) {
    this.#context.scoreboard.row(0).reservedPort = port;
  }

  /** Reports to the server's owner that the server listens, and on which address. */
  announce(listener: Socket): void {
    this.#context.announce(listener.localAddress);
  }

  /**
   * accept(2) from a blocking listener. Skips clients that have disconnected meanwhile; waits and retries while no descriptor is free. BLOCKS.
   */
  accept(listener: Socket): Socket {
    const isSliced = !waitsInKernel();
    if (isSliced) listener.timeout ??= POLL_INTERVAL_MS;
    const accept = isSliced ? () => asSlice(() => listener.accept()) : () => listener.accept();
    for (;;) {
      this.#throwIfClosing();
      const connection = this.#acceptOnce(accept);
      if (connection !== null) return connection;
    }
  }

  /** In a process: a blocking call that does not return (accept, recv) fails with EINTR when the parent exits. */
  endWithParent(): void {
    if (this.parent !== null) interruptWhenReadable(this.parent.fd);
  }

  /** accept(2) from a non-blocking listener. @returns null: no client waits, or another process has accepted it */
  tryAccept(listener: Socket): Socket | null {
    return this.#acceptOnce(() => listener.accept());
  }

  /** @returns null: no connection, or an error that does not end the server */
  #acceptOnce(accept: () => Socket | null): Socket | null {
    try {
      const connection = accept();
      if (this.#acceptBackoff.isUnderWay) this.#acceptBackoff.reset();
      return connection === null ? null : this.#prepare(connection);
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException;
      if (code === 'ETIMEDOUT') return null;
      if (code === 'EINTR') {
        if (this.parent !== null) throw new ServerClosing(); // the parent process has exited
        return null;
      }
      if (isTransient(error)) {
        if (!this.#acceptBackoff.isUnderWay) this.report(error);
        this.#acceptBackoff.next();
        this.pause(POLL_INTERVAL_MS); // clients wait in the backlog
        return null;
      }
      if (isTransientAcceptError(code)) return null;
      throw error;
    }
  }

  #prepare(connection: Socket): Socket | null {
    this.count.accepted++;
    try {
      // The listener has a timeout; the connection inherits none of it.
      connection.blocking = true;
      return connection;
    } catch (error) {
      this.#rejectAfter(connection, error);
      return null;
    }
  }

  /** A connection that could not be prepared or passed on: the error concerns only its client. */
  #rejectAfter(connection: Socket, error: unknown): void {
    this.report(error);
    this.reject(connection);
  }

  /**
   * Passes a connection to another thread. If `pass` throws, the error is reported, and the connection is reset and counted as rejected.
   * @returns what `pass` returned; undefined: it threw
   */
  passOn<T>(connection: Socket, pass: () => T): T | undefined {
    try {
      return pass();
    } catch (error) {
      if (error instanceof ServerClosing) throw error;
      this.#rejectAfter(connection, error);
      return undefined;
    }
  }

  /** Counts a connection of which this worker could make no socket; it is closed. */
  onHandOverFailed(error: unknown): void {
    countFailedHandOver(this.count, error);
  }

  /**
   * Makes a blocking system call; if it fails for lack of memory, reports that once, and retries after a pause. BLOCKS.
   * @throws all other errors
   */
  waitWithRetry<T>(wait: () => T): T {
    for (const backoff = new Backoff(); ;) {
      try {
        return wait();
      } catch (error) {
        if (!isTransientOfWait(error)) throw error;
        if (!backoff.isUnderWay) this.report(error);
        this.pause(backoff.next());
      }
    }
  }

  /** Prints an error on the standard error. */
  report(error: unknown): void {
    writeError(error);
  }

  /** Are maxConnections open? */
  get isAtLimit(): boolean {
    return this.#context.scoreboard.open >= this.settings.maxConnections;
  }

  /** BLOCKS while maxConnections are open; clients wait in the backlog. */
  waitBelowLimit(): void {
    while (this.isAtLimit) this.pause(LIMIT_POLL_INTERVAL_MS);
  }

  /** Resets a connection for which there is no room, so that the client does not wait for a reply. */
  reject(connection: Socket): void {
    try {
      connection.setOption('SO_LINGER', 0);
    } catch {
      // The peer has reset (macOS).
    }
    closeQuietly(connection);
    this.count.rejected++;
  }

  // -------------------------------------------------------------------------------------------------------------- serving

  /** Serves one connection with blocking I/O until it ends. BLOCKS. */
  serve(connection: Socket): void {
    serveBlocking(connection, this.application, this.count);
  }

  /**
   * The application as a loop's handler, which counts connections and bytes.
   * @param options.application default: this worker's own
   * @param options.wasAccepted another thread accepts, and has counted it
   */
  handler(options: { readonly application?: Application; readonly wasAccepted?: boolean } = {}): ConnectionHandler {
    const { count } = this;
    const observer: ConnectionObserver = {
      connected: () => {
        if (!options.wasAccepted) count.accepted++;
        count.opened++;
      },
      received: (_, chunk) => {
        count.bytesIn += chunk.length;
      },
      sent: (_, bytes) => {
        count.bytesOut += typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length;
      },
      closed: () => {
        count.closed++;
      },
    };
    return observedHandler(options.application ?? this.application, observer);
  }

  /** A reactor on the chosen mechanism. Default: the best that this system has. */
  createReactor(): Reactor {
    const selector = createSelector(this.settings.mechanism ?? this.settings.best);
    this.#publishWakeupHandle(selector.wakeupHandle);
    return new Reactor({ selector, onError: writeError });
  }

  /** A proactor loop on the chosen mechanism. Default: the best for which the system has resources; a fallback is reported. */
  createProactorLoop(): ProactorLoop {
    const loop = createProactorLoop(this.settings.mechanism, writeError);
    this.#reportFallback(loop.mechanism);
    this.#publishWakeupHandle(loop.proactor.wakeupHandle);
    return loop;
  }

  /**
   * Runs the loop until the server is closed. BLOCKS.
   * @param listener in a process: closed when the parent exits; the loop then ends after its last connection
   * @param afterTurn called after each turn; returns the number of things it has done
   */
  run(loop: Reactor | ProactorLoop, listener?: Listener, afterTurn: () => number = () => 0): void {
    const { count, parent } = this;
    this.markReady();
    let isOrphan = false as boolean;
    if (parent !== null && loop instanceof Reactor) {
      loop.addReader(parent, () => {
        isOrphan = true;
        loop.removeReader(parent);
        listener?.close();
      });
    }
    let done = afterTurn(); // what arrived before the loop could be woken
    while (!this.isClosing && !(isOrphan && count.opened === count.closed)) {
      const isFollowUp = done > 0; // this turn sends what afterTurn() has written
      const handled = loop.runOnce();
      done = afterTurn();
      if (isFollowUp && handled === 0 && done === 0) continue;
      count.wakeups++;
      if (handled === 0 && done === 0) count.emptyWakeups++;
    }
    loop.close();
  }

  // -------------------------------------------------------------------------------------------------- threads and processes

  /** Starts threads and processes. */
  get workers(): Workers {
    const { workers } = this.#context;
    if (workers === null) throw new Error('a worker process cannot start workers');
    return workers;
  }

  /** The socket that this worker was started with: a connection, a listener, or a channel to the parent. */
  get inherited(): Socket {
    const [first] = this.#context.inherited;
    if (first === undefined) throw new Error('this worker has inherited nothing');
    return first;
  }

  /** In a process: a socket that becomes readable when the parent process exits. */
  get parent(): Socket | null {
    return this.#context.inherited[1] ?? null;
  }

  /** A new queue of connections for other threads. @param capacity rounded up to a power of two */
  newQueue(capacity: number): ConnectionQueue {
    return new ConnectionQueue(capacity, this.#context.section);
  }

  /** The queue from which this thread takes connections. */
  get queue(): ConnectionQueue {
    const { queue } = this.#context;
    if (queue === null) throw new Error('this worker has no queue');
    return queue;
  }

  /** Reports that this worker has all that it needs to serve: startThreads() and startProcesses() wait for it. */
  markReady(): void {
    this.count.state = SERVING;
  }

  /** In a thread of a task pool: the channel to its reactor. */
  get taskPort(): TaskPort {
    const { taskPort } = this.#context;
    if (taskPort === null) throw new Error('this worker belongs to no task pool');
    return taskPort;
  }

  /** In a thread that works on one task: the request. */
  get task(): Uint8Array {
    const { task } = this.#context;
    if (task === null) throw new Error('this worker has no task');
    return task;
  }

  /** In a thread that works on one task. */
  replyToTask(reply: Uint8Array): void {
    this.#context.replyToTask(reply);
  }

  /** BLOCKS until the server is closed, and then throws ServerClosing: for a parent whose processes do all the work. */
  waitUntilClosed(): void {
    for (;;) this.pause(Infinity);
  }

  /** BLOCKS for `ms` milliseconds. @throws ServerClosing as soon as the server is being closed */
  pause(ms: number): void {
    this.#throwIfClosing();
    Atomics.wait(this.#context.control, CLOSING, 0, ms);
    this.#throwIfClosing();
  }

  /** Runs the action while it holds the lock that all workers share. BLOCKS until it is free. */
  withAcceptLock<T>(action: () => T): T {
    return this.#context.scoreboard.withLock(action);
  }

  /** A selector on the chosen mechanism. In a process, it also watches the parent (see select). */
  createSelector<D>(): BaseSelector<D> {
    const selector = createSelector<D>(this.settings.mechanism ?? this.settings.best);
    if (this.parent !== null) selector.register(this.parent, EVENT_READ);
    this.#publishWakeupHandle(selector.wakeupHandle);
    this.markReady();
    return selector;
  }

  /**
   * selector.select(), which counts wake-ups. BLOCKS.
   * @param timeout milliseconds; null: no limit
   * @throws ServerClosing when the server is being closed, or the parent process has exited
   */
  select<D>(selector: BaseSelector<D>, timeout: number | null = null): readonly ReadyEvent<D>[] {
    const ready = this.waitWithRetry(() => selector.select(timeout));
    if (ready.length > 0 || timeout === null) this.count.wakeups++;
    if (ready.some(([key]) => key.fileobj === this.parent)) throw new ServerClosing();
    this.#throwIfClosing();
    return ready;
  }

  // --------------------------------------------------------------------------------------------------------------------

  /** Publishes the handle by which other threads wake this one from its wait (see wakeup()). */
  #publishWakeupHandle(handle: number): void {
    this.count.wakeupHandle = handle;
    if (this.#context.queue !== null) this.#context.queue.wakeupHandle = handle;
  }

  #reportFallback(used: Mechanism): void {
    const { mechanism, best } = this.settings;
    if (mechanism !== undefined || best === undefined || best === used) return;
    const now = availableMechanisms().find((row) => row.mechanism === best);
    const why = now?.available === false ? ` (${now.why})` : '';
    this.report(new Error(`no resources for another loop on ${best}${why}; it runs on ${used}`));
  }

  #throwIfClosing(): void {
    if (this.isClosing) throw new ServerClosing();
  }
}

/** A connection was assigned to a worker that could make no socket of it: its client sees a reset or the end of the stream. */
export function countFailedHandOver(count: Row, error: unknown): void {
  count.rejected++;
  count.assigned--;
  writeError(error);
}

/** Prints an error on the standard error, synchronously: process.emitWarning() needs an event loop that runs. */
export function writeError(error: unknown): void {
  try {
    writeSync(2, `selectors-native: ${error instanceof Error ? error.message : String(error)}\n`);
  } catch {
    // The standard error is closed or full.
  }
}
