/**
 * Parses a fault plan, which is text or an array of rules, into what the addon takes: names and numbers. Everything is validated here,
 * before any call is disturbed.
 *
 *   plan  = item { "," item }          item = rule | "seed=" NUMBER
 *   rule  = CALL ":" fault [ "@" when ]
 *   fault = ERROR | "short=" BYTES | "slow=" MILLISECONDS
 *   when  = N | N ".." M | N ".." | "every" K | "p=" PROBABILITY
 */
import { errorNumber, errorNames, invalidType, invalidValue } from '../errors.js';
import { fieldsOf, listOf } from '../validate.js';
import { FAULT_CALLS, type FaultCall, faultCall, isWin32Call, nearest } from './calls.js';

/** A rule of a fault plan. Exactly one of `error`, `short` and `slow` is set. */
export interface FaultRule {
  /** A system call as the trace names it, a family (`recv`, `accept`), or a completion (`recv.completion`). */
  readonly call: string;
  /** Name of an error, such as 'EINTR': the call fails with it and is not made (exceptions: injectFaults()). */
  readonly error?: string;
  /** Maximum length of the call, in bytes (epoll_wait, kevent: in events): 1 or more. */
  readonly short?: number;
  /** Milliseconds that the thread sleeps before the call: more than 0, at most 2^31 - 1. */
  readonly slow?: number;
  /** Number of the first call that the rule applies to: 1 or more. Default: 1. */
  readonly first?: number;
  /** Number of the last call that the rule applies to: `first` or more. Default: Infinity. */
  readonly last?: number;
  /** Of these calls, only those whose number is a multiple of this: 1 or more. Default: 1. */
  readonly every?: number;
  /** Probability that the rule applies to each of these calls, by the plan's seed: more than 0, at most 1. Default: 1. */
  readonly probability?: number;
}

/** What the addon takes (native/trace/fault_plan.cc). */
export interface NativeFaultRules {
  /** One line per rule: the names of its calls, separated by commas. */
  readonly names: string;
  /** Six numbers per rule: kind, value, first, last, every, probability. */
  readonly numbers: Float64Array;
  readonly seed: number;
}

/** A valid plan. */
export interface FaultPlan extends NativeFaultRules {
  /** Each rule as text. */
  readonly rules: readonly string[];
}

const MAX_RULES = 1000;
const MAX_SEED = 2 ** 32 - 1;
const MAX_SLOW = 2 ** 31 - 1;
const ERROR = 1;
const SHORT = 2;
const SLOW = 3;

/** Makes the error for a rule, whose message begins with where the rule stands. */
type RuleError = (reason: string) => Error;

interface CheckedRule {
  readonly text: string;
  readonly call: FaultCall;
  readonly numbers: readonly [number, number, number, number, number, number];
}

/**
 * Parses and validates a plan.
 * @param plan text, or rules
 * @param seed seed of `probability`: 0 to 2^32 - 1. Default: the text's own `seed=`, or 0.
 * @throws ERR_INVALID_ARG_TYPE; ERR_INVALID_ARG_VALUE with the position and what is allowed there
 */
export function parseFaultPlan(plan: unknown, seed?: number): FaultPlan {
  const parsed = typeof plan === 'string' ? parseText(plan, seed) : { rules: rulesOf(plan), seed: seed ?? 0 };
  if (parsed.rules.length === 0) throw invalidValue('a fault plan needs at least one rule, such as recv:EINTR@3');
  if (parsed.rules.length > MAX_RULES) throw invalidValue(`a fault plan has at most ${MAX_RULES} rules`);
  return {
    rules: parsed.rules.map(({ text }) => text),
    names: parsed.rules.map(({ call }) => call.names.join(',')).join('\n'),
    numbers: Float64Array.from(parsed.rules.flatMap(({ numbers }) => numbers)),
    seed: parsed.seed,
  };
}

function parseText(plan: string, defaultSeed: number | undefined): { rules: CheckedRule[]; seed: number } {
  const rules: CheckedRule[] = [];
  let seed = defaultSeed;
  let position = 0;
  if (plan.trim() === '') return { rules, seed: 0 };
  for (const item of plan.split(',')) {
    const text = item.trim();
    const at = position + item.length - item.trimStart().length + 1;
    position += item.length + 1;
    const ruleError: RuleError = (reason) => invalidValue(`fault plan, position ${at}, '${text}': ${reason}`);
    if (text.startsWith('seed=')) {
      if (seed !== undefined) throw ruleError('the plan has another seed');
      seed = wholeNumberOf(text.slice('seed='.length), 0, MAX_SEED, 'a seed', ruleError);
    } else {
      rules.push(checkRule(parseRule(text, ruleError), ruleError));
    }
  }
  return { rules, seed: seed ?? 0 };
}

function parseRule(text: string, ruleError: RuleError): FaultRule {
  const found = /^([^:@=\s]+)\s*:\s*([^@\s]+)\s*(?:@\s*(\S+))?$/.exec(text);
  if (found === null)
    throw ruleError('a rule is CALL:FAULT or CALL:FAULT@WHEN, such as recv:EINTR@3 or send:short=1@every2');
  const [, call = '', fault = '', when] = found;
  return { call, ...parseFault(fault, ruleError), ...(when === undefined ? {} : parseWhen(when, ruleError)) };
}

function parseFault(text: string, ruleError: RuleError): Pick<FaultRule, 'error' | 'short' | 'slow'> {
  const [, name = '', value = ''] = /^([^=]*)=(.*)$/.exec(text) ?? [];
  if (!text.includes('=')) return { error: text };
  if (name === 'short') return { short: numberOf(value) };
  if (name === 'slow') return { slow: numberOf(value) };
  throw ruleError(`unknown fault '${name}'; expected an error such as EINTR, short=BYTES or slow=MILLISECONDS`);
}

function parseWhen(text: string, ruleError: RuleError): Pick<FaultRule, 'first' | 'last' | 'every' | 'probability'> {
  const numbers = /^(?:(\d+)(\.\.)?(\d+)?|every(\d+)|p=([\d.]+))$/.exec(text);
  const [, first, range, last, every, probability] = numbers ?? [];
  if (every !== undefined) return { every: Number(every) };
  if (probability !== undefined) return { probability: numberOf(probability) };
  if (first === undefined || (range === undefined && last !== undefined))
    throw ruleError(`'@${text}' must be @N (the N-th call), @N..M, @N.. (from the N-th on), @everyK or @p=PROBABILITY`);
  if (range === undefined) return { first: Number(first), last: Number(first) };
  return { first: Number(first), ...(last === undefined ? {} : { last: Number(last) }) };
}

const numberOf = (text: string): number => (/^\d+(\.\d+)?$|^\.\d+$/.test(text) ? Number(text) : NaN);

function wholeNumberOf(text: string, min: number, max: number, what: string, ruleError: RuleError): number {
  return inRange(numberOf(text), min, max, what, ruleError);
}

function inRange(value: unknown, min: number, max: number, what: string, ruleError: RuleError): number {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
  const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `${min} to ${max}`;
  throw ruleError(`${what} is a whole number, ${range}`);
}

const FIELDS = ['call', 'error', 'short', 'slow', 'first', 'last', 'every', 'probability'] as const;

function rulesOf(plan: unknown): CheckedRule[] {
  if (typeof plan !== 'object' || plan === null) throw invalidType('plan', 'a string or an array of rules', plan);
  return listOf('plan', plan).map((value, index) => {
    const rule = fieldsOf(`plan[${index}]`, value, FIELDS);
    if (typeof rule.call !== 'string') throw invalidType(`plan[${index}].call`, 'a string', rule.call);
    if (rule.error !== undefined && typeof rule.error !== 'string')
      throw invalidType(`plan[${index}].error`, 'a string', rule.error);
    for (const name of ['short', 'slow', 'first', 'last', 'every', 'probability'] as const) {
      if (rule[name] !== undefined && typeof rule[name] !== 'number')
        throw invalidType(`plan[${index}].${name}`, 'a number', rule[name]);
    }
    return checkRule(rule as unknown as FaultRule, (reason) => invalidValue(`fault plan, rule ${index}: ${reason}`));
  });
}

function checkRule(rule: FaultRule, ruleError: RuleError): CheckedRule {
  const call = faultCall(rule.call);
  if (call === undefined)
    throw ruleError(`unknown call '${rule.call}'; did you mean ${nearest(rule.call, FAULT_CALLS)}?`);
  const [kind, value] = checkFault(rule, call, ruleError);
  const { first = 1, last = Infinity, every = 1, probability = 1 } = rule;
  inRange(first, 1, Number.MAX_SAFE_INTEGER, 'the first call', ruleError);
  if (last !== Infinity) inRange(last, 1, Number.MAX_SAFE_INTEGER, 'the last call', ruleError);
  if (last < first) throw ruleError(`the last call, ${last}, comes before the first, ${first}`);
  inRange(every, 1, Number.MAX_SAFE_INTEGER, 'every', ruleError);
  if (!(probability > 0 && probability <= 1)) throw ruleError('a probability is more than 0, and at most 1');
  const isEndless = last === Infinity && every === 1 && probability === 1;
  if (isEndless && call.retriedAfter.includes(rule.error ?? '')) {
    const same = `${rule.call}:${rule.error}`;
    throw ruleError(
      `the package retries ${rule.call} after ${rule.error}, and it would never return; limit the rule: ${same}@every2, ${same}@1..5`,
    );
  }
  return { text: textOf(rule), call, numbers: [kind, value, first, last, every, probability] };
}

function checkFault(rule: FaultRule, call: FaultCall, ruleError: RuleError): [kind: number, value: number] {
  const { error, short, slow } = rule;
  if ([error, short, slow].filter((one) => one !== undefined).length !== 1)
    throw ruleError('a rule has one of error, short and slow');
  if (error !== undefined) {
    const number = errorNumber(error, isWin32Call(rule.call));
    if (number === undefined)
      throw ruleError(`this system has no error '${error}'; did you mean ${nearest(error, errorNames())}?`);
    return [ERROR, number];
  }
  if (short !== undefined) {
    if (!call.hasLength) throw ruleError(`${rule.call} has no length to shorten`);
    return [SHORT, inRange(short, 1, Number.MAX_SAFE_INTEGER, 'short', ruleError)];
  }
  if (call.isCompletion)
    throw ruleError(
      `a completion cannot be slow; the calls that wait for it can: io_uring_enter, GetQueuedCompletionStatusEx`,
    );
  if (!((slow as number) > 0 && (slow as number) <= MAX_SLOW))
    throw ruleError(`slow is a number of milliseconds, more than 0, at most ${MAX_SLOW}`);
  return [SLOW, slow as number];
}

function textOf({
  call,
  error,
  short,
  slow,
  first = 1,
  last = Infinity,
  every = 1,
  probability = 1,
}: FaultRule): string {
  const fault = error ?? (short === undefined ? `slow=${slow}` : `short=${short}`);
  const range = first === last ? `@${first}` : `@${first}..${last === Infinity ? '' : last}`;
  const parts = [
    ...(first === 1 && last === Infinity ? [] : [range]),
    ...(every === 1 ? [] : [`@every${every}`]),
    ...(probability === 1 ? [] : [`@p=${probability}`]),
  ];
  return `${call}:${fault}${parts.join('')}`;
}
