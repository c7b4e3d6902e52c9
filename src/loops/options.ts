/** The arguments of the loops' methods, checked: callbacks, handlers, and the options of listen(), connect() and adopt(). */
import { invalidType, invalidValue } from '../errors.js';
import { givenStream } from '../net/given-socket.js';
import type { Socket } from '../net/socket.js';
import type { StreamOptions } from '../net/stream.js';
import { type SocketAddressInput, pathBytes } from '../syscalls/address.js';
import { boolean, fieldsOf, wholeNumber } from '../validate.js';
import type { ConnectionHandler } from './event-loop.js';

const INT_MAX = 0x7fff_ffff;
/** Bytes. */
const DEFAULT_HIGH_WATER_MARK = 65_536;

/** A callback, which may be async. */
export type Callback = () => unknown;

/** @throws ERR_INVALID_ARG_TYPE */
export function callbackOf(name: string, value: unknown): Callback {
  if (typeof value !== 'function') throw invalidType(name, 'a function', value);
  return value as Callback;
}

const HANDLERS = ['open', 'data', 'drain', 'end', 'close'] as const;

/** A ConnectionHandler, checked. */
export interface ParsedHandler<D> {
  /** The caller's object: its methods are looked up when they are called. */
  readonly handler: ConnectionHandler<D>;
  readonly borrowsChunks: boolean;
}

/** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE */
export function handlerOf<D>(handler: unknown): ParsedHandler<D> {
  const fields = fieldsOf('handler', handler, [...HANDLERS, 'borrowsChunks']);
  for (const name of HANDLERS) if (fields[name] !== undefined) callbackOf(`handler.${name}`, fields[name]);
  const { borrowsChunks = false } = fields;
  return { handler: handler as ConnectionHandler<D>, borrowsChunks: boolean('handler.borrowsChunks', borrowsChunks) };
}

/** The `onError` of a loop's options. @throws ERR_INVALID_ARG_TYPE */
export function onErrorOf(value: unknown): ((error: unknown) => void) | undefined {
  return value === undefined ? undefined : callbackOf('onError', value);
}

/** Options that a socket which listens already has. */
const NEW_SOCKET_OPTIONS = ['host', 'port', 'path', 'backlog', 'reusePort'] as const;

/** ListenOptions, checked. */
export interface ParsedListenOptions {
  /** A socket that listens already. */
  readonly socket: Socket | undefined;
  readonly address: SocketAddressInput;
  readonly backlog: number | undefined;
  readonly reusePort: boolean;
  readonly maxConnections: number;
  readonly connections: ParsedConnectionOptions;
}

/** TCP_KEEPIDLE is at most 32767 s (MAX_TCP_KEEPIDLE, linux/include/net/tcp.h). */
const MAX_KEEP_ALIVE = 32_767_000;

/** The names of ConnectionOptions. */
export const CONNECTION_OPTIONS = ['noDelay', 'keepAlive', 'highWaterMark'] as const;

/** ConnectionOptions, checked. */
export interface ParsedConnectionOptions {
  readonly stream: StreamOptions;
  readonly highWaterMark: number;
}

/** @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE */
export function connectionOptionsOf(
  fields: Record<(typeof CONNECTION_OPTIONS)[number], unknown> | undefined,
): ParsedConnectionOptions {
  const { noDelay = true, keepAlive = false, highWaterMark = DEFAULT_HIGH_WATER_MARK } = fields ?? {};
  const seconds =
    typeof keepAlive === 'boolean'
      ? Number(keepAlive) - 1
      : wholeNumber('keepAlive', keepAlive, 1, MAX_KEEP_ALIVE) / 1000;
  return {
    stream: { noDelay: boolean('noDelay', noDelay), keepAlive: Math.ceil(seconds) },
    highWaterMark: wholeNumber('highWaterMark', highWaterMark, 1, INT_MAX),
  };
}

/** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE; for `socket` as givenStream() */
export function parseListenOptions(options: unknown): ParsedListenOptions {
  const fields = fieldsOf('options', options, [
    'host',
    'port',
    'path',
    'backlog',
    'reusePort',
    'socket',
    'maxConnections',
    ...CONNECTION_OPTIONS,
  ]);
  const { host = '127.0.0.1', port = 0, path, backlog, reusePort = false } = fields;
  if (path !== undefined && (fields.host !== undefined || fields.port !== undefined)) {
    throw invalidValue('a listener has a path, or a host and a port');
  }
  const pathname = path === undefined ? undefined : pathBytes('path', path);
  if (typeof host !== 'string') throw invalidType('host', 'a string', host);
  const { socket } = fields;
  if (socket !== undefined && NEW_SOCKET_OPTIONS.some((name) => fields[name] !== undefined))
    throw invalidValue(`a socket that listens already has its ${NEW_SOCKET_OPTIONS.join(', ')}`);
  const { maxConnections = Infinity } = fields;
  return {
    socket: socket === undefined ? undefined : givenStream(socket),
    address: pathname === undefined ? { host, port: wholeNumber('port', port, 0, 65_535) } : { path: pathname },
    backlog: backlog === undefined ? undefined : wholeNumber('backlog', backlog, -INT_MAX, INT_MAX),
    reusePort: boolean('reusePort', reusePort),
    maxConnections: maxConnections === Infinity ? Infinity : wholeNumber('maxConnections', maxConnections, 1, INT_MAX),
    connections: connectionOptionsOf(fields),
  };
}
