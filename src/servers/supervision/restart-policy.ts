/**
 * When a worker that has failed is replaced, and when the server gives up.
 *
 * Without it, workers that fail right after their start (no memory for their rings, for example) would be replaced without end. The pause
 * before the next start doubles with each failure in a row, and after some failures in a row the server ends, with the worker's reason.
 */
import type { StartRequest } from '../protocol/messages.js';

/** A worker has failed if it exits before it is ready, or within this time of its start without having served a connection. */
export const MIN_LIFETIME_MS = 1000;
export const MIN_RESTART_DELAY_MS = 50;
const MAX_RESTART_DELAY_MS = 2000;
/** One failure more ends the server: after 3 s while it starts, after 7 s once it listens. */
const MAX_FAILURES_STARTING = 6;
const MAX_FAILURES_LISTENING = 8;

export const maxFailures = (isListening: boolean): number =>
  isListening ? MAX_FAILURES_LISTENING : MAX_FAILURES_STARTING;

/** The failures in a row of the workers that have filled one place (see placeOf). */
export interface Failures {
  count: number;
  /** When the last one was counted, as performance.now(). */
  lastAt: number;
  /** No worker is started in this place before, as performance.now(). */
  retryAt: number;
}

export class RestartPolicy {
  readonly #failures = new Map<string, Failures>();

  /**
   * Counts a failure. Workers that ran side by side fail together, and count once.
   * @param startedAt when the failed worker was started, as performance.now()
   */
  onFailure(place: string, startedAt: number): Failures {
    const failures = this.#failures.get(place) ?? { count: 0, lastAt: 0, retryAt: 0 };
    this.#failures.set(place, failures);
    if (startedAt >= failures.lastAt) {
      failures.count++;
      failures.lastAt = performance.now();
      failures.retryAt = failures.lastAt + delayAfter(failures.count);
    }
    return failures;
  }

  onSuccess(place: string): void {
    this.#failures.delete(place);
  }

  /** Milliseconds until a worker may be started in this place; 0: now. */
  delayBefore(place: string): number {
    const failures = this.#failures.get(place);
    return failures === undefined ? 0 : Math.max(0, failures.retryAt - performance.now());
  }
}

/** @param failures 1 or more. @returns milliseconds */
const delayAfter = (failures: number): number =>
  Math.min(MIN_RESTART_DELAY_MS * 2 ** (failures - 1), MAX_RESTART_DELAY_MS);

/**
 * The place that a worker fills; failures are counted per place. Workers that the supervisor replaces have one place per row. Those of a
 * pool, and those for one connection or task, share one place per requester.
 * @param requesterRow 0: the supervisor itself
 */
export function placeOf({ replace, role }: StartRequest, requesterRow: number, row: number): string {
  return replace ? `row ${row}` : `${role} of row ${requesterRow}`;
}
