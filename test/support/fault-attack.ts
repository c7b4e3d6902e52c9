/** native.FaultPlan: invalid rules, foreign counters, memory that is detached or collected. For attackAddon(). */
import { detached } from './bad-values.js';

type Strike = (what: string, call: () => unknown, mustThrow: boolean) => void;

interface FaultPlan {
  start(...args: readonly unknown[]): number;
  stop(): void;
}
export interface FaultAddon {
  readonly FaultPlan: new () => FaultPlan;
  readonly startProcessFaults: (...args: readonly unknown[]) => number;
  readonly processFaultCounts: (...args: readonly unknown[]) => number;
  readonly isOpen: (fd: number) => number;
}

const IS_OPEN = process.platform === 'win32' ? 'getsockopt' : 'fcntl';
const GUARD = 64;
const CANARY = 0xa5;
/** kind, value, first, last, every, probability: each call fails with error 5. */
const RULE = [1, 5, 1, Infinity, 1, 1];

/** Counters for `count` rules, between two guards. */
function counters(rules: number, size = 8 + 16 * rules, offset = GUARD): Uint8Array {
  const whole = new Uint8Array(new SharedArrayBuffer(size + 2 * GUARD)).fill(CANARY);
  return new Uint8Array(whole.buffer, offset, size).fill(0);
}

function isWhole({ buffer, byteOffset, byteLength }: Uint8Array): boolean {
  const outside = [new Uint8Array(buffer, 0, byteOffset), new Uint8Array(buffer, byteOffset + byteLength)];
  return outside.every((bytes) => bytes.every((byte) => byte === CANARY));
}

/** The format of FaultPlan.start(). It names no call. */
export const faultPlan = (): readonly unknown[] => ['nothing', Float64Array.from(RULE), 0, counters(1), false, false];

export function attackFaults(native: FaultAddon, strike: Strike, complain: (what: string) => unknown): void {
  const closed = native.isOpen(500_000);
  /** Whether the plan starts. Checks that a started plan writes only to its counters, and ends with stop(). */
  const start = (
    what: string,
    args: readonly unknown[],
    mustThrow: boolean,
    meanwhile = (): void => undefined,
  ): void => {
    const plan = new native.FaultPlan();
    strike(what, () => plan.start(...args), mustThrow);
    strike(what, meanwhile, false);
    for (let i = 0; i < 10; i++) native.isOpen(500_000 + i);
    strike(`${what}, stopped`, () => plan.stop(), false);
    if (args[3] instanceof Uint8Array && args[3].byteLength > 0 && !isWhole(args[3]))
      complain(`${what}: counted beside`);
    if (native.isOpen(500_000) !== closed) complain(`${what}: goes on`);
  };
  const withRule = (numbers: readonly number[], memory = counters(1)): readonly unknown[] => [
    IS_OPEN,
    Float64Array.from(numbers),
    0,
    memory,
    false,
    false,
  ];
  for (const ofProcess of [false, true])
    for (const isJoined of [false, true]) start('a plan', [...withRule(RULE).slice(0, 4), ofProcess, isJoined], false);

  const wrong: Readonly<Record<string, readonly number[]>> = {
    kind: [0, -1, 4, 1.5, 255, 257, NaN, Infinity, -Infinity],
    value: [0, -1, 1.5, 2 ** 31, NaN, Infinity],
    first: [0, -1, 1.5, 2 ** 53, NaN, Infinity],
    last: [0, -1, 1.5, 2 ** 53, NaN, -Infinity],
    every: [0, -1, 1.5, 2 ** 53, NaN, Infinity],
    probability: [0, -1, 1.000001, NaN, Infinity],
  };
  Object.entries(wrong).forEach(([field, values], index) => {
    for (const value of values) start(`${field} ${value}`, withRule(RULE.with(index, value)), true);
  });
  start('a short length of 0', withRule([2, 0, 1, 1, 1, 1]), true);
  start('a delay of 0', withRule([3, 0, 1, 1, 1, 1]), true);
  start('a delay without an end', withRule([3, Infinity, 1, 1, 1, 1]), true);
  start('a short length that no type has', withRule([2, Number.MAX_SAFE_INTEGER, 1, Infinity, 1, 1]), false);
  for (const count of [0, 1, 5, 7, 11, 6 * 1001])
    start(`${count} numbers`, withRule(new Array<number>(count).fill(1)), true);
  for (const names of ['a\nb', '', '\n', ',', 'x'.repeat(70_000), 'a\0b']) {
    const isOne = !names.includes('\n') && names.length <= 65_536;
    start(`names ${JSON.stringify(names.slice(0, 9))}`, [names, ...withRule(RULE).slice(1)], !isOne);
  }
  for (const size of [0, 8, 16, 23, 25, 40])
    start(`counters of ${size} bytes`, withRule(RULE, counters(1, size)), true);
  for (const offset of [1, 2, 4, 63])
    start(`counters at ${offset}`, withRule(RULE, counters(1, 24, GUARD + offset)), true);
  start('counters that threads do not share', withRule(RULE, new Uint8Array(24)), true);
  start('counters that have gone', withRule(RULE, detached(new Uint8Array(24))), true);
  const scribbled = counters(1);
  start('counters that somebody else writes to', withRule(RULE, scribbled), false, () => scribbled.fill(0xff));
  for (const seed of [-1, 1.5, 2 ** 32, NaN]) start(`seed ${seed}`, withRule(RULE).with(2, seed), true);

  const twice = new native.FaultPlan();
  twice.start(...withRule(RULE));
  strike('a plan that is started twice', () => twice.start(...withRule(RULE)), false);
  if (twice.start(...withRule(RULE)) >= 0) complain('a plan was started twice');
  twice.stop();

  const ofProcess = ['nothing', Float64Array.from(RULE), 0];
  strike('a plan of the process that is none', () => native.startProcessFaults('a\nb', ...ofProcess.slice(1)), true);
  strike('a plan of the process', () => native.startProcessFaults(...ofProcess), false);
  if (native.startProcessFaults(...ofProcess) !== 1) complain('a process has had two plans');
  for (const length of [0, 1, 2, 3]) {
    const out = new Float64Array(length + 1).fill(-1);
    strike(`counts in ${length} numbers`, () => native.processFaultCounts(out.subarray(0, length)), false);
    if (out[length] !== -1) complain(`counts in ${length} numbers: one more`);
  }
}
