/**
 * A fault plan, as text or as objects, and what the addon takes of it: names and numbers. Everything is checked here, before any call is
 * disturbed.
 *
 *   plan  = item { "," item }          item = rule | "seed=" NUMBER
 *   rule  = CALL ":" fault [ "@" when ]
 *   fault = ERROR | "short=" BYTES | "slow=" MILLISECONDS
 *   when  = N | N ".." M | N ".." | "every" K | "p=" PROBABILITY
 */
import { errorNumber, errorNames, invalidType, invalidValue } from '../errors.js';
import { fieldsOf, listOf } from '../validate.js';
import { FAULT_CALLS, type FaultCall, faultCall, isWin32Call, nearest } from './calls.js';

/** A rule of a fault plan: exactly one of `error`, `short` and `slow`. */
export interface FaultRule {
  /** A system call as the trace names it, a family (`recv`, `accept`), or a completion (`recv.completion`). */
  readonly call: string;
  /** 'EINTR' …: the call is not made, and fails with this error. */
  readonly error?: string;
  /** The call is made with a length of at most so many bytes (epoll_wait, kevent: events), 1 or more. */
  readonly short?: number;
  /** The thread sleeps so many milliseconds before the call: more than 0, at most 2^31 - 1. */
  readonly slow?: number;
  /** The first call that it is for, counted from 1. Default: 1. */
  readonly first?: number;
  /** The last one. Default: Infinity. */
  readonly last?: number;
  /** Of those, each whose number this divides. Default: 1. */
  readonly every?: number;
  /** Of those, a share that the plan's seed chooses: more than 0, at most 1. Default: 1. */
  readonly probability?: number;
}

/** What the addon takes (native/trace/fault_plan.cc). */
export interface NativeFaultRules {
  /** A line for each rule: the names of its calls with commas between. */
  readonly names: string;
  /** Six for each rule. */
  readonly numbers: Float64Array;
  readonly seed: number;
}

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

/** @param where what begins each message: `plan, at position 3: 'recv:EINTRR'` */
type Refuse = (reason: string) => Error;

interface CheckedRule {
  readonly text: string;
  readonly call: FaultCall;
  readonly numbers: readonly [number, number, number, number, number, number];
}

/**
 * @param plan text, or rules
 * @param seed of `probability`; text may have one of its own
 * @throws ERR_INVALID_ARG_TYPE; ERR_INVALID_ARG_VALUE with the position, and what is allowed there
 */
export function parseFaultPlan(plan: unknown, seed?: number): FaultPlan {
  const parsed = typeof plan === 'string' ? parseText(plan, seed) : { rules: rulesOf(plan), seed: seed ?? 0 };
  if (parsed.rules.length === 0) throw invalidValue('a fault plan has at least one rule, as recv:EINTR@3');
  if (parsed.rules.length > MAX_RULES) throw invalidValue(`a fault plan has at most ${MAX_RULES} rules`);
  return {
    rules: parsed.rules.map(({ text }) => text),
    names: parsed.rules.map(({ call }) => call.names.join(',')).join('\n'),
    numbers: Float64Array.from(parsed.rules.flatMap(({ numbers }) => numbers)),
    seed: parsed.seed,
  };
}

function parseText(plan: string, given: number | undefined): { rules: CheckedRule[]; seed: number } {
  const rules: CheckedRule[] = [];
  let seed = given;
  let position = 0;
  if (plan.trim() === '') return { rules, seed: 0 };
  for (const item of plan.split(',')) {
    const text = item.trim();
    const at = position + item.length - item.trimStart().length + 1;
    position += item.length + 1;
    const refuse: Refuse = (reason) => invalidValue(`fault plan, position ${at}, '${text}': ${reason}`);
    if (text.startsWith('seed=')) {
      if (seed !== undefined) throw refuse('there is another seed');
      seed = wholeOf(text.slice('seed='.length), 0, MAX_SEED, 'a seed', refuse);
    } else {
      rules.push(checkRule(parseRule(text, refuse), refuse));
    }
  }
  return { rules, seed: seed ?? 0 };
}

function parseRule(text: string, refuse: Refuse): FaultRule {
  const found = /^([^:@=\s]+)\s*:\s*([^@\s]+)\s*(?:@\s*(\S+))?$/.exec(text);
  if (found === null) throw refuse('a rule is CALL:FAULT or CALL:FAULT@WHEN, as recv:EINTR@3 or send:short=1@every2');
  const [, call = '', fault = '', when] = found;
  return { call, ...parseFault(fault, refuse), ...(when === undefined ? {} : parseWhen(when, refuse)) };
}

function parseFault(text: string, refuse: Refuse): Pick<FaultRule, 'error' | 'short' | 'slow'> {
  const [, name = '', value = ''] = /^([^=]*)=(.*)$/.exec(text) ?? [];
  if (!text.includes('=')) return { error: text };
  if (name === 'short') return { short: numberOf(value) };
  if (name === 'slow') return { slow: numberOf(value) };
  throw refuse(`there is no fault '${name}'; there are: an error as EINTR, short=BYTES, slow=MILLISECONDS`);
}

function parseWhen(text: string, refuse: Refuse): Pick<FaultRule, 'first' | 'last' | 'every' | 'probability'> {
  const numbers = /^(?:(\d+)(\.\.)?(\d+)?|every(\d+)|p=([\d.]+))$/.exec(text);
  const [, first, range, last, every, probability] = numbers ?? [];
  if (every !== undefined) return { every: Number(every) };
  if (probability !== undefined) return { probability: numberOf(probability) };
  if (first === undefined || (range === undefined && last !== undefined))
    throw refuse(`'@${text}' must be @N (the N-th call), @N..M, @N.. (from the N-th on), @everyK or @p=PROBABILITY`);
  if (range === undefined) return { first: Number(first), last: Number(first) };
  return { first: Number(first), ...(last === undefined ? {} : { last: Number(last) }) };
}

const numberOf = (text: string): number => (/^\d+(\.\d+)?$|^\.\d+$/.test(text) ? Number(text) : NaN);

function wholeOf(text: string, least: number, most: number, what: string, refuse: Refuse): number {
  return inRange(numberOf(text), least, most, what, refuse);
}

function inRange(value: unknown, least: number, most: number, what: string, refuse: Refuse): number {
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  const range = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `${least} to ${most}`;
  throw refuse(`${what} is a whole number, ${range}`);
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

function checkRule(rule: FaultRule, refuse: Refuse): CheckedRule {
  const call = faultCall(rule.call);
  if (call === undefined)
    throw refuse(`there is no call '${rule.call}'; did you mean ${nearest(rule.call, FAULT_CALLS)}?`);
  const [kind, value] = checkFault(rule, call, refuse);
  const { first = 1, last = Infinity, every = 1, probability = 1 } = rule;
  inRange(first, 1, Number.MAX_SAFE_INTEGER, 'the first call', refuse);
  if (last !== Infinity) inRange(last, 1, Number.MAX_SAFE_INTEGER, 'the last call', refuse);
  if (last < first) throw refuse(`the last call, ${last}, comes before the first, ${first}`);
  inRange(every, 1, Number.MAX_SAFE_INTEGER, 'every', refuse);
  if (!(probability > 0 && probability <= 1)) throw refuse('a probability is more than 0, and at most 1');
  const isEndless = last === Infinity && every === 1 && probability === 1;
  if (isEndless && call.repeatedAfter.includes(rule.error ?? '')) {
    const same = `${rule.call}:${rule.error}`;
    throw refuse(
      `${rule.call} is made again after ${rule.error}, and would never return; say which calls: ${same}@every2, ${same}@1..5`,
    );
  }
  return { text: textOf(rule), call, numbers: [kind, value, first, last, every, probability] };
}

function checkFault(rule: FaultRule, call: FaultCall, refuse: Refuse): [kind: number, value: number] {
  const { error, short, slow } = rule;
  if ([error, short, slow].filter((one) => one !== undefined).length !== 1)
    throw refuse('a rule has one of error, short and slow');
  if (error !== undefined) {
    const number = errorNumber(error, isWin32Call(rule.call));
    if (number === undefined)
      throw refuse(`this system has no error '${error}'; did you mean ${nearest(error, errorNames())}?`);
    return [ERROR, number];
  }
  if (short !== undefined) {
    if (!call.hasLength) throw refuse(`${rule.call} has no length that could be short`);
    return [SHORT, inRange(short, 1, Number.MAX_SAFE_INTEGER, 'short', refuse)];
  }
  if (call.isCompletion)
    throw refuse(
      `a completion cannot be slow; the calls that wait for it can: io_uring_enter, GetQueuedCompletionStatusEx`,
    );
  if (!((slow as number) > 0 && (slow as number) <= MAX_SLOW))
    throw refuse(`slow is a number of milliseconds, more than 0, at most ${MAX_SLOW}`);
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
