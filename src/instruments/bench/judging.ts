/** Whether a figure can be judged: not if other work disturbed it, or if its rounds differ too much. */
import { MAX_STOLEN, type OtherWork, percent } from '../measuring/busyness.js';
import type { Spread } from '../measuring/spread.js';

/** Share of the processors that other programs may use during a cell. An idle system uses less than 0.03. */
const MAX_OTHERS = 0.05;
/** Half the interquartile range of a figure that can be judged, as a share of its median. */
const MAX_SPREAD = 0.05;
/** Fewer rounds show no spread. */
const MIN_ROUNDS = 3;

export type Sense = 'at most' | 'at least';

/** Whether a figure reaches its bound. */
export type Judgement =
  { readonly outcome: 'reached' | 'missed' } | { readonly outcome: 'not judged'; readonly because: string };

/** '± 0.08': half the interquartile range. */
export const halfRange = ({ low, high }: Spread): number => (high - low) / 2;

/** Why a cell with this other work cannot be judged. null: it can. @param otherWork undefined: not recorded */
export function disturbanceOf(otherWork: OtherWork | undefined): string | null {
  if (otherWork === undefined) return 'the file does not say how busy the machine was';
  const { programs, machines } = otherWork;
  const reasons = [
    ...(programs === null ? ['this system does not report what other programs use'] : []),
    ...(programs !== null && programs > MAX_OTHERS
      ? [`other programs used ${percent(programs)} of the processors`]
      : []),
    ...(machines > MAX_STOLEN ? [`the hypervisor gave ${percent(machines)} to other machines`] : []),
  ];
  return reasons.length === 0 ? null : reasons.join('; ');
}

/** Why figures of these rounds cannot be judged. null: they can */
function varianceOf(measured: Spread): string | null {
  if (measured.count < MIN_ROUNDS) return `${measured.count} of at least ${MIN_ROUNDS} rounds`;
  const spread = halfRange(measured) / Math.abs(measured.median);
  return spread <= MAX_SPREAD ? null : `the rounds differ by ± ${percent(spread)}`;
}

/** @param disturbance disturbanceOf() of its cell */
export function judge(measured: Spread, sense: Sense, bound: number, disturbance: string | null): Judgement {
  const reasons = [disturbance, varianceOf(measured)].filter((reason) => reason !== null);
  if (reasons.length > 0) return { outcome: 'not judged', because: reasons.join('; ') };
  const isReached = sense === 'at most' ? measured.median <= bound : measured.median >= bound;
  return { outcome: isReached ? 'reached' : 'missed' };
}
