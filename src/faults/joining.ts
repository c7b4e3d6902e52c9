/**
 * How a new thread or process inherits the fault plans of its parent. They apply from its first system call on.
 *
 * A thread inherits plans through its environment data (worker_threads): the rules, and the counters in shared memory. A process inherits
 * one plan as text, in an environment variable.
 */
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import type { Addon, NativeFaultPlan } from '../addon.js';
import { type FaultPlan, type NativeFaultRules, parseFaultPlan } from './plan.js';

const KEY = 'selectors-native.faults';
/** The environment variable that holds a plan's text. */
export const FAULTS_VARIABLE = 'SELECTORS_NATIVE_FAULTS';

interface SharedPlan {
  readonly rules: NativeFaultRules;
  readonly counters: SharedArrayBuffer;
}

/** Inherited plans: kept from garbage collection until this thread ends. */
const inherited: NativeFaultPlan[] = [];

const plansForNewThreads = (): readonly SharedPlan[] =>
  (getEnvironmentData(KEY) as readonly SharedPlan[] | undefined) ?? [];

/** Adds a plan to those that new threads inherit. @returns a function that removes it again */
export function injectInNewThreads({ names, numbers, seed }: FaultPlan, counters: SharedArrayBuffer): () => void {
  setEnvironmentData(KEY, [...plansForNewThreads(), { rules: { names, numbers, seed }, counters }]);
  return () =>
    setEnvironmentData(
      KEY,
      plansForNewThreads().filter((plan) => plan.counters !== counters),
    );
}

/**
 * Starts the inherited plans. An invalid plan in the environment variable is a warning, so that a test does not seem to have run under
 * faults.
 */
export function joinFaults(native: Addon): void {
  for (const { rules, counters } of plansForNewThreads()) {
    if (Atomics.load(new Int32Array(counters), 0) !== 0) continue; // stopped
    const plan = new native.FaultPlan();
    inherited.push(plan);
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

/** Starts a plan that lasts until this process ends. No effect if the process already has one. */
export function startProcessFaults(native: Addon, { names, numbers, seed }: FaultPlan): void {
  native.startProcessFaults(names, numbers, seed);
}
