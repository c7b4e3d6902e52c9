/** The performance goals of this package, one row each, and whether they are reached. */
import { CORES_SUBJECTS, C_ON_CORES, modelledSpeedup, speedup } from './cores.js';
import { type Judgement, type Sense, disturbanceOf, judge } from './judging.js';
import { type BenchResults, type Round, ratio, valuesOf } from './results.js';
import { surpriseOf } from './surprise.js';
import { C, C_SECOND_THREAD, OURS } from './turn-programs.js';
import { WORKLOADS, type Workload } from './workloads.js';
import { type Spread, spreadOf } from '../measuring/spread.js';

/** A goal and its measurement. */
export interface Goal {
  readonly what: string;
  /** '≤ 1.04 CPU of c-epoll' */
  readonly bar: string;
  readonly cell: string;
  /** null: not measured. */
  readonly measured: Spread | null;
  /** null: not measured. */
  readonly judgement: Judgement | null;
}

const barText = (sense: Sense, bound: number, unit: string, of: string): string =>
  `${sense === 'at most' ? '≤' : '≥'} ${bound} ${unit} ${of}`;

/** @param disturbance disturbanceOf() of the cell */
const judged = (measured: Spread | null, sense: Sense, bound: number, disturbance: string | null): Judgement | null =>
  measured === null ? null : judge(measured, sense, bound, disturbance);

/** A goal of a server: one figure of a subject as a ratio to that of another subject in the same rounds. */
interface ServedGoal {
  readonly what: string;
  readonly cell: string;
  readonly figure: keyof Round;
  readonly subject: string;
  readonly of: string;
  readonly sense: Sense;
  readonly bound: number;
}

const cpu = (what: string, cell: string, subject: string, of: string, bound: number): ServedGoal => ({
  what,
  cell,
  figure: 'cpu',
  subject,
  of,
  sense: 'at most',
  bound,
});

const faster = (cell: string, of: string, bound: number): ServedGoal => ({
  what: 'messages/s',
  cell,
  figure: 'perSecond',
  subject: 'reactor',
  of,
  sense: 'at least',
  bound,
});

/** In cells of any number of connections and bytes, both loops are compared with the same program. */
function offTheTrack({ name, cells }: Workload): readonly ServedGoal[] {
  return cells.flatMap((cell) => [
    cpu(`${name}, epoll`, cell.name, 'reactor', 'c-epoll', 1.1),
    cpu(`${name}, io_uring`, cell.name, 'proactor', 'c-epoll', 1.08),
  ]);
}

const SERVED: readonly ServedGoal[] = [
  cpu('echo, epoll', 'echo 50 x 64', 'reactor', 'c-epoll', 1.04),
  cpu('echo, epoll', 'echo 1000 x 64', 'reactor', 'c-epoll', 1.04),
  cpu('echo, io_uring', 'echo 50 x 64', 'proactor', 'c-io_uring', 1.04),
  cpu('echo, io_uring', 'echo 1000 x 64', 'proactor', 'c-io_uring', 1.04),
  cpu('select() loop', 'echo 50 x 64', 'select-loop', 'c-epoll', 1.1),
  cpu('64 KiB, epoll', 'echo 50 x 65536', 'reactor', 'c-epoll', 1.05),
  cpu('64 KiB, io_uring', 'echo 50 x 65536', 'proactor', 'c-io_uring', 1.05),
  cpu('4 KiB, epoll', 'echo 50 x 4096', 'reactor', 'c-epoll', 1.1),
  cpu('4 KiB, io_uring', 'echo 50 x 4096', 'proactor', 'c-epoll', 1.08),
  ...WORKLOADS.filter(({ name }) => name === 'middle').flatMap(offTheTrack),
  cpu('pipelined, epoll', 'pipelined 50 x 64 x 16', 'reactor', 'c-epoll', 1.1),
  cpu('pipelined, io_uring', 'pipelined 50 x 64 x 16', 'proactor', 'c-io_uring', 1.1),
  cpu('inside Node', 'echo 50 x 64', 'reactor-inside-node', 'c-epoll', 1.08),
  cpu('connections, epoll', 'connect 50 x 64', 'reactor', 'c-epoll', 1.1),
  cpu('connections, io_uring', 'connect 50 x 64', 'proactor', 'c-io_uring', 1.1),
  cpu('rpc without JSON, epoll', 'rpc 50 x 64', 'reactor-no-json', 'c-epoll', 1.15),
  cpu('rpc without JSON, io_uring', 'rpc 50 x 64', 'proactor-no-json', 'c-epoll', 1.15),
  cpu('chat to 1,000', 'chat 1000 x 64', 'reactor', 'c-epoll', 1.1),
  ...['echo 50 x 64', 'echo 1000 x 64'].flatMap((cell) => [
    faster(cell, 'node-net', 1.5),
    ...['bun', 'deno', 'uvloop', 'go'].map((peer) => faster(cell, peer, 1.1)),
  ]),
];

interface TurnsGoal {
  readonly what: string;
  readonly cell: string;
  readonly of: string;
  readonly bound: number;
  /** The ratio is that of the other to this package: how many times faster this package is. */
  readonly isFaster?: true;
}

const TURN_GOALS: readonly TurnsGoal[] = [
  ...(
    [
      [1, 1.25],
      [100, 1.12],
    ] as const
  ).flatMap(([active, bound]): TurnsGoal[] =>
    [100, 1000, 10_000, 19_000].flatMap((registered) => [
      { what: 'epoll turn', cell: `epoll ${registered}, ${active} active`, of: C, bound },
      {
        what: 'epoll turn',
        cell: `epoll ${registered}, ${active} active`,
        of: 'cpython',
        bound: 2.5,
        isFaster: true,
      },
    ]),
  ),
  ...(['poll', 'select'] as const).flatMap((mechanism) =>
    (mechanism === 'poll' ? [100, 1000, 10_000, 19_000] : [100, 900]).flatMap((registered) =>
      [1, 100].map((active): TurnsGoal => ({
        what: `${mechanism} turn`,
        cell: `${mechanism} ${registered}, ${active} active`,
        of: C_SECOND_THREAD,
        bound: registered === active ? 1.08 : 1.05, // the caller's own loop over the keys is most of what is added
      })),
    ),
  ),
];

/** Of a loop per core on two cores, relative to one loop. */
const MIN_SPEEDUP = 1.7;
const MAX_IDLE_BYTES = 512;
const IDLE_CELL = 'idle 10000';

/** All goals, measured or not. */
export function goalsOf({ served, turns, idle, seed, cores = [] }: Measured): readonly Goal[] {
  const servedGoals = [...SERVED, ...(seed === undefined ? [] : offTheTrack(surpriseOf(seed)))];
  const ofServers = servedGoals.map(({ what, cell, figure, subject, of, sense, bound }): Goal => {
    const found = served.find((one) => one.cell === cell);
    const measured = ratio(valuesOf(found, subject, figure), valuesOf(found, of, figure));
    const bar = barText(sense, bound, figure === 'cpu' ? 'CPU of' : 'times', of);
    return { what, cell, bar, measured, judgement: judged(measured, sense, bound, disturbanceOf(found?.otherWork)) };
  });
  const ofTurns = TURN_GOALS.map(({ what, cell, of, bound, isFaster = false }): Goal => {
    const found = turns.find((one) => one.cell === cell);
    const [ours, others] = [found?.turns[OURS], found?.turns[of]];
    const measured = isFaster ? ratio(others, ours) : ratio(ours, others);
    const sense = isFaster ? 'at least' : 'at most';
    const bar = barText(sense, bound, isFaster ? 'times faster than' : 'CPU of', of);
    return { what, cell, bar, measured, judgement: judged(measured, sense, bound, disturbanceOf(found?.otherWork)) };
  });
  const [several] = cores;
  const ofCores = CORES_SUBJECTS.filter(
    ({ placement, name }) => placement === 'two cores' && name !== C_ON_CORES,
  ).flatMap((subject): readonly Goal[] =>
    [
      ['messages/s of two cores', speedup, `${subject.base}, one core`] as const,
      ['the same without the clients', modelledSpeedup, `${subject.base}, clients on both`] as const,
    ].map(([what, figure, of]) => {
      const measured = several === undefined ? null : figure(several.rounds, subject);
      return {
        what,
        cell: subject.name,
        bar: barText('at least', MIN_SPEEDUP, 'times', of),
        measured,
        judgement: judged(measured, 'at least', MIN_SPEEDUP, disturbanceOf(several?.otherWork)),
      };
    }),
  );
  const bytes = idle.find(({ cell }) => cell === IDLE_CELL)?.bytes.reactor ?? [];
  const measured = bytes.length === 0 ? null : spreadOf(bytes);
  return [
    ...ofServers,
    ...ofTurns,
    ...ofCores,
    {
      what: 'idle, bytes per connection',
      cell: IDLE_CELL,
      bar: `≤ ${MAX_IDLE_BYTES}`,
      measured,
      judgement: judged(measured, 'at most', MAX_IDLE_BYTES, null), // other programs do not change the memory of this one
    },
  ];
}

type Measured = Pick<BenchResults, 'served' | 'turns' | 'idle' | 'seed' | 'cores'>;
