/** `--surprise`: cells of echo chosen by a seed, so that no code can be tuned for them. */
import { type Workload, echoCell } from './workloads.js';

const COUNT = 10;
const CONNECTIONS = { min: 2, max: 2000 } as const;
const BYTES = { min: 16, max: 131_072 } as const;
/** Bytes of one message per connection: more would not fit into the buffers of the sockets. */
const MAX_IN_FLIGHT = 32 << 20;

/** The largest seed. */
export const MAX_SEED = 2 ** 32 - 1;

/** mulberry32: numbers in [0, 1). */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The workload of a seed: ten cells, connections and bytes uniform in their logarithms. The same seed gives the same cells. */
export function surpriseOf(seed: number): Workload {
  const random = randomOf(seed);
  const between = ({ min, max }: { readonly min: number; readonly max: number }): number =>
    Math.round(min * (max / min) ** random());
  const cells = new Map<string, Workload['cells'][number]>();
  while (cells.size < COUNT) {
    const [connections, size] = [between(CONNECTIONS), between(BYTES)];
    const cell = echoCell('surprise', connections, size);
    if (connections * size <= MAX_IN_FLIGHT) cells.set(cell.name, cell);
  }
  return {
    name: 'surprise',
    title: `Echo in cells chosen by the seed ${seed}`,
    unit: 'message',
    application: 'echo',
    isMixed: true,
    note: `npm run bench -- --surprise ${seed} measures the same cells again`,
    cells: [...cells.values()],
  };
}
