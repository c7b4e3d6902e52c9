/** Between what people write and the sockaddr that the kernel takes. */
import { invalidType, invalidValue, namedError, systemError } from '../errors.js';
import { native } from '../native.js';
import { fieldsOf, plainBytes, uint8Array, wholeNumber } from '../validate.js';

const { AF_INET = 2, AF_INET6 = 10, AF_UNIX = 1 } = native.constants;

export type SocketFamily = 'ipv4' | 'ipv6' | 'unix' | number;

/**
 * `{host, port}`: an IP address ('fe80::1%eth0' with its scope), a name to be resolved, which BLOCKS until the system's resolver
 * answers, or '' for all of this machine's addresses. `{path}`: a Unix socket; '\0name' is Linux's abstract namespace. `{raw}`: any
 * other family, the sockaddr as the OS lays it out.
 */
export type SocketAddress =
  { readonly host: string; readonly port: number } | { readonly path: string } | { readonly raw: Uint8Array };

/** The names of families, and their numbers here. */
const families: readonly (readonly [SocketFamily, number])[] = [
  ['ipv4', AF_INET],
  ['ipv6', AF_INET6],
  ['unix', AF_UNIX],
];

export function familyNumber(family: unknown): number {
  if (typeof family === 'number') return wholeNumber('family', family, 0, 0xffff);
  const found = families.find(([name]) => name === family);
  if (found === undefined)
    throw invalidChoice(
      'family',
      families.map(([name]) => name),
      family,
    );
  return found[1];
}

export function familyName(number: number): SocketFamily {
  return families.find(([, n]) => n === number)?.[0] ?? number;
}

/** @throws ERR_INVALID_ARG_VALUE for another string, ERR_INVALID_ARG_TYPE for what is none */
export function invalidChoice(name: string, choices: readonly (string | number)[], value: unknown): Error {
  const expected = `one of ${choices.map((choice) => `'${choice}'`).join(', ')} or a number`;
  return typeof value === 'string'
    ? invalidValue(`${name} must be ${expected}, not '${value}'`)
    : invalidType(name, expected, value);
}

/** What of an address an error tells. */
export interface AddressContext {
  readonly address?: string;
  readonly port?: number;
  readonly path?: string;
}

export interface EncodedAddress {
  readonly sockaddr: Uint8Array;
  readonly context: AddressContext;
}

/**
 * @param family the socket's, as AF_*: a host's name is looked up for it
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE; ENOTFOUND, EAI_* from the resolver; ENAMETOOLONG for a path
 */
export function encodeAddress(address: unknown, family: number, syscall: string): EncodedAddress {
  const { host, port, path, raw } = fieldsOf('address', address, ['host', 'port', 'path', 'raw']);
  if (raw !== undefined) return { sockaddr: plainBytes(uint8Array('address.raw', raw)), context: {} };
  if (path !== undefined) {
    if (typeof path !== 'string') throw invalidType('address.path', 'a string', path);
    // NUL ends a path in the kernel's eyes: 'a\0b' would become 'a'.
    if (path.includes('\0', 1)) throw invalidValue('address.path must not contain a NUL, but as its first character');
    const sockaddr = native.encodeUnix(path);
    if (typeof sockaddr === 'number') throw systemError(sockaddr, syscall, { path });
    return { sockaddr, context: { path } };
  }
  if (typeof host !== 'string') throw invalidType('address.host', 'a string (or give a path, or raw)', host);
  if (host.includes('\0')) throw invalidValue('address.host must not contain a NUL');
  const number = wholeNumber('address.port', port, 0, 65535);
  const wildcard = family === AF_INET6 ? '::' : '0.0.0.0';
  const sockaddr = native.resolve(host === '' ? wildcard : host, number, family);
  if (typeof sockaddr === 'number') {
    const code = native.resolveErrors[sockaddr] ?? 'EAI_FAIL';
    throw namedError(code, 'getaddrinfo', { address: host, port: number });
  }
  return { sockaddr, context: { address: host, port: number } };
}

export function decodeAddress(sockaddr: Uint8Array): SocketAddress {
  const [first, port] = native.decode(sockaddr) ?? [];
  if (first === undefined) return { raw: Uint8Array.from(sockaddr) };
  return port === undefined ? { path: first } : { host: first, port };
}
