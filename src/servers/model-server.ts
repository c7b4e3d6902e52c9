/** A server of any model, from outside. */
import { writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { MessageChannel, type MessagePort, Worker, receiveMessageOnPort } from 'node:worker_threads';
import { closedError, invalidType, invalidValue, unavailable } from '../errors.js';
import { type Mechanism, type SocketAddress, availableMechanisms } from '../index.js';
import { fieldsOf, wholeNumber } from '../validate.js';
import { acceptStrategies, checkAvailable } from './accept-strategies.js';
import type { ApplicationName } from './applications/index.js';
import type { AcceptStrategy, Model, ServerModelName } from './model.js';
import { models } from './models/index.js';
import type { Totals } from './scoreboard.js';
import type { ServerSettings } from './server.js';
import type { Asked, PlainError, Said, SupervisorData, WorkerExit, WorkerInfo } from './supervisor.js';

export interface ServerOptions {
  /** IP address or name. '127.0.0.1' where nothing is said: a server is open to others only when asked to be. */
  readonly host?: string;
  /** 0 to 65535. 0, as where nothing is said: any free one, which listen() tells. */
  readonly port?: number;
  /** 'echo' where nothing is said. */
  readonly application?: ApplicationName;
  /** 1 to 1024 threads or processes, where the model has a fixed number of them. availableParallelism() where nothing is said. */
  readonly workers?: number;
  /** Which multiplexer, where the model has one. The system's best where nothing is said. */
  readonly mechanism?: Mechanism;
  /** `prefork` only. 'thundering-herd' where nothing is said, for that is what every system has. */
  readonly accept?: AcceptStrategy;
  /**
   * So many connections are open at the most; further clients wait in the kernel's backlog. 1 to 100000; each model has its own default.
   * Where each worker serves one connection at a time (`iterative`, `thread-pool`, `process-pool`, `prefork`), the workers are the limit.
   */
  readonly maxConnections?: number;
  /** `thread-pool` only: so many connections wait for a thread at the most (rounded up to a power of two); others are reset. 1 to 65536, 1024 where nothing is said. */
  readonly maxQueued?: number;
  /** Told of each thread or process that has ended and should not have. A warning of the process where nothing is said. */
  readonly onWorkerExit?: (exit: WorkerExit) => void;
}

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
  workers(): Promise<readonly WorkerInfo[]>;
  /** Kills one of them, as a bug would: to see what happens then. @returns false: there is none of this id */
  killWorker(id: number): Promise<boolean>;
  /** Stops accepting, lets go of every thread, process, descriptor and file. Connections that are open end. The second time: waits for the first. */
  close(): Promise<void>;
}

const MOST_WORKERS = 1024;
const MOST_CONNECTIONS = 100_000;
const MOST_QUEUED = 65_536;
const DEFAULT_QUEUED = 1024;

/** What was asked for, looked at before anything is started. */
export function parseServerOptions(name: unknown, options: unknown): { model: Model; settings: ServerSettings } {
  const model = modelOf(name);
  const fields = fieldsOf('options', options, [
    ...(['host', 'port', 'application', 'workers', 'mechanism', 'accept', 'maxConnections', 'maxQueued'] as const),
  ]);
  const { host = '127.0.0.1', port = 0, application = 'echo', mechanism, accept } = fields;
  if (typeof host !== 'string') throw invalidType('host', 'a string', host);
  const offered: readonly unknown[] = model.applications;
  if (!offered.includes(application))
    throw wrongChoice('application', application, model.applications, `${model.name} serves`);
  return {
    model,
    settings: {
      host,
      port: wholeNumber('port', port, 0, 65_535),
      application: application as ApplicationName,
      workers: wholeNumber('workers', fields.workers ?? availableParallelism(), 1, MOST_WORKERS),
      mechanism: mechanismOf(model, mechanism),
      accept: acceptOf(model, accept, mechanism),
      maxConnections: wholeNumber('maxConnections', fields.maxConnections ?? model.maxConnections, 1, MOST_CONNECTIONS),
      maxQueued: wholeNumber('maxQueued', fields.maxQueued ?? DEFAULT_QUEUED, 1, MOST_QUEUED),
    },
  };
}

function wrongChoice(name: string, value: unknown, choices: readonly string[], who: string): Error {
  const expected = `${who}: ${choices.join(', ')}`;
  return typeof value === 'string'
    ? invalidValue(`there is no ${name} '${value}' here; ${expected}`)
    : invalidType(name, `a string (${expected})`, value);
}

function modelOf(name: unknown): Model {
  if (typeof name === 'string' && Object.hasOwn(models, name)) return models[name as ServerModelName];
  throw wrongChoice('model', name, Object.keys(models), 'there is');
}

function mechanismOf(model: Model, mechanism: unknown): string | undefined {
  if (mechanism === undefined) return undefined;
  const { name, mechanisms } = model;
  if (mechanisms.length === 0) throw invalidValue(`${name} has no multiplexer, and so no mechanism`);
  if (!mechanisms.includes(mechanism as Mechanism))
    throw wrongChoice('mechanism', mechanism, mechanisms, `${name} has`);
  const row = availableMechanisms().find((one) => one.mechanism === mechanism);
  if (row?.available !== true) throw unavailable(`${mechanism as string} is not available here (${row?.why})`);
  return mechanism as string;
}

function acceptOf(model: Model, accept: unknown, mechanism: unknown): AcceptStrategy {
  if (accept === undefined) return 'thundering-herd';
  if (model.name !== 'prefork') throw invalidValue(`${model.name} has no choice how to accept; prefork has`);
  const strategy = acceptStrategies.find(({ name }) => name === accept);
  if (strategy === undefined) {
    const names = acceptStrategies.map(({ name }) => name);
    throw wrongChoice('accept strategy', accept, names, 'there is');
  }
  checkAvailable(strategy);
  if (strategy.name === 'exclusive' && mechanism !== undefined && mechanism !== 'epoll')
    throw invalidValue('EPOLLEXCLUSIVE is of epoll, and of no other mechanism');
  return strategy.name;
}

// ---------------------------------------------------------------------------------------------------------------------

/** The thread of the supervisor, and what it says. */
class SupervisorThread {
  readonly worker: Worker;
  readonly port: MessagePort;
  /** It says nothing any more. */
  hasEnded = false;
  readonly #said = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

  constructor({ name }: Model, settings: ServerSettings) {
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    const data: SupervisorData = { model: name, settings, port: port2, said: this.#said };
    this.worker = new Worker(join(__dirname, 'supervisor.js'), {
      workerData: data,
      transferList: [port2],
      execArgv: [],
    });
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

  /** BLOCKS until it says something. */
  wait(): Said {
    for (;;) {
      const seen = Atomics.load(this.#said, 0);
      const received = receiveMessageOnPort(this.port) as { readonly message: Said } | undefined;
      if (received !== undefined) return received.message;
      Atomics.wait(this.#said, 0, seen);
    }
  }
}

function errorOf({ message, ...fields }: PlainError): Error {
  return Object.assign(new Error(message), fields);
}

/** 'process 4711 has ended: SIGKILL; 3 connections are lost, another takes its place' */
export function describeExit({ kind, id, role, why, lost, isReplaced }: WorkerExit): string {
  const who = id < 0 ? `a ${kind}` : `${kind} ${id}`;
  const what = role === 'main' ? ', the server itself,' : '';
  const connections = lost === 1 ? '1 connection is lost' : `${lost} connections are lost`;
  return `${who}${what} has ended: ${why}; ${connections}${isReplaced ? ', another takes its place' : ''}`;
}

function statsOf(totals: Totals): ServerStats {
  const { accepted, rejected, closed, bytesIn, bytesOut, wakeups, emptyWakeups, lost, enqueued, dequeued } = totals;
  const open = Math.max(0, accepted - rejected - closed);
  const queued = Math.max(0, enqueued - dequeued);
  return { accepted, open, bytesIn, bytesOut, wakeups, emptyWakeups, rejected, lost, queued };
}

const NOTHING: Totals = {
  ...{ accepted: 0, rejected: 0, opened: 0, closed: 0, bytesIn: 0, bytesOut: 0 },
  ...{ wakeups: 0, emptyWakeups: 0, enqueued: 0, dequeued: 0, lost: 0 },
};

class SupervisedServer implements ModelServer {
  readonly model: ServerModelName;
  readonly #model: Model;
  readonly #settings: ServerSettings;
  readonly #onWorkerExit: (exit: WorkerExit) => void;
  #thread: SupervisorThread | null = null;
  #closed: Promise<unknown> | null = null;
  #totals = NOTHING;
  #lastId = 0;
  readonly #replies = new Map<number, (value: unknown) => void>();

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
      const onSaid = (said: Said): void => {
        if (said.type === 'listening') resolve(said.address);
        else if (said.type === 'failed') reject(errorOf(said.error));
        else this.#onSaid(said);
      };
      thread.port.on('message', onSaid);
      thread.worker.on('error', reject);
      const exited = new Promise((exit) => thread.worker.on('exit', exit));
      this.#closed = exited.then(() => thread.receiveAll(onSaid));
      void this.#closed.then(() => reject(closedError('server')));
    });
    return listening as { host: string; port: number };
  }

  async stats(): Promise<ServerStats> {
    const totals = (await this.#ask({ type: 'totals' })) as Totals | undefined;
    return statsOf(totals ?? this.#totals);
  }

  async workers(): Promise<readonly WorkerInfo[]> {
    return ((await this.#ask({ type: 'workers' })) as readonly WorkerInfo[] | undefined) ?? [];
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
    if (said.type === 'exit') {
      this.#onWorkerExit(said.exit);
    } else if (said.type === 'closed') {
      this.#totals = said.totals;
      if (this.#thread !== null) this.#thread.hasEnded = true;
      for (const reply of this.#replies.values()) reply(undefined);
      this.#replies.clear();
    } else if (said.type === 'reply') {
      this.#replies.get(said.id)?.(said.value);
      this.#replies.delete(said.id);
    }
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
  const { onWorkerExit } = fieldsOf('options', options, ['onWorkerExit']);
  if (onWorkerExit !== undefined && typeof onWorkerExit !== 'function')
    throw invalidType('onWorkerExit', 'a function', onWorkerExit);
  const tell = (onWorkerExit as ServerOptions['onWorkerExit']) ?? ((exit) => process.emitWarning(describeExit(exit)));
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
    const parsed = parseServerOptions(model, { host, port, mechanism });
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
