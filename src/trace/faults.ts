/** Fault injection: system calls that fail, transfer less, or take longer on purpose. */
import { joinFaults, FAULTS_VARIABLE, injectInNewThreads } from '../faults/joining.js';
import { type FaultPlan, type FaultRule, parseFaultPlan } from '../faults/plan.js';
import { check, invalidValue } from '../errors.js';
import type { NativeFaultPlan } from '../addon.js';
import { native } from '../native.js';
import { fieldsOf, wholeNumber } from '../validate.js';

export { parseFaultPlan };
export type { FaultRule };

/** The counters of one rule. */
export interface FaultCount {
  /** The rule as text: 'recv:EINTR@3'. */
  readonly rule: string;
  /** Calls made so far that the rule names. */
  readonly calls: number;
  /** Calls into which the rule injected its fault: `calls` at most. */
  readonly injected: number;
}

/** A running fault plan. */
export interface Faults extends Disposable {
  /** Ends the injection: calls that begin later are undisturbed. The counts stay. Calling it again has no effect. */
  stop(): void;
  /** The counters of each rule, in the order of the plan, summed over all threads of its scope. */
  counts(): readonly FaultCount[];
}

/** Options of injectFaults(). */
export interface FaultOptions {
  /**
   * The threads that the plan applies to. 'thread': the calling thread, the package's helper threads of it, and workers started later.
   * 'process': all threads of this process. Default: 'thread'.
   */
  readonly scope?: 'thread' | 'process';
  /** Seed of the pseudo-random choice that `probability` makes: 0 to 2^32 - 1. Default: the plan's own `seed=`, or 0. */
  readonly seed?: number;
}

/** In bytes. The header holds a number that is not 0 once the plan has stopped; two counters per rule follow (native/core/faults.h). */
const HEADER_SIZE = 8;
const COUNTERS_SIZE = 16;

/**
 * Injects faults into the system calls of this package until `stop()`, to show and to test what a program does when the kernel fails a call.
 * It works alike on every system.
 *
 * A plan is text, or an array of rules:
 *
 *     recv:EINTR@3, send:short=1@every2, accept:EMFILE@5..9, epoll_wait:slow=50@p=0.1, seed=7
 *
 * - A rule is CALL:FAULT or CALL:FAULT@WHEN; rules are separated by commas.
 * - CALL is a system call as the trace names it (`recvfrom`, `accept4`, `WSARecv`), or a family of calls that exists on every system: `recv`,
 *   `send`, `accept`, `connect`, `socket`, `close`, `select`, `poll`, `epoll_wait`, `open` …. A call that this system does not have never
 *   matches.
 * - FAULT is the name of an error, `short=N` or `slow=MS`. Error: the call fails with it and is not made. Some calls are made all the same,
 *   because the system does their work before it reports an error: close(2) closes the descriptor, munmap(2) unmaps, connect(2) with EINTR
 *   or EINPROGRESS goes on connecting, kevent(2) with EINTR makes its changes. Short: the call is made with a length of at most N bytes
 *   (epoll_wait, kevent: N events); a datagram is truncated. Slow: the thread sleeps MS milliseconds before the call.
 * - WHEN is `N` (only the N-th call), `N..M`, `N..` (from the N-th on), `everyK` (the K-th, the 2K-th, …) or `p=P` (each with this
 *   probability). Each rule counts the calls that it names, from 1. Default: every call.
 * - `seed=N` seeds the choice of `p=`. The choice depends on the rule and the number of the call: the same seed chooses the same calls,
 *   however threads interleave.
 *
 * A call gets at most one fault: that of the first rule that applies. Plans of this thread come before those of the process, earlier plans
 * before later ones. All matching rules count the call. Two plans that together interrupt every attempt of a call that the package retries
 * after EINTR (`recv:EINTR@every2` twice) make it retry forever.
 *
 * Completions have names of their own: `recv.completion`, `send.completion`, `accept.completion`, `connect.completion`, `read.completion`,
 * `write.completion`. io_uring: a no-op entry is submitted instead, and completes with the error (ECANCELED: as cancelled); the kernel
 * receives, sends and accepts nothing for it. Short: the entry gets less memory; a multishot receive becomes a single-shot one. A multishot
 * entry counts when it is armed. IOCP: the operation is not started, and a packet with the error is queued. EmulatedProactor makes plain
 * calls: `recv`, `send`.
 *
 * Calls within a signal handler and Node's own calls are never disturbed. `read` and `write` are those of the wake-up channel on POSIX: if a
 * write fails, a wake-up is lost. The trace shows `(INJECTED)` or `(DELAYED)` after the result, as strace does. Without a plan, calls cost
 * nothing extra.
 *
 * Processes: the environment variable SELECTORS_NATIVE_FAULTS holds the text of a plan, which applies to the whole process from the moment it
 * loads the package. An invalid plan there is a process warning.
 *
 * @param plan text or rules: 1 to 1000 rules
 * @returns the running plan: call `stop()`, or declare it with `using`
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; ERR_INVALID_ARG_VALUE for an invalid plan, with the position and what is allowed: an
 *   unknown call, an error that this system does not have, `short` for a call without a length, a range that ends before it begins,
 *   EINTR for every attempt of a call that the package retries after EINTR (it would never return)
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
  readonly #removeFromNewThreads: () => void;

  constructor(plan: FaultPlan, ofProcess: boolean) {
    const { rules, names, numbers, seed } = plan;
    const memory = new SharedArrayBuffer(HEADER_SIZE + rules.length * COUNTERS_SIZE);
    this.#rules = rules;
    this.#counters = new BigUint64Array(memory, HEADER_SIZE);
    check(this.#native.start(names, numbers, seed, new Uint8Array(memory), ofProcess, false), 'injectFaults');
    this.#removeFromNewThreads = ofProcess ? () => undefined : injectInNewThreads(plan, memory);
  }

  counts(): readonly FaultCount[] {
    const at = (index: number): number => Number(Atomics.load(this.#counters, index));
    return this.#rules.map((rule, i) => ({ rule, calls: at(2 * i), injected: at(2 * i + 1) }));
  }

  stop(): void {
    this.#native.stop();
    this.#removeFromNewThreads();
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}

/**
 * Applies a plan to this process and to those that it starts later, as if it had been started with the environment variable.
 *
 * @throws ERR_INVALID_ARG_VALUE for an invalid plan
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
