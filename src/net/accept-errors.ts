/** Which errors of accept(2) concern one client, and which the listener. */
const OF_ONE_CLIENT: readonly string[] = [
  ...['ECONNABORTED', 'ECONNRESET', 'EPROTO', 'EPERM', 'ETIMEDOUT', 'EINTR', 'EOPNOTSUPP', 'ENOPROTOOPT'],
  ...['ENETDOWN', 'ENETUNREACH', 'EHOSTDOWN', 'EHOSTUNREACH', 'ENONET'],
  'ENOTSUP', // Node's name for EOPNOTSUPP where the two share a number
  'ENOTCONN', // Wine, for a client that has reset
];

/**
 * Does this error of accept(2) concern one client, which has disconnected (accept(2))? Then the next client can be accepted. All other errors
 * concern the listener: EMFILE, ENOBUFS, EBADF …
 * @param code the error's name, 'ECONNABORTED'
 */
export function isTransientAcceptError(code: string): boolean {
  return OF_ONE_CLIENT.includes(code);
}
