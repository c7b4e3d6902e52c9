/** One recorded system call, its text in the format of strace, and sums by name. */

/** One system call that has returned. */
export interface SyscallRecord {
  /** Number of the record: 0, 1, … in the order in which the calls returned. */
  readonly sequence: number;
  /** Id of the process that made the call. */
  readonly process: number;
  /** Id of the thread that made the call, as the system's own tools show it: gettid(2) on Linux. */
  readonly thread: number;
  /** The system's name of the call: 'epoll_wait', 'recvfrom', 'io_uring_enter', 'WSARecv' …. */
  readonly name: string;
  /** The arguments as strace prints them: `3, "hello", 65536, 0, NULL, NULL`. Truncated after some 400 bytes. */
  readonly arguments: string;
  /** What the call returned; -1 if it failed. */
  readonly result: number;
  /** What strace prints in parentheses after the result: `[{fd=3, revents=POLLIN}]`, `in [3]`, `Timeout`. '' for most calls. */
  readonly returned: string;
  /** Name of the error, such as 'EAGAIN'; null if the call succeeded. */
  readonly error: string | null;
  /** The effect of a fault plan (injectFaults): 'INJECTED', an error or a short length; 'DELAYED', a delay; null, none. */
  readonly fault: 'INJECTED' | 'DELAYED' | null;
  /** When the call began: milliseconds since the start of the trace. */
  readonly start: number;
  /** How long the call took, in milliseconds. */
  readonly duration: number;
}

/** The recorded calls of one name, summed. */
export interface SyscallSummary {
  /** The system's name of the calls. */
  readonly name: string;
  /** Calls, failed ones included. */
  readonly calls: number;
  /** Calls that failed. */
  readonly errors: number;
  /** Time in these calls, in milliseconds. */
  readonly milliseconds: number;
}

/** The column of the `=` in strace's output. */
const RESULT_COLUMN = 40;
/** Calls that return an address. */
const POINTERS: ReadonlySet<string> = new Set(['mmap']);

/** One line, as strace prints it: `recvfrom(5, "hi", 65536, 0, NULL, NULL) = 2`. */
export function formatRecord({ name, arguments: args, result, returned, error, fault }: SyscallRecord): string {
  const call = `${name}(${args})`.padEnd(RESULT_COLUMN - 1);
  const suffix = fault === null ? '' : ` (${fault})`;
  if (error !== null) return `${call} = -1 ${error}${suffix}`;
  const value = POINTERS.has(name) ? `0x${result.toString(16)}` : String(result);
  return `${call} = ${value}${returned === '' ? '' : ` (${returned})`}${suffix}`;
}

/** Sums records by name. */
export class Summary {
  readonly #rows = new Map<string, { name: string; calls: number; errors: number; milliseconds: number }>();

  add({ name, error, duration }: SyscallRecord): void {
    let row = this.#rows.get(name);
    if (row === undefined) this.#rows.set(name, (row = { name, calls: 0, errors: 0, milliseconds: 0 }));
    row.calls++;
    if (error !== null) row.errors++;
    row.milliseconds += duration;
  }

  /** One row per name, the longest total time first. */
  rows(): readonly SyscallSummary[] {
    return [...this.#rows.values()].sort((one, other) => other.milliseconds - one.milliseconds);
  }
}
