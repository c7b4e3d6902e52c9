/** The earlier counts, and comparisons with them. bench/instructions.json is committed with the code that it was counted for. */

/** What a count depends on besides the code. */
export interface Toolchain {
  readonly node: string;
  readonly architecture: string;
  /** The compiler of the addon. */
  readonly compiler: string;
  readonly valgrind: string;
}

/** The contents of bench/instructions.json. */
export interface Baseline {
  readonly toolchain: Toolchain;
  /** Instructions per unit, by name of the workload. */
  readonly instructions: Readonly<Record<string, number>>;
}

/** Relative difference from the baseline that counts as a change. The same code differs by less than 0.001. */
export const TOLERANCE = 0.05;

/** 'unknown': the baseline has no such workload. */
export type Outcome = 'within' | 'more' | 'fewer' | 'unknown';

/** A count beside its baseline. */
export interface Comparison {
  readonly outcome: Outcome;
  /** null: the baseline has no such workload. */
  readonly baseline: number | null;
  readonly now: number;
  /** Relative change; 0.1: a tenth more. NaN: unknown. */
  readonly change: number;
}

/** Compares a count with its baseline. */
export function compared(name: string, now: number, { instructions }: Baseline): Comparison {
  const baseline = Object.hasOwn(instructions, name) ? (instructions[name] ?? null) : null;
  if (baseline === null) return { outcome: 'unknown', baseline, now, change: NaN };
  const change = now / baseline - 1;
  return { outcome: change > TOLERANCE ? 'more' : change < -TOLERANCE ? 'fewer' : 'within', baseline, now, change };
}

/** Whether the outcome makes a run fail. */
export const isFailure = ({ outcome }: Pick<Comparison, 'outcome'>): boolean =>
  outcome === 'more' || outcome === 'unknown';

/** The reason why counts of two toolchains are not comparable. null: they are. */
export function incomparable(kept: Toolchain, here: Toolchain): string | null {
  const name = ({ node, architecture }: Toolchain): string => `Node ${node} on ${architecture}`;
  if (name(kept) === name(here)) return null;
  return `the baseline was counted with ${name(kept)}, and this is ${name(here)}: other machine code`;
}

/** Other differences between two toolchains, which may explain small changes. */
export function differences(kept: Toolchain, here: Toolchain): readonly string[] {
  const all = [
    ['valgrind', kept.valgrind, here.valgrind],
    ["the addon's compiler", kept.compiler, here.compiler],
  ] as const;
  return all
    .filter(([, before, now]) => before !== now)
    .map(([what, before, now]) => `${what}: the baseline was counted with ${before}, and this is ${now}`);
}

/** The new baseline. @param kept the old one: counts that are not renewed stay. null: there is none */
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

/** @throws Error if the text is no baseline */
export function parseBaseline(text: string): Baseline {
  const { toolchain, instructions } = JSON.parse(text) as Partial<Baseline>;
  if (toolchain === undefined || instructions === undefined) throw new Error('it was not written by --update');
  return { toolchain, instructions };
}
