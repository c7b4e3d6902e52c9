/** What was counted before, and what has become of it: bench/instructions.json is kept with the code that it was counted of. */

/** What a count depends on, beside the code. */
export interface Toolchain {
  readonly node: string;
  readonly architecture: string;
  /** Of the addon. */
  readonly compiler: string;
  readonly valgrind: string;
}

export interface Baseline {
  readonly toolchain: Toolchain;
  /** By the name of the workload. */
  readonly instructions: Readonly<Record<string, number>>;
}

/** Beyond this share of the baseline it is another count. The same code differs by less than a thousandth. */
export const TOLERANCE = 0.05;

/** 'unknown': the baseline has no such workload. */
export type Outcome = 'within' | 'more' | 'fewer' | 'unknown';

export interface Comparison {
  readonly outcome: Outcome;
  /** null: unknown. */
  readonly baseline: number | null;
  readonly now: number;
  /** Of the baseline; 0.1: a tenth more. NaN: unknown. */
  readonly change: number;
}

export function compared(name: string, now: number, { instructions }: Baseline): Comparison {
  const baseline = Object.hasOwn(instructions, name) ? (instructions[name] ?? null) : null;
  if (baseline === null) return { outcome: 'unknown', baseline, now, change: NaN };
  const change = now / baseline - 1;
  return { outcome: change > TOLERANCE ? 'more' : change < -TOLERANCE ? 'fewer' : 'within', baseline, now, change };
}

/** What a run has to answer for. */
export const isFailure = ({ outcome }: Pick<Comparison, 'outcome'>): boolean =>
  outcome === 'more' || outcome === 'unknown';

/** Why counts of the one and of the other are not comparable; null: they are. */
export function incomparable(kept: Toolchain, here: Toolchain): string | null {
  const name = ({ node, architecture }: Toolchain): string => `Node ${node} on ${architecture}`;
  if (name(kept) === name(here)) return null;
  return `the baseline was counted with ${name(kept)}, and this is ${name(here)}: other machine code`;
}

/** What else is different, and may be the reason for a small difference. */
export function differences(kept: Toolchain, here: Toolchain): readonly string[] {
  const all = [
    ['valgrind', kept.valgrind, here.valgrind],
    ["the addon's compiler", kept.compiler, here.compiler],
  ] as const;
  return all
    .filter(([, before, now]) => before !== now)
    .map(([what, before, now]) => `${what}: the baseline was counted with ${before}, and this is ${now}`);
}

/** @param kept those that were not counted now stay as they are. null: there were none */
export function updated(
  kept: Baseline | null,
  toolchain: Toolchain,
  counts: ReadonlyMap<string, number>,
  names: readonly string[],
): Baseline {
  const all = names.flatMap((name): [string, number][] => {
    const value = counts.get(name) ?? kept?.instructions[name];
    return value === undefined ? [] : [[name, Math.round(10 * value) / 10]];
  });
  return { toolchain, instructions: Object.fromEntries(all) };
}

/** @throws Error for what is none */
export function parseBaseline(text: string): Baseline {
  const { toolchain, instructions } = JSON.parse(text) as Partial<Baseline>;
  if (toolchain === undefined || instructions === undefined) throw new Error('it is not what --update writes');
  return { toolchain, instructions };
}
