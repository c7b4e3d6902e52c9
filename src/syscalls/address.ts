/** Socket addresses: from `{host, port}`, `{path}` and `{raw}` to the kernel's sockaddr, and back. */
import { isUtf8 } from 'node:buffer';
import { lookup } from 'node:dns';
import { isIP } from 'node:net';
import { endianness } from 'node:os';
import { invalidType, invalidValue, namedError, systemError } from '../errors.js';
import { native } from '../native.js';
import { fieldsOf, isUint8Array, plainBytes, uint8Array, wholeNumber } from '../validate.js';

const { AF_UNSPEC = 0, AF_INET = 2, AF_INET6 = 10, AF_UNIX = 1 } = native.constants;

/** An address family: a name, or the system's number AF_* for any other. */
export type SocketFamily = 'ipv4' | 'ipv6' | 'unix' | number;

/**
 * `{host, port}`: an IP address ('fe80::1%eth0' with its scope); a host name, whose lookup BLOCKS until the system's resolver answers; or
 * '', for all addresses of this machine. `{path}`: a Unix socket; '' is a socket without a name. A path that begins with '\0' is a
 * name in Linux's abstract namespace, where each further NUL is a part of the name, also at its end (unix(7)). `{raw}`: a sockaddr of
 * any family, as the OS lays it out.
 *
 * File names of Linux are bytes. A path in UTF-8 is reported as `{path}`, any other as `{raw}`: each call takes what another reports,
 * byte for byte.
 */
export type SocketAddress =
  | {
      /** An IP address, a host name, or ''. */
      readonly host: string;
      /** 0 to 65535; 0 lets bind(2) choose. */
      readonly port: number;
    }
  | {
      /** The path of a Unix socket. */
      readonly path: string;
    }
  | {
      /** A sockaddr. */
      readonly raw: Uint8Array;
    };

/** What calls take: a SocketAddress, or a Unix socket by the bytes of its path. */
export type SocketAddressInput =
  | SocketAddress
  | {
      /** The path's bytes, in any encoding. */
      readonly path: Uint8Array;
    };

/** The families that have a name, with the system's numbers. */
const families: readonly (readonly [SocketFamily, number])[] = [
  ['ipv4', AF_INET],
  ['ipv6', AF_INET6],
  ['unix', AF_UNIX],
];

/** AF_* of a family's name or number. @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE */
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

/** The name of AF_*, or the number itself if it has none. */
export function familyName(number: number): SocketFamily {
  return families.find(([, n]) => n === number)?.[0] ?? number;
}

/** The error for a value that is none of `choices`: ERR_INVALID_ARG_VALUE for a string, ERR_INVALID_ARG_TYPE for anything else. */
export function invalidChoice(name: string, choices: readonly (string | number)[], value: unknown): Error {
  const expected = `one of ${choices.map((choice) => `'${choice}'`).join(', ')} or a number`;
  return typeof value === 'string'
    ? invalidValue(`${name} must be ${expected}, not '${value}'`)
    : invalidType(name, expected, value);
}

/** The properties of an error that name an address. */
export interface AddressContext {
  readonly address?: string;
  readonly port?: number;
  readonly path?: string;
}

/**
 * The bytes of a Unix path.
 * @throws ERR_INVALID_ARG_TYPE; ERR_INVALID_ARG_VALUE for a NUL after the first byte: the kernel would take 'a\0b' for 'a'
 */
export function pathBytes(name: string, path: unknown): Uint8Array {
  if (typeof path !== 'string' && !isUint8Array(path)) throw invalidType(name, 'a string or a Uint8Array', path);
  // A copy: the caller cannot change it between the check and the use.
  const bytes = typeof path === 'string' ? Buffer.from(path) : new Uint8Array(plainBytes(uint8Array(name, path)));
  if (bytes[0] !== 0 && bytes.includes(0))
    throw invalidValue(`${name} must not contain a NUL, except as its first character`);
  return bytes;
}

/** @throws ERR_INVALID_ARG_VALUE if the address's family is not the socket's; AF_UNSPEC allows every family */
function assertFamily(what: string, of: number, family: number): void {
  if (family === AF_UNSPEC || family === of) return;
  throw invalidValue(
    `${what} is an address of family '${familyName(of)}', and the socket's family is '${familyName(family)}'`,
  );
}

/** An address as the kernel takes it. */
export interface EncodedAddress {
  readonly sockaddr: Uint8Array;
  /** For the errors of calls with it. */
  readonly context: AddressContext;
}

/**
 * Checks an address and makes the sockaddr. The lookup of a host name BLOCKS.
 * @param family the socket's AF_*: host names are looked up for it; 0: any
 * @param syscall the call that needs the address, for errors
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; ERR_INVALID_ARG_VALUE, also for an address of another family than the socket's;
 *   ENOTFOUND, EAI_* from the resolver; ENAMETOOLONG for a path
 */
export function encodeAddress(address: unknown, family: number, syscall: string): EncodedAddress {
  return encodeAddresses(address, family, syscall)[0];
}

/** encodeAddress(), with all addresses of a host name, in the order of getaddrinfo(3) (RFC 6724). */
export function encodeAddresses(
  address: unknown,
  family: number,
  syscall: string,
): [EncodedAddress, ...EncodedAddress[]] {
  const { host, port, path, raw } = fieldsOf('address', address, ['host', 'port', 'path', 'raw']);
  if (raw !== undefined) return [{ sockaddr: plainBytes(uint8Array('address.raw', raw)), context: {} }];
  if (path !== undefined) {
    const bytes = pathBytes('address.path', path);
    assertFamily('address.path', AF_UNIX, family);
    const context = { path: typeof path === 'string' ? path : new TextDecoder().decode(bytes) };
    const sockaddr = native.encodeUnix(bytes);
    if (typeof sockaddr === 'number') throw systemError(sockaddr, syscall, context);
    return [{ sockaddr, context }];
  }
  if (typeof host !== 'string') throw invalidType('address.host', 'a string (or give a path, or raw)', host);
  if (host.includes('\0')) throw invalidValue('address.host must not contain a NUL');
  const number = wholeNumber('address.port', port, 0, 65535);
  if (family !== AF_INET6) assertFamily('{host, port}', AF_INET, family);
  const version = isIP(host);
  if (version !== 0) assertFamily(`address.host '${host}'`, version === 4 ? AF_INET : AF_INET6, family);
  const wildcard = family === AF_INET6 ? '::' : '0.0.0.0';
  const found = native.resolve(host === '' ? wildcard : host, number, family);
  const context = { address: host, port: number };
  if (typeof found === 'number') throw systemError(found, 'getaddrinfo', context);
  if (typeof found === 'string') throw namedError(found, 'getaddrinfo', context);
  const [first, ...others] = found.map((sockaddr) => ({ sockaddr, context }));
  return [first as EncodedAddress, ...others];
}

/** The address that an error of connect(2) reports: the IP address that was tried, not the host name that several share. */
export function contextOf(sockaddr: Uint8Array, given: AddressContext = {}): AddressContext {
  const address = decodeAddress(sockaddr);
  if ('host' in address) return { address: address.host, port: address.port };
  return 'path' in address ? address : given;
}

/** A host name to look up, and its port. */
export interface HostName {
  readonly host: string;
  readonly port: number;
}

/** The host name in an address; null if it has none (a path, a sockaddr, an IP address, ''), or is wrong: encodeAddress() reports that. */
export function hostNameOf(address: Record<'host' | 'port' | 'path' | 'raw', unknown>): HostName | null {
  const { host, port, path, raw } = address;
  if (raw !== undefined || path !== undefined || typeof host !== 'string') return null;
  if (host === '' || host.includes('\0') || isIP(host) !== 0) return null;
  return { host, port: wholeNumber('address.port', port, 0, 65535) };
}

/**
 * Looks up all addresses of a host name by dns.lookup(): getaddrinfo(3) in a thread of libuv's pool, so Node's loop is not blocked.
 * @param callback called once, in a later turn of Node's loop
 */
export function lookUp(
  { host, port }: HostName,
  callback: (error: Error | null, found: EncodedAddress[]) => void,
): void {
  const failed = (error: unknown): void =>
    callback(
      namedError((error as NodeJS.ErrnoException).code ?? 'EAI_FAIL', 'getaddrinfo', { address: host, port }),
      [],
    );
  try {
    lookup(host, { all: true }, (error, found) => {
      if (error !== null) return failed(error);
      if (found.length === 0) return failed({ code: 'ENOTFOUND' });
      let addresses: EncodedAddress[];
      try {
        addresses = found.map(({ address }) => encodeAddress({ host: address, port }, AF_UNSPEC, 'connect'));
      } catch (thrown) {
        return callback(thrown as Error, []);
      }
      callback(null, addresses);
    });
  } catch (error) {
    setImmediate(() => failed(error)); // dns.lookup() throws for some names
  }
}

/** The address in a sockaddr. */
export function decodeAddress(sockaddr: Uint8Array): SocketAddress {
  const decoded = native.decode(sockaddr);
  if (Array.isArray(decoded)) return { host: decoded[0], port: decoded[1] };
  if (decoded === null || !isUtf8(decoded)) return { raw: Uint8Array.from(sockaddr) };
  return { path: decoded.toString('utf8') };
}

/** The bytes of a Unix path that decodeAddress() reports as `{raw}` because they are not UTF-8. null: an address of another family. */
export function unixPathOf(raw: Uint8Array): Buffer | null {
  const decoded = native.decode(raw);
  return Array.isArray(decoded) ? null : decoded;
}

/** The sa_family of a sockaddr: 16 bits; on BSD 8 bits after the length byte. 0: too short to have one. */
export function familyOfSockaddr(sockaddr: Uint8Array): number {
  if (sockaddr.length < 2) return AF_UNSPEC;
  if (native.SA_FAMILY_OFFSET === 1) return sockaddr[1] ?? AF_UNSPEC;
  return new DataView(sockaddr.buffer, sockaddr.byteOffset).getUint16(0, endianness() === 'LE');
}
