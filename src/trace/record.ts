/** One recorded system call or operation, its text in the format of strace, and sums by name. */

/**
 * One system call that has returned, or one operation of a proactor's mechanism (io_uring, IOCP): submitted or completed. Operations are no
 * system calls: sums and counts of calls are without them.
 */
export interface SyscallRecord {
  /** Number of the record: 0, 1, … in the order in which calls returned, operations were submitted and completions were taken. */
  readonly sequence: number;
  /**
   * 'call': a system call. 'submission': an operation, recorded before the call that submits it. 'completion': the result of one, recorded when
   * the program takes it from the completion queue.
   */
  readonly kind: 'call' | 'submission' | 'completion';
  /** Id of the process that made the call. */
  readonly process: number;
  /** Id of the thread that made the call, as the system's own tools show it: gettid(2) on Linux. */
  readonly thread: number;
  /**
   * The system's name of the call: 'epoll_wait', 'recvfrom', 'io_uring_enter', 'WSARecv' …. Of an operation: 'RECV', 'ACCEPT',
   * 'ASYNC_CANCEL' …, as in io_uring_enter(2) without IORING_OP_; 'unknown' for a completion that was submitted before the trace began.
   */
  readonly name: string;
  /**
   * The arguments as strace prints them: `3, "hello", 65536, 0, NULL, NULL`. Of a submission its fields: `fd=20 buf_group=0 user_data=7`; of a
   * completion the number of its submission: `user_data=7`; of IOCP `id=7`. Truncated after some 400 bytes.
   */
  readonly arguments: string;
  /** What the call returned, or the result of a completion; -1 if it failed; 0 of a submission. */
  readonly result: number;
  /**
   * What strace prints in parentheses after the result: `[{fd=3, revents=POLLIN}]`, `in [3]`, `Timeout`. '' for most calls. Of a completion its
   * flags: `MORE|BUFFER(3)`.
   */
  readonly returned: string;
  /** Name of the error, such as 'EAGAIN'; null if the call or operation succeeded, and of a submission. */
  readonly error: string | null;
  /** The effect of a fault plan (injectFaults): 'INJECTED', an error or a short length; 'DELAYED', a delay; null, none. */
  readonly fault: 'INJECTED' | 'DELAYED' | null;
  /** Whether a probe of a mechanism made the call: it only finds out whether the system has that mechanism. */
  readonly isProbe: boolean;
  /**
   * Whether the call is a slice, 100 ms, of a longer wait. In a worker, waits are sliced so that worker.terminate() can end them; the threads
   * of a server that the main thread created wait in one call.
   */
  readonly isSlice: boolean;
  /** When the call began, or the operation was recorded: milliseconds since the start of the trace. */
  readonly start: number;
  /** How long the call took, in milliseconds; 0 of an operation. */
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

/**
 * One line. A call as strace prints it: `recvfrom(5, "hi", 65536, 0, NULL, NULL) = 2`; operations as `RECV fd=20 buf_group=0 user_data=7` and
 * `user_data=7 res=64 MORE|BUFFER(3)`. Behind it a fault, `(INJECTED)` or `(DELAYED)`, and `<slice>`.
 */
export function formatRecord(record: SyscallRecord): string {
  const suffix = record.fault === null ? '' : ` (${record.fault})`;
  return `${formatCallOrOperation(record)}${suffix}${record.isSlice ? ' <slice>' : ''}`;
}

function formatCallOrOperation({ kind, name, arguments: args, result, returned, error }: SyscallRecord): string {
  if (kind === 'submission') return args === '' ? name : `${name} ${args}`;
  if (kind === 'completion')
    return `${args} res=${error === null ? result : `-${error}`}${returned === '' ? '' : ` ${returned}`}`;
  const call = `${name}(${args})`.padEnd(RESULT_COLUMN - 1);
  if (error !== null) return `${call} = -1 ${error}`;
  const value = POINTERS.has(name) ? `0x${result.toString(16)}` : String(result);
  return `${call} = ${value}${returned === '' ? '' : ` (${returned})`}`;
}

/** Sums calls by name. Operations are not counted. */
export class Summary {
  readonly #rows = new Map<string, { name: string; calls: number; errors: number; milliseconds: number }>();

  add({ kind, name, error, duration }: SyscallRecord): void {
    if (kind !== 'call') return;
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
