/** setsockopt(2) and getsockopt(2): by the systems' own names, or by number for everything else. */
import { endianness } from 'node:os';
import { check, invalidType, invalidValue, namedError } from '../errors.js';
import { native } from '../native.js';
import { uint8Array, wholeNumber } from '../validate.js';

/** The operating systems' own names; one that this OS lacks throws ENOPROTOOPT. */
export type SocketOptionName =
  | 'SO_REUSEADDR'
  | 'SO_REUSEPORT'
  | 'SO_KEEPALIVE'
  | 'SO_BROADCAST'
  | 'SO_SNDBUF'
  | 'SO_RCVBUF'
  | 'SO_LINGER'
  | 'TCP_NODELAY'
  | 'TCP_KEEPIDLE'
  | 'TCP_KEEPINTVL'
  | 'TCP_KEEPCNT'
  | 'IPV6_V6ONLY';

const levels: Readonly<Record<SocketOptionName, 'SOL_SOCKET' | 'IPPROTO_TCP' | 'IPPROTO_IPV6'>> = {
  SO_REUSEADDR: 'SOL_SOCKET',
  SO_REUSEPORT: 'SOL_SOCKET',
  SO_KEEPALIVE: 'SOL_SOCKET',
  SO_BROADCAST: 'SOL_SOCKET',
  SO_SNDBUF: 'SOL_SOCKET',
  SO_RCVBUF: 'SOL_SOCKET',
  SO_LINGER: 'SOL_SOCKET',
  TCP_NODELAY: 'IPPROTO_TCP',
  TCP_KEEPIDLE: 'IPPROTO_TCP',
  TCP_KEEPINTVL: 'IPPROTO_TCP',
  TCP_KEEPCNT: 'IPPROTO_TCP',
  IPV6_V6ONLY: 'IPPROTO_IPV6',
};

/** macOS has TCP_KEEPIDLE under the name of TCP_KEEPALIVE. */
const otherNames: Partial<Record<SocketOptionName, string>> = { TCP_KEEPIDLE: 'TCP_KEEPALIVE' };

const INT_MIN = -0x8000_0000;
const INT_MAX = 0x7fff_ffff;
/** struct linger counts Windows' seconds in an unsigned short. */
const MOST_LINGER = 0xffff;

interface Numbers {
  readonly level: number;
  readonly option: number;
}

function numbersOf(name: unknown, syscall: string): Numbers {
  if (typeof name !== 'string') throw invalidType('name', "a socket option's name", name);
  if (!Object.hasOwn(levels, name))
    throw invalidValue(`there is no socket option '${name}' by name; give its level and number`);
  const known = name as SocketOptionName;
  const level = native.constants[levels[known]];
  const option = native.constants[known] ?? native.constants[otherNames[known] ?? ''];
  if (level === undefined || option === undefined) throw namedError('ENOPROTOOPT', syscall);
  return { level, option };
}

/** An int as C has it in memory. */
function intBytes(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}

/**
 * What setOption() was given, checked: by name and value, or by level, option and value.
 * @returns makes the call. @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE, ENOPROTOOPT
 */
export function optionSetter(args: readonly unknown[]): (fd: number) => void {
  return typeof args[0] === 'number' ? rawSetter(args[0], args[1], args[2]) : namedSetter(args[0], args[1]);
}

/** Is it IPV6_V6ONLY, by name or by number? */
export function isV6Only([first, second]: readonly unknown[]): boolean {
  const { IPPROTO_IPV6, IPV6_V6ONLY } = native.constants;
  return first === 'IPV6_V6ONLY' || (first === IPPROTO_IPV6 && second === IPV6_V6ONLY);
}

export function getOption(fd: number, args: readonly unknown[]): number | Buffer {
  return typeof args[0] === 'number' ? getRawOption(fd, args[0], args[1], args[2]) : getNamedOption(fd, args[0]);
}

function namedSetter(name: unknown, value: unknown): (fd: number) => void {
  const { level, option } = numbersOf(name, 'setsockopt');
  if (typeof value !== 'number' && typeof value !== 'boolean')
    throw invalidType('value', 'a number or a boolean', value);
  if (name === 'SO_LINGER') {
    // false: off. true: on, with no time to linger: close() then resets the connection.
    const seconds = value === false ? -1 : value === true ? 0 : wholeNumber('value', value, -1, MOST_LINGER);
    return (fd) => void check(native.setLinger(fd, seconds), 'setsockopt');
  }
  const number = typeof value === 'boolean' ? Number(value) : wholeNumber('value', value, INT_MIN, INT_MAX);
  return (fd) => void check(native.setsockopt(fd, level, option, intBytes(number)), 'setsockopt');
}

function getNamedOption(fd: number, name: unknown): number {
  const { level, option } = numbersOf(name, 'getsockopt');
  const out = new Int32Array(1);
  if (name === 'SO_LINGER') {
    check(native.getLinger(fd, out), 'getsockopt');
    return out[0] ?? -1;
  }
  const bytes = new Uint8Array(out.buffer);
  const length = check(native.getsockopt(fd, level, option, bytes), 'getsockopt');
  // Windows answers some booleans with a single byte.
  return length === 1 ? (bytes[endianness() === 'LE' ? 0 : 3] ?? 0) : (out[0] ?? 0);
}

function rawSetter(level: unknown, option: unknown, value: unknown): (fd: number) => void {
  const numbers = [
    wholeNumber('level', level, INT_MIN, INT_MAX),
    wholeNumber('option', option, INT_MIN, INT_MAX),
  ] as const;
  const bytes =
    typeof value === 'number'
      ? intBytes(wholeNumber('value', value, INT_MIN, INT_MAX))
      : Uint8Array.from(uint8Array('value', value));
  return (fd) => void check(native.setsockopt(fd, ...numbers, bytes), 'setsockopt');
}

function getRawOption(fd: number, level: unknown, option: unknown, length: unknown): Buffer {
  const numbers = [
    wholeNumber('level', level, INT_MIN, INT_MAX),
    wholeNumber('option', option, INT_MIN, INT_MAX),
  ] as const;
  const out = Buffer.alloc(wholeNumber('length', length, 0, MOST_LINGER));
  return out.subarray(0, check(native.getsockopt(fd, ...numbers, out), 'getsockopt'));
}
