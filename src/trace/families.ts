/** What a call or an operation is for: it waits, reads, writes, or controls what the others work on. */

/** wait: for readiness or completions, or sleeps. read, write: moves bytes. control: everything else, such as socket, epoll_ctl, accept4. */
export type CallFamily = 'wait' | 'read' | 'write' | 'control';

const FAMILIES: Readonly<Record<Exclude<CallFamily, 'control'>, readonly string[]>> = {
  wait: [
    ...['epoll_wait', 'epoll_pwait', 'epoll_pwait2', 'poll', 'ppoll', 'select', 'pselect6', 'kevent', 'nanosleep'],
    ...['clock_nanosleep', 'io_uring_enter', 'GetQueuedCompletionStatusEx', 'WSAPoll', 'Sleep', 'POLL_ADD', 'TIMEOUT'],
  ],
  read: [
    ...['read', 'recv', 'recvfrom', 'recvmsg', 'WSARecv', 'WSARecvFrom', 'ReadFile'],
    ...['READ', 'RECV', 'RECVMSG'],
  ],
  write: [
    ...['write', 'send', 'sendto', 'sendmsg', 'WSASend', 'WSASendTo', 'WriteFile'],
    ...['WRITE', 'SEND', 'SENDMSG'],
  ],
};

const familyByName = new Map(
  Object.entries(FAMILIES).flatMap(([family, names]) => names.map((name) => [name, family as CallFamily] as const)),
);

/** The family of a call or an operation, by SyscallRecord.name. */
export function familyOf(name: string): CallFamily {
  return familyByName.get(name) ?? 'control';
}
