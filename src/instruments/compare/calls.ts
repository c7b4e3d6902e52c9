/** System calls, counted while a server does its work. */
import type { LoadResult } from '../measuring/load.js';
import type { ProcessesTrace } from '../../trace/processes-trace.js';
import type { ComparisonRow } from './row.js';

/** How often the records are taken, in milliseconds: long before there is no room for more, and seldom enough not to disturb. */
const EACH = 10;

/** How often each was called. */
export type Calls = ReadonlyMap<string, number>;

/** Counts what a trace records, until it is disposed of. */
export class CallCounter implements Disposable {
  readonly #trace: ProcessesTrace;
  readonly #timer: NodeJS.Timeout;
  /** When each call began and returned, one after the other, by name, on the clock of LoadResult. */
  readonly #times = new Map<string, number[]>();

  constructor(trace: ProcessesTrace) {
    this.#trace = trace;
    this.#timer = setInterval(() => this.#take(), EACH);
  }

  /**
   * Of those that were under way between two times and have returned: the wait that the first message ended is of the work, which began
   * before it; the waits for what never came are not.
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

export type Counted = Pick<ComparisonRow, 'syscalls' | 'syscallsPerMessage' | 'counted'>;

/** Per message. @param lost so many calls more were made, which have no name */
export function perMessage(calls: Calls, { messages }: LoadResult, by: string, lost = 0): Counted {
  const known = [...calls.values()].reduce((sum, count) => sum + count, 0);
  const scale = known === 0 ? 1 : (known + lost) / known;
  const syscalls = [...calls]
    .map(([name, count]) => ({ name, perMessage: (scale * count) / messages }))
    .sort((one, other) => other.perMessage - one.perMessage);
  const share = ((100 * lost) / Math.max(1, known + lost)).toFixed(1);
  const missing =
    lost === 0 ? '' : `; ${share} % of them were too fast to be recorded, and are taken for the like of the others`;
  return {
    syscalls,
    syscallsPerMessage: (known + lost) / messages,
    counted: `counted ${by}, over ${messages.toLocaleString('en')} messages in a run of its own${missing}`,
  };
}

export const notCounted = (why: string): Counted => ({
  syscalls: [],
  syscallsPerMessage: NaN,
  counted: `not counted: ${why}`,
});
