/** Counts the system calls of a server while it works. */
import type { LoadResult } from '../measuring/load.js';
import type { ProcessesTrace } from '../../trace/processes-trace.js';
import type { ComparisonRow } from './row.js';

/** Milliseconds between two readings of the trace: often enough that its memory does not fill, seldom enough not to disturb. */
const TAKE_INTERVAL = 10;

/** Number of calls by name. */
export type Calls = ReadonlyMap<string, number>;

/** Counts the records of a trace until it is disposed. */
export class CallCounter implements Disposable {
  readonly #trace: ProcessesTrace;
  readonly #timer: NodeJS.Timeout;
  /** By name: start and end of each call, alternating, on the clock of LoadResult. */
  readonly #times = new Map<string, number[]>();

  constructor(trace: ProcessesTrace) {
    this.#trace = trace;
    this.#timer = setInterval(() => this.#take(), TAKE_INTERVAL);
  }

  /**
   * Counts the calls that were in progress between two times and have returned. The wait that the first message ended belongs to the work,
   * though it began earlier; waits that nothing ended do not.
   */
  between(begun: number, ended: number): Calls {
    this.#take();
    const counts = new Map<string, number>();
    for (const [name, times] of this.#times) {
      const count = times.filter((began, i) => i % 2 === 0 && began <= ended && (times[i + 1] ?? NaN) >= begun).length;
      if (count > 0) counts.set(name, count);
    }
    return counts;
  }

  /** Counts all calls that have returned. */
  all(): Calls {
    return this.between(-Infinity, Infinity);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #take(): void {
    const { start: origin } = this.#trace;
    this.#trace.takeEach((name, start, duration) => {
      let times = this.#times.get(name);
      if (times === undefined) this.#times.set(name, (times = []));
      times.push(origin + start, origin + start + duration);
    });
  }
}

/** The columns of a row that come from the counted run. */
export type Counted = Pick<ComparisonRow, 'syscalls' | 'syscallsPerMessage' | 'counted'>;

/**
 * Divides the counts by the number of messages.
 * @param by how they were counted: 'by strace'
 * @param lost further calls that the trace dropped: their names are unknown and assumed to be distributed as the others
 */
export function perMessage(calls: Calls, { messages }: LoadResult, by: string, lost = 0): Counted {
  const known = [...calls.values()].reduce((sum, count) => sum + count, 0);
  const scale = known === 0 ? 1 : (known + lost) / known;
  const syscalls = [...calls]
    .map(([name, count]) => ({ name, perMessage: (scale * count) / messages }))
    .sort((one, other) => other.perMessage - one.perMessage);
  const share = ((100 * lost) / Math.max(1, known + lost)).toFixed(1);
  const missing =
    lost === 0 ? '' : `; ${share} % of them were dropped by the full trace and are assumed to be like the others`;
  return {
    syscalls,
    syscallsPerMessage: (known + lost) / messages,
    counted: `counted ${by}, over ${messages.toLocaleString('en')} messages in a separate run${missing}`,
  };
}

/** The columns of a row whose calls could not be counted. */
export const notCounted = (why: string): Counted => ({
  syscalls: [],
  syscallsPerMessage: NaN,
  counted: `not counted: ${why}`,
});
