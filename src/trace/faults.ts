/** Fault plans: system calls that fail, are short, or are slow on purpose. */
import { joinFaults, FAULTS_VARIABLE, injectInNewThreads } from '../faults/joining.js';
import { type FaultPlan, type FaultRule, parseFaultPlan } from '../faults/plan.js';
import { check, invalidValue } from '../errors.js';
import type { NativeFaultPlan } from '../addon.js';
import { native } from '../native.js';
import { fieldsOf, wholeNumber } from '../validate.js';

export { parseFaultPlan };
export type { FaultRule };

/** How often a rule was met. */
export interface FaultCount {
  /** The rule as text: 'recv:EINTR@3'. */
  readonly rule: string;
  /** Calls that have one of its names. */
  readonly calls: number;
  /** Calls that it has disturbed. */
  readonly injected: number;
}

export interface Faults extends Disposable {
  /** No call that begins from here on is disturbed. The counts stay. The second time nothing happens. */
  stop(): void;
  /** What each rule has met so far, in the order of the plan, in all threads that the plan is for. */
  counts(): readonly FaultCount[];
}

export interface FaultOptions {
  /**
   * Which threads: 'thread', this one, the threads that the package has beside it, and workers that are started from here on; 'process',
   * all of this process. Default: 'thread'.
   */
  readonly scope?: 'thread' | 'process';
  /** What `probability` chooses by: 0 to 2^32 - 1. Default: the plan's own `seed=`, or 0. */
  readonly seed?: number;
}

/** Bytes: a number that is not 0 when the plan has stopped; then two counters a rule (native/core/faults.h). */
const HEADER_SIZE = 8;
const COUNTERS_SIZE = 16;

/**
 * Injects faults into the system calls that this package makes, on every system alike, until `stop()`: for showing what a program does when
 * the kernel refuses, and for testing that.
 *
 * A plan is text, or the same as rules:
 *
 *     recv:EINTR@3, send:short=1@every2, accept:EMFILE@5..9, epoll_wait:slow=50@p=0.1, seed=7
 *
 * - A rule is CALL:FAULT or CALL:FAULT@WHEN; rules are separated by commas.
 * - CALL is a system call as the trace names it (`recvfrom`, `accept4`, `WSARecv`), or a family that is the same on every system: `recv`,
 *   `send`, `accept`, `connect`, `socket`, `close`, `select`, `poll`, `epoll_wait`, `open` …. A call that this system does not have never
 *   matches.
 * - FAULT is the name of an error, `short=N` or `slow=MS`. With an error the call is not made and fails. Some are made all the same, since
 *   the system does their work before it reports an error: close(2) closes the descriptor, munmap(2) unmaps, connect(2) with EINTR or
 *   EINPROGRESS goes on connecting, kevent(2) with EINTR makes its changes. Short: the call is made with a length of at most N bytes
 *   (epoll_wait, kevent: N events); a datagram is cut. Slow: the thread sleeps MS milliseconds before the call.
 * - WHEN is `N` (the N-th call alone), `N..M`, `N..` (from the N-th on), `everyK` (the K-th, the 2K-th, …) or `p=P` (each with this
 *   probability). Each rule counts the calls that it names from 1. Default: every call.
 * - `seed=N` chooses for `p=`, by rule and number of the call: the same seed chooses the same calls, however threads take turns.
 *
 * A call meets one fault at most: that of the first rule that applies, plans of this thread before those of the process, earlier plans
 * before later ones. All rules count it. Two plans that together interrupt each call of one that is made again after EINTR
 * (`recv:EINTR@every2` twice) make it wait for ever.
 *
 * Completions have names of their own: `recv.completion`, `send.completion`, `accept.completion`, `connect.completion`, `read.completion`,
 * `write.completion`. io_uring: the entry is submitted as one that does nothing, and completes with the error (ECANCELED: as cancelled);
 * the kernel has not received, sent or accepted anything for it. Short: the entry has less memory; a multishot receive becomes a single
 * one. A multishot entry counts when it is armed. IOCP: the operation is not started, and a packet with the error is queued.
 * EmulatedProactor makes plain calls: `recv`, `send`.
 *
 * Calls within a signal's handler are never disturbed, and Node's own neither. `read` and `write` are those of the wake-up channel on POSIX:
 * where a write fails, a wake-up is lost. The trace shows `(INJECTED)` or `(DELAYED)` behind the result, as strace does. Without a plan a
 * call costs what it costs without this function.
 *
 * Processes: the environment variable SELECTORS_NATIVE_FAULTS has a plan's text, which applies to the whole process from the moment it
 * loads the package. One that is no plan is a warning.
 *
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; ERR_INVALID_ARG_VALUE for a plan that is none, with the position and what is allowed: an
 *   unknown call or error, one that this system does not have, `short` of a call without a length, a range that ends before it begins,
 *   EINTR for all calls of one that is made again after it (it would never return)
 */
export function injectFaults(plan: string | readonly FaultRule[], options: FaultOptions = {}): Faults {
  const { scope = 'thread', seed } = fieldsOf('options', options, ['scope', 'seed']);
  if (scope !== 'thread' && scope !== 'process') throw invalidValue(`scope must be 'thread' or 'process'`);
  const given = seed === undefined ? undefined : wholeNumber('seed', seed, 0, 2 ** 32 - 1);
  return new InjectedFaults(parseFaultPlan(plan, given), scope === 'process');
}

class InjectedFaults implements Faults {
  readonly #rules: readonly string[];
  readonly #counters: BigUint64Array;
  readonly #native: NativeFaultPlan = new native.FaultPlan();
  readonly #forget: () => void;

  constructor(plan: FaultPlan, ofProcess: boolean) {
    const { rules, names, numbers, seed } = plan;
    const memory = new SharedArrayBuffer(HEADER_SIZE + rules.length * COUNTERS_SIZE);
    this.#rules = rules;
    this.#counters = new BigUint64Array(memory, HEADER_SIZE);
    check(this.#native.start(names, numbers, seed, new Uint8Array(memory), ofProcess, false), 'injectFaults');
    this.#forget = ofProcess ? () => undefined : injectInNewThreads(plan, memory);
  }

  counts(): readonly FaultCount[] {
    const at = (index: number): number => Number(Atomics.load(this.#counters, index));
    return this.#rules.map((rule, i) => ({ rule, calls: at(2 * i), injected: at(2 * i + 1) }));
  }

  stop(): void {
    this.#native.stop();
    this.#forget();
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}

/**
 * For this process and those that it starts from here on: as if it had been started with the environment variable.
 *
 * @throws ERR_INVALID_ARG_VALUE for a plan that is none
 */
export function injectFaultsInProcesses(text: string): { counts(): readonly FaultCount[] } {
  const { rules } = parseFaultPlan(text);
  process.env[FAULTS_VARIABLE] = text;
  joinFaults(native);
  return {
    counts() {
      const numbers = new Float64Array(2 * rules.length);
      native.processFaultCounts(numbers);
      return rules.map((rule, i) => ({ rule, calls: numbers[2 * i] ?? 0, injected: numbers[2 * i + 1] ?? 0 }));
    },
  };
}
