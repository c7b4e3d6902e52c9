/**
 * A server as its own programs see it: what the models have in common. One object in each thread and each process of a server.
 *
 * The programs block. So that the caller's event loop does not, they run in threads of their own; and since who blocks cannot see a child
 * end, threads and processes are started by another thread that does not block, the supervisor (supervisor.ts), which is asked by message.
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
import { Backoff, isTransient, isTransientOfWait } from '../../net/transient.js';
import type { Application } from '../applications/application.js';
import { applicationRow } from '../applications/index.js';
import { closeQuietly, serveBlocking } from './blocking.js';
import { createProactorLoop } from './proactor-loop.js';
import { ConnectionQueue } from './connection-queue.js';
import type { CriticalSection } from './critical-section.js';
import type { TaskPort } from '../protocol/messages.js';
import { type Observer, observed } from './observed.js';
import { type Row, SERVING, type Scoreboard } from '../protocol/scoreboard.js';
import type { ServerSettings } from '../protocol/settings.js';
import type { Workers } from './workers.js';

/** What a program was started with. */
export interface WorkerContext {
  readonly settings: ServerSettings;
  readonly scoreboard: Scoreboard;
  readonly count: Row;
  /** Of this process's threads: is the server being closed? */
  readonly control: Int32Array;
  /** Starts threads and processes. A process has none: it starts nothing. */
  readonly workers: Workers | null;
  readonly inherited: readonly Socket[];
  readonly queue: ConnectionQueue | null;
  /** Of a thread. */
  readonly section: CriticalSection | null;
  /** The way of a pool's thread to its reactor. */
  readonly taskPort: TaskPort | null;
  /** What a thread for one task is asked. */
  readonly request: Uint8Array | null;
  /** Tells where the clients may come. */
  announce(address: SocketAddress): void;
  /** Of a thread for one task. */
  answer(reply: Uint8Array): void;
}

/** In `control`. */
export const CLOSING = 0;

/** How often one that waits in the kernel looks up, in milliseconds. */
const LOOK_UP = 100;
const MOMENT = 5;

/** What ends a program from within, when the server is closed: all that it has open is closed on the way out. */
export class Closing extends Error {
  override readonly name = 'Closing';
}

export class Server {
  readonly settings: ServerSettings;
  /** This worker's own row of the scoreboard. */
  readonly count: Row;
  readonly #own: WorkerContext;
  #application: Application | undefined;
  readonly #accepting = new Backoff();

  constructor(own: WorkerContext) {
    this.#own = own;
    this.settings = own.settings;
    this.count = own.count;
  }

  /** This worker's own. */
  get application(): Application {
    return (this.#application ??= applicationRow(this.settings.application).create());
  }

  get isClosing(): boolean {
    return Atomics.load(this.#own.control, CLOSING) !== 0;
  }

  // ------------------------------------------------------------------------------------------------- listening, accepting

  /** socket, bind, listen. From now on clients can connect. */
  listen(): Socket {
    const listener = this.bind().listen();
    this.announce(listener);
    return listener;
  }

  /** socket, bind. @param port another one than the server was asked for */
  bind(options: { readonly reusePort?: boolean; readonly port?: number } = {}): Socket {
    const { host } = this.settings;
    const socket = new Socket({ family: host.includes(':') ? 'ipv6' : 'ipv4' });
    try {
      // A server that was stopped can start again at once. (Windows needs no such leave, and means something else by it.)
      if (process.platform !== 'win32') socket.setOption('SO_REUSEADDR', true);
      if (options.reusePort) socket.setOption('SO_REUSEPORT', true);
      return socket.bind({ host, port: options.port ?? this.settings.port });
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** Tells where the clients may come. */
  announce(listener: Socket): void {
    this.#own.announce(listener.localAddress);
  }

  /**
   * accept(2), from a listener that blocks. Clients that have gone meanwhile are passed over; when no descriptor is left, it waits until
   * one is.
   */
  accept(listener: Socket): Socket {
    listener.timeout ??= LOOK_UP;
    for (;;) {
      this.#checkClosing();
      const connection = this.#attempt(() => listener.accept());
      if (connection !== null) return connection;
    }
  }

  /** accept(2), from a listener that does not block. @returns null: somebody else was faster */
  tryAccept(listener: Socket): Socket | null {
    return this.#attempt(() => listener.accept());
  }

  /** accept(2) or what makes it. null: nobody; or an error that is not the server's end. */
  #attempt(accept: () => Socket | null): Socket | null {
    try {
      const connection = accept();
      if (this.#accepting.isUnderWay) this.#accepting.reset();
      return connection === null ? null : this.#accepted(connection);
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException;
      if (code === 'ETIMEDOUT') return null;
      if (isTransient(error)) {
        if (!this.#accepting.isUnderWay) this.report(error);
        this.#accepting.next();
        this.pause(LOOK_UP); // the clients wait in the backlog
        return null;
      }
      if (isTransientAcceptError(code)) return null;
      throw error;
    }
  }

  #accepted(connection: Socket): Socket | null {
    this.count.accepted++;
    try {
      // The listener looks up now and then; the connection need not.
      connection.blocking = true;
      return connection;
    } catch (error) {
      this.#refuse(connection, error);
      return null;
    }
  }

  /** A connection that could not be passed on, or not be prepared: it costs its client, and no one else. */
  #refuse(connection: Socket, error: unknown): void {
    this.report(error);
    this.reject(connection);
  }

  /**
   * Passes a connection on. Where that throws, the connection is reset and counted as rejected, and the server goes on.
   * @returns what `pass` returned; undefined: it threw
   */
  passOn<T>(connection: Socket, pass: () => T): T | undefined {
    try {
      return pass();
    } catch (error) {
      if (error instanceof Closing) throw error;
      this.#refuse(connection, error);
      return undefined;
    }
  }

  /** A connection that was handed to this worker, and is closed, since no socket can be made of it. */
  handOverFailed(error: unknown): void {
    countFailedHandOver(this.count, error);
  }

  /**
   * A wait of the kernel's. One that fails for want of memory is reported once, and made again after a pause. BLOCKS.
   * @throws all other errors
   */
  waitPatiently<T>(wait: () => T): T {
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

  /** On the standard error. */
  report(error: unknown): void {
    writeError(error);
  }

  /** BLOCKS while as many connections are open as there may be: clients wait in the backlog meanwhile. */
  waitForRoom(): void {
    while (this.#own.scoreboard.open >= this.settings.maxConnections) this.pause(MOMENT);
  }

  /** Turns a connection away, since there is no room for it. The client sees a reset, and not an answer that never comes. */
  reject(connection: Socket): void {
    try {
      connection.setOption('SO_LINGER', 0);
    } catch {
      // It has reset itself (macOS).
    }
    closeQuietly(connection);
    this.count.rejected++;
  }

  // -------------------------------------------------------------------------------------------------------------- serving

  /** Serves one connection to its end, with blocking I/O. BLOCKS. */
  serve(connection: Socket): void {
    serveBlocking(connection, this.application, this.count);
  }

  /**
   * The application as a loop's handler, which counts.
   * @param application another than the worker's own
   */
  handler(options: { readonly application?: Application; readonly wasAccepted?: boolean } = {}): ConnectionHandler {
    const { count } = this;
    const observer: Observer = {
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
    return observed(options.application ?? this.application, observer);
  }

  createReactor(): Reactor {
    const selector = createSelector(this.settings.mechanism);
    this.#wakeBy(selector.wakeupHandle);
    return new Reactor({ selector, onError: writeError });
  }

  /** Over the mechanism that was asked for; default: the best one that has room, which is reported where it is not this system's best. */
  createProactorLoop(): ProactorLoop {
    const loop = createProactorLoop(this.settings.mechanism, writeError);
    this.#reportFallback(loop.mechanism);
    this.#wakeBy(loop.proactor.wakeupHandle);
    return loop;
  }

  /**
   * Turns the loop until the server is closed. BLOCKS.
   * @param listener in a process: when the parent has gone, it is closed, and the loop ends with its last connection
   * @param eachTurn what else there is to do. Says how much there was
   */
  run(loop: Reactor | ProactorLoop, listener?: Listener, eachTurn: () => number = () => 0): void {
    const { count, parent } = this;
    this.isReady();
    let isOrphan = false as boolean;
    if (parent !== null && loop instanceof Reactor) {
      loop.addReader(parent, () => {
        isOrphan = true;
        loop.removeReader(parent);
        listener?.close();
      });
    }
    let done = eachTurn(); // what came before the loop could be woken
    while (!this.isClosing && !(isOrphan && count.opened === count.closed)) {
      const isFollowUp = done > 0; // what was written then is sent now
      const handled = loop.runOnce();
      done = eachTurn();
      if (isFollowUp && handled === 0 && done === 0) continue;
      count.wakeups++;
      if (handled === 0 && done === 0) count.emptyWakeups++;
    }
    loop.close();
  }

  // -------------------------------------------------------------------------------------------------- threads and processes

  /** Starts them. */
  get workers(): Workers {
    const { workers } = this.#own;
    if (workers === null) throw new Error('a worker process starts nothing');
    return workers;
  }

  /** What a thread or process was given when it was started: its connection, its listener, its way to the parent. */
  get inherited(): Socket {
    const [first] = this.#own.inherited;
    if (first === undefined) throw new Error('this worker has inherited nothing');
    return first;
  }

  /** In a process: becomes readable when the parent process has gone. */
  get parent(): Socket | null {
    return this.#own.inherited[1] ?? null;
  }

  /** A queue of connections for other threads. @param capacity how many it shall hold at least */
  newQueue(capacity: number): ConnectionQueue {
    return new ConnectionQueue(capacity, this.#own.section);
  }

  /** The queue of connections that this thread was given. */
  get queue(): ConnectionQueue {
    const { queue } = this.#own;
    if (queue === null) throw new Error('this worker has no queue');
    return queue;
  }

  /** This worker has all that it needs to serve. Those that start workers wait for it. */
  isReady(): void {
    this.count.state = SERVING;
  }

  /** The way of a pool's thread to its reactor. */
  get taskPort(): TaskPort {
    const { taskPort } = this.#own;
    if (taskPort === null) throw new Error('this worker is not of a pool');
    return taskPort;
  }

  /** What a thread for one task is asked. */
  get request(): Uint8Array {
    const { request } = this.#own;
    if (request === null) throw new Error('this worker is asked nothing');
    return request;
  }

  /** Its answer. */
  answer(reply: Uint8Array): void {
    this.#own.answer(reply);
  }

  /** BLOCKS until the server is closed: for the parent of those that serve, which has nothing else to do. */
  supervise(): void {
    for (;;) this.pause(LOOK_UP);
  }

  /** BLOCKS for so many milliseconds, at the most until the server is closed. */
  pause(ms: number): void {
    this.#checkClosing();
    Atomics.wait(this.#own.control, CLOSING, 0, ms);
    this.#checkClosing();
  }

  withAcceptLock<T>(action: () => T): T {
    return this.#own.scoreboard.withLock(action);
  }

  /** A selector of the mechanism that was asked for. In a process, it also watches whether the parent is still there. */
  createSelector<D>(): BaseSelector<D> {
    const selector = createSelector<D>(this.settings.mechanism);
    if (this.parent !== null) selector.register(this.parent, EVENT_READ);
    this.#wakeBy(selector.wakeupHandle);
    this.isReady();
    return selector;
  }

  /** Waits for a selector, and counts. BLOCKS. @param timeout milliseconds; null: for ever */
  select<D>(selector: BaseSelector<D>, timeout: number | null = null): readonly ReadyEvent<D>[] {
    const ready = this.waitPatiently(() => selector.select(timeout));
    if (ready.length > 0 || timeout === null) this.count.wakeups++;
    if (ready.some(([key]) => key.fileobj === this.parent)) throw new Closing();
    this.#checkClosing();
    return ready;
  }

  // --------------------------------------------------------------------------------------------------------------------

  /** Has others wake this thread from its wait by this. See wakeup(). */
  #wakeBy(handle: number): void {
    this.count.wakeupHandle = handle;
    if (this.#own.queue !== null) this.#own.queue.wakeupHandle = handle;
  }

  #reportFallback(used: Mechanism): void {
    const { mechanism, best } = this.settings;
    if (mechanism !== undefined || best === undefined || best === used) return;
    const now = availableMechanisms().find((row) => row.mechanism === best);
    const why = now?.available === false ? ` (${now.why})` : '';
    this.report(new Error(`no room for one more loop over ${best}${why}; it is over ${used}`));
  }

  #checkClosing(): void {
    if (this.isClosing) throw new Closing();
  }
}

/** Its client has seen a reset, or an end. */
export function countFailedHandOver(count: Row, error: unknown): void {
  count.rejected++;
  count.handed--;
  writeError(error);
}

/** On the standard error, at once: a thread that blocks has no warnings of Node's. */
export function writeError(error: unknown): void {
  try {
    writeSync(2, `selectors-native: ${error instanceof Error ? error.message : String(error)}\n`);
  } catch {
    // Nobody listens, or nobody can now.
  }
}
