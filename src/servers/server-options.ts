/** What a server can be asked for. */
import { availableParallelism } from 'node:os';
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
  /** So many connections are open at the most; further clients wait in the kernel's backlog. 1 to 100000; each model has its own default. */
  readonly maxConnections?: number;
  /** `thread-pool` only: so many connections wait for a thread at the most (rounded up to a power of two); others are reset. 1 to 65536, 1024 where nothing is said. */
  readonly maxQueued?: number;
  /** Told of each thread or process that has ended and should not have. A warning of the process where nothing is said. */
  readonly onWorkerExit?: (exit: WorkerExit) => void;
}

const MOST_WORKERS = 1024;
const MOST_CONNECTIONS = 100_000;
const MOST_QUEUED = 65_536;
const DEFAULT_QUEUED = 1024;

interface ParsedServerOptions {
  readonly model: Model;
  readonly settings: ServerSettings;
  readonly onWorkerExit: ServerOptions['onWorkerExit'];
}

/** What was asked for, looked at before anything is started. */
export function parseServerOptions(name: unknown, options: unknown): ParsedServerOptions {
  const model = modelOf(name);
  const fields = fieldsOf('options', options, [
    ...(['host', 'port', 'application', 'workers', 'mechanism', 'accept', 'maxConnections', 'maxQueued'] as const),
    'onWorkerExit',
  ]);
  const { host = '127.0.0.1', port = 0, application = 'echo', mechanism, accept } = fields;
  const { workers: asked = availableParallelism(), maxConnections: most = model.maxConnections } = fields;
  if (typeof host !== 'string') throw invalidType('host', 'a string', host);
  if (host === '' || host.includes('\0'))
    throw invalidValue("host must be an address or a name; '0.0.0.0' is all of this machine's");
  const workers = wholeNumber('workers', asked, 1, MOST_WORKERS);
  const maxConnections = wholeNumber('maxConnections', most, 1, MOST_CONNECTIONS);
  const offered: readonly unknown[] = model.applications;
  if (!offered.includes(application))
    throw wrongChoice('application', application, model.applications, `${model.name} serves`);
  const { onWorkerExit, maxQueued = DEFAULT_QUEUED } = fields;
  if (onWorkerExit !== undefined && typeof onWorkerExit !== 'function')
    throw invalidType('onWorkerExit', 'a function', onWorkerExit);
  return {
    model,
    onWorkerExit: onWorkerExit as ServerOptions['onWorkerExit'],
    settings: {
      host,
      port: wholeNumber('port', port, 0, 65_535),
      application: application as ApplicationName,
      workers: Math.min(workers, maxConnections), // more would have nothing to do
      mechanism: mechanismOf(model, mechanism),
      best: mechanismsHere.find((row) => row.available && model.mechanisms.includes(row.mechanism))?.mechanism,
      accept: acceptOf(model, accept, mechanism),
      maxConnections,
      maxQueued: wholeNumber('maxQueued', maxQueued, 1, MOST_QUEUED),
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
