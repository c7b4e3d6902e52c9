/** The options of a server, and how they are checked. */
import { availableParallelism } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import { invalidType, invalidValue, unavailable } from '../errors.js';
import { type Mechanism, availableMechanisms } from '../index.js';
import { fieldsOf, wholeNumber } from '../validate.js';
import { acceptStrategies, checkAvailable } from './models/accept-strategies.js';
import type { ApplicationName } from './applications/index.js';
import type { Model } from './models/model.js';
import type { AcceptStrategy, ServerModelName, ServerSettings } from './protocol/settings.js';
import { models } from './models/index.js';
import { mechanismsHere } from './models/mechanisms.js';
import type { WorkerExit } from './protocol/messages.js';

/**
 * The options of createServer(). `mechanism` and `accept` are an error (ERR_INVALID_ARG_VALUE) for a model that does not have them; other
 * options that a model does not have (see SERVER_MODELS) are checked and ignored.
 */
export interface ServerOptions {
  /** Address to listen on: an IP address or a name. Only this machine can reach the default. Default: '127.0.0.1'. */
  readonly host?: string;
  /** TCP port, 0 to 65535. 0: the system chooses a free one, which listen() returns. Default: 0. */
  readonly port?: number;
  /** What it serves. Default: 'echo'. */
  readonly application?: ApplicationName;
  /**
   * Threads or processes, 1 to 1024, for models with a fixed number of them; at most maxConnections are started.
   * Default: os.availableParallelism().
   */
  readonly workers?: number;
  /** The multiplexer, for models that have one. Default: the best that this system has. */
  readonly mechanism?: Mechanism;
  /**
   * How several workers accept on one port. `prefork` has all strategies; `multi-process-reactor` has 'thundering-herd' and 'reuseport';
   * `multi-reactor` and `multi-proactor` have 'reuseport', with which each thread accepts its own connections, and without which the first
   * thread accepts for all. Every system has the default. Default: 'thundering-herd'.
   */
  readonly accept?: AcceptStrategy;
  /** Open connections at the same time, 1 to 100000; further clients wait in the kernel's backlog. Default: the model's own. */
  readonly maxConnections?: number;
  /**
   * `thread-pool` only: connections that wait for a thread, 1 to 65536, rounded up to a power of two; further ones are reset.
   * Default: 1024.
   */
  readonly maxQueued?: number;
  /** Called for each thread or process that exits unexpectedly. Default: process.emitWarning(). */
  readonly onWorkerExit?: (exit: WorkerExit) => void;
}

const MAX_WORKERS = 1024;
const MAX_CONNECTIONS = 100_000;
const MAX_QUEUED = 65_536;
const DEFAULT_MAX_QUEUED = 1024;

interface ParsedServerOptions {
  readonly model: Model;
  readonly settings: ServerSettings;
  readonly onWorkerExit: ServerOptions['onWorkerExit'];
}

const MODELS_WITH_ACCEPT = Object.values(models)
  .filter(({ acceptStrategies: offered }) => offered !== undefined)
  .map(({ name }) => name)
  .join(', ');

/**
 * Checks the arguments of createServer() before anything is started, and fills in the defaults.
 * @throws as createServer()
 */
export function parseServerOptions(name: unknown, options: unknown): ParsedServerOptions {
  const model = modelOf(name);
  const fields = fieldsOf('options', options, [
    ...(['host', 'port', 'application', 'workers', 'mechanism', 'accept', 'maxConnections', 'maxQueued'] as const),
    'onWorkerExit',
  ]);
  const { host = '127.0.0.1', port = 0, application = 'echo', mechanism, accept } = fields;
  const { workers = availableParallelism(), maxConnections = model.maxConnections } = fields;
  if (typeof host !== 'string') throw invalidType('host', 'a string', host);
  if (host === '' || host.includes('\0'))
    throw invalidValue("host must be an address or a name; '0.0.0.0' means all addresses of this machine");
  const workerCount = wholeNumber('workers', workers, 1, MAX_WORKERS);
  const connectionLimit = wholeNumber('maxConnections', maxConnections, 1, MAX_CONNECTIONS);
  const offered: readonly unknown[] = model.applications;
  if (!offered.includes(application))
    throw wrongChoice('application', application, model.applications, `${model.name} serves`);
  const { onWorkerExit, maxQueued = DEFAULT_MAX_QUEUED } = fields;
  if (onWorkerExit !== undefined && typeof onWorkerExit !== 'function')
    throw invalidType('onWorkerExit', 'a function', onWorkerExit);
  return {
    model,
    onWorkerExit: onWorkerExit as ServerOptions['onWorkerExit'],
    settings: {
      host,
      port: wholeNumber('port', port, 0, 65_535),
      application: application as ApplicationName,
      workers: Math.min(workerCount, connectionLimit), // more would have nothing to do
      mechanism: mechanismOf(model, mechanism),
      best: mechanismsHere.find((row) => row.available && model.mechanisms.includes(row.mechanism))?.mechanism,
      accept: acceptOf(model, accept, mechanism),
      maxConnections: connectionLimit,
      maxQueued: wholeNumber('maxQueued', maxQueued, 1, MAX_QUEUED),
      interruptible: isMainThread,
    },
  };
}

function wrongChoice(name: string, value: unknown, choices: readonly string[], offer: string): Error {
  const expected = `${offer}: ${choices.join(', ')}`;
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
  if (mechanisms.length === 0) throw invalidValue(`${name} has no multiplexer, so it takes no mechanism`);
  if (!mechanisms.includes(mechanism as Mechanism))
    throw wrongChoice('mechanism', mechanism, mechanisms, `${name} has`);
  const row = availableMechanisms().find((one) => one.mechanism === mechanism);
  if (row?.available !== true) throw unavailable(`${mechanism as string} is not available here (${row?.why})`);
  return mechanism as string;
}

function acceptOf(model: Model, accept: unknown, mechanism: unknown): AcceptStrategy | null {
  const { name: modelName, acceptStrategies: offered = [] } = model;
  if (accept === undefined) return offered.includes('thundering-herd') ? 'thundering-herd' : null;
  if (offered.length === 0) throw invalidValue(`${modelName} has no option accept; ${MODELS_WITH_ACCEPT} have`);
  const strategy = acceptStrategies.find(({ name }) => name === accept && offered.includes(name));
  if (strategy === undefined) throw wrongChoice('accept strategy', accept, offered, `${modelName} has`);
  checkAvailable(strategy);
  if (strategy.name === 'exclusive' && mechanism !== undefined && mechanism !== 'epoll')
    throw invalidValue(`EPOLLEXCLUSIVE needs the mechanism epoll, not ${mechanism as string}`);
  if (strategy.name === 'blocking' && mechanism !== undefined)
    throw invalidValue(`processes that block in accept have no multiplexer, so accept 'blocking' takes no mechanism`);
  return strategy.name;
}
