/** connect(2) of a Socket: tries several addresses until one connects. */
import { check, systemError, systemErrorName } from '../errors.js';
import { native } from '../native.js';
import { type AddressContext, type EncodedAddress, contextOf } from '../syscalls/address.js';
import { Deadline, untilReady } from './blocking.js';
import { getIntOption } from './sockopt.js';

const { SO_ERROR = 4 } = native.constants;

/**
 * Tries the addresses in their order until one connects, within one timeout.
 * @param timeout milliseconds; null: waits forever; 0: does not wait
 * @returns true: connected. false: in progress
 * @throws the error of the last address; ETIMEDOUT: no time is left for further ones
 */
export function connectToAny(fd: number, addresses: readonly EncodedAddress[], timeout: number | null): boolean {
  const deadline = new Deadline(timeout);
  let failed: NodeJS.ErrnoException | null = null;
  for (const { sockaddr, context } of addresses) {
    const known = contextOf(sockaddr, context);
    const outcome = connectOnce(fd, sockaddr, known, timeout === 0 ? null : deadline, failed !== null);
    if (typeof outcome === 'boolean') return outcome;
    if (failed !== null && outcome.code === 'EINVAL') break; // macOS: no second connect(2) on a socket
    failed = outcome;
  }
  throw failed as NodeJS.ErrnoException;
}

/**
 * @param deadline null: does not wait
 * @returns as connectToAny(), or the error of this address. @throws ETIMEDOUT
 */
function connectOnce(
  fd: number,
  sockaddr: Uint8Array,
  context: AddressContext,
  deadline: Deadline | null,
  isAfterAttempt: boolean,
): boolean | NodeJS.ErrnoException {
  let result = native.connect(fd, sockaddr);
  // Linux: once, after an attempt that failed in progress and whose SO_ERROR was read (__inet_stream_connect, net/ipv4/af_inet.c).
  if (isAfterAttempt && result < 0 && systemErrorName(result) === 'ECONNABORTED') result = native.connect(fd, sockaddr);
  // EAGAIN: the backlog of a Unix listener is full; nothing is in progress (connect(2)).
  if (result !== native.inProgress) return result >= 0 ? true : systemError(result, 'connect', context);
  if (deadline === null) return false;
  untilReady(fd, 'write', deadline, 'connect');
  return connectError(fd, context) ?? true;
}

/** SO_ERROR, read and cleared: the error of a connect that was in progress. @returns null: there is none */
export function connectError(fd: number, context: AddressContext = {}): NodeJS.ErrnoException | null {
  const number = check(getIntOption(fd, SO_ERROR), 'getsockopt');
  return number === 0 ? null : systemError(-number, 'connect', context);
}
