/** A server of any model, from outside. */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { MessageChannel, type MessagePort, Worker, receiveMessageOnPort } from 'node:worker_threads';
import { closedError, invalidType } from '../errors.js';
import type { Mechanism, SocketAddress } from '../index.js';
import { makeTemporaryFolder, removeTemporaryFolder } from '../syscalls/temporary-folders.js';
import { fieldsOf, wholeNumber } from '../validate.js';
import type { Model } from './models/model.js';
import type { ServerModelName, ServerSettings } from './protocol/settings.js';
import type { Totals } from './protocol/scoreboard.js';
import { type ServerOptions, parseServerOptions } from './server-options.js';
import {
  type Asked,
  type Said,
  type WorkerExit,
  type WorkerStats,
  describeExit,
  errorOf,
} from './protocol/messages.js';
import { HAS_STARTED, NEWS, SAID_CELLS, type SupervisorData } from './supervision/supervisor-data.js';

export interface ServerStats {
  /** Connections that accept(2) has given. */
  readonly accepted: number;
  /** Of those, how many are not over: served, or waiting for a worker. */
  readonly open: number;
  readonly bytesIn: number;
  /** Bytes that the application has written. */
  readonly bytesOut: number;
  /** Returns of a call that waits: of a multiplexer, or of recv(2) that blocks. busy-wait: rounds of asking. */
  readonly wakeups: number;
  /** Those after which there was nothing to do: the thundering herd. */
  readonly emptyWakeups: number;
  /** Connections that were turned away, since no worker would have had time for them. */
  readonly rejected: number;
  /** Connections that ended because their worker did. */
  readonly lost: number;
  /** Connections or tasks that wait for a worker now. */
  readonly queued: number;
}

/**
 * A server. It runs in threads and processes of its own: whatever it does, the caller's event loop is not blocked, and whatever the caller
 * does, it goes on serving.
 *
 *   new --listen()--> starting --bound--> listening --close(), or its program ends--> closing --> closed
 *                     starting --EADDRINUSE and the like--> closed
 */
export interface ModelServer extends AsyncDisposable {
  readonly model: ServerModelName;
  /**
   * Starts it. Keeps Node alive until close().
   * @throws EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOTFOUND; ERR_CLOSED after close() or when it was called before
   */
  listen(): Promise<{ readonly host: string; readonly port: number }>;
  /** Over all workers, those that have ended among them. After close(): as it was then. */
  stats(): Promise<ServerStats>;
  /** The threads and processes it has now. */
  workers(): Promise<readonly WorkerStats[]>;
  /** Kills one of them, as a bug would: to see what happens then. @returns false: there is none of this id */
  killWorker(id: number): Promise<boolean>;
  /** Stops accepting, lets go of every thread, process, descriptor and file. Connections that are open end. The second time: waits for the first. */
  close(): Promise<void>;
}

/** Milliseconds. */
const LONGEST_START = 30_000;

/** The thread of the supervisor, and what it says. */
class SupervisorThread {
  readonly worker: Worker;
  readonly port: MessagePort;
  /** It says nothing any more. */
  hasEnded = false;
  readonly #folder: string;
  readonly #said = new Int32Array(new SharedArrayBuffer(SAID_CELLS * Int32Array.BYTES_PER_ELEMENT));

  constructor({ name }: Model, settings: ServerSettings) {
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    this.#folder = makeTemporaryFolder('selectors-native-');
    const data: SupervisorData = { model: name, settings, folder: this.#folder, port: port2, said: this.#said };
    try {
      this.worker = new Worker(join(__dirname, 'supervision/supervisor.js'), {
        workerData: data,
        transferList: [port2],
        execArgv: [],
      });
    } catch (error) {
      this.removeFiles();
      throw error;
    }
  }

  /** When it has ended: Windows does not remove a file that somebody has mapped. */
  removeFiles(): void {
    removeTemporaryFolder(this.#folder);
  }

  ask(asked: Asked): void {
    this.port.postMessage(asked);
  }

  /** What it said last, which may arrive behind the news of its end. */
  receiveAll(onSaid: (said: Said) => void): void {
    for (;;) {
      const received = receiveMessageOnPort(this.port) as { readonly message: Said } | undefined;
      if (received === undefined) return;
      onSaid(received.message);
    }
  }

  /** BLOCKS until it says something. @throws where it does not even start: no descriptors, no memory */
  wait(): Said {
    for (const since = performance.now(); ;) {
      const seen = Atomics.load(this.#said, NEWS);
      const received = receiveMessageOnPort(this.port) as { readonly message: Said } | undefined;
      if (received !== undefined) return received.message;
      const hasStarted = Atomics.load(this.#said, HAS_STARTED) !== 0;
      if (!hasStarted && performance.now() - since > LONGEST_START) throw new Error('the server does not start');
      Atomics.wait(this.#said, NEWS, seen, hasStarted ? Infinity : 100);
    }
  }
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
  /** Why there is no server. */
  #failure: Error | null = null;
  #lastId = 0;
  readonly #replies = new Map<number, (value: unknown) => void>();
  #listening: { resolve(address: SocketAddress): void; reject(error: Error): void } | null = null;

  constructor(model: Model, settings: ServerSettings, onWorkerExit: (exit: WorkerExit) => void) {
    this.model = model.name;
    this.#model = model;
    this.#settings = settings;
    this.#onWorkerExit = onWorkerExit;
  }

  async listen(): Promise<{ readonly host: string; readonly port: number }> {
    if (this.#thread !== null || this.#closed !== null) throw closedError('server, or it listens already, and so it');
    const thread = (this.#thread = new SupervisorThread(this.#model, this.#settings));
    const listening = await new Promise<SocketAddress>((resolve, reject) => {
      this.#listening = { resolve, reject };
      thread.port.on('message', (said: Said) => this.#onSaid(said));
      thread.worker.on('error', (error) => this.#onFailed(error));
      this.#closed = new Promise((exited) => thread.worker.on('exit', exited)).then(() => this.#onEnded(thread));
      void this.#closed.then(() => reject(this.#failure ?? closedError('server')));
    });
    this.#listening = null;
    return listening as { host: string; port: number };
  }

  async stats(): Promise<ServerStats> {
    const totals = (await this.#ask({ type: 'totals' })) as Totals | undefined;
    return statsOf(totals ?? this.#totals);
  }

  async workers(): Promise<readonly WorkerStats[]> {
    return ((await this.#ask({ type: 'workers' })) as readonly WorkerStats[] | undefined) ?? [];
  }

  async killWorker(id: number): Promise<boolean> {
    const worker = wholeNumber('id', id, 0, Number.MAX_SAFE_INTEGER);
    return ((await this.#ask({ type: 'kill', worker })) as boolean | undefined) ?? false;
  }

  async close(): Promise<void> {
    this.#closed ??= Promise.resolve();
    this.#thread?.ask({ type: 'close' });
    await this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #onSaid(said: Said): void {
    switch (said.type) {
      case 'listening':
        return this.#listening?.resolve(said.address);
      case 'failed':
        this.#failure = errorOf(said.error); // told when all that was started has ended
        return;
      case 'exit':
        return this.#onWorkerExit(said.exit);
      case 'closed':
        this.#totals = said.totals;
        return;
      case 'reply':
        this.#replies.get(said.id)?.(said.value);
        this.#replies.delete(said.id);
    }
  }

  /** The supervisor itself: no descriptors, no memory. */
  #onFailed(error: Error): void {
    this.#failure ??= error;
    if (this.#listening !== null) return;
    this.#onWorkerExit({ id: -1, kind: 'thread', role: 'main', why: error.message, lost: 0, isReplaced: false });
  }

  #onEnded(thread: SupervisorThread): void {
    thread.hasEnded = true;
    // A thread's end may be told before what it said last: why listen() has failed, what there was in the end.
    thread.receiveAll((said) => this.#onSaid(said));
    thread.removeFiles();
    for (const reply of this.#replies.values()) reply(undefined);
    this.#replies.clear();
  }

  /** undefined: there is no supervisor (any more). */
  async #ask(asked: { type: 'totals' } | { type: 'workers' } | { type: 'kill'; worker: number }): Promise<unknown> {
    const thread = this.#thread;
    if (thread === null || thread.hasEnded) return undefined;
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      this.#replies.set(id, resolve);
      thread.ask({ ...asked, id });
    });
  }
}

/**
 * A server of a model. Nothing is started before listen().
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE; ERR_UNAVAILABLE for a mechanism or an accept strategy that this
 *   system does not have
 */
export function createServer(model: ServerModelName, options: ServerOptions = {}): ModelServer {
  const parsed = parseServerOptions(model, options);
  const tell = parsed.onWorkerExit ?? ((exit: WorkerExit) => process.emitWarning(describeExit(exit)));
  return new SupervisedServer(parsed.model, parsed.settings, tell);
}

/**
 * The textbook's two lines, for a program of its own (post 002).
 *
 *   const server = new EchoServer('127.0.0.1', 1234);
 *   server.run();
 */
export class EchoServer {
  readonly #model: Model;
  readonly #settings: ServerSettings;

  /** @param options.model 'reactor' where nothing is said. @throws as createServer() */
  constructor(
    host: string,
    port: number,
    options: { readonly model?: ServerModelName; readonly mechanism?: Mechanism } = {},
  ) {
    const { model = 'reactor', mechanism } = fieldsOf('options', options, ['model', 'mechanism']);
    // createServer() has an answer where nothing is said, and tells the port; from here, nobody would know where it serves.
    if (typeof host !== 'string') throw invalidType('host', 'a string', host);
    const parsed = parseServerOptions(model, { host, port: wholeNumber('port', port, 0, 65_535), mechanism });
    this.#model = parsed.model;
    this.#settings = parsed.settings;
  }

  /**
   * BLOCKS, and serves for ever: until the process is killed, as by Ctrl-C. What becomes of workers is told on the standard error.
   * @throws EADDRINUSE and the like; ERR_CLOSED when the server's own program has died
   */
  run(): void {
    const thread = new SupervisorThread(this.#model, this.#settings);
    for (;;) {
      const said = thread.wait();
      if (said.type === 'failed') throw errorOf(said.error);
      if (said.type === 'exit') writeSync(2, `selectors-native: ${describeExit(said.exit)}\n`);
      if (said.type === 'closed') throw closedError('server');
    }
  }
}
