/**
 * Several cores: what a server with a loop per core gains over one loop.
 *
 * Clients in the same machine need about as much of the processors as the server. If one loop had a core and its clients another, two loops on
 * the same two cores could not be faster: the cores are busy already. So there are two comparisons:
 *
 * - Messages per second: each core has clients of its own. One loop and its clients share one core; two loops and twice the clients share two.
 *   The clients take the same share of both. But on two cores half of the messages cross from one to the other, which costs both sides more.
 * - A model of the clients' cost: the CPU time of the server per message says how many messages its cores would give if the clients ran
 *   elsewhere. One loop is measured with the same clients, on both cores: so the same part of its messages crosses between the cores.
 */
import type { Spread } from '../measuring/spread.js';
import { builtC } from './build.js';
import { type CoresRound, ratio } from './results.js';
import { NODE_SERVE } from './subjects.js';

/** Where server and clients run. */
export type Placement =
  /** Server and clients on one core. */
  | 'one core'
  /** A loop per core, and clients on each. */
  | 'two cores'
  /** The server on one core, and clients on both: half of the messages cross, as with two loops. */
  | 'clients on both';

export interface CoresSubject {
  readonly name: string;
  readonly placement: Placement;
  /** The subject with one loop: its name without the placement. */
  readonly base: string;
  /** @throws Missing */
  readonly command: () => readonly string[];
}

export const CORES = {
  name: 'cores',
  title: 'Several cores: a loop per core, with SO_REUSEPORT',
  note: 'each core has clients of its own; docs/performance.md has the reason and the model',
  /** Per client process. */
  connections: 50,
  size: 64,
  workers: 2,
} as const;

const several = ['--accept', 'reuseport', '--workers', String(CORES.workers)] as const;

const on = (placement: Placement, name: string, command: CoresSubject['command']): CoresSubject => ({
  name: `${name}, ${placement}`,
  placement,
  base: name,
  command,
});

const onTwo = (name: string, base: string, command: CoresSubject['command']): CoresSubject => ({
  name: `${name}, two cores`,
  placement: 'two cores',
  base,
  command,
});

const epoll = (): readonly string[] => [builtC('epoll'), 'echo'];
const reactor = (): readonly string[] => [...NODE_SERVE, 'reactor', '--mechanism', 'epoll'];
const proactor = (): readonly string[] => [...NODE_SERVE, 'proactor', '--mechanism', 'io_uring'];

export const CORES_SUBJECTS: readonly CoresSubject[] = [
  ...Object.entries({ 'c-epoll': epoll, reactor, proactor }).flatMap(([name, command]) => [
    on('one core', name, command),
    on('clients on both', name, command),
  ]),
  onTwo('c-epoll', 'c-epoll', () => [...epoll(), String(CORES.workers)]),
  ...['multi-reactor', 'multi-process-reactor'].map((model) =>
    onTwo(model, 'reactor', () => [...NODE_SERVE, model, '--mechanism', 'epoll', ...several]),
  ),
  onTwo('multi-proactor', 'proactor', () => [...NODE_SERVE, 'multi-proactor', '--mechanism', 'io_uring', ...several]),
];

/** The reference: what a second core gives to the server in C, which has no goal. */
export const C_ON_CORES = 'c-epoll, two cores';

const coresOf = (placement: Placement): number => (placement === 'two cores' ? CORES.workers : 1);

/** Messages per second that these cores give at most, with these clients on them. */
export function limitOf({ serverCpu, clientCpu }: CoresRound, placement: Placement): number {
  // Half of the clients share the core of the only loop.
  const perMessage = placement === 'clients on both' ? serverCpu + clientCpu / 2 : serverCpu + clientCpu;
  return (coresOf(placement) * 1e6) / perMessage;
}

/** Messages per second that the server's cores would give if the clients ran elsewhere. */
export const serverAlone = ({ serverCpu }: CoresRound, placement: Placement): number =>
  (coresOf(placement) * 1e6) / serverCpu;

export type CoresRounds = Readonly<Record<string, readonly CoresRound[]>>;

/** Messages/s relative to one loop on one core, whose clients are there too. null: not measured. */
export const speedup = (rounds: CoresRounds, { name, base }: CoresSubject): Spread | null =>
  ratio(
    rounds[name]?.map(({ perSecond }) => perSecond),
    rounds[`${base}, one core`]?.map(({ perSecond }) => perSecond),
  );

/** serverAlone() relative to one loop with the same clients. null: not measured. */
export const modelledSpeedup = (rounds: CoresRounds, { name, base, placement }: CoresSubject): Spread | null =>
  ratio(
    rounds[name]?.map((round) => serverAlone(round, placement)),
    rounds[`${base}, clients on both`]?.map((round) => serverAlone(round, 'clients on both')),
  );
