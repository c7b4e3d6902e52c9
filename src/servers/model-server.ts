/** A server of any model, as the program that owns it sees it. */
import { closedError } from '../errors.js';
import type { SocketAddress } from '../index.js';
import { wholeNumber } from '../validate.js';
import type { Model } from './models/model.js';
import type { ServerModelName, ServerSettings } from './protocol/settings.js';
import type { Totals } from './protocol/scoreboard.js';
import { type ServerOptions, parseServerOptions } from './server-options.js';
import { type SupervisorEvent, type WorkerExit, type WorkerStats, describeExit, errorOf } from './protocol/messages.js';
import { SupervisorThread } from './supervisor-thread.js';

/** Counts over all workers of a server since listen(), those that have exited included. */
export interface ServerStats {
  /** Connections that accept(2) has returned. */
  readonly accepted: number;
  /** Accepted connections that are still open: served, or waiting for a worker. */
  readonly open: number;
  /** Bytes received from clients. */
  readonly bytesIn: number;
  /** Bytes that the application has written. */
  readonly bytesOut: number;
  /** Returns of a blocking call: a wait of a multiplexer, or a recv(2). busy-wait: rounds over all sockets. */
  readonly wakeups: number;
  /** Wake-ups after which there was nothing to do: the thundering herd. */
  readonly emptyWakeups: number;
  /** Connections that were reset because no worker had room for them. */
  readonly rejected: number;
  /** Connections that ended because their worker exited. */
  readonly lost: number;
  /** Connections or tasks that wait for a worker now. */
  readonly queued: number;
}

/**
 * A server in threads and processes of its own: it does not block the caller's event loop, and a caller that blocks does not stop it.
 *
 *   new --listen()--> starting --bound--> listening --close(), or its first thread exits--> closing --> closed
 *                     starting --EADDRINUSE and the like--> closed
 */
export interface ModelServer extends AsyncDisposable {
  /** The model that createServer() was called with. */
  readonly model: ServerModelName;
  /**
   * Starts the server, and keeps Node's event loop alive until close().
   * @returns the address it listens on, with the port that the system has chosen if port was 0
   * @throws EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOTFOUND; ERR_CLOSED after close(), and when called a second time
   */
  listen(): Promise<{
    /** The IP address. */
    readonly host: string;
    /** The port, also if the options asked for any free one (0). */
    readonly port: number;
  }>;
  /** Counts over all workers. Before listen(): zeros. After close(): the last counts. */
  stats(): Promise<ServerStats>;
  /** The threads and processes that run now; empty before listen() and after close(). */
  workers(): Promise<readonly WorkerStats[]>;
  /**
   * Kills a thread or process, as a bug in it would, to test what happens then.
   * @param id WorkerInfo.id
   * @returns false: no worker has this id
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
   */
  killWorker(id: number): Promise<boolean>;
  /**
   * Stops accepting, ends every thread and process, and closes every descriptor and file. Open connections end with them. Resolves when all
   * have exited; a second call waits for the first.
   */
  close(): Promise<void>;
}

function statsOf(totals: Totals): ServerStats {
  const { accepted, rejected, closed, bytesIn, bytesOut, wakeups, emptyWakeups, lost } = totals;
  const open = Math.max(0, accepted - rejected - closed);
  const queued = Math.max(0, totals.enqueued - totals.dequeued) + totals.tasksWaiting;
  return { accepted, open, bytesIn, bytesOut, wakeups, emptyWakeups, rejected, lost, queued };
}

const NOTHING: Totals = {
  ...{ accepted: 0, rejected: 0, opened: 0, closed: 0, bytesIn: 0, bytesOut: 0 },
  ...{ wakeups: 0, emptyWakeups: 0, enqueued: 0, dequeued: 0, lost: 0, tasksWaiting: 0 },
};

class SupervisedServer implements ModelServer {
  readonly model: ServerModelName;
  readonly #model: Model;
  readonly #settings: ServerSettings;
  readonly #onWorkerExit: (exit: WorkerExit) => void;
  #thread: SupervisorThread | null = null;
  #closed: Promise<unknown> | null = null;
  #totals = NOTHING;
  /** Why the server could not start. */
  #failure: Error | null = null;
  #lastRequestId = 0;
  readonly #pendingReplies = new Map<number, (value: unknown) => void>();
  #pendingListen: { resolve(address: SocketAddress): void; reject(error: Error): void } | null = null;

  constructor(model: Model, settings: ServerSettings, onWorkerExit: (exit: WorkerExit) => void) {
    this.model = model.name;
    this.#model = model;
    this.#settings = settings;
    this.#onWorkerExit = onWorkerExit;
  }

  async listen(): Promise<{ readonly host: string; readonly port: number }> {
    if (this.#thread !== null || this.#closed !== null) throw closedError('server listens once only; for this call it');
    const thread = (this.#thread = new SupervisorThread(this.#model, this.#settings));
    const address = await new Promise<SocketAddress>((resolve, reject) => {
      this.#pendingListen = { resolve, reject };
      thread.port.on('message', (event: SupervisorEvent) => this.#onEvent(event));
      thread.worker.on('error', (error) => this.#onThreadError(error));
      this.#closed = new Promise((exited) => thread.worker.on('exit', exited)).then(() => this.#onThreadExit(thread));
      void this.#closed.then(() => reject(this.#failure ?? closedError('server')));
    });
    this.#pendingListen = null;
    return address as { host: string; port: number };
  }

  async stats(): Promise<ServerStats> {
    const totals = (await this.#request({ type: 'totals' })) as Totals | undefined;
    return statsOf(totals ?? this.#totals);
  }

  async workers(): Promise<readonly WorkerStats[]> {
    return ((await this.#request({ type: 'workers' })) as readonly WorkerStats[] | undefined) ?? [];
  }

  async killWorker(id: number): Promise<boolean> {
    const worker = wholeNumber('id', id, 0, Number.MAX_SAFE_INTEGER);
    return ((await this.#request({ type: 'kill', worker })) as boolean | undefined) ?? false;
  }

  async close(): Promise<void> {
    this.#closed ??= Promise.resolve();
    this.#thread?.send({ type: 'close' });
    await this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #onEvent(event: SupervisorEvent): void {
    switch (event.type) {
      case 'listening':
        return this.#pendingListen?.resolve(event.address);
      case 'failed':
        this.#failure = errorOf(event.error); // listen() rejects with it when all that was started has exited
        return;
      case 'exit':
        return this.#onWorkerExit(event.exit);
      case 'closed':
        this.#totals = event.totals;
        return;
      case 'reply':
        this.#pendingReplies.get(event.id)?.(event.value);
        this.#pendingReplies.delete(event.id);
    }
  }

  /** The supervisor's thread itself has failed: no descriptors, no memory. */
  #onThreadError(error: Error): void {
    this.#failure ??= error;
    if (this.#pendingListen !== null) return;
    this.#onWorkerExit({ id: -1, kind: 'thread', role: 'main', why: error.message, lost: 0, isReplaced: false });
  }

  #onThreadExit(thread: SupervisorThread): void {
    thread.hasEnded = true;
    // The exit may be reported before the last events: why listen() has failed, the final totals.
    thread.receiveAll((event) => this.#onEvent(event));
    thread.removeFiles();
    for (const reply of this.#pendingReplies.values()) reply(undefined);
    this.#pendingReplies.clear();
  }

  /** @returns undefined: the supervisor does not run */
  async #request(
    request: { type: 'totals' } | { type: 'workers' } | { type: 'kill'; worker: number },
  ): Promise<unknown> {
    const thread = this.#thread;
    if (thread === null || thread.hasEnded) return undefined;
    const id = ++this.#lastRequestId;
    return new Promise((resolve) => {
      this.#pendingReplies.set(id, resolve);
      thread.send({ ...request, id });
    });
  }
}

/**
 * Creates a server of a model. It starts nothing before listen().
 * @param model one of SERVER_MODELS
 * @param options Default: {}
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE; ERR_UNAVAILABLE for a mechanism or an accept strategy that this
 *   system does not have
 */
export function createServer(model: ServerModelName, options: ServerOptions = {}): ModelServer {
  const parsed = parseServerOptions(model, options);
  const onWorkerExit = parsed.onWorkerExit ?? ((exit: WorkerExit) => process.emitWarning(describeExit(exit)));
  return new SupervisedServer(parsed.model, parsed.settings, onWorkerExit);
}
