/** The options of a new socket: its family, type and protocol (socket(2)), and whether it blocks. */
import { invalidValue } from '../errors.js';
import { native } from '../native.js';
import { type SocketFamily, familyNumber, invalidChoice } from '../syscalls/address.js';
import { boolean, fieldsOf, wholeNumber } from '../validate.js';

const { SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_SEQPACKET = 5, SOCK_RAW = 3 } = native.constants;
/** Flags that Linux takes or-ed to the type. Other systems have none. */
const { SOCK_NONBLOCK = 0, SOCK_CLOEXEC = 0 } = native.constants;
const INT_MAX = 0x7fff_ffff;

/** How a socket carries bytes: SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW, or the operating system's own number. */
export type SocketType = 'stream' | 'dgram' | 'seqpacket' | 'raw' | number;

/** What `new Socket()` and `Socket.pair()` make. */
export interface SocketOptions {
  /** Default: 'ipv4'; for pairs 'unix', where the system has Unix sockets. A number is the OS's own AF_*. */
  readonly family?: SocketFamily;
  /**
   * Default: 'stream'. A number is the OS's own SOCK_*. Linux's SOCK_NONBLOCK may be or-ed to it, which means `blocking: false`, and
   * SOCK_CLOEXEC, which every socket of this package has; `type` reads without them.
   */
  readonly type?: SocketType;
  /** IPPROTO_*, 0 to 2^31 - 1. Default: 0, the protocol that family and type have by default. */
  readonly protocol?: number;
  /** Default: true, or false where `type` has SOCK_NONBLOCK. */
  readonly blocking?: boolean;
}

/** SocketOptions, checked and in the OS's numbers. */
export interface ParsedSocketOptions {
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
  readonly blocking: boolean;
}

const types: readonly (readonly [SocketType, number])[] = [
  ['stream', SOCK_STREAM],
  ['dgram', SOCK_DGRAM],
  ['seqpacket', SOCK_SEQPACKET],
  ['raw', SOCK_RAW],
];

function typeNumber(type: unknown): number {
  if (typeof type === 'number') return wholeNumber('type', type, 0, INT_MAX);
  const found = types.find(([name]) => name === type);
  if (found === undefined)
    throw invalidChoice(
      'type',
      types.map(([name]) => name),
      type,
    );
  return found[1];
}

/** 'stream' for SOCK_STREAM; the number itself where it has no name here. */
export function typeName(number: number): SocketType {
  return types.find(([, known]) => known === number)?.[0] ?? number;
}

/** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE */
export function parseSocketOptions(options: unknown, defaultFamily: SocketFamily): ParsedSocketOptions {
  const fields =
    options === undefined ? undefined : fieldsOf('options', options, ['family', 'type', 'protocol', 'blocking']);
  const typeBits = typeNumber(fields?.type ?? 'stream');
  const isNonBlocking = (typeBits & SOCK_NONBLOCK) !== 0;
  const blocking = boolean('blocking', fields?.blocking ?? !isNonBlocking);
  if (blocking && isNonBlocking) throw invalidValue('blocking must not be true where type has SOCK_NONBLOCK');
  return {
    family: familyNumber(fields?.family ?? defaultFamily),
    type: typeBits & ~(SOCK_NONBLOCK | SOCK_CLOEXEC),
    protocol: wholeNumber('protocol', fields?.protocol ?? 0, 0, INT_MAX),
    blocking,
  };
}
