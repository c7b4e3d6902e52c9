/**
 * Where a thread or a process finds the fault plans that those have injected who started it: they apply to it from its first system call
 * on.
 *
 * A thread gets them by its environment data (worker_threads): the rules, and the counters in shared memory. A process gets a plan by an
 * environment variable: the plan's text.
 */
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import type { Addon, NativeFaultPlan } from '../addon.js';
import { type FaultPlan, type NativeFaultRules, parseFaultPlan } from './plan.js';

const KEY = 'selectors-native.faults';
/** A fault plan, for processes. */
export const FAULTS_VARIABLE = 'SELECTORS_NATIVE_FAULTS';

interface SharedPlan {
  readonly rules: NativeFaultRules;
  readonly counters: SharedArrayBuffer;
}

/** Those of other threads: until this one ends. */
const joined: NativeFaultPlan[] = [];

const plansOfThreads = (): readonly SharedPlan[] =>
  (getEnvironmentData(KEY) as readonly SharedPlan[] | undefined) ?? [];

/** @returns what ends it */
export function injectInNewThreads({ names, numbers, seed }: FaultPlan, counters: SharedArrayBuffer): () => void {
  setEnvironmentData(KEY, [...plansOfThreads(), { rules: { names, numbers, seed }, counters }]);
  return () =>
    setEnvironmentData(
      KEY,
      plansOfThreads().filter((one) => one.counters !== counters),
    );
}

/** An invalid plan in the environment variable is a warning: without it, a test would seem to have run under faults. */
export function joinFaults(native: Addon): void {
  for (const { rules, counters } of plansOfThreads()) {
    if (Atomics.load(new Int32Array(counters), 0) !== 0) continue; // stopped
    const plan = new native.FaultPlan();
    joined.push(plan);
    plan.start(rules.names, rules.numbers, rules.seed, new Uint8Array(counters), false, true);
  }
  const text = process.env[FAULTS_VARIABLE];
  if (text === undefined || text === '') return;
  try {
    startProcessFaults(native, parseFaultPlan(text));
  } catch (error) {
    process.emitWarning(
      `${FAULTS_VARIABLE}: ${(error as Error).message}; no fault is injected in process ${process.pid}`,
    );
  }
}

/** From here to the end of this process. Nothing happens where it has a plan of its own already. */
export function startProcessFaults(native: Addon, { names, numbers, seed }: FaultPlan): void {
  native.startProcessFaults(names, numbers, seed);
}
