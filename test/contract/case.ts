/**
 * Contract cases are independent of the test runner. The name of each begins with the numbers of the behaviours it shows. Each lists what
 * it needs of the system, and runs against the context it is given. test/*.test.ts run them over every mechanism of the machine.
 */
export interface Case<C> {
  readonly name: string;
  /** Capabilities that the case needs; capabilities.ts gives the reason why a mechanism lacks one. */
  readonly needs?: readonly Capability[];
  run(context: C): void | Promise<void>;
}

export type Capability =
  | 'pipes'
  | 'regular files ready'
  | 'regular files refused'
  | 'unix sockets'
  | 'abstract names'
  | 'SCM_RIGHTS'
  | 'WSADuplicateSocket'
  | 'TCP_INFO'
  | 'netlink'
  | 'all options'
  | 'regular files'
  | 'handles of Node'
  | 'any number'
  | 'limited numbers'
  | 'limited count'
  | 'SO_ERROR cleared'
  | 'closed descriptors forgotten'
  | 'closed descriptors reported'
  | 'closed descriptors kept'
  | 'own descriptor'
  | 'signals'
  | 'reset seen'
  | 'hang-up before connect'
  | 'numbers used again'
  | 'MSG_DONTWAIT'
  | 'EAI_ADDRFAMILY'
  | 'chdir'
  | 'MSG_TRUNC discards'
  | 'own descriptor watchable'
  | 'kqueue of a kernel'
  | 'kqueue of macOS'
  | 'poll of OPEN_MAX'
  | 'closing ends watching'
  | 'errors left to the caller'
  | 'POLLPRI'
  | 'no POLLPRI'
  | 'order of submission'
  | 'port unreachable reported'
  | 'shutdown ends receiving'
  | 'sockets closed by number'
  | 'answers in order'
  | 'answers as they are done'
  | 'serves several at once'
  | 'serves beside silent clients'
  | 'held up by silent clients'
  | 'hundreds at once'
  | 'a fixed number at once'
  | 'one started for each'
  | 'any number of loops a file'
  | 'one loop a file'
  | 'SO_ACCEPTCONN';

/** The capabilities that a mechanism lacks, with the reasons. */
export type Lacks = Partial<Record<Capability, string>>;

/** The reason why the case cannot run, or undefined. */
export function reasonToSkip(needs: readonly Capability[] | undefined, lacks: Lacks): string | undefined {
  return needs?.map((need) => lacks[need]).find((reason) => reason !== undefined);
}
