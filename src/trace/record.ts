/** What is known of a system call, and how it is shown. */

export interface SyscallRecord {
  /** 0, 1, … in the order in which the calls returned. */
  readonly sequence: number;
  /** The process and the thread that made it, as the system's own tools number them (gettid(2)). */
  readonly process: number;
  readonly thread: number;
  /** 'epoll_wait', 'recvfrom', 'io_uring_enter', 'WSARecv' … as the system names it. */
  readonly name: string;
  /** As strace prints them: `3, "hello", 65536, 0, NULL, NULL`. What is longer than some 400 bytes is cut. */
  readonly arguments: string;
  /** What the call returned; -1 where it failed. */
  readonly result: number;
  /** What strace prints behind the result: `[{fd=3, revents=POLLIN}]`, `in [3]`, `Timeout`; '' for most. */
  readonly returned: string;
  /** 'EAGAIN', or null. */
  readonly error: string | null;
  /** What a fault plan has done to the call (injectFaults): an error or a short length, 'INJECTED'; a delay, 'DELAYED'; null: nothing. */
  readonly fault: 'INJECTED' | 'DELAYED' | null;
  /** Milliseconds since the trace began. */
  readonly start: number;
  /** Milliseconds that the call took. */
  readonly duration: number;
}

export interface SyscallSummary {
  readonly name: string;
  readonly calls: number;
  readonly errors: number;
  readonly milliseconds: number;
}

/** Where strace puts the result. */
const RESULT_COLUMN = 40;
/** Results that are addresses. */
const POINTERS: ReadonlySet<string> = new Set(['mmap']);

/** One line, as strace prints it: `recvfrom(5, "hi", 65536, 0, NULL, NULL) = 2`. */
export function formatRecord({ name, arguments: args, result, returned, error, fault }: SyscallRecord): string {
  const call = `${name}(${args})`.padEnd(RESULT_COLUMN - 1);
  const behind = fault === null ? '' : ` (${fault})`;
  if (error !== null) return `${call} = -1 ${error}${behind}`;
  const value = POINTERS.has(name) ? `0x${result.toString(16)}` : String(result);
  return `${call} = ${value}${returned === '' ? '' : ` (${returned})`}${behind}`;
}

/** Adds records up by their names. */
export class Summary {
  readonly #rows = new Map<string, { name: string; calls: number; errors: number; milliseconds: number }>();

  add({ name, error, duration }: SyscallRecord): void {
    let row = this.#rows.get(name);
    if (row === undefined) this.#rows.set(name, (row = { name, calls: 0, errors: 0, milliseconds: 0 }));
    row.calls++;
    if (error !== null) row.errors++;
    row.milliseconds += duration;
  }

  /** Those that took longest first. */
  rows(): readonly SyscallSummary[] {
    return [...this.#rows.values()].sort((one, other) => other.milliseconds - one.milliseconds);
  }
}
