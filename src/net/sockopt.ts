/** setsockopt(2) and getsockopt(2): by the systems' own names, or by number for everything else. */
import { endianness } from 'node:os';
import { check, invalidType, invalidValue, namedError } from '../errors.js';
import { native } from '../native.js';
import { uint8Array, wholeNumber } from '../validate.js';

/** Socket options that have an int, by their names in the man pages. One that this OS lacks throws ENOPROTOOPT. */
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

/** macOS calls TCP_KEEPIDLE TCP_KEEPALIVE. */
const otherNames: Partial<Record<SocketOptionName, string>> = { TCP_KEEPIDLE: 'TCP_KEEPALIVE' };

const { SOL_SOCKET = 1 } = native.constants;
const INT_MIN = -0x8000_0000;
const INT_MAX = 0x7fff_ffff;
/** struct linger has Windows' seconds in an unsigned short. */
const MAX_LINGER = 0xffff;
/** Bytes of the longest option that getOption() reads. */
const MAX_OPTION_SIZE = 0xffff;

interface OptionNumbers {
  readonly level: number;
  readonly option: number;
}

function optionNumbers(name: unknown, syscall: string): OptionNumbers {
  if (typeof name !== 'string') throw invalidType('name', "a socket option's name", name);
  if (!Object.hasOwn(levels, name))
    throw invalidValue(`there is no socket option '${name}' by name; give its level and number`);
  const known = name as SocketOptionName;
  const level = native.constants[levels[known]];
  const option = native.constants[known] ?? native.constants[otherNames[known] ?? ''];
  if (level === undefined || option === undefined) throw namedError('ENOPROTOOPT', syscall);
  return { level, option };
}

/** An int of SOL_SOCKET, for options whose values are not negative. @returns a negative error where getsockopt(2) fails */
export function getIntOption(fd: number, option: number): number {
  const value = new Int32Array(1);
  const got = native.getsockopt(fd, SOL_SOCKET, option, new Uint8Array(value.buffer));
  return got < 0 ? got : (value[0] as number);
}

/**
 * Lets several sockets share a port, among which the kernel distributes connections. FreeBSD 12 has SO_REUSEPORT_LB for it; there SO_REUSEPORT
 * gives all connections to one of them (setsockopt(2)). @throws ENOPROTOOPT
 */
export function sharePort(socket: {
  setOption(name: SocketOptionName, value: boolean): unknown;
  setOption(level: number, option: number, value: number): unknown;
}): void {
  const { SO_REUSEPORT_LB } = native.constants;
  if (SO_REUSEPORT_LB === undefined) socket.setOption('SO_REUSEPORT', true);
  else socket.setOption(SOL_SOCKET, SO_REUSEPORT_LB, 1);
}

/** A C int, as memory has it. */
function intBytes(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}

/**
 * Checks the arguments of setOption(): a name and a value, or level, option and value.
 * @returns a function that makes the call
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE, ENOPROTOOPT
 */
export function optionSetter(args: readonly unknown[]): (fd: number) => void {
  return typeof args[0] === 'number' ? rawSetter(args[0], args[1], args[2]) : namedSetter(args[0], args[1]);
}

/** Do the arguments of setOption() name IPV6_V6ONLY, by name or by number? */
export function isV6Only([first, second]: readonly unknown[]): boolean {
  const { IPPROTO_IPV6, IPV6_V6ONLY } = native.constants;
  return first === 'IPV6_V6ONLY' || (first === IPPROTO_IPV6 && second === IPV6_V6ONLY);
}

/** getsockopt(2) for the arguments of getOption(): a name, or level, option and length. @throws as optionSetter() */
export function getOption(fd: number, args: readonly unknown[]): number | Buffer {
  return typeof args[0] === 'number' ? getRawOption(fd, args[0], args[1], args[2]) : getNamedOption(fd, args[0]);
}

function namedSetter(name: unknown, value: unknown): (fd: number) => void {
  const { level, option } = optionNumbers(name, 'setsockopt');
  if (typeof value !== 'number' && typeof value !== 'boolean')
    throw invalidType('value', 'a number or a boolean', value);
  if (name === 'SO_LINGER') {
    // false: off. true: on, for 0 s: close() then resets the connection.
    const seconds = value === false ? -1 : value === true ? 0 : wholeNumber('value', value, -1, MAX_LINGER);
    return (fd) => void check(native.setLinger(fd, seconds), 'setsockopt');
  }
  const number = typeof value === 'boolean' ? Number(value) : wholeNumber('value', value, INT_MIN, INT_MAX);
  return (fd) => void check(native.setsockopt(fd, level, option, intBytes(number)), 'setsockopt');
}

function getNamedOption(fd: number, name: unknown): number {
  const { level, option } = optionNumbers(name, 'getsockopt');
  const out = new Int32Array(1);
  if (name === 'SO_LINGER') {
    check(native.getLinger(fd, out), 'getsockopt');
    return out[0] ?? -1;
  }
  const bytes = new Uint8Array(out.buffer);
  const length = check(native.getsockopt(fd, level, option, bytes), 'getsockopt');
  // Windows returns some booleans as a single byte.
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
  const out = Buffer.alloc(wholeNumber('length', length, 0, MAX_OPTION_SIZE));
  return out.subarray(0, check(native.getsockopt(fd, ...numbers, out), 'getsockopt'));
}
