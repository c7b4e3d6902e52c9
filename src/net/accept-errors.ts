/** What accept(2) says of the client, and what of the listener. */
const OF_ONE_CLIENT: readonly string[] = [
  ...['ECONNABORTED', 'ECONNRESET', 'EPROTO', 'EPERM', 'ETIMEDOUT', 'EINTR', 'EOPNOTSUPP', 'ENOPROTOOPT'],
  ...['ENETDOWN', 'ENETUNREACH', 'EHOSTDOWN', 'EHOSTUNREACH', 'ENONET'],
  'ENOTSUP', // EOPNOTSUPP, as Node calls its number where the two have the same
  'ENOTCONN', // Wine, of a client that has reset
];

/**
 * Does this error of accept(2) concern one client, which is gone (accept(2))? Then the next one, please. All others are the listener's
 * trouble: EMFILE, ENOBUFS, EBADF …
 * @param code 'ECONNABORTED'
 */
export function isTransientAcceptError(code: string): boolean {
  return OF_ONE_CLIENT.includes(code);
}
